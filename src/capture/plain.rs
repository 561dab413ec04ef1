//! Ordinary `tracing` events with target `audit`:
//! `tracing::info!(target: "audit", event_type = "user.created", actor.id = 7, "…")`.
//!
//! Their fields mean what they mean in `audit!`. What `audit!` would reject at compile time can't
//! be rejected here: an event whose type is missing, malformed or the log's own is recorded as
//! `tracing.event`, with all it said under `details`.
//!
//! Any crate in the program can write them: the entry shows that it came this way, and a log can
//! take those of some modules only.

use std::fmt;

use tracing::{
    Event, Level,
    field::{Field as EventField, Visit},
};
use tracing_audit_schema::{
    Field, Kind, SetBy,
    event_type::is_free,
    fields::{
        self, ACTION, ACTOR_ID, ACTOR_NAME, ACTOR_TYPE, CATEGORY, CONTEXT, DESCRIPTION, EVENT_TYPE,
        IP_ADDRESS, OUTCOME, RESOURCE, SEVERITY, TENANT_ID, USER_AGENT,
    },
    secret_names::{looks_secret, looks_secret_in, path_looks_secret},
};

use super::{intake::Intake, take::Scratch};
use crate::entry::{
    Buffer, Severity,
    json::{self as entry_json, Json, Members},
    render::{Argument, Head, Inherited, Parts, Writer, Written, json},
};

/// The event type of events that have none.
const UNTYPED: &str = "tracing.event";

/// Records an event. `gather` adds what it inherits.
pub(super) fn record(intake: &Intake, event: &Event<'_>, gather: impl FnOnce(&mut Inherited)) {
    let mut fields = PlainFields::default();
    event.record(&mut fields);
    let level = match *event.metadata().level() {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        _ => Severity::Info,
    };
    let declared = fields.take_declared(level);
    let module = event.metadata().module_path();
    let mut scratch = Scratch::of_thread();
    gather(&mut scratch.inherited);
    let event = scratch.event(declared.head());
    // There is no receipt; that a log is closed or full is counted and reported.
    let _ = scratch.take(&event, Some(intake), &|writer| fields.write(writer, module));
    scratch.keep();
}

/// What an event says of itself before its values.
struct Declared {
    event_type: String,
    category: Option<String>,
    action: Option<String>,
    severity: Severity,
}

impl Declared {
    fn head(&self) -> Head<'_> {
        Head::Of {
            event_type: &self.event_type,
            category: self.category.as_deref(),
            action: self.action.as_deref(),
            severity: self.severity,
        }
    }
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
        Written(entry_json::write_value(out, &self.0))
    }
}

impl PlainFields {
    fn set(&mut self, field: &EventField, value: Json) {
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

    fn get(&self, field: &Field) -> Given<'_> {
        let name = field.given_as();
        let found = self.own.iter().find(|(own, _)| *own == name);
        Given(found.map(|(_, value)| value))
    }

    fn has_part_of(&self, object: &Field) -> bool {
        let given = |name: &str| object.parts.iter().any(|part| part.given_as() == name);
        self.own.iter().any(|(own, _)| given(own))
    }

