//! Ordinary `tracing` events with target `audit`:
//! `tracing::info!(target: "audit", event_type = "user.created", actor.id = 7, "…")`.
//!
//! Their fields mean what they mean in `audit!`. What `audit!` would reject at compile time can't
//! be rejected here: an event whose type is missing, malformed or the log's own is recorded as
//! `tracing.event`, with all it said under `details`.
//!
//! Any crate in the program can write them: the entry shows that it came this way, and a log can
//! take those of some modules only.

use std::{fmt, sync::Arc};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::{
    argument::{Argument, Written},
    context::Inherited,
    emit,
    intake::Intake,
    writer::{Parts, Writer},
};
use crate::entry::{
    Buffer, SCHEMA_VERSION, Severity, is_free_event_type,
    json::{self, Json, Members},
    secret_names::{looks_secret, path_looks_secret},
};
use crate::error::{Error, Result};

/// The event type of events that have none.
const UNTYPED: &str = "tracing.event";

/// Whose ordinary events a log takes.
#[derive(Clone, Debug, Default)]
pub(crate) enum PlainEvents {
    #[default]
    All,
    /// Those of these modules, and of the modules in them.
    From(Vec<String>),
}

impl PlainEvents {
    /// Those of these modules. A crate may be called by the name of its package.
    pub(crate) fn from_modules<P: Into<String>>(modules: impl IntoIterator<Item = P>) -> Self {
        let modules = modules
            .into_iter()
            .map(|path| path.into().replace('-', "_"));
        Self::From(modules.collect())
    }

    /// A path that can be that of no module would take nothing, and nobody would notice.
    pub(crate) fn check(&self) -> Result<()> {
        let Self::From(modules) = self else {
            return Ok(());
        };
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        match modules.iter().find(|path| !path.split("::").all(is_name)) {
            None => Ok(()),
            Some(path) => Err(Error::invalid(
                "plain_events_from",
                format!("{path:?} is not the path of a module, such as my_app or my_app::billing"),
            )),
        }
    }

    pub(super) fn takes(&self, module: Option<&str>) -> bool {
        let within = |path: &String| {
            module
                .and_then(|module| module.strip_prefix(path.as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        match self {
            Self::All => true,
            Self::From(modules) => modules.iter().any(within),
        }
    }
}

pub(super) fn record(intake: &Arc<Intake>, event: &Event<'_>, gather: impl FnOnce(&mut Inherited)) {
    let mut fields = PlainFields::default();
    event.record(&mut fields);
    let severity = match *event.metadata().level() {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        _ => Severity::Info,
    };
    let head = fields.take_head(severity);
    let module = event.metadata().module_path();
    emit::record_plain(intake, &head, gather, &|writer| {
        fields.write(writer, module);
    });
}

/// The fields of one event: those of the entry's own by name, the others as details.
#[derive(Default)]
struct PlainFields {
    own: Vec<(&'static str, Json)>,
    details: Members,
}

/// A JSON value as an argument.
struct Given<'a>(Option<&'a Json>);

impl Argument for Given<'_> {
    fn write(&self, out: &mut Buffer) -> Written {
        Written(json::write_value(out, &self.0))
    }
}

impl PlainFields {
    fn set(&mut self, field: &Field, value: Json) {
        let name = field.name();
        if is_own(name) {
            self.own.retain(|(own, _)| *own != name);
            self.own.push((name, value));
        } else {
            put(
                &mut self.details,
                name.strip_prefix("details.").unwrap_or(name),
                value,
            );
        }
    }

    fn get(&self, name: &str) -> Given<'_> {
        Given(
            self.own
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| value),
        )
    }

