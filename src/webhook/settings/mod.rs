//! Who wants to be told of what, where, and how.

mod json;
#[cfg(any(feature = "server", test))]
mod outside;
mod prepare;
pub(in crate::webhook) mod stored;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    entry::Severity,
    error::{Error, Result},
    webhook::format::{FormatName, FormatOptions},
};

#[cfg(any(feature = "server", test))]
pub(crate) use outside::OutsidePolicy;
pub(in crate::webhook) use prepare::Prepared;

/// In which order a webhook gets its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryOrder {
    /// In order while all goes well; what fails is tried again later, and fresh entries don't wait
    /// for it. Four requests at once.
    #[default]
    BestEffort,
    /// In each stream's order, one request at a time. What fails holds up all that follows.
    Strict,
}

/// How many entries go in one delivery.
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

impl Default for Batching {
    /// 100 entries, one second.
    fn default() -> Self {
        Self {
            max_entries: 100,
            max_wait_ms: 1000,
        }
    }
}

/// A webhook that is told of events as they are recorded.
///
/// ```
/// use tracing_audit::webhook::Webhook;
///
/// let siem = Webhook::new("siem", "https://siem.example.com/hooks/audit", ["auth.*", "user.deleted"])
///     .excluding(["auth.token.*"])
///     .api_key("env:SIEM_KEY")
///     .signing_secret("file:/run/secrets/siem-signing");
/// ```
///
/// A secret is the text itself, kept in the log's directory (0600); or `env:NAME` or `file:/path`,
/// which are read when delivering begins. Its `Debug` shows no secrets; serialized, it has them,
/// for that is how it is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Tells it from an earlier one of the same name; given when it is added.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::webhook) id: String,
    /// Counts its changes.
    #[serde(default)]
    pub(in crate::webhook) revision: u64,
    /// Who declares it, if someone does: then nobody else changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) declared: Option<Declared>,
    pub(in crate::webhook) name: String,
    pub(in crate::webhook) url: String,
    pub(in crate::webhook) event_types: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    severity: Vec<Severity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(default)]
    pub(in crate::webhook) format: FormatName,
    #[serde(default)]
    format_options: FormatOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_header: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::webhook) signing_secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    allow_http: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    egress: Vec<String>,
    #[serde(default)]
    order: DeliveryOrder,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<Batching>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_requests_per_second: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule_seconds: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra_ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<PathBuf>,
    #[serde(default)]
    pub(in crate::webhook) paused: bool,
}

impl Webhook {
    /// A webhook by this name of these event types: exact, `auth.*`, or `*`.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        url: impl Into<String>,
        event_types: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            id: String::new(),
            revision: 0,
            declared: None,
            name: name.into(),
            url: url.into(),
            event_types: event_types.into_iter().map(Into::into).collect(),
            exclude: Vec::new(),
            severity: Vec::new(),
            tenant_id: None,
            format: FormatName::default(),
            format_options: FormatOptions::default(),
            own_format: None,
            api_key: None,
            api_key_header: None,
            signing_secrets: Vec::new(),
            headers: BTreeMap::new(),
            allow_http: false,
            egress: Vec::new(),
            order: DeliveryOrder::default(),
            batch: None,
            timeout_ms: None,
            max_requests_per_second: None,
            schedule_seconds: None,
            extra_ca: None,
            identity: None,
            paused: false,
        }
    }

    /// Leaves out these event types, exact or `auth.*`.
    #[must_use]
    pub fn excluding<T: Into<String>>(mut self, event_types: impl IntoIterator<Item = T>) -> Self {
        self.exclude.extend(event_types.into_iter().map(Into::into));
        self
    }

    /// Only entries of these severities.
    #[must_use]
    pub fn severities(mut self, severities: impl IntoIterator<Item = Severity>) -> Self {
        self.severity.extend(severities);
        self
    }

    /// Only this tenant's entries.
    #[must_use]
    pub fn tenant_id(mut self, tenant_id: impl Into<String>) -> Self {
        self.tenant_id = Some(tenant_id.into());
        self
    }

    /// How requests are written, with the format's options. Default: `native`.
    #[must_use]
    pub fn format(mut self, format: FormatName, options: FormatOptions) -> Self {
        (self.format, self.format_options) = (format, options);
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
    ///         Ok(Encoded { content_type: "application/x-ndjson".into(), headers: vec![], body: lines.join(&b'\n') })
    ///     }
    /// }
    ///
    /// register_format("lines", Lines)?;
    /// let archive = Webhook::new("archive", "https://archive.example.com/", ["*"]).own_format("lines");
    /// # let _ = archive;
    /// # Ok::<_, tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn own_format(mut self, name: impl Into<String>) -> Self {
        self.own_format = Some(name.into());
        self
    }

    /// The key that the webhook wants, sent as `Authorization: Bearer …` (for Splunk,
    /// `Authorization: Splunk …`) unless [`api_key_header`](Self::api_key_header) says otherwise.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The header for the key, which then stands in it alone.
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

    /// Lets the URL be `http://`: entries and keys are then read by anyone on the way.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// What may be reached: `public` (the default), `private`, `loopback`, addresses, networks and
    /// host names.
    #[must_use]
    pub fn egress<T: Into<String>>(mut self, grants: impl IntoIterator<Item = T>) -> Self {
        self.egress.extend(grants.into_iter().map(Into::into));
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

    /// How long one attempt takes at most, up to ten minutes. Default: 15 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(u64::MAX));
        self
    }

    /// Sends no more than so many requests a second, 1 to 100,000. Default: as many as the webhook
    /// takes.
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

    /// A PEM file of our certificate chain and private key, for webhooks that ask for one.
    #[must_use]
    pub fn identity(mut self, file: impl Into<PathBuf>) -> Self {
        self.identity = Some(file.into());
        self
    }

    /// By which what is kept of it is found: another one of the same name has another.
    pub(in crate::webhook) fn key(&self) -> String {
        format!("{}.{}", self.name, self.id)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it sends to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The event types, as given.
    pub fn event_types(&self) -> &[String] {
        &self.event_types
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Where it is [declared](crate::webhook::Webhooks::declare), if it is: only there it can
    /// be changed and removed.
    pub fn declared_in(&self) -> Option<&str> {
        self.declared
            .as_ref()
            .map(|declared| declared.place.as_str())
    }
}

/// Who declares a webhook: of one such, all that it no longer declares are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::webhook) struct Declared {
    pub(in crate::webhook) by: String,
    /// For people.
    pub(in crate::webhook) place: String,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            // Its path can be a secret.
            .field(
                "host",
                &url::Url::parse(&self.url)
                    .ok()
                    .and_then(|url| url.host_str().map(str::to_owned)),
            )
            .field("event_types", &self.event_types)
            .finish_non_exhaustive()
    }
}

/// A name is part of files' names.
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
