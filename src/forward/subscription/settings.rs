//! Settings as JSON: read strictly, merged, and shown without their secrets.
//!
//! They come from the HTTP API, from the configuration file and from flags, and are the same for
//! all of them. What always holds: an error names the setting, and no error and nothing that is
//! shown has a secret in it.

use serde_json::{Map, Value, json};

use super::{Subscription, check_name};
use crate::{
    error::{Error, Result},
    forward::sign::SigningSecret,
    record::json::{Json, Members, members},
};

type Settings = Map<String, Value>;

/// All that can be set.
const SETTINGS: [&str; 22] = [
    "name",
    "url",
    "event_types",
    "exclude",
    "severity",
    "tenant_id",
    "format",
    "format_options",
    "own_format",
    "api_key",
    "api_key_header",
    "signing_secrets",
    "headers",
    "allow_http",
    "egress",
    "order",
    "batch",
    "timeout_ms",
    "max_requests_per_second",
    "schedule_seconds",
    "extra_ca",
    "identity",
];
/// Kept with the settings, and none.
const STATE: [&str; 4] = ["id", "revision", "declared", "paused"];

impl Subscription {
    /// From settings as a configuration file or the HTTP API has them, of which `name`, `url` and
    /// `event_types` must be there. They have the names of this type's methods, the plural where a
    /// method adds one to several (`headers`, `signing_secrets`), and a unit where it takes a
    /// `Duration` (`timeout_ms`, `schedule_seconds`). Their values are checked when it is added.
    ///
    /// ```
    /// use serde_json::json;
    /// use tracing_audit::webhook::Subscription;
    ///
    /// let settings = json!({
    ///     "name": "siem",
    ///     "url": "https://siem.example.com/hooks",
    ///     "event_types": ["auth.*"],
    ///     "timeout_ms": 5000,
    /// });
    /// let siem = Subscription::from_settings(settings.as_object().unwrap())?;
    /// assert_eq!(siem.name(), "siem");
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting that is missing, unknown, or of a wrong type.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        check(settings)?;
        let given: Settings = settings
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for required in ["name", "url", "event_types"] {
            if !given.contains_key(required) {
                return Err(Error::invalid(required, "it is missing"));
            }
        }
        parse(given)
    }

    /// With some settings changed, as a JSON merge patch (RFC 7396) says: `null` is the default
    /// again.
    pub(crate) fn patched(&self, patch: &Settings) -> Result<Self> {
        check(patch)?;
        let mut settings = self.settings();
        merge(&mut settings, patch);
        let patched = Self::from_settings(&settings)?;
        Ok(patched.in_place_of(self))
    }

    /// With the state of another one, whose settings it replaces.
    pub(in crate::forward) fn in_place_of(self, before: &Self) -> Self {
        let (id, declared) = (before.id.clone(), before.declared.clone());
        Self {
            id,
            revision: before.revision,
            declared,
            paused: before.paused,
            ..self
        }
    }

    /// The settings, with their secrets.
    pub(in crate::forward) fn settings(&self) -> Settings {
        let Ok(Value::Object(mut settings)) = serde_json::to_value(self) else {
            return Settings::new();
        };
        settings.retain(|name, _| !STATE.contains(&name.as_str()));
        settings
    }

    /// The settings as they may be seen. Instead of a secret there is where it is read from, or
    /// that there is one.
    pub(crate) fn shown(&self) -> Members {
        let Json::Object(all) = Json::of(self) else {
            return Members::default();
        };
        let settings = all
            .into_iter()
            .filter(|(name, _)| !STATE.contains(&name.as_str()));
        settings
            .map(|(name, value)| {
                let shown = match (name.as_str(), value) {
                    ("api_key", Json::Text(key)) => hidden(&key),
                    ("signing_secrets", Json::List(secrets)) => Json::List(
                        secrets
                            .iter()
                            .map(|secret| hidden(secret.as_str().unwrap_or_default()))
                            .collect(),
                    ),
                    ("headers", Json::Object(headers)) => {
                        let set = Json::Object(members! { "set": true });
                        let hidden = headers.into_iter().map(|(name, _)| (name, set.clone()));
                        Json::Object(hidden.collect())
                    }
                    (_, value) => value,
                };
                (name, shown)
            })
            .collect()
    }

    /// The names of the settings in which two differ.
    pub(in crate::forward) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (self.settings(), other.settings());
        SETTINGS
            .into_iter()
            .filter(|name| ours.get(*name) != theirs.get(*name))
            .collect()
    }
}

