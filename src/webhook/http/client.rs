//! Posts one delivery to a webhook and returns the answer.
//!
//! Each attempt ends within its time limit, reads at most 64 KiB of the answer, follows no redirect
//! and sends nothing to a place that the egress refuses. Connections are kept and used again.

use crate::webhook::{
    http::{
        answer::{Answer, Failure, FailureKind, MAX_HOST, MAX_READ, Outcome, cut, excerpt},
        connect::{Connector, OPENED, OpenedFor},
        egress::{Egress, Refused},
        headers::CustomHeaders,
        look_up::{Lookup, system_lookup},
        proxy::Proxy,
        tls,
    },
    queue::schedule,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{LOCATION, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use crate::error::Result;

/// Shorter than servers commonly keep them: a connection that the other side closes while it is
/// being used costs an attempt.
const IDLE_CONNECTIONS_LAST: Duration = Duration::from_secs(30);
/// As many as there may be attempts at once.
const IDLE_CONNECTIONS: usize = 64;
/// The head of an answer that is longer is not read to its end: the attempt fails.
const MAX_HEAD: usize = 64 * 1024;

const PROGRAM: &str = concat!("tracing-audit/", env!("CARGO_PKG_VERSION"));

/// How to reach a webhook.
#[derive(Clone)]
pub(crate) struct ClientOptions {
    /// Whether `http://` will do. Default: no.
    pub(crate) allow_http: bool,
    /// Whether TLS is used at all: its roots take a while to read. Default: yes.
    pub(crate) tls: bool,
    /// The destinations that may be reached. Default: the public internet.
    pub(crate) egress: Egress,
    /// The only way out, if there is one. Default: none.
    pub(crate) proxy: Option<Proxy>,
    /// For resolving, connecting and the TLS handshake together. Default: 5 s.
    pub(crate) connect_timeout: Duration,
    /// For an attempt from its start to the end of the answer. Default: 15 s.
    pub(crate) timeout: Duration,
    /// PEM certificates to trust besides the system's.
    pub(crate) extra_ca: Vec<Vec<u8>>,
    /// PEM of the client's certificate chain and private key.
    pub(crate) identity: Option<Vec<u8>>,
    /// Sent with each delivery; their values are scrubbed from answers.
    pub(crate) headers: CustomHeaders,
    /// Further texts to scrub from answers.
    pub(crate) secrets: Vec<String>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            allow_http: false,
            tls: true,
            egress: Egress::default(),
            proxy: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            extra_ca: Vec::new(),
            identity: None,
            headers: CustomHeaders::default(),
            secrets: Vec::new(),
        }
    }
}

/// Sends deliveries to one webhook. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub(crate) struct WebhookClient {
    http: Client<Connector, Full<Bytes>>,
    /// Opens a connection for each request, and keeps none.
    unpooled: Client<Connector, Full<Bytes>>,
    base: Arc<ClientOptions>,
    fixed: HeaderMap,
}

/// Shows no fields, because they have secrets.
impl fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookClient").finish_non_exhaustive()
    }
}

impl WebhookClient {
    /// [`Error::Invalid`] names the option that can't be used.
    pub(crate) fn new(options: ClientOptions) -> Result<Self> {
        Self::with_lookup(options, system_lookup())
    }

