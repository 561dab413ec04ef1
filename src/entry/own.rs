//! The log's own entries: losses, recoveries, prunings, the disk.

use std::borrow::Cow;

use serde::Serialize;
use tracing_audit_schema::fields::{
    CONTEXT_REQUEST_ID, DESCRIPTION, OUTCOME, OUTCOME_REASON, OUTCOME_TYPE,
};

use super::{
    Actor, Buffer, EntryActor, Instant, Severity, Source, Stamp,
    json::Members,
    render::{Event, Head, Inherited, Parts, Writer, json},
};

/// An entry that the log itself writes. Its event type begins with `audit.`, which no application's
/// can.
#[derive(Clone, Debug)]
pub(crate) struct OwnEntry {
    event_type: &'static str,
    severity: Severity,
    description: String,
    details: Members,
    caller: Option<Caller>,
    failure: Option<String>,
}

/// Someone outside who made the log do something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// `api_key`, `user` …, or `anonymous` with an empty id and name.
    pub(crate) kind: Cow<'static, str>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tenant: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: String,
}

impl From<&Actor> for Caller {
    fn from(actor: &Actor) -> Self {
        let [kind, id, name] = actor.texts();
        Self {
            kind: kind.into(),
            id,
            name,
            ..Self::default()
        }
    }
}

/// Who makes a change: the application itself, somebody whom the application names, or the caller of
/// the HTTP API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Author {
    caller: Option<Caller>,
    /// The path of the request.
    path: Option<String>,
}

impl Author {
    /// Somebody whom the application names.
    pub(crate) fn named(actor: &Actor) -> Self {
        Self {
            caller: Some(actor.into()),
            path: None,
        }
    }

    /// The caller who sent a request to this path.
    #[cfg(feature = "server")]
    pub(crate) fn of_request(caller: Caller, path: String) -> Self {
        Self {
            caller: Some(caller),
            path: Some(path),
        }
    }

    /// The entry about a change, with its author.
    pub(crate) fn sign(&self, entry: OwnEntry) -> OwnEntry {
        let entry = match &self.caller {
            Some(caller) => entry.caller(caller.clone()),
            None => entry,
        };
        match &self.path {
            Some(path) => entry.detail("path", path.as_str()),
            None => entry,
        }
    }

    /// The type, id and name that the entry about the change has; of the application itself, `source`
    /// is the id.
    pub(crate) fn actor(&self, source: &str) -> EntryActor {
        let Some(caller) = &self.caller else {
            return EntryActor {
                kind: "system".to_owned(),
                id: Some(source.to_owned()),
                ..EntryActor::default()
            };
        };
        EntryActor {
            kind: caller.kind.clone().into_owned(),
            id: unless_empty(&caller.id).map(str::to_owned),
            name: unless_empty(&caller.name).map(str::to_owned),
            ..EntryActor::default()
        }
    }
}

impl OwnEntry {
    pub(crate) fn new(
        event_type: &'static str,
        severity: Severity,
        description: impl Into<String>,
    ) -> Self {
        Self {
            event_type,
            severity,
            description: description.into(),
            details: Members::default(),
            caller: None,
            failure: None,
        }
    }

    pub(crate) fn detail(mut self, key: &str, value: impl Serialize) -> Self {
        self.details.add(key, &value);
        self
    }

    #[cfg(feature = "server")]
    pub(crate) fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The caller who made the log do it; without one, the actor is the log itself.
    pub(crate) fn caller(mut self, caller: Caller) -> Self {
        self.caller = Some(caller);
        self
    }

    /// Marks it as refused, with this `outcome.reason`.
    #[cfg(feature = "server")]
    pub(crate) fn failed(mut self, reason: impl Into<String>) -> Self {
        self.failure = Some(reason.into());
        self
    }

    /// As `audit!` would render it, now: without stream and number.
    pub(crate) fn render(&self, source: &Source) -> Vec<u8> {
        let at = Instant::now();
        let event = Event {
            at,
            id: at.uuid(fastrand::u64(..)),
            head: Head::of(self.event_type, self.severity),
        };
        let mut out = Buffer::with_capacity(512);
        event.render(
            &mut out,
            &mut Stamp::default(),
            &source.to_field(),
            &Inherited::default(),
            |writer| self.write(writer, source),
        );
        out.into_vec()
    }

    fn write(&self, writer: &mut Writer<'_>, source: &Source) {
        let caller = self.caller.as_ref();
        match caller {
            None => writer.actor_parts(|actor| {
                actor.kind(&json("system"));
                actor.id(&json(source.as_str()));
            }),
            Some(caller) => {
                writer.tenant_id(&json(&caller.tenant));
                writer.actor_parts(|actor| {
                    actor.kind(&json(&*caller.kind));
                    actor.id(&json(&unless_empty(&caller.id)));
                    actor.name(&json(&unless_empty(&caller.name)));
                });
            }
        }
        writer.after_actor();
        // An act of the log itself has no outcome: it happens, or there is no entry.
        if caller.is_some() || self.failure.is_some() {
            let outcome = self.failure.as_ref().map_or("success", |_| "failure");
            writer.own_part(&OUTCOME, Parts::OUTCOME, |writer| {
                writer.own_text(&OUTCOME_TYPE, &json(outcome));
                writer.own_text(&OUTCOME_REASON, &json(&self.failure));
            });
        }
        writer.own_text(&DESCRIPTION, &json(&self.description));
        if !self.details.is_empty() {
            writer.details_whole(&json(&self.details));
        }
        if let Some(caller) = caller {
            writer.ip_address(&json(&caller.ip_address));
            writer.user_agent(&json(&caller.user_agent));
            writer.context(|context| {
                context.field(
                    CONTEXT_REQUEST_ID.key,
                    &json(&unless_empty(&caller.request_id)),
                );
            });
        }
    }
}

fn unless_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
