//! The demo's other processes: a second instance of the service, and a worker that is killed in the
//! middle of its work.
//!
//! Each is this program again, and ends when its stdin does: when the demo is gone, however it
//! ended.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use tokio::sync::watch;
use tracing_audit::{Actor, Outcome, audit};

use super::service;
use crate::failure::Failure;

/// A process that was started, and the line by which it says that it is ready.
pub(super) struct Started {
    child: Child,
    pub(super) line: String,
}

impl Started {
    /// Starts this program as `role`, and waits for its first line.
    pub(super) fn start(role: &str, dir: &Path) -> Result<Self, Failure> {
        let cannot = |e: io::Error| Failure::failed(format!("cannot start the demo's {role}: {e}"));
        let program = std::env::current_exe().map_err(cannot)?;
        let mut command = Command::new(program);
        command
            .args(["demo", &format!("--{role}"), "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // Ctrl-C is for the demo, which ends its children in order.
        command.process_group(0);
        let mut child = command.spawn().map_err(cannot)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(cannot)?;
        }
        if line.is_empty() {
            let status = child.wait().map_err(cannot)?;
            return Err(Failure::failed(format!(
                "the demo's {role} ended early: {status}"
            )));
        }
        Ok(Self {
            child,
            line: line.trim_end().to_owned(),
        })
    }

    /// Ends it as a power button would: no handler, no destructor, no flush.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Lets it finish and waits for it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Reads until nobody holds the other end.
fn wait_for_parent() {
    // An error is an end as well.
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
}

/// The second instance.
pub(super) fn instance(dir: &Path) -> Result<(), Failure> {
    let log = service::open_log(dir, "certify-core")?;
    let (stop, stopped) = watch::channel(false);
    thread::spawn(move || {
        wait_for_parent();
        stop.send(true)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = service::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        say(&listener.local_addr()?.to_string())?;
        service::serve(listener, service::router(), stopped)
            .await
            .map_err(|e| Failure::failed(format!("cannot serve: {e}")))
    })?;
    drop(runtime);
    Ok(log.close()?)
}

/// The worker: rotates secrets at night, with nobody to watch it. Says how many events it recorded;
/// then it waits for what comes.
pub(super) fn worker(dir: &Path) -> Result<(), Failure> {
    let log = service::open_log(dir, "certify-worker")?;
    let names = [
        "db-password",
        "smtp-key",
        "tls-cert",
        "api-key",
        "signing-key",
    ];
    for secret in names {
        let actor = Actor::service("nightly-rotation");
        audit!(
            "rotation.started",
            actor = actor,
            resource.type = "secret",
            resource.name = secret,
            secret_name = secret,
            initiated_by = "schedule",
            "Rotation of {secret} started"
        );
        audit!(
            "rotation.completed",
            actor = actor,
            resource.type = "secret",
            resource.name = secret,
            outcome = Outcome::success(),
            secret_name = secret,
            updated_vaults = ["kv-internal"],
            "Rotation of {secret} completed"
        );
    }
    say(&(2 * names.len()).to_string())?;
    wait_for_parent();
    Ok(log.close()?)
}
