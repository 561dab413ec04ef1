//! Ordinary `tracing` events with target `audit`:
//! `tracing::info!(target: "audit", event_type = "user.created", actor.id = 7, "…")`.
//!
//! Their fields mean what they mean in `audit!`. Fields that `audit!` would reject at compile time
//! can't be rejected here: an event whose type is missing, malformed or the log's own is recorded
//! as `tracing.event`, with all it said under `details`.
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
        self, ACTION, ACTOR_ATTRIBUTES, ACTOR_ID, ACTOR_NAME, ACTOR_TYPE, CATEGORY, CONTEXT,
        DESCRIPTION, EVENT_TYPE, FIELDS, IP_ADDRESS, OUTCOME, OUTCOME_TYPE, RESOURCE,
        RESOURCE_ATTRIBUTES, RESOURCE_PRIOR_ATTRIBUTES, SEVERITY, TAGS, TENANT_ID, USER_AGENT,
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
    let mut event = scratch.event(declared.head());
    // There is no receipt; that a log is closed or full is counted and reported.
    let _ = scratch.take(&mut event, Some(intake), &|writer| {
        fields.write(writer, module)
    });
    scratch.keep();
}

/// The parts of an event that are known before its values.
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

/// The fields of one event: those of the entry's own by their paths, the attributes of its parts,
/// the others as details.
#[derive(Default)]
struct PlainFields {
    own: Vec<(&'static str, Json)>,
    attributes: Vec<(&'static str, Members)>,
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
        if let Some(path) = own(name) {
            self.own.retain(|(own, _)| *own != path);
            self.own.push((path, value));
        } else if let Some((map, below)) = attribute(name) {
            let mut maps = self.attributes.iter_mut();
            match maps.find(|(path, _)| *path == map) {
                Some((_, members)) => put(members, below, value),
                None => {
                    let mut members = Members::default();
                    put(&mut members, below, value);
                    self.attributes.push((map, members));
                }
            }
        } else {
            let below = name.strip_prefix("details.");
            put(&mut self.details, below.unwrap_or(name), value);
        }
    }

    fn get(&self, field: &Field) -> Given<'_> {
        let found = self.own.iter().find(|(own, _)| *own == field.path);
        Given(found.map(|(_, value)| value))
    }

    fn attributes(&self, map: &Field) -> Option<&Members> {
        let mut maps = self.attributes.iter();
        maps.find_map(|(path, members)| (*path == map.path).then_some(members))
    }

    fn has_part_of(&self, object: &Field) -> bool {
        let mut parts = object.parts.iter();
        parts.any(|part| self.get(part).0.is_some() || self.attributes(part).is_some())
    }

    fn take_text(&mut self, field: &Field) -> Option<String> {
        let at = self.own.iter().position(|(own, _)| *own == field.path)?;
        match self.own.swap_remove(at).1 {
            Json::Text(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// Takes the event's own fields. A field that it must not set becomes a detail.
    fn take_declared(&mut self, level: Severity) -> Declared {
        let event_type = match self.take_text(&EVENT_TYPE) {
            // Only the log itself writes events of these types.
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
        self.check_outcome();
        if self.own.iter().any(|(own, _)| *own == MESSAGE)
            && let Some(text) = self.take_text(&DESCRIPTION)
        {
            put(&mut self.details, DESCRIPTION.path, Json::Text(text));
        }
        Declared {
            event_type,
            category: self.take_text(&CATEGORY),
            action: self.take_text(&ACTION),
            severity,
        }
    }

    fn check_outcome(&mut self) {
        let Some(text) = self.take_text(&OUTCOME_TYPE) else {
            return;
        };
        let known = fields::OUTCOMES.contains(&text.as_str());
        let outcome = if known {
            text.clone()
        } else {
            fields::UNKNOWN.to_owned()
        };
        if !known {
            put(&mut self.details, OUTCOME_TYPE.path, Json::Text(text));
        }
        self.own.push((OUTCOME_TYPE.path, Json::Text(outcome)));
    }

    fn write(&self, writer: &mut Writer<'_>, module: Option<&str>) {
        writer.tenant_id(&self.get(&TENANT_ID));
        writer.actor_parts(|actor| {
            actor.kind(&self.get(&ACTOR_TYPE));
            actor.id(&self.get(&ACTOR_ID));
            actor.name(&self.get(&ACTOR_NAME));
            if let Some(attributes) = self.attributes(&ACTOR_ATTRIBUTES) {
                actor.attributes(&json(attributes));
            }
        });
        writer.after_actor();
        for (object, part) in [(&RESOURCE, Parts::RESOURCE), (&OUTCOME, Parts::OUTCOME)] {
            if self.has_part_of(object) {
                writer.own_part(object, part, |writer| self.write_parts(object, writer));
            }
        }
        let message = self.own.iter().find(|(own, _)| *own == MESSAGE);
        let description =
            message.map_or_else(|| self.get(&DESCRIPTION), |(_, value)| Given(Some(value)));
        writer.own_text(&DESCRIPTION, &description);
        if !self.details.is_empty() {
            writer.details_whole(&json(&self.details));
        }
        writer.list(TAGS.key, TAGS.key.len(), &self.get(&TAGS));
        writer.ip_address(&self.get(&IP_ADDRESS));
        writer.user_agent(&self.get(&USER_AGENT));
        writer.context(|context| {
            context.captured("tracing", module);
            for part in CONTEXT.parts_of_event() {
                context.field(part.key, &self.get(part));
            }
        });
    }

    fn write_parts(&self, object: &'static Field, writer: &mut Writer<'_>) {
        for part in object.parts {
            if let Some(attributes) = self.attributes(part) {
                writer.field(part.key, part.key.len(), &json(attributes));
            } else {
                writer.own_text(part, &self.get(part));
            }
        }
    }
}

/// The field of an event of `tracing` that is its message.
const MESSAGE: &str = "message";

/// The path of the field of the entry that an event can give under this name: a text, or the tags.
fn own(name: &str) -> Option<&'static str> {
    if name == MESSAGE {
        return Some(MESSAGE);
    }
    let mut head = FIELDS.iter().filter(|field| field.set_by == SetBy::Head);
    if let Some(field) = head.find(|field| field.name == name) {
        return Some(field.path);
    }
    let field = fields::of_one_word().find(|field| field.given_as() == name);
    let field = field.or_else(|| fields::at(name))?;
    matches!(field.kind, Kind::Text | Kind::List).then_some(field.path)
}

/// The attributes that a field of this name is one of, by their path, and its own path in them.
fn attribute(name: &str) -> Option<(&'static str, &str)> {
    [
        ACTOR_ATTRIBUTES,
        RESOURCE_ATTRIBUTES,
        RESOURCE_PRIOR_ATTRIBUTES,
    ]
    .into_iter()
    .find_map(|map| {
        let below = name.strip_prefix(map.path)?.strip_prefix('.')?;
        Some((map.path, below))
    })
}

/// Sets a value at a dotted path; where the path runs into a value that isn't an object, or such a
/// value comes to where paths lead through, these stay dotted keys. So does a path that is shown
/// although an object of its first name would be hidden: `secrets.found`.
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