    pub(in crate::webhook) fn with_lookup(options: ClientOptions, lookup: Lookup) -> Result<Self> {
        let mut fixed = options.headers.as_map().clone();
        fixed.insert(USER_AGENT, HeaderValue::from_static(PROGRAM));
        let tls = tls::client_config(&options.extra_ca, options.identity.as_deref(), options.tls)?;
        let connector = Connector::new(
            options.egress.clone(),
            options.proxy.clone(),
            lookup,
            tls,
            options.allow_http,
            options.connect_timeout,
        );
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTIONS_LAST)
            .http1_max_buf_size(MAX_HEAD);
        Ok(Self {
            unpooled: builder.pool_max_idle_per_host(0).build(connector.clone()),
            http: builder
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .build(connector),
            base: Arc::new(options),
            fixed,
        })
    }

    /// One attempt. `headers` are the delivery's own; where a custom header has the same name, the
    /// delivery's counts.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Answer {
        let start = Instant::now();
        let mut answer = self
            .attempt(url, headers, body.into())
            .await
            .unwrap_or_else(|failure| Answer::of(Outcome::Failed(failure)));
        answer.took = start.elapsed();
        answer
    }

    async fn attempt(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let refused = |refused: Refused| Failure::new(FailureKind::Refused, refused.to_string());
        self.base
            .egress
            .check_url(url, self.base.allow_http)
            .map_err(refused)?;
        let limit = self.base.timeout;
        let late = |_| {
            Failure::new(
                FailureKind::Timeout,
                format!("no complete answer within {limit:?}"),
            )
        };
        tokio::time::timeout(limit, self.exchange(url, headers, body))
            .await
            .map_err(late)?
    }

    async fn exchange(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| Failure::new(FailureKind::Other, "the URL can't be sent over HTTP"))?;
        let mut all = self.fixed.clone();
        all.extend(headers);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = all;
        let response = self.send(request).await?;

        let told = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let status = response.status().as_u16();
        let mut answer = Answer {
            retry_after: schedule::asked(status, told(RETRY_AFTER)),
            location_host: told(LOCATION)
                .and_then(|place| Some(self.host_as_kept(url.join(place).ok()?.host_str()?))),
            ..Answer::of(Outcome::Status(status))
        };
        let body = first_bytes(response).await?;
        answer.excerpt = excerpt(&body, self.secrets());
        answer.body = body;
        Ok(answer)
    }

    /// A text of the receiver's as it may be kept: short, and without the webhook's secrets.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        excerpt(text.as_bytes(), self.secrets())
    }

    /// A host that a receiver names, as it may be kept: no longer than a host can be.
    fn host_as_kept(&self, host: &str) -> String {
        let mut host = self.scrubbed(host);
        cut(&mut host, MAX_HOST);
        host
    }

    /// Whether the administrator added this header.
    pub(in crate::webhook) fn adds(&self, name: &HeaderName) -> bool {
        self.base.headers.as_map().contains_key(name)
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.base
            .secrets
            .iter()
            .map(String::as_str)
            .chain(self.base.headers.secrets())
            .chain(self.base.proxy.iter().filter_map(Proxy::password))
    }

    /// A kept connection that was closed meanwhile says nothing about the webhook: then the request
    /// is sent once more, at once. It gets a connection of its own, because other kept ones may be
    /// closed as well.
    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let again = request.clone();
        let captured = capture_connection(&mut request);
        let opened = OpenedFor::default();
        let sending = OPENED.scope(opened.clone(), self.http.request(request));
        let sent = sending.await;
        let was_kept = || {
            let used = captured.connection_metadata();
            used.as_ref().is_some_and(|used| opened.lacks(used))
        };
        let sent = match sent {
            Err(_) if was_kept() => self.unpooled.request(again).await,
            sent => sent,
        };
        let error = match sent {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let otherwise = if error.is_connect() {
            FailureKind::Connect
        } else {
            FailureKind::Other
        };
        Err(Failure::from_chain(&error, otherwise))
    }
}

/// At most [`MAX_READ`] bytes; the connection of a longer answer is closed, and not kept.
async fn first_bytes(response: Response<Incoming>) -> Result<Vec<u8>, Failure> {
    let mut body = response.into_body();
    let mut read = Vec::new();
    while read.len() < MAX_READ
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Failure::from_chain(&error, FailureKind::Body))?;
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data[..data.len().min(MAX_READ - read.len())]);
        }
    }
    Ok(read)
}

impl Answer {
    /// Of this outcome, of which nothing else is known.
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            retry_after: None,
            location_host: None,
            body: Vec::new(),
            excerpt: String::new(),
            took: Duration::ZERO,
        }
    }
}

#[cfg(test)]
#[path = "ssrf_tests.rs"]
mod ssrf_tests;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "tls_tests.rs"]
mod tls_tests;
