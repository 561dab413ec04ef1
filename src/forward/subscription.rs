//! Who wants to be told of what, where, and how.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    ClientOptions, CustomHeaders, Egress, EndpointClient, Schedule,
    format::{Format, FormatName, FormatOptions},
    sign::SigningSecret,
};
use crate::{
    error::{Error, Result},
    query::{Entry, Filter},
    record::Severity,
};

/// In which order an endpoint gets its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryOrder {
    /// In order while all goes well; what fails is tried again later, and fresh entries don't wait for it. Four requests at once.
    #[default]
    BestEffort,
    /// In each stream's order, one request at a time. What fails holds up all that follows.
    Strict,
}

/// How entries are gathered into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batching {
    /// So many at most, 1 to 1000.
    pub max_entries: usize,
    /// The first of them waits so long at most, in milliseconds.
    pub max_wait_ms: u64,
}

impl Default for Batching {
    /// 100 entries, one second.
    fn default() -> Self {
        Self { max_entries: 100, max_wait_ms: 1000 }
    }
}

/// An endpoint that is told of events as they are recorded.
///
/// ```
/// use tracing_audit::webhook::Subscription;
///
/// let siem = Subscription::new("siem", "https://siem.example.com/hooks/audit", ["auth.*", "user.deleted"])
///     .excluding(["auth.token.*"])
///     .api_key("env:SIEM_KEY")
///     .signing_secret("file:/run/secrets/siem-signing");
/// ```
///
/// A secret is the text itself, kept in the log's directory (0600); or `env:NAME` or `file:/path`, which are read when forwarding begins.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) event_types: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    severity: Vec<Severity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(default)]
    pub(super) format: FormatName,
    #[serde(default)]
    format_options: FormatOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_header: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signing_secrets: Vec<String>,
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
    schedule_seconds: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra_ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<PathBuf>,
    #[serde(default)]
    pub(super) paused: bool,
}

