//! The form of a webhook.
//!
//! Its fields are the settings as [`Webhook::SETTINGS`] declares them, so that the form, the API and
//! the program have the same ones. In come the texts of the fields; out go settings for the API's
//! own checks, or, for a webhook that exists, a merge patch of those that are to be changed. A
//! secret that is set is never in the form: [`KEPT`] stands for one that stays.
//!
//! ```text
//! current   the settings of a webhook, as the form has them
//! typed     the settings that are written in the fields
//! ```

mod current;
mod typed;

use serde_json::{Map, Value};

use self::current::{current, digest};
use super::super::Draft;
use crate::webhook::{FormatName, Setting, SettingKind, Webhook};

pub(super) use self::typed::{is_paused, patch, settings};

type Settings = Map<String, Value>;

/// Stands for a value that isn't shown and stays as it is: a secret, or the whole of a URL.
pub(super) const KEPT: &str = "(kept)";

/// The settings that are asked first, and those that fewer people need, with their titles.
const COMMON: &[(&str, &str)] = &[
    ("name", "Name"),
    ("url", "URL"),
    ("event_types", "Event types"),
    ("format", "Format"),
    ("api_key", "API key"),
    ("batch.max_entries", "Entries in a request"),
    ("batch.max_wait_ms", "Wait for more entries, in ms"),
];
const MORE: &[(&str, &str)] = &[
    ("exclude", "Event types to leave out"),
    ("severity", "Severities"),
    ("tenant_id", "Tenant"),
    ("format_options", "Options of the format"),
    ("own_format", "Format of the application"),
    ("api_key_header", "Header of the API key"),
    ("headers", "Headers"),
    ("egress", "Allowed destinations"),
    ("allow_http", "Allow http://"),
    ("order", "Strict order"),
    ("timeout_ms", "Timeout, in ms"),
    ("concurrency", "Attempts at once"),
    ("max_requests_per_second", "Requests per second"),
    ("schedule_seconds", "Delays before attempts, in seconds"),
];

/// The form as a page shows it.
pub(super) struct WebhookForm {
    pub(super) common: Vec<Field>,
    pub(super) more: Vec<Field>,
    /// Whether the webhook is to be added, and isn't there yet.
    pub(super) is_new: bool,
    pub(super) is_signed: bool,
    pub(super) is_paused: bool,
    /// Whether the form was sent and refused.
    pub(super) is_sent: bool,
    /// Whether one of the settings that fewer people need is set or wrong.
    pub(super) is_more_open: bool,
    /// The mistake that is in none of the fields.
    pub(super) problem: Option<String>,
    /// Says which settings the form was made of.
    pub(super) before: String,
}

/// A field of the form.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: FieldKind,
    pub(super) value: String,
    pub(super) placeholder: &'static str,
    pub(super) is_required: bool,
    /// Whether there is a secret that can be taken away.
    pub(super) is_kept: bool,
    pub(super) wrong: String,
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Line,
    Name,
    Url,
    Secret,
    Number(u64, u64),
    Lines,
    Switch,
    Format,
}

impl Field {
    /// The formats to choose from, each with whether it is chosen.
    pub(super) fn formats(&self) -> Vec<(&'static str, bool)> {
        let names = FormatName::ALL.map(FormatName::as_str).into_iter();
        names.map(|name| (name, name == self.value)).collect()
    }

    /// The least and the most that a number may be.
    pub(super) fn bounds(&self) -> Option<(u64, u64)> {
        match self.kind {
            FieldKind::Number(least, most) => Some((least, most)),
            _ => None,
        }
    }

    /// The height of a field of lines.
    pub(super) fn rows(&self) -> usize {
        self.value.lines().count().clamp(2, 8)
    }

    /// The kind, as the template has it.
    pub(super) fn control(&self) -> &'static str {
        match self.kind {
            FieldKind::Line => "line",
            FieldKind::Name => "name",
            FieldKind::Url => "url",
            FieldKind::Secret => "secret",
            FieldKind::Number(..) => "number",
            FieldKind::Lines => "lines",
            FieldKind::Switch => "switch",
            FieldKind::Format => "format",
        }
    }
}

impl WebhookForm {
    /// The form of a webhook to add.
    pub(super) fn new(draft: &Draft) -> Self {
        Self::of(&Settings::new(), draft, true)
    }

