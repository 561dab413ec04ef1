//! A webhook made ready to deliver: its settings checked, its secrets read from where they
//! are.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use url::Url;

use super::{Batching, DeliveryOrder, Webhook, check_name};
use crate::{
    error::{Error, Result},
    query::{Entry, Filter},
    webhook::{
        format::{Format, own_format},
        http::{
            client::{ClientOptions, WebhookClient},
            egress::{Egress, Refused},
            headers::CustomHeaders,
            proxy::Proxy,
            sign::SigningSecret,
        },
        queue::schedule::Schedule,
    },
};

impl Webhook {
    /// Makes ready what a delivery needs.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting that can't be used.
    pub(in crate::webhook) fn prepare(&self) -> Result<Prepared> {
        let name = &self.name;
        check_name(name)?;
        let settings = self.settings();
        for setting in Self::SETTINGS {
            let value = settings.get(setting.name).unwrap_or(&Value::Null);
            setting.check_bounds(setting.name, value)?;
        }
        if self.event_types.is_empty() {
            return Err(Error::invalid(
                "event_types",
                "give at least one event type, such as \"auth.*\"; \"*\" is all",
            ));
        }
        let url = Url::parse(&self.url)
            .map_err(|e| Error::invalid("url", format!("{:?} is no URL: {e}", self.url)))?;
        let egress = if self.egress.is_empty() {
            Egress::default()
        } else {
            Egress::parse(&self.egress)?
        };
        egress
            .check_url(&url, self.allow_http)
            .map_err(Refused::into_error)?;
        let format = match &self.own_format {
            Some(name) => own_format(name)?,
            None => self
                .format
                .build(&self.format_options)
                .map_err(|error| under("format_options", error))?,
        };
        if self.batch.is_some() && !format.takes_several() {
            let name = self.own_format.as_deref().unwrap_or(self.format.as_str());
            let problem = format!("the format {name} takes one entry a request");
            return Err(Error::invalid("batch", problem));
        }
        let mut secrets = Vec::new();
        let mut fixed = HeaderMap::new();
        if let Some(key) = &self.api_key {
            let key = secret("api_key", key)?;
            let (header, text) = match &self.api_key_header {
                None => (
                    header::AUTHORIZATION,
                    format!("{} {key}", self.format.authorization_scheme()),
                ),
                Some(header) => {
                    let wrong = |_| {
                        Error::invalid(
                            "api_key_header",
                            format!("{header:?} is not the name of a header"),
                        )
                    };
                    (
                        HeaderName::from_bytes(header.as_bytes()).map_err(wrong)?,
                        key.clone(),
                    )
                }
            };
            let mut value = HeaderValue::from_str(&text).map_err(|_| {
                Error::invalid("api_key", "it has characters that a header can't have")
            })?;
            value.set_sensitive(true);
            fixed.insert(header, value);
            secrets.push(key);
        }
        let signing = |text: &String| {
            secret("signing_secrets", text)?
                .parse()
                .map_err(|error| match error {
                    Error::Invalid { problem, .. } => Error::invalid("signing_secrets", problem),
                    error => error,
                })
        };
        let signing = self
            .signing_secrets
            .iter()
            .map(signing)
            .collect::<Result<Vec<_>>>()?;
        let read = |what, file: &PathBuf| {
            fs::read(file)
                .map_err(|e| Error::invalid(what, format!("can't read {}: {e}", file.display())))
        };
        let proxy = self.proxy.as_deref().map(read_proxy).transpose()?;
        let options = ClientOptions {
            allow_http: self.allow_http,
            tls: url.scheme() == "https" || proxy.as_ref().is_some_and(Proxy::speaks_tls),
            egress,
            proxy,
            timeout: self
                .timeout_ms
                .map_or(ClientOptions::default().timeout, Duration::from_millis),
            extra_ca: self
                .extra_ca
                .iter()
                .map(|file| read("extra_ca", file))
                .collect::<Result<_>>()?,
            identity: self
                .identity
                .as_ref()
                .map(|file| read("identity", file))
                .transpose()?,
            headers: CustomHeaders::parse(&self.headers).map_err(of_header)?,
            secrets,
            ..ClientOptions::default()
        };
        let schedule = match &self.schedule_seconds {
            Some(steps) => Schedule::new(steps.iter().copied().map(Duration::from_secs).collect())
                .map_err(|error| called("schedule_seconds", error))?,
            None => Schedule::default(),
        };
        let types = |types: &[String]| {
            types
                .iter()
                .map(|kind| ("event_type".to_owned(), kind.clone()))
                .collect::<Vec<_>>()
        };
        let mut wanted = types(&self.event_types);
        wanted.extend(
            self.severity
                .iter()
                .map(|severity| ("severity".to_owned(), severity.to_string())),
        );
        wanted.extend(
            self.tenant_id
                .iter()
                .map(|tenant| ("tenant_id".to_owned(), tenant.clone())),
        );
        Ok(Prepared {
            name: name.clone(),
            // Those of what is kept; see `stored`.
            key: String::new(),
            revision: 0,
            most_per_second: self.max_requests_per_second,
            url,
            filter: Filter::parse(wanted).map_err(|error| match &error {
                Error::Invalid { parameter, .. } if parameter == "event_type" => {
                    called("event_types", error)
                }
                _ => error,
            })?,
            excluded: match self.exclude[..] {
                [] => None,
                _ => Some(
                    Filter::parse(types(&self.exclude))
                        .map_err(|error| called("exclude", error))?,
                ),
            },
            format,
            signing,
            fixed,
            client: WebhookClient::new(options).map_err(|error| match &error {
                Error::Invalid { parameter, .. } if parameter == "CA" => called("extra_ca", error),
                Error::Invalid { parameter, .. } if parameter == "client identity" => {
                    called("identity", error)
                }
                _ => error,
            })?,
            schedule,
            order: self.order,
            batch: self.batch,
        })
    }

