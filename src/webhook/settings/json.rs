//! Settings as JSON: read strictly, merged, and shown without their secrets.
//!
//! The HTTP API, the configuration file and the program's flags have the same settings. What always
//! holds: an error names the setting, and neither an error nor a shown setting has a secret in it.

use serde_json::{Map, Value, json};

use super::{
    Setting, SettingKind, Webhook, check_name, setting::is_reference, shown_url::shown_url,
};
use crate::{
    entry::json::{Json, Members, members},
    error::{Error, Result},
    webhook::http::{proxy::Proxy, sign::SigningSecret},
};

type Settings = Map<String, Value>;

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
        for required in Self::SETTINGS.iter().filter(|setting| setting.required) {
            if !given.contains_key(required.name) {
                return Err(Error::invalid(required.name, "it is missing"));
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

    /// The settings as they may be seen. In the place of a secret stands the variable or file that
    /// it is read from, or only that there is one; the URL is shortened.
    pub(crate) fn shown(&self) -> Members {
        let Json::Object(all) = Json::of(self) else {
            return Members::default();
        };
        all.into_iter()
            .map(|(name, value)| {
                let shown = match (Self::setting(&name), value) {
                    (Some(setting), value) if setting.secret => hidden(setting, value),
                    (Some(setting), Json::Text(url))
                        if matches!(setting.kind, SettingKind::Url) =>
                    {
                        Json::Text(shown_url(&url))
                    }
                    (_, value) => value,
                };
                (name, shown)
            })
            .collect()
    }

    fn setting(name: &str) -> Option<&'static Setting> {
        Self::SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The names of the settings in which two differ.
    pub(in crate::webhook) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (self.settings(), other.settings());
        let names = Self::SETTINGS.iter().map(|setting| setting.name);
        names
            .filter(|name| ours.get(*name) != theirs.get(*name))
            .collect()
    }
}

/// A proxy's URL as it may be seen, without its password.
pub(in crate::webhook) fn shown_proxy(proxy: &str) -> String {
    if is_reference(proxy) {
        proxy.to_owned()
    } else {
        Proxy::shown(proxy)
    }
}

/// A secret as it may be seen: of a key pair the public key, of a proxy all but its password.
fn hidden(setting: &Setting, secret: Json) -> Json {
    let set = members! { "set": true };
    match secret {
        Json::List(secrets) => {
            let hidden = secrets.into_iter().map(|one| hidden(setting, one));
            Json::List(hidden.collect())
        }
        Json::Object(pairs) => {
            let set = Json::Object(set);
            let hidden = pairs.into_iter().map(|(name, _)| (name, set.clone()));
            Json::Object(hidden.collect())
        }
        Json::Text(proxy) if matches!(setting.kind, SettingKind::Proxy) => {
            Json::Text(shown_proxy(&proxy))
        }
        Json::Text(secret) if is_reference(&secret) => Json::Text(secret),
        Json::Text(secret) => {
            let secret = secret.parse::<SigningSecret>().ok();
            Json::Object(match secret.and_then(|secret| secret.public()) {
                Some(public) => members! { "set": true, "public_key": public },
                None => set,
            })
        }
        _ => Json::Object(set),
    }
}

/// Checks the names of settings, and the values that hold secrets, because the parser's errors can
/// quote a value.
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
            _ => match Webhook::setting(name) {
                Some(setting) => setting.check_secret(value)?,
                None => {
                    let names: Vec<_> = Webhook::SETTINGS.iter().map(|one| one.name).collect();
                    let problem =
                        format!("there is no such setting; there are {}", names.join(", "));
                    return Err(Error::invalid(shortened(name), problem));
                }
            },
        }
    }
    if let Some(Value::String(name)) = settings.get("name") {
        check_name(name)?;
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Parses checked settings; an error names the setting whose type is wrong.
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