    /// The form of a webhook that is there.
    pub(super) fn change(webhook: &Webhook, draft: &Draft) -> Self {
        Self::of(&current(webhook), draft, false)
    }

    fn of(now: &Settings, draft: &Draft, is_new: bool) -> Self {
        let field = |(name, title): &(&'static str, &'static str)| {
            let (setting, part) = declared(name)?;
            let is_shown = is_new || *name != "name";
            is_shown.then(|| Field::of(setting, part, (name, title), now, draft))
        };
        let common: Vec<_> = COMMON.iter().filter_map(field).collect();
        let more: Vec<_> = MORE.iter().filter_map(field).collect();
        let mut names: Vec<_> = common.iter().chain(&more).map(|field| field.name).collect();
        names.push("batch");
        let is_given = |name| draft.has(name);
        let is_used = |field: &Field| !field.value.is_empty() || !field.wrong.is_empty();
        Self {
            is_new,
            is_signed: !draft.is_sent() || is_given("signed"),
            is_paused: is_given("paused"),
            is_sent: draft.is_sent(),
            is_more_open: more.iter().any(is_used),
            problem: draft.wrong_besides(&names),
            before: digest(now),
            common,
            more,
        }
    }
}

impl Field {
    fn of(
        setting: &'static Setting,
        part: &'static Setting,
        (name, title): (&'static str, &'static str),
        now: &Settings,
        draft: &Draft,
    ) -> Self {
        let value = found(now, name);
        let is_kept = value.is_some_and(|value| value == KEPT);
        let value = value.filter(|_| !is_kept && !draft.is_sent());
        let placeholder = match is_kept {
            true => "leave empty to keep it",
            false => part.default.unwrap_or_default(),
        };
        Self {
            name,
            title,
            help: part.help,
            kind: kind(part),
            value: value.map_or_else(|| draft.value(name).to_owned(), text),
            placeholder,
            is_required: setting.is_required() && !is_kept,
            is_kept: is_kept && !setting.is_required(),
            wrong: wrong(name, draft).unwrap_or_default(),
        }
    }
}

/// The value of a setting, or of a part of one.
fn found<'a>(settings: &'a Settings, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => settings.get(name),
        Some((whole, part)) => settings.get(whole)?.get(part),
    }
}

/// The mistake in a field. One about batches as such is beside their first field.
fn wrong(name: &str, draft: &Draft) -> Option<String> {
    let of_batches = match name {
        "batch.max_entries" => draft.wrong_exactly("batch"),
        _ => None,
    };
    of_batches.or_else(|| draft.wrong(name))
}

/// The setting of this name, and the part of it that the name is about.
fn declared(name: &str) -> Option<(&'static Setting, &'static Setting)> {
    let (whole, part) = name.split_once('.').unwrap_or((name, ""));
    let setting = Webhook::SETTINGS.iter().find(|one| one.name == whole)?;
    match setting.kind {
        SettingKind::Parts(parts) => {
            let part = parts.iter().find(|one| one.name == part)?;
            Some((setting, part))
        }
        _ => Some((setting, setting)),
    }
}

fn kind(setting: &Setting) -> FieldKind {
    match setting.kind {
        _ if setting.name == "format" => FieldKind::Format,
        _ if setting.name == "name" => FieldKind::Name,
        SettingKind::Url => FieldKind::Url,
        SettingKind::Number(least, most) => FieldKind::Number(least, most),
        SettingKind::Switch(_) => FieldKind::Switch,
        SettingKind::List | SettingKind::Pairs => FieldKind::Lines,
        _ if setting.is_secret() => FieldKind::Secret,
        _ => FieldKind::Line,
    }
}

/// A value as it is written into its field.
fn text(value: &Value) -> String {
    let joined = |values: &[Value], between| {
        let texts: Vec<_> = values.iter().map(text).collect();
        texts.join(between)
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(Value::is_number) => joined(values, ","),
        Value::Array(values) => joined(values, "\n"),
        Value::Object(pairs) => {
            let line = |(name, value): (&String, &Value)| format!("{name}={}", text(value));
            let lines: Vec<_> = pairs.iter().map(line).collect();
            lines.join("\n")
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