    /// Checks what takes the place of `before`. What that has from the environment and from files
    /// is not looked for again: this may be another process, which has not got it.
    pub(in crate::webhook) fn check_after(&self, before: &Self) -> Result<()> {
        let mut new = self.clone();
        if new.api_key == before.api_key {
            new.api_key = None;
        }
        new.signing_secrets
            .retain(|secret| !before.signing_secrets.contains(secret));
        if new.proxy == before.proxy {
            new.proxy = None;
        }
        if new.own_format == before.own_format {
            new.own_format = None;
        }
        if new.extra_ca == before.extra_ca {
            new.extra_ca = None;
        }
        if new.identity == before.identity {
            new.identity = None;
        }
        new.prepare().map(drop)
    }
}

/// An error about what is called otherwise where it was found.
fn called(setting: &str, error: Error) -> Error {
    match error {
        Error::Invalid { problem, .. } => Error::invalid(setting, problem),
        error => error,
    }
}

/// An error about a part of a setting.
fn under(setting: &str, error: Error) -> Error {
    match error {
        Error::Invalid { parameter, problem } => {
            Error::invalid(format!("{setting}.{parameter}"), problem)
        }
        error => error,
    }
}

fn of_header(error: Error) -> Error {
    match error {
        Error::Invalid { parameter, problem } if parameter != "headers" => {
            let name = parameter
                .trim_start_matches("header ")
                .trim_matches('"')
                .to_owned();
            under("headers", Error::invalid(name, problem))
        }
        error => error,
    }
}

/// The secret's text: itself, or from where it says.
fn secret(setting: &'static str, text: &str) -> Result<String> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            Error::invalid(
                setting,
                format!("the environment variable {name} is not set"),
            )
        });
    }
    if let Some(path) = text.strip_prefix("file:") {
        let read = fs::read_to_string(path)
            .map_err(|e| Error::invalid(setting, format!("can't read {path}: {e}")))?;
        return Ok(read.trim_end().to_owned());
    }
    Ok(text.to_owned())
}

/// The proxy of this setting.
pub(in crate::webhook) fn read_proxy(text: &str) -> Result<Proxy> {
    Proxy::parse(&secret("proxy", text)?)
}

/// A webhook, ready to deliver.
#[derive(Debug)]
pub(in crate::webhook) struct Prepared {
    pub(in crate::webhook) name: String,
    /// What is kept of it is under this.
    pub(in crate::webhook) key: String,
    pub(in crate::webhook) revision: u64,
    pub(in crate::webhook) most_per_second: Option<u32>,
    pub(in crate::webhook) url: Url,
    pub(in crate::webhook) filter: Filter,
    pub(in crate::webhook) excluded: Option<Filter>,
    pub(in crate::webhook) format: Arc<dyn Format>,
    pub(in crate::webhook) signing: Vec<SigningSecret>,
    pub(in crate::webhook) fixed: HeaderMap,
    pub(in crate::webhook) client: WebhookClient,
    pub(in crate::webhook) schedule: Schedule,
    pub(in crate::webhook) order: DeliveryOrder,
    pub(in crate::webhook) batch: Option<Batching>,
}

impl Prepared {
    /// Whether an entry that its filter lets through is to be sent. What is said of the webhook's
    /// own failures is not sent to it: that would fail as well, and be said.
    pub(in crate::webhook) fn wants(&self, entry: &Entry) -> bool {
        if entry.event_type().starts_with("audit.delivery.") {
            let about = entry
                .parse::<serde_json::Value>()
                .ok()
                .and_then(|entry| webhook_of(&entry["details"]));
            if about.is_none_or(|about| about == self.name) {
                return false;
            }
        }
        !self
            .excluded
            .as_ref()
            .is_some_and(|excluded| excluded.matches(&entry.fields()))
    }
}

/// The webhook that an entry of the type `audit.delivery.*` is about. An older version called it
/// an endpoint.
fn webhook_of(details: &serde_json::Value) -> Option<String> {
    let name = details.get("webhook").or_else(|| details.get("endpoint"))?;
    Some(name.as_str()?.to_owned())
}