    fn take_text(&mut self, field: &Field) -> Option<String> {
        let at = self.own.iter().position(|(own, _)| *own == field.name)?;
        match self.own.swap_remove(at).1 {
            Json::Text(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// Takes what the event says of itself. What it must not say becomes a detail.
    fn take_declared(&mut self, level: Severity) -> Declared {
        let event_type = match self.take_text(&EVENT_TYPE) {
            // Those of the log itself are not for others to write.
            Some(text) if is_free(&text) => text,
            wrong => {
                if let Some(wrong) = wrong {
                    put(&mut self.details, EVENT_TYPE.name, Json::Text(wrong));
                }
                UNTYPED.to_owned()
            }
        };
        let severity = match self.take_text(&SEVERITY) {
            None => level,
            Some(text) => text.parse().unwrap_or_else(|_| {
                put(&mut self.details, SEVERITY.name, Json::Text(text));
                level
            }),
        };
        Declared {
            event_type,
            category: self.take_text(&CATEGORY),
            action: self.take_text(&ACTION),
            severity,
        }
    }

    fn write(&self, writer: &mut Writer<'_>, module: Option<&str>) {
        writer.tenant_id(&self.get(&TENANT_ID));
        writer.actor_parts(|actor| {
            actor.kind(&self.get(&ACTOR_TYPE));
            actor.id(&self.get(&ACTOR_ID));
            actor.name(&self.get(&ACTOR_NAME));
        });
        writer.after_actor();
        for (object, part) in [(&RESOURCE, Parts::RESOURCE), (&OUTCOME, Parts::OUTCOME)] {
            if self.has_part_of(object) {
                writer.own_part(object, part, |writer| {
                    for part in object.parts.iter().filter(|part| part.kind == Kind::Text) {
                        writer.own_text(part, &self.get(part));
                    }
                });
            }
        }
        let message = self.own.iter().find(|(own, _)| *own == MESSAGE);
        writer.own_text(&DESCRIPTION, &Given(message.map(|(_, value)| value)));
        if !self.details.is_empty() {
            writer.details_whole(&json(&self.details));
        }
        writer.ip_address(&self.get(&IP_ADDRESS));
        writer.user_agent(&self.get(&USER_AGENT));
        writer.context(|context| {
            context.captured("tracing", module);
            for part in CONTEXT.parts.iter().filter(|part| part.short) {
                context.field(part.key, &self.get(part));
            }
        });
    }
}

/// The field of an event of `tracing` that is its message.
const MESSAGE: &str = "message";

/// Whether a field of an event is one of the entry's own, and no detail.
fn is_own(name: &str) -> bool {
    let is_head = |field: &Field| field.set_by == SetBy::Head && field.name == name;
    name == MESSAGE || fields::FIELDS.iter().any(is_head) || is_own_text(name)
}

/// Whether an event can give the entry a text under this name.
fn is_own_text(name: &str) -> bool {
    let is_given = |field: &Field| field.kind == Kind::Text && field.given_as() == name;
    fields::of_event().any(|field| match field.kind {
        Kind::Object if field.path == CONTEXT.path => field
            .parts
            .iter()
            .any(|part| part.short && part.name == name),
        Kind::Object => field.parts.iter().any(is_given),
        _ => is_given(field) && field.path != DESCRIPTION.path,
    })
}

/// Sets a value at a dotted path; where the path runs into a value that is no object, or such a value
/// comes to where paths lead through, these stay dotted keys. So does a path that is shown although
/// an object of its first name would be hidden: `secrets.found`.
fn put(fields: &mut Members, path: &str, value: Json) {
    put_in(fields, "", path, value);
}

/// As [`put`], into an object of this name.
fn put_in(fields: &mut Members, object: &str, path: &str, value: Json) {
    let is_secret = |name: &str| looks_secret_in(object.as_bytes(), name.as_bytes());
    if let Some((first, rest)) = path.split_once('.')
        && (!looks_secret(first.as_bytes()) && !is_secret(first)
            || path_looks_secret(path)
            || is_secret(path))
    {
        if fields.get(first).is_none() {
            fields.insert(first, Json::Object(Members::default()));
        }
        if let Some(Json::Object(inner)) = fields.get_mut(first) {
            return put_in(inner, first, rest, value);
        }
    }
    if let Some(Json::Object(inner)) = fields.insert(path, value) {
        for (name, value) in inner {
            fields.insert(format!("{path}.{name}"), value);
        }
    }
}

impl Visit for PlainFields {
    fn record_f64(&mut self, field: &EventField, value: f64) {
        self.set(field, Json::of(&value));
    }

    fn record_i64(&mut self, field: &EventField, value: i64) {
        self.set(field, Json::of(&value));
    }

    fn record_u64(&mut self, field: &EventField, value: u64) {
        self.set(field, Json::of(&value));
    }

    fn record_i128(&mut self, field: &EventField, value: i128) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_u128(&mut self, field: &EventField, value: u128) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_bool(&mut self, field: &EventField, value: bool) {
        self.set(field, Json::of(&value));
    }

    fn record_str(&mut self, field: &EventField, value: &str) {
        self.set(field, Json::of(&value));
    }

    fn record_error(&mut self, field: &EventField, value: &(dyn std::error::Error + 'static)) {
        self.set(field, Json::Text(value.to_string()));
    }

    fn record_debug(&mut self, field: &EventField, value: &dyn fmt::Debug) {
        self.set(field, Json::Text(format!("{value:?}")));
    }
}
