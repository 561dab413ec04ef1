//! A REST service on axum and SQLite whose trail records who signed in from where, who changed
//! which note and what it was before, and who was denied what.
//!
//! `ADMIN_PASSWORD=secret cargo run -p rest_service [address] [directory]`

use std::{env, error::Error, future::IntoFuture as _, io, net::SocketAddr, path::PathBuf};

use axum::{
    Router,
    routing::{get, post, put},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_audit::{
    Actor, AuditLog, Retention, audit, audit_context, http::RouterOptions,
    tower::RequestContextLayer,
};
use tracing_subscriber::{filter::filter_fn, fmt, prelude::*};

mod app;
mod auth;
mod failure;
mod notes;
mod users;

use app::App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let address = arguments.next().map_or("127.0.0.1:7380".into(), |text| {
        text.to_string_lossy().into_owned()
    });
    let dir = arguments
        .next()
        .map_or_else(|| PathBuf::from("./data"), PathBuf::from);

    let log = AuditLog::builder(dir.join("audit"))
        .source("rest-service")
        .retention(Retention::days(365))
        .on_problem(|problem| tracing::error!(%problem, "the audit log has a problem"))
        .open()?;
    // This filter is for what is printed. What `audit!` records passes by all filters.
    let printed = fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(log.layer())
        .with(printed.with_filter(filter_fn(|of| of.target() != "audit")))
        .init();

    let app = App::open(&dir, log.clone())?;
    let served = serve(&address, &app).await;
    // Ends what still runs, and lets nothing begin: then there are no events after the close.
    app.close().await;
    log.close()?;
    served
}

/// Serves until SIGTERM or ctrl-c.
async fn serve(address: &str, app: &App) -> Result<(), Box<dyn Error>> {
    let itself = audit_context! { actor = Actor::system("rest-service") };
    itself.run(|| users::add_first(app))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let router = routes(app)?;
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    itself.run(|| audit!("server.started", address = %address, "Server listens on {address}"));
    announce(address);
    // With the address of the peer, for `RequestContextLayer` and the trail.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(stopped);
    server.into_future().await?;
    itself.run(|| audit!("server.stopped", "Server was told to stop"));
    Ok(())
}

fn routes(app: &App) -> Result<Router, Box<dyn Error>> {
    // Whose word on the client's address is taken: that of these proxies, such as 10.0.0.0/8.
    let proxies = env::var("TRUSTED_PROXIES").unwrap_or_default();
    let proxies = proxies.split(',').filter(|network| !network.is_empty());
    let context = RequestContextLayer::new().trusted_proxies(proxies)?;
    let service = Router::new()
        .route("/sessions", post(auth::sign_in).delete(auth::sign_out))
        .route("/users", post(users::create))
        .route("/users/{name}/role", put(users::change_role))
        .route("/notes", post(notes::create))
        .route(
            "/notes/{id}",
            get(notes::read).put(notes::update).delete(notes::delete),
        )
        .route("/exports", post(notes::export))
        // Outside of what authenticates: there the context is updated with the user.
        .layer(context)
        .with_state(app.clone());
    // The trail itself, for holders of a token: `tracing-audit token create --dir data/audit …`
    Ok(service.nest("/audit", app.log().router(RouterOptions::new())?))
}

#[allow(clippy::print_stdout, reason = "whoever starts the service reads it")]
fn announce(address: SocketAddr) {
    println!("listening on {address}");
}