/// What is shown of a secret. Of a key pair, the public key.
fn hidden(secret: &str) -> Json {
    if is_reference(secret) {
        return Json::of(secret);
    }
    match secret
        .parse::<SigningSecret>()
        .ok()
        .and_then(|secret| secret.public())
    {
        Some(public) => Json::Object(members! { "set": true, "public_key": public }),
        None => Json::Object(members! { "set": true }),
    }
}

/// Whether a secret is not the text itself but says where that is.
pub(super) fn is_reference(secret: &str) -> bool {
    secret.starts_with("env:") || secret.starts_with("file:")
}

/// Checks the names, and what holds secrets: what the parser says against a value can quote it.
fn check(settings: &Settings) -> Result<()> {
    for (name, value) in settings {
        match name.as_str() {
            "paused" => {
                return Err(Error::invalid(
                    name,
                    "it is not a setting: pause and resume it",
                ));
            }
            "id" | "revision" | "declared" => return Err(Error::invalid(name, "it can't be set")),
            "api_key" if !value.is_null() => secret(name, value)?,
            "signing_secrets" => match value {
                Value::Null => {}
                Value::Array(secrets) => secrets.iter().try_for_each(|one| secret(name, one))?,
                _ => return Err(Error::invalid(name, "it is a list of texts")),
            },
            "headers" => match value {
                Value::Null => {}
                Value::Object(headers) => headers
                    .values()
                    .filter(|value| !value.is_null())
                    .try_for_each(|value| secret(name, value))?,
                _ => return Err(Error::invalid(name, "it is an object of names and texts")),
            },
            known if SETTINGS.contains(&known) => {}
            _ => {
                return Err(Error::invalid(
                    shortened(name),
                    format!(
                        "there is no such setting; there are {}",
                        SETTINGS.join(", ")
                    ),
                ));
            }
        }
    }
    if let Some(Value::String(name)) = settings.get("name") {
        check_name(name)?;
    }
    Ok(())
}

fn secret(name: &str, value: &Value) -> Result<()> {
    match value {
        Value::String(_) => Ok(()),
        Value::Object(shown) if shown.contains_key("set") => Err(Error::invalid(
            name,
            "this is what is shown in the place of a secret: send the secret itself, or leave it out to keep it",
        )),
        _ => Err(Error::invalid(name, "a secret is a text")),
    }
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Of checked settings; an error names the one whose type is wrong.
fn parse(settings: Settings) -> Result<Subscription> {
    let whole =
        |settings: Settings| serde_json::from_value::<Subscription>(Value::Object(settings));
    whole(settings.clone()).map_err(|error| {
        for (name, value) in settings {
            let mut one = json!({"name": "a", "url": "", "event_types": []});
            one[&name] = value;
            if let Value::Object(one) = one
                && let Err(error) = whole(one)
            {
                let problem = error.to_string();
                let problem = problem
                    .strip_prefix(&format!("{name}: "))
                    .unwrap_or(&problem)
                    .to_owned();
                return Error::invalid(name, problem);
            }
        }
        Error::invalid("settings", error.to_string())
    })
}

/// RFC 7396, section 2.
fn merge(target: &mut Settings, patch: &Settings) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            Value::Object(patch) => {
                let inner = target.entry(name).or_insert_with(|| json!({}));
                if !inner.is_object() {
                    *inner = json!({});
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
