//! The settings of a webhook: which entries it gets, where they go, and how.
//!
//! Each setting is declared once, in [`Webhook`]. `setting` defines the declarations, `json` reads
//! and shows settings, `outside` limits those that are set over HTTP, `prepare` checks them and
//! reads their secrets, and `stored` keeps the webhooks of a log.

mod files;
mod json;
#[cfg(any(feature = "server", test))]
mod outside;
mod prepare;
mod setting;
mod shown_url;
pub(in crate::webhook) mod stored;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    entry::Severity,
    error::{Error, Result},
    webhook::format::{FormatName, FormatOptions},
};

pub(in crate::webhook) use files::absolute_secret;
pub(in crate::webhook) use json::shown_proxy;
#[cfg(any(feature = "server", test))]
pub(crate) use outside::OutsidePolicy;
pub(in crate::webhook) use prepare::{Prepared, Selection, read_proxy};
pub use setting::{Setting, SettingKind};

/// In which order a webhook gets its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryOrder {
    /// In order while all goes well; what fails is tried again later, and fresh entries don't wait
    /// for it. Several requests at once: see [`Webhook::concurrency`].
    #[default]
    BestEffort,
    /// In each stream's order, one request at a time. A delivery that fails holds up all that
    /// follow, until it is delivered or [skipped](crate::webhook::Webhooks::skip).
    Strict,
}

/// How many entries go in one delivery.
///
/// A request's body, as its format makes it, has 256 KiB at most: a batch that would be longer is
/// more than one delivery, and a single entry that is longer goes alone. Where many webhooks share
/// the [memory](crate::webhook::Dispatcher::memory_bytes), batches are shorter.
///
/// ```
/// use tracing_audit::webhook::{Batching, Webhook};
///
/// let lake = Webhook::new("lake", "https://lake.example.com/audit", ["*"])
///     .batch(Batching { max_entries: 1000, max_wait_ms: 5000 });
/// # let _ = lake;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// So many at most, 1 to 1000.
    pub max_entries: usize,
    /// The first of them waits so long at most, in milliseconds; 60,000 at most.
    pub max_wait_ms: u64,
}

impl Batching {
    const SETTINGS: &[Setting] = &[
        Setting::number(1, 1000).flagged("batch").named(
            "max_entries",
            "Send at most this many entries in one request",
        ),
        Setting::number(0, 60_000).flagged("batch-wait-ms").named(
            "max_wait_ms",
            "Let the first entry of a request wait at most this long for others, in milliseconds",
        ),
    ];
}

impl Default for Batching {
    /// 100 entries, one second.
    fn default() -> Self {
        Self {
            max_entries: 100,
            max_wait_ms: 1000,
        }
    }
}

