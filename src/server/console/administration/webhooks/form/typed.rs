//! The settings that are written in the fields of a form, as the API takes them.

use axum::http::StatusCode;
use serde_json::Value;

use super::{COMMON, KEPT, MORE, Settings, current, declared, digest};
use crate::{
    server::{console::form::Fields, problem::Problem},
    webhook::{Setting, SettingKind, Webhook},
};

/// The settings of a webhook to add, as the API takes them.
pub(in super::super) fn settings(fields: &Fields) -> Result<Settings, Problem> {
    let mut settings = typed(fields, &Settings::new())?;
    if !has(fields, "signed") {
        settings.insert("unsigned".to_owned(), true.into());
    }
    Ok(settings)
}

/// The changes of a webhook, as a merge patch. The form was made of the settings as they were
/// then; if they are others by now, nobody should overwrite these without having seen them.
pub(in super::super) fn patch(fields: &Fields, webhook: &Webhook) -> Result<Settings, Problem> {
    let now = current(webhook);
    if given(fields, "before") != Some(&digest(&now)) {
        let detail = "the settings were changed meanwhile by somebody else; look at the webhook's \
                      page, and send this form again if its settings should replace them";
        let status = StatusCode::CONFLICT;
        return Err(Problem::new(status, "Conflict", detail));
    }
    Ok(difference(&now, &typed(fields, &now)?))
}

/// Whether a webhook is to be added paused.
pub(in super::super) fn is_paused(fields: &Fields) -> bool {
    has(fields, "paused")
}

/// The merge patch (RFC 7396) that makes `after` of `before`.
fn difference(before: &Settings, after: &Settings) -> Settings {
    let mut patch = Settings::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        let changed = match (before.get(name), value) {
            (Some(before), after) if before == after => continue,
            (Some(Value::Object(before)), Value::Object(after)) => {
                Value::Object(difference(before, after))
            }
            (_, value) => value.clone(),
        };
        patch.insert(name.clone(), changed);
    }
    patch
}

/// The settings that are written in the fields. A field that is left empty has no value.
fn typed(fields: &Fields, now: &Settings) -> Result<Settings, Problem> {
    check_names(fields)?;
    let mut settings = Settings::new();
    for (name, _) in COMMON.iter().chain(MORE) {
        let Some((setting, part)) = declared(name) else {
            continue;
        };
        let Some(value) = read(part, name, fields, now)? else {
            continue;
        };
        match name.split_once('.') {
            None => drop(settings.insert((*name).to_owned(), value)),
            Some((_, part)) => {
                let whole = settings
                    .entry(setting.name)
                    .or_insert_with(|| Value::Object(Settings::new()));
                whole[part] = value;
            }
        }
    }
    Ok(settings)
}

/// Refuses a field that the form doesn't have, and one that is there twice.
fn check_names(fields: &Fields) -> Result<(), Problem> {
    let mut known: Vec<_> = COMMON.iter().chain(MORE).map(|(name, _)| *name).collect();
    known.extend(["signed", "paused", "before", "api_key_removed"]);
    for (at, (name, _)) in fields.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(Problem::setting(name, "there is no such field"));
        }
        if fields.iter().take(at).any(|(before, _)| before == name) {
            return Err(Problem::setting(name, "it is given twice; give it once"));
        }
    }
    Ok(())
}

/// The value that is written in a field; `None` if it is empty, and nothing is kept.
fn read(
    setting: &Setting,
    name: &str,
    fields: &Fields,
    now: &Settings,
) -> Result<Option<Value>, Problem> {
    let given = given(fields, name);
    if let SettingKind::Switch(on) = setting.kind {
        return Ok(given.and_then(|_| serde_json::from_str(on).ok()));
    }
    match given.map_or("", str::trim) {
        "" => {
            let is_removed = has(fields, &format!("{name}_removed"));
            let kept = now.get(name).filter(|value| *value == KEPT && !is_removed);
            Ok(kept.cloned())
        }
        text => value(setting, name, text, now.get(name)).map(Some),
    }
}

/// A text as a value of the setting.
fn value(setting: &Setting, name: &str, text: &str, now: Option<&Value>) -> Result<Value, Problem> {
    let number = |text: &str| {
        let text = text.trim();
        let problem = |_| {
            let problem = format!("{text:?} is not a whole number; write one");
            Problem::setting(name, problem)
        };
        text.parse::<u64>().map(Value::from).map_err(problem)
    };
    Ok(match setting.kind {
        SettingKind::Number(..) => number(text)?,
        SettingKind::Numbers => text.split(',').map(number).collect::<Result<_, _>>()?,
        SettingKind::List => lines(text).map(Value::from).collect(),
        SettingKind::Pairs => Value::Object(pairs(name, text, now)?),
        _ => text.into(),
    })
}

/// The text of a field.
fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map(|(_, text)| text.as_str())
}

/// Whether a field was sent. Browsers send a box only if it is ticked.
fn has(fields: &Fields, name: &str) -> bool {
    given(fields, name).is_some()
}

/// The lines that aren't empty. A comma separates as the end of a line does.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split(['\n', ',']).map(str::trim);
    lines.filter(|line| !line.is_empty())
}

/// Lines of the form `name=value`. [`KEPT`] is a value only where there is one to keep.
fn pairs(setting: &str, text: &str, now: Option<&Value>) -> Result<Settings, Problem> {
    let mut pairs = Settings::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let problem = "a line has no \"=\"; write each on a line of its own, as name=value";
            return Err(Problem::setting(setting, problem));
        };
        let (name, value) = (name.trim(), value.trim());
        let is_there = now.is_some_and(|now| now.get(name).is_some());
        if value == KEPT && !is_there {
            let problem = format!("{name}: there is no value to keep; write one");
            return Err(Problem::setting(setting, problem));
        }
        if pairs.insert(name.to_owned(), value.into()).is_some() {
            let problem = format!("{name} is given twice; give it once");
            return Err(Problem::setting(setting, problem));
        }
    }
    Ok(pairs)
}
