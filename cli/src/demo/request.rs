//! The user of a request and its address: found once, and in every event that is recorded on its
//! behalf.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument as _, field::Empty};

use super::model::{Answer, Model, Session, User, refused};

/// Puts what is known of a request into a span around it: the log takes it from there.
pub(super) async fn in_span(
    State(model): State<Arc<Model>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let request_id = text(headers, "x-request-id").map_or_else(
        || {
            uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes())
                .into_uuid()
                .to_string()
        },
        str::to_owned,
    );
    // The demo's traffic plays the load balancer in front of the service, which adds this header.
    let address =
        text(headers, "x-forwarded-for").map_or_else(|| peer.ip().to_string(), str::to_owned);
    let span = tracing::info_span!(
        "request",
        request_id,
        client.address = address,
        user_agent.original = text(headers, header::USER_AGENT.as_str()).unwrap_or_default(),
        url.scheme = "http",
        session.id = Empty,
        actor.type = Empty,
        actor.id = Empty,
        actor.name = Empty,
    );
    let secret = text(headers, header::AUTHORIZATION.as_str())
        .and_then(|value| value.strip_prefix("Bearer "));
    let session = secret.and_then(|secret| model.lock().sessions.get(secret).cloned());
    if let Some(session) = session {
        span.record("session.id", session.id.as_str());
        span.record("actor.type", "user");
        span.record("actor.id", session.user.id.as_str());
        span.record("actor.name", session.user.name.as_str());
        request.extensions_mut().insert(session);
    }
    next.run(request).instrument(span).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The user who is logged in; without one, a handler that wants it isn't reached.
pub(super) struct LoggedIn(pub(super) User);

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Answer> {
        let session = parts.extensions.get::<Session>();
        session
            .map(|session| Self(session.user.clone()))
            .ok_or_else(|| refused(StatusCode::UNAUTHORIZED, "log in first"))
    }
}
