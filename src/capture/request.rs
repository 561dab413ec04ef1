//! A tower layer that fills the context of events from the HTTP request they belong to.
//!
//! A client's headers are claims: the client's address is taken from a header only as far as
//! trusted proxies wrote it (see `forwarded`), and every text is cut to what an entry has
//! use for.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, Request, header, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use super::{proxies::Proxies, scope::AuditContext, scoped::Scoped};
use crate::{
    entry::{Actor, Instant},
    error::Result,
};

/// The longest text that is taken from a header, in bytes; the rest is cut off.
const LONGEST: usize = 512;

type Hook<T> = Arc<dyn Fn(&Parts) -> Option<T> + Send + Sync>;

/// A tower layer for axum and other HTTP services of `tower`: events below it inherit the client's
/// address, user agent, request id, scheme and host, and with hooks the session and the actor.
///
/// ```
/// use axum::{Router, routing::post};
/// use tracing_audit::{Actor, audit, tower::RequestContextLayer};
///
/// # #[derive(Clone)] struct Login { user: String }
/// # fn main() -> tracing_audit::Result<()> {
/// let context = RequestContextLayer::new()
///     .trusted_proxies(["10.0.0.0/8", "127.0.0.1"])?
///     .actor(|request| request.extensions.get::<Login>().map(|login| Actor::user(&login.user)));
/// let app: Router = Router::new()
///     .route("/reports", post(|| async { audit!("report.made"); }))
///     .layer(context);
/// // With axum, `app.into_make_service_with_connect_info::<SocketAddr>()` adds the peer's address.
/// # Ok(())
/// # }
/// ```
///
/// | field | from |
/// |---|---|
/// | `ip_address` | the peer: axum's `ConnectInfo<SocketAddr>` (with the feature `server`), or a `SocketAddr` or `IpAddr` among the request's extensions; if that is a trusted proxy, the last address in `X-Forwarded-For` (or [`Forwarded`](Self::forwarded_header)) that isn't one |
/// | `user_agent` | `User-Agent` |
/// | `request_id` | `X-Request-Id`, or else a new UUIDv7; handlers find it as a [`RequestId`] among the request's extensions |
/// | `context.protocol`, `context.host` | the URI, or `Host`; behind a trusted proxy the last in `X-Forwarded-Proto` and `X-Forwarded-Host` |
/// | `session_id`, `actor` | the hooks |
///
/// Texts are cut at 512 bytes, but for what the actor hook gives, whose attributes are kept too.
#[derive(Clone)]
pub struct RequestContextLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    proxies: Proxies,
    request_id: HeaderName,
    peer: Option<Hook<IpAddr>>,
    session_id: Option<Hook<String>>,
    actor: Option<Hook<Actor>>,
}

impl Default for RequestContextLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestContextLayer {
    /// A layer that trusts no proxy.
    pub fn new() -> Self {
        let request_id = HeaderName::from_static("x-request-id");
        let settings = Settings {
            proxies: Proxies::default(),
            request_id,
            peer: None,
            session_id: None,
            actor: None,
        };
        Self {
            settings: Arc::new(settings),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// The proxies whose `X-Forwarded-…` headers are believed: addresses and networks, such as
    /// `10.0.0.0/8`. Default: none.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a text that is neither an address nor a network.
    pub fn trusted_proxies<T: AsRef<str>>(
        self,
        networks: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let proxies = self.settings.proxies.clone().trust(networks)?;
        Ok(self.set(|settings| settings.proxies = proxies))
    }

    /// Reads `Forwarded` (RFC 7239) instead of `X-Forwarded-For`, `-Proto` and `-Host`: for proxies
    /// that write it. The layer never reads both, because a proxy passes on the header that it
    /// doesn't write, which then says what the client wants.
    #[must_use]
    pub fn forwarded_header(self) -> Self {
        let proxies = self.settings.proxies.clone().by_standard();
        self.set(|settings| settings.proxies = proxies)
    }

    /// The header with the request's id. Default: `x-request-id`.
    #[must_use]
    pub fn request_id_header(self, name: HeaderName) -> Self {
        self.set(|settings| settings.request_id = name)
    }

    /// A hook that gives the address of the peer, where neither axum nor the request's extensions
    /// do.
    #[must_use]
    pub fn peer(self, hook: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.peer = Some(Arc::new(hook)))
    }

    /// A hook that gives the session's id. The id is recorded as it is: give a name for the
    /// session, not the secret that opens it.
    #[must_use]
    pub fn session_id(
        self,
        hook: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.session_id = Some(Arc::new(hook)))
    }

