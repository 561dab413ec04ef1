//! The instrumented service: a credential manager with its routes, one instance of it.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{delete, get, post, put},
};
use tokio::{net::TcpListener, sync::watch};
use tracing_audit::AuditLog;
use tracing_subscriber::prelude::*;

use super::{accounts, jobs, model::Model, request, secrets, settings};
use crate::failure::Failure;

/// Opens the log of this process and makes it the one that `audit!` writes to.
pub(super) fn open_log(dir: &Path, source: &str) -> Result<AuditLog, Failure> {
    let log = AuditLog::builder(dir)
        .source(source)
        // Much sooner than in earnest, so that there are sealed files to look at.
        .rotate_every(Duration::from_secs(30))
        .live_grace(Duration::from_secs(5))
        .open()?;
    tracing_subscriber::registry()
        .with(log.layer())
        .try_init()
        .map_err(|e| Failure::failed(format!("cannot set up tracing: {e}")))?;
    Ok(log)
}

/// The routes.
pub(super) fn router() -> Router {
    let model = Arc::new(Model::new());
    Router::new()
        .route("/login", post(accounts::login))
        .route("/logout", post(accounts::logout))
        .route("/users", post(accounts::create))
        .route(
            "/users/{id}",
            delete(accounts::delete).patch(accounts::update),
        )
        .route("/users/{id}/unlock", post(accounts::unlock))
        .route("/users/{id}/reset", post(accounts::reset))
        .route("/secrets/{name}", get(secrets::read))
        .route("/leaks", post(secrets::report))
        .route("/scans", post(jobs::scan))
        .route("/rotations", post(jobs::rotate))
        .route("/syncs", post(jobs::sync))
        .route("/settings/{name}", put(settings::update))
        .route(
            "/subscriptions/{id}",
            put(settings::subscribe).delete(settings::unsubscribe),
        )
        .route("/alert-rules", post(settings::create_rule))
        .route(
            "/alert-rules/{id}",
            put(settings::update_rule).delete(settings::delete_rule),
        )
        .layer(middleware::from_fn_with_state(
            model.clone(),
            request::in_span,
        ))
        .with_state(model)
}

/// Takes the address, with an error that says what to do.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::AddrInUse => {
                let any = SocketAddr::new(address.ip(), 0);
                format!("another program does; give another --listen, or {any} for any free port")
            }
            _ => error.to_string(),
        };
        Failure::failed(format!("cannot listen on {address}: {problem}"))
    })
}

/// Serves until `stop` says so, and finishes what was begun.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stopped = async move {
        // No more senders: nobody could say it later.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(stopped)
        .await
}