    fn has(&self, prefix: &str) -> bool {
        self.own.iter().any(|(own, _)| own.starts_with(prefix))
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        let at = self.own.iter().position(|(own, _)| *own == name)?;
        match self.own.swap_remove(at).1 {
            Json::Text(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// The entry's JSON from `schema_version` to `severity`.
    fn take_head(&mut self, severity: Severity) -> String {
        let event_type = match self.take_text("event_type") {
            // Those of the log itself are not for others to write.
            Some(text) if is_free_event_type(&text) => text,
            wrong => {
                if let Some(wrong) = wrong {
                    put(&mut self.details, "event_type", Json::Text(wrong));
                }
                UNTYPED.to_owned()
            }
        };
        let category = self
            .take_text("category")
            .unwrap_or_else(|| event_type.split('.').next().unwrap_or_default().to_owned());
        let action = self
            .take_text("action")
            .unwrap_or_else(|| event_type.rsplit('.').next().unwrap_or_default().to_owned());
        let severity = match self.take_text("severity") {
            None => severity,
            Some(text) => text.parse().unwrap_or_else(|_| {
                put(&mut self.details, "severity", Json::Text(text));
                severity
            }),
        };
        let mut head = Buffer::default();
        for (key, value) in [
            ("schema_version", SCHEMA_VERSION),
            (",\"event_type", &event_type),
            (",\"category", &category),
            (",\"action", &action),
            (",\"severity", severity.as_str()),
        ] {
            if !key.starts_with(',') {
                head.push(b'"');
            }
            head.append(key.as_bytes());
            head.extend_from_slice(b"\":");
            json::write_str(&mut head, value);
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    fn write(&self, w: &mut Writer<'_>, module: Option<&str>) {
        w.tenant_id(&self.get("tenant_id"));
        w.actor_parts(|p| {
            p.kind(&self.get("actor.type"));
            p.id(&self.get("actor.id"));
            p.name(&self.get("actor.name"));
        });
        w.after_actor();
        if self.has("resource.") {
            let resource = w.open(",\"resource\":", 12);
            w.text(",\"type\":", 8, &self.get("resource.type"));
            w.text(",\"id\":", 6, &self.get("resource.id"));
            w.text(",\"name\":", 8, &self.get("resource.name"));
            w.close_part(resource, Parts::RESOURCE);
        }
        if self.has("outcome.") {
            let outcome = w.open(",\"outcome\":", 11);
            w.text(",\"type\":", 8, &self.get("outcome.type"));
            w.text(",\"reason\":", 10, &self.get("outcome.reason"));
            w.text(",\"error\":", 9, &self.get("outcome.error"));
            w.close_part(outcome, Parts::OUTCOME);
        }
        w.text(",\"description\":", 15, &self.get("message"));
        if !self.details.is_empty() {
            w.details_whole(&super::argument::json(&self.details));
        }
        w.ip_address(&self.get("ip_address"));
        w.user_agent(&self.get("user_agent"));
        w.context(|c| {
            c.captured("tracing", module);
            c.field(",\"session_id\":", &self.get("session_id"));
            c.field(",\"request_id\":", &self.get("request_id"));
            c.field(",\"trace_id\":", &self.get("trace_id"));
            c.field(",\"span_id\":", &self.get("span_id"));
        });
    }
}

fn is_own(name: &str) -> bool {
    const OWN: [&str; 21] = [
        "message",
        "event_type",
        "category",
        "action",
        "severity",
        "tenant_id",
        "actor.type",
        "actor.id",
        "actor.name",
        "resource.type",
        "resource.id",
        "resource.name",
        "outcome.type",
        "outcome.reason",
        "outcome.error",
        "ip_address",
        "user_agent",
        "session_id",
        "request_id",
        "trace_id",
        "span_id",
    ];
    OWN.contains(&name)
}

/// Sets a value at a dotted path; where the path runs into a value that is no object, or such a value
/// comes to where paths lead through, these stay dotted keys. So does a path that is shown although
/// an object of its first name would be hidden: `secrets.found`.
fn put(fields: &mut Members, path: &str, value: Json) {
    if let Some((first, rest)) = path.split_once('.')
        && (!looks_secret(first.as_bytes()) || path_looks_secret(path))
    {
        if fields.get(first).is_none() {
            fields.insert(first, Json::Object(Members::default()));
        }
        if let Some(Json::Object(inner)) = fields.get_mut(first) {
            return put(inner, rest, value);
        }
    }
    if let Some(Json::Object(inner)) = fields.insert(path, value) {
        for (name, value) in inner {
            fields.insert(format!("{path}.{name}"), value);
        }
    }
}

impl Visit for PlainFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Json::of(&value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Json::of(&value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Json::of(&value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Json::of(&value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Json::of(&value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Json::Text(format!("{value:?}")));
    }
}
