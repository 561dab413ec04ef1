//! The form of a webhook.
//!
//! Its fields are the settings as [`Webhook::SETTINGS`] declares them, so that the form, the API and
//! the program have the same ones. In come the texts of the fields; out go settings for the API's
//! own checks, or, for a webhook that exists, a merge patch of those that are to be changed. A
//! secret is never in the form: [`KEPT`] stands for one that stays.

use serde_json::{Map, Value};

use super::super::Draft;
use crate::{
    server::{console::form::Fields, problem::Problem},
    webhook::{FormatName, Setting, SettingKind, Webhook},
};

type Settings = Map<String, Value>;

/// Stands for what isn't shown and stays as it is: a secret, or the whole of a URL.
pub(super) const KEPT: &str = "(kept)";

/// What is asked first, and what fewer people need: names of settings, with their titles.
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
    ("egress", "Destinations that may be reached"),
    ("allow_http", "Allow http://"),
    ("order", "Strict order"),
    ("timeout_ms", "Timeout, in ms"),
    ("concurrency", "Attempts at once"),
    ("max_requests_per_second", "Requests per second"),
    ("schedule_seconds", "Delays of attempts, in seconds"),
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
    pub(super) placeholder: String,
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
        let value = match name.split_once('.') {
            None => now.get(name),
            Some((whole, part)) => now.get(whole).and_then(|whole| whole.get(part)),
        };
        let is_kept = value.is_some_and(|value| value == KEPT);
        let text = value.filter(|_| !is_kept).map(text).unwrap_or_default();
        let default = part.default.unwrap_or_default();
        Self {
            name,
            title,
            help: part.help,
            kind: kind(part),
            value: match draft.is_sent() {
                true => draft.value(name).to_owned(),
                false => text,
            },
            placeholder: match is_kept {
                true => "leave empty to keep it".to_owned(),
                false => default.to_owned(),
            },
            is_required: setting.is_required() && !is_kept,
            is_kept: is_kept && !setting.is_required(),
            wrong: wrong(name, draft).unwrap_or_default(),
        }
    }
}

