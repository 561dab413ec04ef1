//! The settings of a webhook that is there, as its form has them.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{KEPT, Settings};
use crate::webhook::{Setting, SettingKind, Webhook};

/// The settings of a webhook that can be changed, as the form has them: without defaults, and
/// [`KEPT`] in the place of what isn't shown.
pub(super) fn current(webhook: &Webhook) -> Settings {
    let Ok(Value::Object(shown)) = serde_json::to_value(webhook.shown()) else {
        return Settings::new();
    };
    let setting = |name: &str| Webhook::SETTINGS.iter().find(|one| one.name == name);
    // A webhook keeps its name.
    let others = shown.into_iter().filter(|(name, _)| name != "name");
    let known = others.filter_map(|(name, value)| Some((setting(&name)?, value)));
    let kept = known.filter_map(|(setting, value)| Some((setting, kept(setting, value)?)));
    kept.map(|(setting, value)| (setting.name.to_owned(), value))
        .collect()
}

/// A value as the form has it; `None` for a default, and for what has no field.
fn kept(setting: &Setting, value: Value) -> Option<Value> {
    match (setting.kind, value) {
        (SettingKind::Switch(on), value) => {
            (serde_json::from_str(on).ok().as_ref() == Some(&value)).then_some(value)
        }
        (SettingKind::Url, Value::String(url)) if url.ends_with('…') => Some(KEPT.into()),
        (SettingKind::Url, url) => Some(url),
        (SettingKind::Pairs, Value::Object(pairs)) => {
            let hide = |value| match setting.is_secret() {
                true => KEPT.into(),
                false => value,
            };
            let pairs = pairs.into_iter().map(|(name, value)| (name, hide(value)));
            let pairs: Settings = pairs.collect();
            (!pairs.is_empty()).then_some(Value::Object(pairs))
        }
        (SettingKind::List, Value::Array(values)) => {
            (!values.is_empty() && !setting.is_secret()).then_some(Value::Array(values))
        }
        (_, Value::Null) => None,
        _ if setting.is_secret() => Some(KEPT.into()),
        (_, value) => Some(value),
    }
}

/// Distinguishes the settings that a form was made of from others.
pub(super) fn digest(settings: &Settings) -> String {
    let text = Value::Object(settings.clone()).to_string();
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..8])
}
