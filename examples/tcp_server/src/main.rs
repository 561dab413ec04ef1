//! A key-value server on plain tokio whose trail records who changed which key, from where, and
//! what was denied.
//!
//! `KV_USERS=ann:secret:write cargo run -p tcp_server [address] [directory]`

use std::{env, error::Error, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing_audit::{Actor, AuditLog, Retention, audit, audit_context};
use tracing_subscriber::{filter::filter_fn, fmt, prelude::*};

mod session;
mod store;
mod users;

use store::Store;
use users::Users;

/// How long connections may take to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) users: Users,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let address = arguments.next().map_or("127.0.0.1:7379".into(), |text| {
        text.to_string_lossy().into_owned()
    });
    let dir = arguments
        .next()
        .map_or_else(|| PathBuf::from("./audit"), PathBuf::from);
    let users = Users::parse(&env::var("KV_USERS").unwrap_or_default())?;

    let log = AuditLog::builder(dir)
        .source("tcp-server")
        .retention(Retention::days(365))
        .on_problem(|problem| tracing::error!(%problem, "the audit log has a problem"))
        .open()?;
    // This filter is for what is printed. What `audit!` records passes by all filters.
    let printed = fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(log.layer())
        .with(printed.with_filter(filter_fn(|of| of.target() != "audit")))
        .init();

    let store = Store::default();
    let served = serve(&address, Arc::new(Server { store, users })).await;
    // Last of all: an event that comes after this is lost, which the library reports. Whatever ends
    // the process before this line, the journal has what was recorded.
    log.close()?;
    served
}

/// Serves until SIGTERM or ctrl-c, and then lets the connections finish the command they are at.
async fn serve(address: &str, server: Arc<Server>) -> Result<(), Box<dyn Error>> {
    let itself = audit_context! { actor = Actor::system("tcp-server") };
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    itself.run(|| audit!("server.started", address = %address, "Server listens on {address}"));
    announce(address);

    let expiry = tokio::spawn(expire(Arc::clone(&server)));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (server, stopping) = (Arc::clone(&server), stopping.clone());
                    connections.spawn(session::serve(stream, peer, server, stopping));
                }
                Err(error) => {
                    // Too many open files, say: some will be closed.
                    tracing::warn!(%error, "no connection was accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection failed");
                }
            }
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }

    drop(listener);
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
    expiry.abort();
    itself.run(|| audit!("server.stopped", "Server was told to stop"));
    Ok(())
}

/// The background job: it acts for nobody, and says so.
async fn expire(server: Arc<Server>) {
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let itself = audit_context! { actor = Actor::system("expiry") };
    loop {
        ticks.tick().await;
        itself.run(|| server.store.remove_expired());
    }
}

#[allow(clippy::print_stdout, reason = "whoever starts the server reads it")]
fn announce(address: std::net::SocketAddr) {
    println!("listening on {address}");
}
