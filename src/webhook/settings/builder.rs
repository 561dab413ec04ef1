//! A webhook in an application's code: each setting has a method.

use std::{fmt, path::PathBuf, time::Duration};

use super::{Batching, DeliveryOrder, Webhook};
use crate::{
    entry::Severity,
    webhook::format::{FormatName, FormatOptions},
};

impl Webhook {
    /// A webhook of this name that gets these event types: exact, `auth.*`, or `*`.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        url: impl Into<String>,
        event_types: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            event_types: event_types.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Leaves out these event types, exact or `auth.*`.
    #[must_use]
    pub fn excluding<T: Into<String>>(mut self, event_types: impl IntoIterator<Item = T>) -> Self {
        self.exclude.extend(event_types.into_iter().map(Into::into));
        self
    }

    /// Sends only entries of these severities.
    #[must_use]
    pub fn severities(mut self, severities: impl IntoIterator<Item = Severity>) -> Self {
        self.severity.extend(severities);
        self
    }

    /// Sends only this tenant's entries.
    #[must_use]
    pub fn tenant_id(mut self, tenant_id: impl Into<String>) -> Self {
        self.tenant_id = Some(tenant_id.into());
        self
    }

    /// The format of requests, with its options. Default: `native`.
    #[must_use]
    pub fn format(mut self, format: FormatName, options: FormatOptions) -> Self {
        self.format = format;
        self.format_options = options;
        self
    }

    /// Writes requests in a format of the application's own, which it has
    /// [registered](crate::webhook::register_format) under this name.
    ///
    /// ```
    /// use tracing_audit::webhook::{Batch, Encoded, Format, Webhook, Unencodable, register_format};
    ///
    /// #[derive(Debug)]
    /// struct Lines;
    ///
    /// impl Format for Lines {
    ///     fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
    ///         let lines: Vec<_> = batch.entries.iter().map(|entry| entry.line()).collect();
    ///         Ok(Encoded {
    ///             content_type: "application/x-ndjson".into(),
    ///             headers: vec![],
    ///             body: lines.join(&b'\n'),
    ///         })
    ///     }
    /// }
    ///
    /// register_format("lines", Lines)?;
    /// let archive = Webhook::new("archive", "https://archive.example.com/", ["*"])
    ///     .own_format("lines");
    /// # let _ = archive;
    /// # Ok::<_, tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn own_format(mut self, name: impl Into<String>) -> Self {
        self.own_format = Some(name.into());
        self
    }

    /// The key that the receiver wants, sent as `Authorization: Bearer …` (for Splunk,
    /// `Authorization: Splunk …`) unless [`api_key_header`](Self::api_key_header) names another
    /// header.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The header that has the key as its whole value.
    #[must_use]
    pub fn api_key_header(mut self, name: impl Into<String>) -> Self {
        self.api_key_header = Some(name.into());
        self
    }

    /// Signs each request by Standard Webhooks with this secret, `whsec_…` or `whsk_…`. Several
    /// sign at once, for rotation; the last one is the newest.
    #[must_use]
    pub fn signing_secret(mut self, secret: impl Into<String>) -> Self {
        self.signing_secrets.push(secret.into());
        self
    }

    /// A header sent with each request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Lets the URL be `http://`: anyone on the way can then read entries and keys.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// The destinations that may be reached: `public` (the default), `private`, `loopback`,
    /// addresses, networks and host names.
    #[must_use]
    pub fn egress<T: Into<String>>(mut self, grants: impl IntoIterator<Item = T>) -> Self {
        self.egress.extend(grants.into_iter().map(Into::into));
        self
    }

    /// The HTTP proxy through which the receiver is reached, `http://[user:password@]host:port`, or
    /// `https://` for TLS to the proxy. It is the only way out: if the proxy can't be reached or
    /// refuses, the attempt fails. Each receiver, `http://` ones too, is reached by `CONNECT`.
    ///
    /// The proxy resolves the receiver's name, so [`egress`](Self::egress) checks only the name, or
    /// the address if the URL has one: the proxy's own rules must limit the addresses that a name
    /// may have. Any address is allowed for the proxy itself. The setting is a secret: it can be
    /// `env:NAME` or `file:/path`, and its password is never shown.
    ///
    /// Default: the proxy that was set [for all webhooks](crate::webhook::Webhooks::set_proxy).
    /// Variables such as `HTTP_PROXY` are not read.
    ///
    /// ```
    /// use tracing_audit::webhook::Webhook;
    ///
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"])
    ///     .proxy("http://proxy.corp.example:3128");
    /// let same = Webhook::new("chat", "https://chat.example.com/hooks", ["auth.*"])
    ///     .proxy("env:CORP_PROXY");
    /// # let _ = (siem, same);
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<String>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }

    /// The order of deliveries.
    #[must_use]
    pub fn order(mut self, order: DeliveryOrder) -> Self {
        self.order = order;
        self
    }

    /// Sends several entries in one request. Default: each by itself.
    #[must_use]
    pub fn batch(mut self, batching: Batching) -> Self {
        self.batch = Some(batching);
        self
    }

    /// The longest that one attempt may take, up to ten minutes. Default: 15 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(u64::MAX));
        self
    }

    /// The attempts that may be under way at once, 1 to 64. Default: 4, or 1 in
    /// [strict order](DeliveryOrder::Strict), which takes no other number. All but one of them may
    /// be for deliveries that failed before; with 1, fresh deliveries go first.
    #[must_use]
    pub fn concurrency(mut self, most: u32) -> Self {
        self.concurrency = Some(most);
        self
    }

    /// The most requests that are sent in a second, 1 to 100,000. Default: as many as the receiver
    /// accepts.
    #[must_use]
    pub fn max_requests_per_second(mut self, most: u32) -> Self {
        self.max_requests_per_second = Some(most);
        self
    }

    /// The delay before each attempt, in seconds. Default: 11 attempts within 76 hours.
    #[must_use]
    pub fn schedule(mut self, seconds: impl IntoIterator<Item = u64>) -> Self {
        self.schedule_seconds = Some(seconds.into_iter().collect());
        self
    }

    /// A PEM file of certificates to trust besides the system's.
    #[must_use]
    pub fn extra_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.extra_ca = Some(file.into());
        self
    }

    /// A PEM file of our certificate chain and private key, for receivers that ask for a client
    /// certificate.
    #[must_use]
    pub fn identity(mut self, file: impl Into<PathBuf>) -> Self {
        self.identity = Some(file.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole URL, which can be a secret: see [`shown_url`](Self::shown_url).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The event types, as given.
    pub fn event_types(&self) -> &[String] {
        &self.event_types
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .field("url", &self.shown_url())
            .field("event_types", &self.event_types)
            .finish_non_exhaustive()
    }
}
