//! A tower layer for what becomes known of a request after its context was made: who it is from.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use super::{scope::AuditContext, scoped::Scoped};

type Hook = Arc<dyn Fn(&Parts) -> Option<AuditContext> + Send + Sync>;

/// A tower layer that goes behind the authentication. It [updates](AuditContext::update) the
/// context of the request with what the hook gives.
///
/// ```
/// use axum::{
///     Router, extract::Request, middleware::{self, Next}, response::Response, routing::post,
/// };
/// use tracing_audit::{
///     Actor, audit, audit_context, tower::{RequestContextLayer, RequestUpdateLayer},
/// };
///
/// #[derive(Clone)]
/// struct Claims { subject: String, organization: String }
///
/// async fn authenticate(mut request: Request, next: Next) -> Response {
///     // …
///     let claims = Claims { subject: "user-456".into(), organization: "acme".into() };
///     request.extensions_mut().insert(claims);
///     next.run(request).await
/// }
///
/// let known = RequestUpdateLayer::new(|request| {
///     let claims = request.extensions.get::<Claims>()?;
///     let actor = Actor::user(&claims.subject);
///     Some(audit_context! { actor = actor, tenant_id = claims.organization })
/// });
/// // In axum, a request meets the layer that was added last first.
/// let app: Router = Router::new()
///     .route("/reports", post(|| async { audit!("report.made"); }))
///     .layer(known)
///     .layer(middleware::from_fn(authenticate))
///     .layer(RequestContextLayer::new());
/// ```
///
/// The update lasts for the rest of the request: layers further out, as far as they are inside the
/// [`RequestContextLayer`](crate::tower::RequestContextLayer), see it when the response comes back.
/// Without one, the hook's result is a context of its own around the service below.
#[derive(Clone)]
pub struct RequestUpdateLayer {
    hook: Hook,
}

impl RequestUpdateLayer {
    /// A layer with this hook, which gives the facts about a request that are known by now, from
    /// its head and from what layers outside this one have put into its extensions.
    pub fn new(hook: impl Fn(&Parts) -> Option<AuditContext> + Send + Sync + 'static) -> Self {
        Self {
            hook: Arc::new(hook),
        }
    }
}

impl fmt::Debug for RequestUpdateLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestUpdateLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequestUpdateLayer {
    type Service = RequestUpdateService<S>;

    fn layer(&self, inner: S) -> RequestUpdateService<S> {
        RequestUpdateService {
            inner,
            hook: Arc::clone(&self.hook),
        }
    }
}

/// A service that updates the context of its requests. Made by [`RequestUpdateLayer`].
#[derive(Clone)]
pub struct RequestUpdateService<S> {
    inner: S,
    hook: Hook,
}

impl<S: fmt::Debug> fmt::Debug for RequestUpdateService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestUpdateService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for RequestUpdateService<S>
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
        let (parts, body) = request.into_parts();
        let known = (self.hook)(&parts);
        let request = Request::from_parts(parts, body);
        match known {
            Some(known) if !known.try_update() => known.scope_made(|| self.inner.call(request)),
            _ => Scoped::bare(self.inner.call(request)),
        }
    }
}
