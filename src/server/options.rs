//! How the API is served.

use std::{fmt, sync::Arc, time::Duration};

use super::access::Authorizer;
use crate::{capture::Proxies, error::Result};

/// Settings of the HTTP API. The defaults suit most applications.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// use std::time::Duration;
/// use tracing_audit::http::RouterOptions;
///
/// let options = RouterOptions::new()
///     .open_metrics(true)
///     .max_downloads(2)
///     .request_time(Duration::from_secs(10));
/// let app: axum::Router = axum::Router::new().nest("/audit", log.router(options)?);
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RouterOptions {
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    pub(super) unrecorded_reads: bool,
    pub(super) open_metrics: bool,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) forwarded_header: bool,
    pub(super) hosts: Vec<String>,
    pub(super) requests: usize,
    pub(super) downloads: usize,
    pub(super) streams: usize,
    pub(super) requests_per_minute: u32,
    pub(super) downloads_per_caller: usize,
    pub(super) streams_per_caller: usize,
    pub(super) page_memory_bytes: usize,
    pub(super) request_time: Duration,
    pub(super) stall_time: Duration,
    #[cfg(feature = "webhook")]
    pub(super) webhook_egress: Vec<String>,
    #[cfg(feature = "webhook")]
    pub(super) webhook_allow_http: bool,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RouterOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            authorizer: None,
            unrecorded_reads: false,
            open_metrics: false,
            trusted_proxies: Vec::new(),
            forwarded_header: false,
            hosts: Vec::new(),
            requests: 64,
            downloads: 4,
            streams: 32,
            requests_per_minute: 600,
            downloads_per_caller: 3,
            streams_per_caller: 8,
            page_memory_bytes: 64 << 20,
            request_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(60),
            #[cfg(feature = "webhook")]
            webhook_egress: Vec::new(),
            #[cfg(feature = "webhook")]
            webhook_allow_http: false,
        }
    }

    /// The authorizer in place of the log's tokens: a closure from the request's head to an
    /// [`Access`](super::Access), or a denial.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Answers also when the access can't be recorded: without a log to write to, a closed one, a
    /// full journal. Default: 503 then.
    pub fn unrecorded_reads(mut self, allow: bool) -> Self {
        self.unrecorded_reads = allow;
        self
    }

    /// Gives `/metrics` without a token. Default: it needs the scope `read` of all tenants.
    pub fn open_metrics(mut self, open: bool) -> Self {
        self.open_metrics = open;
        self
    }

    /// The proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are believed, and for sessions of
    /// the console `X-Forwarded-Proto`: addresses and networks, such as `10.0.0.0/8`. The client's address is then the last one that isn't a
    /// proxy's; entries have that address, and refusals are counted for it. Default: none, and the
    /// client's address is that of the connection. A text that is neither an address nor a network
    /// is an error of the router.
    pub fn trusted_proxies<T: Into<String>>(
        mut self,
        networks: impl IntoIterator<Item = T>,
    ) -> Self {
        let networks = networks.into_iter().map(Into::into);
        self.trusted_proxies.extend(networks);
        self
    }

    /// Reads the header `Forwarded` (RFC 7239) of trusted proxies instead of the `X-Forwarded-…`
    /// headers. Default: no.
    pub fn forwarded_header(mut self, standard: bool) -> Self {
        self.forwarded_header = standard;
        self
    }

    /// The hosts for which the server answers: host names and addresses without ports. A request
    /// names its host in `Host`, or in a header of a trusted proxy. A request for another host is
    /// refused with 421, so that no other site can have a browser send requests here under that
    /// site's name; `/healthz` and `/readyz` answer for every host. Default: every host. A text
    /// that is neither a host name nor an address is an error of the router.
    pub fn hosts<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.hosts.extend(names.into_iter().map(Into::into));
        self
    }

    pub(super) fn proxies(&self) -> Result<Proxies> {
        let proxies = Proxies::default().trust(&self.trusted_proxies)?;
        Ok(match self.forwarded_header {
            true => proxies.by_standard(),
            false => proxies,
        })
    }

    /// The most requests that are answered at once, 1 or more; the next is refused with 503.
    /// Default: 64.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.requests = requests.max(1);
        self
    }

    /// The most downloads that run at once, 1 or more; the next is refused with 503. Each takes a
    /// thread and up to a megabyte. Default: 4.
    pub fn max_downloads(mut self, downloads: usize) -> Self {
        self.downloads = downloads.max(1);
        self
    }

    /// The most clients that follow the log with `GET /stream` at once; the next client is refused
    /// with 503. Each takes up to four events of a megabyte, of the memory that
    /// [`page_memory_bytes`](Self::page_memory_bytes) gives to all. 0 allows none. Default: 32.
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }

    /// The most requests of one caller in a minute: of one token, or of one user of the
    /// application's authorizer, by type and id. A caller that was quiet may send them all at once;
    /// they come back evenly over a minute. The next request is refused with 429, with the seconds
    /// to wait in `Retry-After`, and each answer says in `RateLimit` how many are left. From 1 to
    /// 1,000,000; another number is an error of the router. Default: 600.
    pub fn max_requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = requests;
        self
    }

    /// The most downloads of one caller that run at once, of those that
    /// [`max_downloads`](Self::max_downloads) allows to all; the next is refused with 429. From 1
    /// to 10,000; another number is an error of the router. Default: 3.
    pub fn max_downloads_per_caller(mut self, downloads: usize) -> Self {
        self.downloads_per_caller = downloads;
        self
    }

    /// The most streams of one caller at once, of those that [`max_streams`](Self::max_streams)
    /// allows to all; the next is refused with 429. From 1 to 10,000; another number is an error of
    /// the router. Default: 8.
    pub fn max_streams_per_caller(mut self, streams: usize) -> Self {
        self.streams_per_caller = streams;
        self
    }

    /// The most bytes of pages and of events of streams that are in memory, for all clients
    /// together: from when an answer is read until its client has taken it. A page has up to 8 MiB
    /// and is refused with 503 if there is no room for it within five seconds, and with 429 if the
    /// caller's pages have half of these bytes already; a stream waits. From 16 MiB to 1 TiB;
    /// another number is an error of the router. Default: 64 MiB.
    pub fn page_memory_bytes(mut self, bytes: usize) -> Self {
        self.page_memory_bytes = bytes;
        self
    }

    /// The time within which an answer must begin. Default: 30 seconds.
    pub fn request_time(mut self, limit: Duration) -> Self {
        self.request_time = limit;
        self
    }

    /// The time for which a client may take no byte of a download or a stream before the connection
    /// is closed. Default: 60 seconds.
    pub fn stall_time(mut self, limit: Duration) -> Self {
        self.stall_time = limit;
        self
    }

    /// The addresses that webhooks set over HTTP may be allowed to reach besides the public
    /// internet: `private`, `loopback`, addresses, networks and host names. Default: nothing.
    #[cfg(feature = "webhook")]
    pub fn webhook_egress<T: Into<String>>(mut self, grants: impl IntoIterator<Item = T>) -> Self {
        self.webhook_egress
            .extend(grants.into_iter().map(Into::into));
        self
    }

    /// Lets webhooks that are set over HTTP have a URL without TLS. Default: no.
    #[cfg(feature = "webhook")]
    pub fn webhook_allow_http(mut self, allow: bool) -> Self {
        self.webhook_allow_http = allow;
        self
    }
}

impl fmt::Debug for RouterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterOptions")
            .field("own_authorizer", &self.authorizer.is_some())
            .finish_non_exhaustive()
    }
}
