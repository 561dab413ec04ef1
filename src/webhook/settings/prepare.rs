//! A webhook that is ready to deliver: its settings are checked, and its secrets are read from the
//! environment or files.

use std::{path::PathBuf, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Batching, DeliveryOrder, Webhook, check_name, files, shown_url};
use crate::{
    error::{Error, Result},
    query::{Filter, RawEntry},
    webhook::{
        format::{Format, own_format},
        http::{
            client::{ClientOptions, WebhookClient},
            egress::{Egress, Refused},
            headers::{CustomHeaders, SetBy, settable},
            proxy::Proxy,
            sign::SigningSecret,
        },
        queue::{next::AT_ONCE, schedule::Schedule},
    },
};

fn not_a_url(error: url::ParseError) -> String {
    format!("it isn't a URL: {error}; write it like https://siem.example.com/hooks")
}

impl Webhook {
    /// Checks the settings and reads the secrets, as delivering needs them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting that can't be used.
    pub(in crate::webhook) fn prepare(&self) -> Result<Prepared> {
        check_name(&self.name)?;
        let headers = self.check_headers()?;
        let settings = self.settings();
        for setting in Self::SETTINGS {
            let value = settings.get(setting.name).unwrap_or(&Value::Null);
            setting.check_bounds(setting.name, value)?;
        }
        let url = Url::parse(&self.url).map_err(|e| Error::invalid("url", not_a_url(e)))?;
        let selection = self.selection()?;
        let format = self.build_format()?;
        let format_digest = self.format_digest();
        let signing = self.signing_secrets.iter().map(|text| {
            let secret = secret("signing_secrets", text)?.parse();
            secret.map_err(|error| called("signing_secrets", error))
        });
        let schedule = match &self.schedule_seconds {
            Some(steps) => Schedule::new(steps.iter().copied().map(Duration::from_secs).collect())?,
            None => Schedule::default(),
        };
        let mut fixed = HeaderMap::new();
        let mut secrets = self.authorize(&mut fixed)?;
        secrets.extend(shown_url::secrets(&url));
        Ok(Prepared {
            name: self.name.clone(),
            most_per_second: self.max_requests_per_second,
            selection,
            format,
            format_digest,
            signing: signing.collect::<Result<_>>()?,
            fixed,
            client: self.client(&url, headers, secrets)?,
            url,
            schedule,
            order: self.order,
            concurrency: self.attempts_at_once()?,
            batch: self.batch,
        })
    }