    /// A hook that gives the actor, from what layers outside this one have put into the request's
    /// extensions. Where the authentication is inside, the actor becomes known later: see
    /// [`RequestUpdateLayer`](crate::tower::RequestUpdateLayer) and [`AuditContext::update`].
    #[must_use]
    pub fn actor(self, hook: impl Fn(&Parts) -> Option<Actor> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.actor = Some(Arc::new(hook)))
    }
}

impl fmt::Debug for RequestContextLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContextLayer")
            .field("trusted_proxies", &self.settings.proxies)
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn peer(&self, request: &Parts) -> Option<IpAddr> {
        let told = self.peer.as_ref().and_then(|hook| hook(request));
        #[cfg(feature = "server")]
        let told = told.or_else(|| {
            request
                .extensions
                .get::<axum::extract::ConnectInfo<SocketAddr>>()
                .map(|axum::extract::ConnectInfo(peer)| peer.ip())
        });
        let among = || {
            request
                .extensions
                .get::<SocketAddr>()
                .map(SocketAddr::ip)
                .or_else(|| request.extensions.get().copied())
        };
        told.or_else(among).map(|address| address.to_canonical())
    }

    /// The context, and the request's id.
    fn context(&self, request: &Parts) -> (AuditContext, String) {
        let mut context = AuditContext::new();
        let peer = self.peer(request);
        if let Some(peer) = peer {
            context = context.ip_address(self.proxies.client(peer, &request.headers));
        }
        if let Some(agent) = text(&request.headers, &header::USER_AGENT) {
            context = context.user_agent(agent);
        }
        let (headers, uri) = (&request.headers, &request.uri);
        let scheme = self.proxies.scheme(peer, headers);
        if let Some(scheme) = scheme.or_else(|| uri.scheme_str()) {
            context = context.protocol(cut(scheme));
        }
        let host = self
            .proxies
            .host(peer, headers)
            .or_else(|| uri.host())
            .map(|host| cut(host).to_owned());
        if let Some(host) = host.or_else(|| text(headers, &header::HOST)) {
            context = context.host(host);
        }
        let id = text(&request.headers, &self.request_id).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| Instant::now().uuid(fastrand::u64(..)).to_string());
        context = context.request_id(&id);
        if let Some(session) = self.session_id.as_ref().and_then(|hook| hook(request)) {
            context = context.session_id(cut(&session));
        }
        if let Some(actor) = self.actor.as_ref().and_then(|hook| hook(request)) {
            context = context.actor(&actor);
        }
        (context, id)
    }
}

/// As much of a text as is taken.
fn cut(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default();
    &text[..end]
}

/// A header's text; bytes that aren't UTF-8 are replaced.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    Some(String::from_utf8_lossy(value.get(..LONGEST).unwrap_or(value)).into_owned())
}

impl<S> Layer<S> for RequestContextLayer {
    type Service = RequestContextService<S>;

    fn layer(&self, inner: S) -> RequestContextService<S> {
        RequestContextService {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}

/// A service in whose requests events inherit a context. Made by [`RequestContextLayer`].
#[derive(Clone)]
pub struct RequestContextService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S: fmt::Debug> fmt::Debug for RequestContextService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContextService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for RequestContextService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Scoped<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let (context, id) = self.settings.context(&parts);
        parts.extensions.insert(RequestId(id));
        let inner = &mut self.inner;
        // Services may do their work here, before there is a future to poll.
        context.scope_made(|| inner.call(Request::from_parts(parts, body)))
    }
}

/// The request's id, among its extensions: for answers and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