impl Subscription {
    /// A subscription by this name of these event types: exact, `auth.*`, or `*`.
    pub fn new<T: Into<String>>(name: impl Into<String>, url: impl Into<String>, event_types: impl IntoIterator<Item = T>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            event_types: event_types.into_iter().map(Into::into).collect(),
            exclude: Vec::new(),
            severity: Vec::new(),
            tenant_id: None,
            format: FormatName::default(),
            format_options: FormatOptions::default(),
            api_key: None,
            api_key_header: None,
            signing_secrets: Vec::new(),
            headers: BTreeMap::new(),
            allow_http: false,
            egress: Vec::new(),
            order: DeliveryOrder::default(),
            batch: None,
            timeout_ms: None,
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

    /// The key that the endpoint wants, sent as `Authorization: Bearer …` unless [`api_key_header`](Self::api_key_header) says otherwise.
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

    /// Signs each request by Standard Webhooks with this secret, `whsec_…` or `whsk_…`. Several are used at once, for rotation.
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

    /// What may be reached: `public` (the default), `private`, `loopback`, addresses, networks and host names.
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

    /// How long one attempt takes at most. Default: 15 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(u64::MAX));
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

    /// A PEM file of our certificate chain and private key, for endpoints that ask for one.
    #[must_use]
    pub fn identity(mut self, file: impl Into<PathBuf>) -> Self {
        self.identity = Some(file.into());
        self
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

    /// Makes ready what a delivery needs.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting that can't be used.
    pub(super) fn prepare(&self) -> Result<Prepared> {
        let name = &self.name;
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            return Err(Error::invalid("name", format!("{name:?} is not 1 to 64 of A-Z, a-z, 0-9, '_' and '-'")));
        }
        if self.event_types.is_empty() {
            return Err(Error::invalid("event_types", "give at least one event type, such as \"auth.*\"; \"*\" is all"));
        }
        let url = Url::parse(&self.url).map_err(|e| Error::invalid("url", format!("{:?} is no URL: {e}", self.url)))?;
        let egress = if self.egress.is_empty() { Egress::default() } else { Egress::parse(&self.egress)? };
        egress.check_url(&url, self.allow_http).map_err(super::Refused::into_error)?;
        let format = self.format.build(&self.format_options)?;
        if let Some(batch) = self.batch {
            if !(1..=1000).contains(&batch.max_entries) {
                return Err(Error::invalid("batch.max_entries", format!("{} is not between 1 and 1000", batch.max_entries)));
            }
            if !format.takes_several() {
                return Err(Error::invalid("batch", format!("the format {} takes one entry a request", self.format)));
            }
        }
        let mut secrets = Vec::new();
        let mut fixed = HeaderMap::new();
        if let Some(key) = &self.api_key {
            let key = secret("api_key", key)?;
            let (header, text) = match &self.api_key_header {
                None => (header::AUTHORIZATION, format!("Bearer {key}")),
                Some(header) => {
                    let wrong = |_| Error::invalid("api_key_header", format!("{header:?} is no header's name"));
                    (HeaderName::from_bytes(header.as_bytes()).map_err(wrong)?, key.clone())
                }
            };
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| Error::invalid("api_key", "it has characters that a header can't have"))?;
            value.set_sensitive(true);
            fixed.insert(header, value);
            secrets.push(key);
        }
        let signing = |text: &String| {
            secret("signing_secret", text)?.parse().map_err(|error| match error {
                Error::Invalid { problem, .. } => Error::invalid("signing_secret", problem),
                error => error,
            })
        };
        let signing = self.signing_secrets.iter().map(signing).collect::<Result<Vec<_>>>()?;
        let read = |what, file: &PathBuf| fs::read(file).map_err(|e| Error::invalid(what, format!("can't read {}: {e}", file.display())));
        let options = ClientOptions {
            allow_http: self.allow_http,
            egress,
            timeout: self.timeout_ms.map_or(ClientOptions::default().timeout, Duration::from_millis),
            extra_ca: self.extra_ca.iter().map(|file| read("extra_ca", file)).collect::<Result<_>>()?,
            identity: self.identity.as_ref().map(|file| read("identity", file)).transpose()?,
            headers: CustomHeaders::parse(&self.headers)?,
            secrets,
            ..ClientOptions::default()
        };
        let schedule = match &self.schedule_seconds {
            Some(steps) => Schedule::new(steps.iter().copied().map(Duration::from_secs).collect())?,
            None => Schedule::default(),
        };
        let types = |types: &[String]| types.iter().map(|kind| ("event_type".to_owned(), kind.clone())).collect::<Vec<_>>();
        let mut wanted = types(&self.event_types);
        wanted.extend(self.severity.iter().map(|severity| ("severity".to_owned(), severity.to_string())));
        wanted.extend(self.tenant_id.iter().map(|tenant| ("tenant_id".to_owned(), tenant.clone())));
        Ok(Prepared {
            name: name.clone(),
            url,
            filter: Filter::parse(wanted)?,
            excluded: if self.exclude.is_empty() { None } else { Some(Filter::parse(types(&self.exclude))?) },
            format,
            signing,
            fixed,
            client: EndpointClient::new(options)?,
            schedule,
            order: self.order,
            batch: self.batch,
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("event_types", &self.event_types)
            .finish_non_exhaustive()
    }
}

/// The secret's text: itself, or from where it says.
fn secret(setting: &'static str, text: &str) -> Result<String> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| Error::invalid(setting, format!("the environment variable {name} is not set")));
    }
    if let Some(path) = text.strip_prefix("file:") {
        let read = fs::read_to_string(path).map_err(|e| Error::invalid(setting, format!("can't read {path}: {e}")))?;
        return Ok(read.trim_end().to_owned());
    }
    Ok(text.to_owned())
}

/// A subscription, ready to deliver.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) filter: Filter,
    excluded: Option<Filter>,
    pub(super) format: Arc<dyn Format>,
    pub(super) signing: Vec<SigningSecret>,
    pub(super) fixed: HeaderMap,
    pub(super) client: EndpointClient,
    pub(super) schedule: Schedule,
    pub(super) order: DeliveryOrder,
    pub(super) batch: Option<Batching>,
}

impl Prepared {
    /// Whether an entry that its filter lets through is to be sent. What is said of the endpoint's own failures is not sent to it: that
    /// would fail as well, and be said.
    pub(super) fn wants(&self, entry: &Entry) -> bool {
        if entry.event_type().starts_with("audit.delivery.") {
            let about = entry.parse::<serde_json::Value>().ok().and_then(|entry| Some(entry["details"]["endpoint"].as_str()?.to_owned()));
            if about.is_none_or(|about| about == self.name) {
                return false;
            }
        }
        !self.excluded.as_ref().is_some_and(|excluded| excluded.matches(&entry.fields()))
    }
}