/// The mistake in a field. One about batches as such is beside their first field.
fn wrong(name: &str, draft: &Draft) -> Option<String> {
    match draft.wrong("batch") {
        Some(problem)
            if name == "batch.max_entries"
                && draft.wrong_besides(&["batch.max_wait_ms"]).is_some() =>
        {
            Some(problem)
        }
        _ => draft.wrong(name),
    }
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

/// The settings of a webhook that can be changed, as the form has them: without defaults, and
/// [`KEPT`] in the place of what isn't shown.
fn current(webhook: &Webhook) -> Settings {
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
fn digest(settings: &Settings) -> String {
    use sha2::{Digest as _, Sha256};

    let text = Value::Object(settings.clone()).to_string();
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..8])
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

/// The settings of a webhook to add, as the API takes them.
pub(super) fn settings(fields: &Fields) -> Result<Settings, Problem> {
    let mut settings = typed(fields, &Settings::new())?;
    if !fields.iter().any(|(name, _)| name == "signed") {
        settings.insert("unsigned".to_owned(), true.into());
    }
    Ok(settings)
}

/// The changes of a webhook, as a merge patch. The form was made of the settings as they were
/// then; if they are others by now, nobody should overwrite these without having seen them.
pub(super) fn patch(fields: &Fields, webhook: &Webhook) -> Result<Settings, Problem> {
    let now = current(webhook);
    let given = fields.iter().find(|(name, _)| name == "before");
    if given.is_none_or(|(_, before)| *before != digest(&now)) {
        let detail = "the settings were changed meanwhile by somebody else; look at the webhook's \
                      page, and send the form again if they should be these";
        let status = axum::http::StatusCode::CONFLICT;
        return Err(Problem::new(status, "Conflict", detail));
    }
    Ok(difference(&now, &typed(fields, &now)?))
}

/// Whether a webhook is to be added paused.
pub(super) fn is_paused(fields: &Fields) -> bool {
    fields.iter().any(|(name, _)| name == "paused")
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

/// The settings that are written in the fields. What is left empty has no value.
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

fn read(
    setting: &Setting,
    name: &str,
    fields: &Fields,
    now: &Settings,
) -> Result<Option<Value>, Problem> {
    let given = fields.iter().find(|(known, _)| known == name);
    let text = given.map_or("", |(_, text)| text.trim());
    if let SettingKind::Switch(on) = setting.kind {
        return Ok(given.and_then(|_| serde_json::from_str(on).ok()));
    }
    if text.is_empty() {
        let removed = format!("{name}_removed");
        let is_removed = fields.iter().any(|(known, _)| *known == removed);
        let kept = now.get(name).filter(|value| *value == KEPT && !is_removed);
        return Ok(kept.cloned());
    }
    let number = |text: &str| {
        let number = text.trim().parse::<u64>();
        number.map(Value::from).map_err(|_| {
            let problem = format!("{:?} is not a whole number", text.trim());
            Problem::setting(name, problem)
        })
    };
    let value = match setting.kind {
        SettingKind::Number(..) => number(text)?,
        SettingKind::Numbers => text.split(',').map(number).collect::<Result<_, _>>()?,
        SettingKind::List => lines(text).map(Value::from).collect(),
        SettingKind::Pairs => Value::Object(pairs(name, text, now.get(name))?),
        _ => text.into(),
    };
    Ok(Some(value))
}

/// The lines that aren't empty; what has commas between is as good as lines.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split(['\n', ',']).map(str::trim);
    lines.filter(|line| !line.is_empty())
}

/// Lines of the form `name=value`. [`KEPT`] is a value only where there is one to keep.
fn pairs(setting: &str, text: &str, now: Option<&Value>) -> Result<Settings, Problem> {
    let mut pairs = Settings::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let problem = "write each on a line of its own, as name=value";
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A webhook with these settings beside those that it must have.
    fn webhook(more: Value) -> Webhook {
        let mut settings = json!({
            "name": "siem", "url": "https://siem.example.com/services/T0/secret",
            "event_types": ["auth.*", "user.created"],
        });
        let settings = settings.as_object_mut().unwrap();
        settings.extend(more.as_object().unwrap().clone());
        Webhook::from_settings(settings).unwrap()
    }

    /// What a browser sends of a form that nobody has touched.
    fn untouched(form: &WebhookForm) -> Fields {
        let fields = form.common.iter().chain(&form.more);
        let sent =
            fields.filter(|field| field.kind != FieldKind::Switch || !field.value.is_empty());
        let sent = sent.map(|field| (field.name.to_owned(), field.value.replace('\n', "\r\n")));
        let before = ("before".to_owned(), form.before.clone());
        sent.chain([before]).collect()
    }

    fn set(fields: &mut Fields, name: &str, value: &str) {
        fields.retain(|(known, _)| known != name);
        fields.push((name.to_owned(), value.to_owned()));
    }

    fn everything() -> Webhook {
        webhook(json!({
            "exclude": ["auth.token.*"], "severity": ["error", "critical"], "tenant_id": "acme",
            "format": "splunk-hec", "format_options": {"index": "audit", "host": "a"},
            "api_key": "k-1", "api_key_header": "x-key", "headers": {"x-team": "blue", "x-b": "c"},
            "signing_secrets": ["whsec_bm90IGEgc2VjcmV0IG9mIGFueW9uZQ=="], "allow_http": true,
            "egress": ["private", "10.0.0.0/8"], "order": "strict",
            "batch": {"max_entries": 7, "max_wait_ms": 9}, "timeout_ms": 5000, "concurrency": 1,
            "max_requests_per_second": 10, "schedule_seconds": [0, 5, 30],
        }))
    }

    #[test]
    fn a_form_that_nobody_has_touched_changes_nothing() {
        for webhook in [webhook(json!({})), everything()] {
            let form = WebhookForm::change(&webhook, &Draft::default());
            let fields = untouched(&form);
            assert_eq!(patch(&fields, &webhook).unwrap(), Settings::new());
            for secret in ["k-1", "blue", "whsec", "T0"] {
                assert!(
                    fields.iter().all(|(_, value)| !value.contains(secret)),
                    "{secret}"
                );
            }
        }
    }

    #[test]
    fn only_what_was_changed_is_in_the_patch() {
        let webhook = everything();
        let form = WebhookForm::change(&webhook, &Draft::default());
        let mut fields = untouched(&form);
        fields.retain(|(name, _)| name != "order" && name != "timeout_ms");
        for (name, value) in [
            ("url", "https://other.example.com/"),
            ("event_types", "auth.*\r\n"),
            ("headers", "x-team=(kept)\r\nx-new = 1"),
            ("batch.max_wait_ms", ""),
            ("schedule_seconds", "1, 2"),
            ("tenant_id", " "),
            ("api_key_removed", "on"),
        ] {
            set(&mut fields, name, value);
        }
        let expected = json!({
            "url": "https://other.example.com/", "event_types": ["auth.*"],
            "headers": {"x-new": "1", "x-b": null}, "batch": {"max_wait_ms": null},
            "schedule_seconds": [1, 2], "tenant_id": null, "api_key": null, "order": null,
            "timeout_ms": null,
        });
        assert_eq!(Value::Object(patch(&fields, &webhook).unwrap()), expected);
    }

    #[test]
    fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
        let fields = untouched(&WebhookForm::change(&webhook(json!({})), &Draft::default()));
        let problem = patch(&fields, &webhook(json!({"timeout_ms": 1}))).unwrap_err();
        assert!(problem.detail().contains("meanwhile"));
    }

    #[test]
    fn mistakes_name_their_fields() {
        for (name, value, said) in [
            ("timeout_ms", "soon", "\"soon\" is not a whole number"),
            ("schedule_seconds", "1,x", "\"x\" is not a whole number"),
            ("headers", "x-team: blue", "as name=value"),
            ("headers", "x-team=(kept)", "there is no value to keep"),
            ("headers", "a=1\na=2", "a is given twice"),
            ("proxy", "http://p", "there is no such field"),
        ] {
            let fields = vec![(name.to_owned(), value.to_owned())];
            let problem = settings(&fields).unwrap_err();
            assert_eq!(problem.about(), Some(name));
            assert!(problem.detail().contains(said), "{}", problem.detail());
        }
    }

    #[test]
    fn each_setting_that_can_be_set_over_http_has_a_field() {
        let own = ["signing_secrets"];
        for setting in Webhook::SETTINGS
            .iter()
            .filter(|one| one.is_set_over_http())
        {
            let mut names = COMMON
                .iter()
                .chain(MORE)
                .map(|(name, _)| name.split('.').next());
            let has_field = names.any(|name| name == Some(setting.name));
            assert!(has_field != own.contains(&setting.name), "{}", setting.name);
        }
        for (name, _) in COMMON.iter().chain(MORE) {
            assert!(declared(name).is_some(), "{name}");
        }
    }
}
