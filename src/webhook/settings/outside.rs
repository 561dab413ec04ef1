//! The settings that may be set over HTTP, by administrators of webhooks who need not have access
//! to this machine.
//!
//! Invariants: such an administrator names no file and no environment variable of this
//! machine; no webhook reaches a place that the machine's operator does not allow; and no secret
//! that was set for one server is sent to another.

use serde_json::{Map, Value};
use url::Url;

use super::{Webhook, setting::is_reference};
use crate::{
    error::{Error, Result},
    webhook::http::egress::Egress,
};

/// The settings that the operator allows over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct OutsidePolicy {
    egress: Egress,
    allow_http: bool,
}

impl OutsidePolicy {
    /// Allows these grants besides the public internet.
    pub(crate) fn new(grants: &[String], allow_http: bool) -> Result<Self> {
        let egress = Egress::parse(
            ["public"]
                .into_iter()
                .chain(grants.iter().map(String::as_str)),
        );
        let egress = egress.map_err(|error| match error {
            Error::Invalid { problem, .. } => Error::invalid("webhook_egress", problem),
            error => error,
        })?;
        Ok(Self { egress, allow_http })
    }

    /// Checks that an administrator outside may turn `before` into `after` by these settings.
    pub(crate) fn check(
        &self,
        before: Option<&Webhook>,
        given: &Map<String, Value>,
        after: &Webhook,
    ) -> Result<()> {
        let is_given = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
        let settings = after.settings();
        for setting in Webhook::SETTINGS {
            let value = settings.get(setting.name).unwrap_or(&Value::Null);
            let is_named =
                setting.of_machine || setting.can_be_reference() && texts(value).any(is_reference);
            if is_named && is_given(setting.name) {
                let problem = "a file or environment variable of the server can't be named over \
                    HTTP: set it on the server, with tracing-audit webhook or in the \
                    configuration file";
                return Err(Error::invalid(setting.name, problem));
            }
        }
        if before.map_or(&None, |before| &before.proxy) != &after.proxy {
            let problem = "only this server's operator sets how webhooks are reached: set it with \
                           tracing-audit webhook or in the configuration file";
            return Err(Error::invalid("proxy", problem));
        }
        let moved = before.is_none_or(|before| before.url != after.url);
        if is_given("egress") || moved {
            self.check_egress(&after.egress)?;
        }
        if (is_given("allow_http") || moved) && after.allow_http && !self.allow_http {
            let problem = "this server's operator does not allow it over HTTP: \
                           RouterOptions::webhook_allow_http, or tracing-audit serve \
                           --webhook-allow-http";
            return Err(Error::invalid("allow_http", problem));
        }
        match before {
            Some(before) if origin(before) != origin(after) => check_sent_again(given, &settings),
            _ => Ok(()),
        }
    }

    fn check_egress(&self, words: &[String]) -> Result<()> {
        for word in words {
            if !self.egress.covers(&Egress::parse([word])?) {
                let problem = format!(
                    "{word:?} is more than this server's operator allows over HTTP ({}): \
                     RouterOptions::webhook_egress, or tracing-audit serve --webhook-egress",
                    self.egress
                );
                return Err(Error::invalid("egress", problem));
            }
        }
        Ok(())
    }
}

fn origin(webhook: &Webhook) -> Option<url::Origin> {
    Url::parse(&webhook.url).ok().map(|url| url.origin())
}

/// The texts that a value has.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let several = value.as_array().into_iter().flatten();
    value
        .as_str()
        .into_iter()
        .chain(several.filter_map(Value::as_str))
}

/// Checks, for a webhook that moves to another server, that all settings which that server would
/// see were sent again.
fn check_sent_again(given: &Map<String, Value>, after: &Map<String, Value>) -> Result<()> {
    for setting in Webhook::SETTINGS
        .iter()
        .filter(|setting| setting.of_receiver)
    {
        let kept = match (after.get(setting.name), given.get(setting.name)) {
            (None, _) => false,
            (Some(Value::Object(pairs)), Some(Value::Object(given))) => {
                pairs.keys().any(|name| !given.contains_key(name))
            }
            (Some(_), given) => given.is_none(),
        };
        if kept {
            let problem = "the new url is on another server, which must not get a secret that was \
                set for the old one: send this setting again, or null";
            return Err(Error::invalid(setting.name, problem));
        }
    }
    Ok(())
}