    /// Which entries are sent.
    pub(in crate::webhook) fn selection(&self) -> Result<Selection> {
        if self.event_types.is_empty() {
            return Err(Error::invalid(
                "event_types",
                "give at least one event type, such as \"auth.*\"; \"*\" is all",
            ));
        }
        // A setting means what it says: what is excluded has a setting of its own.
        let named = |name: &'static str, value: &str| {
            (name.to_owned(), Filter::literal(value).into_owned())
        };
        let types = |types: &[String]| -> Vec<_> {
            types.iter().map(|one| named("event_type", one)).collect()
        };
        let mut wanted = types(&self.event_types);
        let severities = self.severity.iter();
        wanted.extend(severities.map(|one| named("severity", one.as_str())));
        wanted.extend(self.tenant_id.iter().map(|one| named("tenant_id", one)));
        let filter = Filter::parse(wanted).map_err(|error| match &error {
            Error::Invalid { parameter, .. } if parameter == "event_type" => {
                called("event_types", error)
            }
            _ => error,
        })?;
        let excluded = (!self.exclude.is_empty()).then(|| Filter::parse(types(&self.exclude)));
        let excluded = excluded.transpose();
        Ok(Selection {
            webhook: self.name.clone(),
            filter,
            excluded: excluded.map_err(|error| called("exclude", error))?,
        })
    }

    fn attempts_at_once(&self) -> Result<usize> {
        match (self.order, self.concurrency) {
            (DeliveryOrder::Strict, None | Some(1)) => Ok(1),
            (DeliveryOrder::Strict, Some(most)) => {
                let problem =
                    format!("{most}, but in strict order only one attempt is under way at once");
                Err(Error::invalid("concurrency", problem))
            }
            (DeliveryOrder::BestEffort, most) => Ok(most.map_or(AT_ONCE, |most| most as usize)),
        }
    }

    pub(in crate::webhook) fn build_format(&self) -> Result<Arc<dyn Format>> {
        let format = match &self.own_format {
            Some(name) => own_format(name)?,
            None => self
                .format
                .build(&self.format_options)
                .map_err(|error| match error {
                    Error::Invalid { parameter, problem } => {
                        Error::invalid(format!("format_options.{parameter}"), problem)
                    }
                    error => error,
                })?,
        };
        if self.batch.is_some() && !format.takes_several() {
            let name = self.own_format.as_deref().unwrap_or(self.format.as_str());
            let problem = format!("the format {name} takes one entry a request");
            return Err(Error::invalid("batch", problem));
        }
        Ok(format)
    }

    /// A digest of the settings that make the format.
    pub(in crate::webhook) fn format_digest(&self) -> String {
        let settings = (&self.format, &self.format_options, &self.own_format);
        let text = serde_json::to_vec(&settings).expect("names and texts are always JSON");
        HEXLOWER.encode(&Sha256::digest(text)[..8])
    }

    /// The headers that were added; an error if one of them is the header of the API key.
    fn check_headers(&self) -> Result<CustomHeaders> {
        let headers = CustomHeaders::parse(&self.headers)?;
        let of_key = self.key_header()?;
        let has_key = self.api_key.is_some() || self.api_key_header.is_some();
        if has_key && headers.as_map().contains_key(&of_key) {
            let problem = "this header has the API key; give it in one of the two";
            return Err(Error::invalid(format!("headers.{of_key}"), problem));
        }
        Ok(headers)
    }

    /// The name of the header that has the API key, if there is a key.
    fn key_header(&self) -> Result<HeaderName> {
        let Some(name) = &self.api_key_header else {
            return Ok(header::AUTHORIZATION);
        };
        settable(name, SetBy::Administrator).map_err(|problem| {
            let problem = format!("{name:?}: {problem}");
            Error::invalid("api_key_header", problem)
        })
    }

    /// Sets the header that has the API key; returns the secrets in it.
    fn authorize(&self, headers: &mut HeaderMap) -> Result<Vec<String>> {
        let Some(key) = &self.api_key else {
            return Ok(Vec::new());
        };
        let key = secret("api_key", key)?;
        let text = match &self.api_key_header {
            None => format!("{} {key}", self.format.authorization_scheme()),
            Some(_) => key.clone(),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::invalid("api_key", "it has characters that a header can't have"))?;
        value.set_sensitive(true);
        headers.insert(self.key_header()?, value);
        Ok(vec![key])
    }

    /// The client that sends to the URL. Its stored answers have none of these secrets.
    fn client(
        &self,
        url: &Url,
        headers: CustomHeaders,
        secrets: Vec<String>,
    ) -> Result<WebhookClient> {
        let egress = match &self.egress[..] {
            [] => Egress::default(),
            grants => Egress::parse(grants)?,
        };
        egress
            .check_url(url, self.allow_http)
            .map_err(Refused::into_error)?;
        let read = |setting, file: &Option<PathBuf>| {
            let read = file.as_ref().map(|file| files::read(setting, file));
            read.transpose()
        };
        let proxy = self.proxy.as_deref().map(read_proxy).transpose()?;
        let timeout = self.timeout_ms.map(Duration::from_millis);
        let defaults = ClientOptions::default();
        WebhookClient::new(ClientOptions {
            allow_http: self.allow_http,
            tls: url.scheme() == "https" || proxy.as_ref().is_some_and(Proxy::speaks_tls),
            egress,
            proxy,
            timeout: timeout.unwrap_or(defaults.timeout),
            extra_ca: read("extra_ca", &self.extra_ca)?.into_iter().collect(),
            identity: read("identity", &self.identity)?,
            headers,
            secrets,
            ..defaults
        })
    }

    /// Checks the settings that replace `before`. Variables and files that `before` names too are
    /// not read again: this may be another process, which doesn't have them.
    pub(in crate::webhook) fn check_after(&self, before: &Self) -> Result<()> {
        fn only_new<T: PartialEq>(new: &mut Option<T>, before: &Option<T>) {
            if new == before {
                *new = None;
            }
        }
        // Before the key is removed below, because its header could be one of the others.
        self.check_headers()?;
        let mut new = self.clone();
        only_new(&mut new.api_key, &before.api_key);
        only_new(&mut new.proxy, &before.proxy);
        only_new(&mut new.own_format, &before.own_format);
        only_new(&mut new.extra_ca, &before.extra_ca);
        only_new(&mut new.identity, &before.identity);
        new.signing_secrets
            .retain(|secret| !before.signing_secrets.contains(secret));
        new.prepare().map(drop)
    }
}

