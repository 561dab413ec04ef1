//! Settings as JSON: read strictly, merged, and shown without their secrets.
//!
//! They come from the HTTP API, from the configuration file and from flags, and are the same for
//! all of them. What always holds: an error names the setting, and no error and nothing that is
//! shown has a secret in it.

use serde::{
    Deserialize as _,
    de::{self, Deserializer, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value, json};

use super::{Webhook, check_name};
use crate::{
    entry::json::{Json, Members, members},
    error::{Error, Result},
    webhook::http::sign::SigningSecret,
};

type Settings = Map<String, Value>;

/// All that can be set.
pub(super) fn names() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // It notes the names and fails.
    let _ = Webhook::deserialize(FieldNames(&mut names));
    names
}

/// Is asked for a struct, and notes which fields that has.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("it has no fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl Webhook {
    /// From settings as a configuration file or the HTTP API has them, of which `name`, `url` and
    /// `event_types` must be there. They have the names of this type's methods, the plural where a
    /// method adds one to several (`headers`, `signing_secrets`), and a unit where it takes a
    /// `Duration` (`timeout_ms`, `schedule_seconds`). Their values are checked when it is added.
    ///
    /// ```
    /// use serde_json::json;
    /// use tracing_audit::webhook::Webhook;
    ///
    /// let settings = json!({
    ///     "name": "siem",
    ///     "url": "https://siem.example.com/hooks",
    ///     "event_types": ["auth.*"],
    ///     "timeout_ms": 5000,
    /// });
    /// let siem = Webhook::from_settings(settings.as_object().unwrap())?;
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
        Self::from_settings(&settings)
    }

    /// The settings, with their secrets.
    pub(in crate::webhook) fn settings(&self) -> Settings {
        match serde_json::to_value(self) {
            Ok(Value::Object(settings)) => settings,
            _ => Settings::new(),
        }
    }

    /// The settings as they may be seen. Instead of a secret there is where it is read from, or
    /// that there is one.
    pub(crate) fn shown(&self) -> Members {
        let Json::Object(all) = Json::of(self) else {
            return Members::default();
        };
        all.into_iter()
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
    pub(in crate::webhook) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (self.settings(), other.settings());
        let differ = |name: &&&str| ours.get(**name) != theirs.get(**name);
        names().iter().filter(differ).copied().collect()
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
            known if names().contains(&known) => {}
            _ => {
                return Err(Error::invalid(
                    shortened(name),
                    format!("there is no such setting; there are {}", names().join(", ")),
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
fn parse(settings: Settings) -> Result<Webhook> {
    let whole = |settings: Settings| serde_json::from_value::<Webhook>(Value::Object(settings));
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
#[path = "json_tests.rs"]
mod tests;