/// Declares the settings: for each its help text, its field, and its [`Setting`].
macro_rules! settings {
    (
        $(#[$meta:meta])*
        required { $(
            $(#[doc = $must_help:literal])+
            $must:ident: $must_type:ty = $must_setting:expr;
        )+ }
        optional { $(
            $(#[doc = $help:literal])+
            $name:ident: $type:ty = $setting:expr;
        )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Webhook {
            $( pub(in crate::webhook) $must: $must_type, )+
            $(
                #[serde(default, skip_serializing_if = "Unset::is_unset")]
                pub(in crate::webhook) $name: $type,
            )+
        }

        impl Webhook {
            /// All settings of a webhook, each as it is declared.
            pub const SETTINGS: &'static [Setting] = &[
                $( $must_setting.required().named(stringify!($must), concat!($($must_help),+)), )+
                $( $setting.named(stringify!($name), concat!($($help),+)), )+
            ];
        }
    };
}

settings! {
    /// A webhook: where it sends which entries, and how. It gets them as they are recorded.
    ///
    /// ```
    /// use tracing_audit::webhook::Webhook;
    ///
    /// let siem = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*", "user.*"])
    ///     .excluding(["auth.token.*"])
    ///     .api_key("env:SIEM_KEY")
    ///     .signing_secret("file:/run/secrets/siem-signing");
    /// ```
    ///
    /// A secret is given as the text itself, which is kept in the log's directory (0600); or as
    /// `env:NAME` or `file:/path`, which are read when delivering begins. A file must be a regular
    /// file of at most 1 MiB, and a relative path starts from the working directory of the process
    /// that sets it. `Debug` shows no secrets; the serialized webhook has them, because it is
    /// stored in that form. All settings but the name, the URL and the event types have defaults.
    required {
        /// The webhook's name: letters, digits, '_' and '-'
        name: String = Setting::text("NAME");
        /// The URL to send to
        url: String = Setting::new(SettingKind::Url, "URL");
        /// An event type to send; auth.* is all below auth, * is all
        event_types: Vec<String> = Setting::list("TYPE").flagged("event-type");
    }
    optional {
        /// An event type to leave out
        exclude: Vec<String> = Setting::list("TYPE");
        /// Send only entries of this severity
        severity: Vec<Severity> = Setting::list("SEVERITY");
        /// Send only entries of this tenant
        tenant_id: Option<String> = Setting::text("ID");
        /// native (the default), cloudevents, cloudevents-binary, cloudevents-batch, splunk-hec or
        /// otlp
        format: FormatName = Setting::text("FORMAT");
        /// An option of the format, as in index=audit
        format_options: FormatOptions = Setting::pairs().flagged("format-option");
        /// A format that the delivering application has registered under this name
        own_format: Option<String> = Setting::text("NAME").without_flag();
        /// The key that the receiver wants, sent as Authorization: Bearer (for Splunk,
        /// Authorization: Splunk)
        api_key: Option<String> = Setting::text("SECRET").secret().of_receiver();
        /// Another header for the key
        api_key_header: Option<String> = Setting::text("NAME");
        /// Sign by Standard Webhooks with this whsec_… or whsk_… secret; several sign at once, the
        /// newest last
        signing_secrets: Vec<String> = Setting::list("SECRET").flagged("signing-secret").secret();
        /// A header for each request
        headers: BTreeMap<String, String> =
            Setting::pairs().flagged("header").secret().of_receiver();
        /// Let the URL be http://, which anyone on the way can read
        allow_http: bool = Setting::switch("true");
        /// A destination that may be reached: public (the default), private, loopback, an address,
        /// a network or a host name
        egress: Vec<String> = Setting::list("WHAT");
        /// Reach the receiver only through this HTTP proxy, http://[user:password@]host:port
        proxy: Option<String> = Setting::new(SettingKind::Proxy, "URL").secret();
        /// Keep each stream's order, whatever fails: one request at a time
        order: DeliveryOrder = Setting::switch("\"strict\"").flagged("strict");
        /// Send several entries in one request
        batch: Option<Batching> =
            Setting::new(SettingKind::Parts(Batching::SETTINGS), "").without_flag();
        /// The longest that an attempt may take, in milliseconds
        timeout_ms: Option<u64> = Setting::number(1, 600_000).or("15000");
        /// Have at most this many attempts under way at once; 1 with strict order
        concurrency: Option<u32> = Setting::number(1, 64).or("4");
        /// Send at most this many requests per second
        max_requests_per_second: Option<u32> = Setting::number(1, 100_000);
        /// The delay before each attempt, in seconds, as in 0,5,30
        schedule_seconds: Option<Vec<u64>> =
            Setting::new(SettingKind::Numbers, "LIST").or("11 attempts within 76 hours");
        /// A PEM file of certificates to trust besides the system's
        extra_ca: Option<PathBuf> = Setting::file();
        /// A PEM file of the client's certificate chain and private key
        identity: Option<PathBuf> = Setting::file();
    }
}

/// Whether a setting is left out when the webhook is written. Settings that can't be absent are
/// always written, also with their default.
trait Unset {
    fn is_unset(&self) -> bool {
        false
    }
}

impl Unset for bool {}
impl Unset for FormatName {}
impl Unset for FormatOptions {}
impl Unset for DeliveryOrder {}

impl<T> Unset for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T> Unset for Vec<T> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Unset for BTreeMap<String, String> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

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

/// Checks the name of a webhook, which is part of the names of its files, or of a format.
pub(in crate::webhook) fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.len() > 64
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        return Err(Error::invalid(
            "name",
            format!("{name:?} is not 1 to 64 of A-Z, a-z, 0-9, '_' and '-'"),
        ));
    }
    Ok(())
}
