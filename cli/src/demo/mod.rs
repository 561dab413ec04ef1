//! `demo`: a whole system with an audit trail, to look at: a credential manager that serves real
//! requests.
//!
//! ```text
//! traffic ──HTTP──▶ this process ───────┐
//!         └─HTTP──▶ a second instance ──┼──▶ one directory ◀── curl, tail, query, verify
//!            a worker that is killed ───┘        │
//!                     a receiver ◀── webhook, signed ──┘
//! ```
//!
//! Nothing in it is simulated but the people and their vaults: the requests, the processes, the
//! kill and the recovery are real. At the end the log is checked like any other.

mod accounts;
mod children;
mod guide;
mod jobs;
mod model;
mod person;
mod receiver;
mod request;
mod secrets;
mod service;
mod settings;
mod story;
mod traffic;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, time};
use tracing_audit::{
    AuditLog, AuditReader,
    http::{NewToken, RouterOptions, Scope},
};

use self::{children::Started, guide::Guide, receiver::Receiver, traffic::Traffic};
use super::{
    args::DemoArgs,
    failure::{Failure, Outcome},
    output::count,
    stop, verify,
};

pub(super) fn run(args: &DemoArgs) -> Result<Outcome, Failure> {
    match &args.demo_dir {
        Some(dir) if args.instance => return children::instance(dir).map(|()| Outcome::Fine),
        Some(dir) if args.worker => return children::worker(dir).map(|()| Outcome::Fine),
        _ => {}
    }
    if !(args.rate > 0.0 && args.rate <= 10_000.0) {
        return Err(Failure::Usage(format!(
            "--rate: {} must be more than 0 and at most 10000",
            args.rate
        )));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // First what may well be refused: then no directory is left behind for nothing.
    let listener = runtime.block_on(service::listen(args.listen))?;
    let dir = args.demo_dir.clone().map_or_else(fresh_dir, Ok)?;
    let log = service::open_log(&dir, "certify-core")?;
    let receiver = runtime.block_on(play(args, listener, &log))?;
    // Requests that are still answered hold the log.
    drop(runtime);
    log.close()?;
    sum_up(&dir, &receiver)
}

/// A directory that nobody has seen yet.
fn fresh_dir() -> Result<PathBuf, Failure> {
    let parent = std::env::temp_dir();
    let dir = parent.join(format!("tracing-audit-demo-{:08x}", fastrand::u32(..)));
    let made = fs::DirBuilder::new().mode(0o700).create(&dir);
    made.map_err(|e| {
        Failure::failed(format!(
            "cannot create {}: {e}; give another --dir",
            dir.display()
        ))
    })?;
    Ok(dir)
}

async fn play(args: &DemoArgs, listener: TcpListener, log: &AuditLog) -> Result<Receiver, Failure> {
    let dir = log.dir();
    let address = listener.local_addr()?;
    let new = NewToken {
        name: "demo".to_owned(),
        scope: Scope::Admin,
        tenant: None,
        expires: None,
    };
    let (known, token) = log.tokens().create(new)?;
    let code = log.tokens().sign_in_code(&known.id)?.unwrap_or_default();
    // So that more webhooks can be added to receivers on this machine.
    let options = RouterOptions::new()
        .webhook_egress(["loopback"])
        .webhook_allow_http(true);
    let router = service::router().nest_service("/audit", log.router(options)?);
    let second = start("instance", dir).await?;

    let (stop, stopped) = watch::channel(false);
    let (end_receiver, receiver_ended) = watch::channel(false);
    let (receiver, receiver_address) = Receiver::start(log, receiver_ended).await?;
    let dispatcher = log.webhooks().run()?;
    let serving = tokio::spawn(service::serve(listener, router, stopped.clone()));
    let bases = vec![
        format!("http://{address}"),
        format!("http://{}", second.line),
    ];
    let stream = log.stream().as_str();
    let interrupted = stop::signal();
    Guide {
        dir,
        stream,
        address,
        second: &second.line,
        receiver: receiver_address,
        token: &token,
        code: &code,
        limit: args.run_for,
    }
    .print()?;
    let traffic = tokio::spawn(traffic::run(
        Traffic {
            bases,
            rate: args.rate,
        },
        stopped,
    ));
    let crash = crash_and_recover(dir).await;

    match args.run_for {
        Some(seconds) => {
            tokio::select! {
                _ = interrupted => {}
                () = time::sleep(Duration::from_secs(seconds)) => {}
            }
        }
        None => {
            interrupted.await;
        }
    }
    // The tasks may be over by themselves; then there is nothing to stop.
    let _ = stop.send(true);
    let _ = traffic.await;
    let served = serving.await;
    let second = tokio::task::spawn_blocking(|| second.finish()).await;
    // The deliveries on their way still arrive.
    let delivered = tokio::task::spawn_blocking(|| drop(dispatcher)).await;
    let _ = end_receiver.send(true);
    delivered.map_err(|e| Failure::failed(e.to_string()))?;
    crash?;
    for ended in [served, second] {
        ended
            .map_err(|e| Failure::failed(e.to_string()))?
            .map_err(|e| Failure::failed(format!("the demo could not shut down cleanly: {e}")))?;
    }
    Ok(receiver)
}

async fn start(role: &'static str, dir: &Path) -> Result<Started, Failure> {
    let dir = dir.to_owned();
    let started = tokio::task::spawn_blocking(move || Started::start(role, &dir)).await;
    started.map_err(|e| Failure::failed(e.to_string()))?
}

/// The worker records and is killed at once; the next one finds what it left, completes it, and
/// ends well.
async fn crash_and_recover(dir: &Path) -> Result<(), Failure> {
    let first = start("worker", dir).await?;
    let recorded = first.line.clone();
    first.kill()?;
    let next = start("worker", dir).await?;
    tokio::task::spawn_blocking(|| next.finish())
        .await
        .map_err(|e| Failure::failed(e.to_string()))??;
    writeln!(
        io::stdout().lock(),
        "A worker recorded {recorded} events and was killed (SIGKILL). The next one has completed \
         its stream; look for --source certify-worker."
    )?;
    Ok(())
}

fn sum_up(dir: &Path, receiver: &Receiver) -> Result<Outcome, Failure> {
    // Seals the last files, which otherwise the next process does that opens the directory.
    AuditLog::recover(dir, |_| {})?;
    let report = AuditReader::open(dir)?.verify(|_, _| {})?;
    let mut out = io::stdout().lock();
    writeln!(out, "\nThe demo is over. What it recorded:")?;
    let types = guide::event_types(dir)?;
    let width = types
        .iter()
        .map(|(event_type, _)| event_type.len())
        .max()
        .unwrap_or(0);
    for (event_type, events) in &types {
        writeln!(out, "  {event_type:<width$}  {events:>6}")?;
    }
    writeln!(
        out,
        "\n{} and {} in {}",
        count(report.sealed_files, "sealed file"),
        count(report.live_files, "live file"),
        dir.display()
    )?;
    {
        let received = receiver.received();
        let events = count(received.events() as u64, "event");
        let requests = count(received.requests, "request");
        writeln!(
            out,
            "webhook {}: {events} received in {requests}, {} of them with a valid signature",
            receiver::NAME,
            received.verified
        )?;
    }
    write!(out, "verify: ")?;
    verify::write_text(&mut out, &report)?;
    writeln!(
        out,
        "It stays there: tracing-audit query --dir {}",
        guide::quoted(dir)
    )?;
    Ok(Outcome::problem_if(!report.ok))
}