/// An error about a setting that has another name where the error was found.
fn called(setting: &str, error: Error) -> Error {
    match error {
        Error::Invalid { problem, .. } => Error::invalid(setting, problem),
        error => error,
    }
}

/// The secret itself, read from the variable or file if the text refers to one.
fn secret(setting: &'static str, text: &str) -> Result<String> {
    if let Some(name) = text.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            Error::invalid(
                setting,
                format!("the environment variable {name} is not set"),
            )
        });
    }
    if let Some(path) = files::of_secret(text) {
        let read = String::from_utf8(files::read(setting, path)?).map_err(|_| {
            let problem = format!("{} is not UTF-8 text", path.display());
            Error::invalid(setting, problem)
        })?;
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
    pub(in crate::webhook) most_per_second: Option<u32>,
    pub(in crate::webhook) url: Url,
    pub(in crate::webhook) selection: Selection,
    pub(in crate::webhook) format: Arc<dyn Format>,
    /// Of the format's settings: a body made with others is another one.
    pub(in crate::webhook) format_digest: String,
    pub(in crate::webhook) signing: Vec<SigningSecret>,
    pub(in crate::webhook) fixed: HeaderMap,
    pub(in crate::webhook) client: WebhookClient,
    pub(in crate::webhook) schedule: Schedule,
    pub(in crate::webhook) order: DeliveryOrder,
    /// The most attempts that are under way at once.
    pub(in crate::webhook) concurrency: usize,
    pub(in crate::webhook) batch: Option<Batching>,
}

/// Which entries a webhook gets.
#[derive(Debug)]
pub(in crate::webhook) struct Selection {
    webhook: String,
    pub(in crate::webhook) filter: Filter,
    excluded: Option<Filter>,
}

impl Selection {
    /// Whether an entry is to be sent.
    pub(in crate::webhook) fn selects(&self, entry: &RawEntry) -> bool {
        self.filter.matches(&entry.fields()) && self.wants(entry)
    }

    /// Whether an entry that the filter lets through is to be sent. Entries about the webhook's own
    /// failures are not sent to it: they would fail as well, and cause the next such entry.
    pub(in crate::webhook) fn wants(&self, entry: &RawEntry) -> bool {
        if entry.event_type().starts_with("audit.delivery.") {
            let about = entry
                .parse::<serde_json::Value>()
                .ok()
                .and_then(|entry| webhook_of(&entry["details"]));
            if about.is_none_or(|about| about == self.webhook) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_value_excludes_nothing_whatever_it_begins_with() {
        let webhook = |event_type| Webhook::new("siem", "https://siem.example.com/", [event_type]);
        let selection = webhook("auth.*").tenant_id("!acme").selection().unwrap();
        let tenant = ("tenant_id".to_owned(), r"\!acme".to_owned());
        assert!(selection.filter.params().contains(&tenant));
        let error = webhook("!auth.*").selection().unwrap_err().to_string();
        assert!(
            error.starts_with("event_types: \"!auth.*\" must be"),
            "{error}"
        );
    }
}
