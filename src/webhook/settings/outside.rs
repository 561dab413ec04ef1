//! What may be set from outside, over HTTP, by someone who may administer webhooks and need not
//! have this machine.
//!
//! What always holds: no file and no environment variable of this machine is named by such a one;
//! nothing is reached that the machine's operator does not allow; and no secret that was set for
//! one server is handed to another, whoever says so.

use std::path::PathBuf;

use serde_json::{Map, Value};
use url::Url;

use super::{Webhook, json::is_reference};
use crate::{
    error::{Error, Result},
    webhook::http::egress::Egress,
};

/// What the operator allows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct OutsidePolicy {
    egress: Egress,
    allow_http: bool,
}

impl OutsidePolicy {
    /// These grants besides the public internet.
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

    /// Whether someone outside may make `after` of `before` by these settings.
    pub(crate) fn check(
        &self,
        before: Option<&Webhook>,
        given: &Map<String, Value>,
        after: &Webhook,
    ) -> Result<()> {
        let is_given = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
        let named = |secret: &String| is_reference(secret);
        for (name, reference) in [
            ("api_key", after.api_key.iter().any(named)),
            ("signing_secrets", after.signing_secrets.iter().any(named)),
            ("extra_ca", true),
            ("identity", true),
        ] {
            if reference && is_given(name) {
                let problem = "over HTTP no file and no environment variable of the server can be named: set it there, with tracing-audit \
                               webhook or in the configuration file";
                return Err(Error::invalid(name, problem));
            }
        }
        let moved = before.is_none_or(|before| before.url != after.url);
        if is_given("egress") || moved {
            self.check_egress(&after.egress)?;
        }
        if (is_given("allow_http") || moved) && after.allow_http && !self.allow_http {
            let problem = "this server's operator does not allow it over HTTP: RouterOptions::webhook_allow_http, or tracing-audit serve \
                           --webhook-allow-http";
            return Err(Error::invalid("allow_http", problem));
        }
        match before {
            Some(before) if origin(before) != origin(after) => check_sent_again(given, after),
            _ => Ok(()),
        }
    }

    fn check_egress(&self, words: &[String]) -> Result<()> {
        for word in words {
            if !self.egress.covers(&Egress::parse([word])?) {
                let problem = format!(
                    "{word:?} is more than this server's operator allows over HTTP ({}): RouterOptions::webhook_egress, or tracing-audit \
                     serve --webhook-egress",
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

/// With a new server, all that it would be shown must be given anew.
fn check_sent_again(given: &Map<String, Value>, after: &Webhook) -> Result<()> {
    let headers = given.get("headers").and_then(Value::as_object);
    let kept_header = after
        .headers
        .keys()
        .any(|name| headers.is_none_or(|headers| !headers.contains_key(name)));
    let is_file = |file: &Option<PathBuf>| file.is_some();
    for (name, kept) in [
        (
            "api_key",
            after.api_key.is_some() && !given.contains_key("api_key"),
        ),
        ("headers", kept_header),
        ("extra_ca", is_file(&after.extra_ca)),
        ("identity", is_file(&after.identity)),
    ] {
        if kept {
            let problem = "the new url is on another server, which is not shown what was set for this one: send it again, or null";
            return Err(Error::invalid(name, problem));
        }
    }
    Ok(())
}
