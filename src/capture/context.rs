//! What an event inherits from the spans around it.
//!
//! A span keeps the fields that mean something to an audit record, rendered as JSON, in its extensions. An event gathers them from
//! the innermost span outwards; the innermost wins. An actor is one unit: the span that names its `id` hides the whole actor of
//! the spans outside it, so that one person's name never stands beside another's id.

use std::{fmt, ops::Range};

use tracing::field::{Field, Visit};

use crate::record::{Buffer, json};

macro_rules! slots {
    ($($slot:ident: $name:literal,)*) => {
        /// A field of the record that can come from the surroundings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Slot {
            $($slot,)*
        }

        impl Slot {
            pub(super) const ALL: &[Self] = &[$(Self::$slot,)*];
            /// What each is called in `audit_context!`, in the same order.
            pub(super) const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

slots! {
    TenantId: "tenant_id",
    ActorType: "actor.type",
    ActorId: "actor.id",
    ActorName: "actor.name",
    IpAddress: "ip_address",
    UserAgent: "user_agent",
    Environment: "context.environment",
    SessionId: "session_id",
    RequestId: "request_id",
    Protocol: "context.protocol",
    Host: "context.host",
    TraceId: "trace_id",
    SpanId: "span_id",
}

const SLOTS: usize = Slot::ALL.len();

impl Slot {
    /// The slot for a span's field: our own name for it, or OpenTelemetry's
    /// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/>).
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "tenant_id" => Self::TenantId,
            "actor.type" => Self::ActorType,
            "actor.id" | "enduser.id" | "user.id" => Self::ActorId,
            "actor.name" | "user.name" => Self::ActorName,
            "ip_address" | "client.address" => Self::IpAddress,
            "user_agent" | "user_agent.original" => Self::UserAgent,
            "context.environment" | "deployment.environment.name" => Self::Environment,
            "session_id" | "context.session_id" | "session.id" => Self::SessionId,
            "request_id" | "context.request_id" => Self::RequestId,
            "context.protocol" | "url.scheme" => Self::Protocol,
            "context.host" | "server.address" => Self::Host,
            "trace_id" | "context.trace_id" => Self::TraceId,
            "span_id" | "context.span_id" => Self::SpanId,
            _ => return None,
        })
    }

    fn is_actor(self) -> bool {
        matches!(self, Self::ActorType | Self::ActorId | Self::ActorName)
    }
}

/// What one span says, each value a JSON string. Kept in the span's extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanFields(Vec<(Slot, Box<[u8]>)>);

impl SpanFields {
    fn set(&mut self, field: &Field, write: impl FnOnce(&mut Buffer)) {
        if let Some(slot) = Slot::of(field.name()) {
            self.set_slot(slot, write);
        }
    }

    /// Sets a slot to the JSON that is written.
    pub(super) fn set_slot(&mut self, slot: Slot, write: impl FnOnce(&mut Buffer)) {
        let mut value = Buffer::default();
        write(&mut value);
        json::stringify(&mut value, 0);
        match self.0.iter_mut().find(|(set, _)| *set == slot) {
            Some((_, old)) => *old = value.into_vec().into(),
            None => self.0.push((slot, value.into_vec().into())),
        }
    }

    fn has(&self, slot: Slot) -> bool {
        self.0.iter().any(|(set, _)| *set == slot)
    }
}

impl Visit for SpanFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, |out| json::write_str(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, |out| json::write_display(out, format_args!("{value:?}")));
    }
}

/// What an event inherits: copied, so that no span stays locked while the event is rendered.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    bytes: Vec<u8>,
    values: [Option<Range<usize>>; SLOTS],
    actor_known: bool,
}

impl Inherited {
    pub(super) fn clear(&mut self) {
        if !self.bytes.is_empty() {
            self.bytes.clear();
            self.values = [const { None }; SLOTS];
            self.actor_known = false;
        }
    }

    /// Adds what the next span outwards says.
    pub(super) fn add(&mut self, span: &SpanFields) {
        for (slot, value) in &span.0 {
            let set = &mut self.values[*slot as usize];
            if set.is_none() && !(self.actor_known && slot.is_actor()) {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(value);
                *set = Some(start..self.bytes.len());
            }
        }
        self.actor_known |= span.has(Slot::ActorId);
    }

    /// All values, with the names of their slots.
    #[cfg(all(test, feature = "tower"))]
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        Slot::ALL.iter().filter_map(|&slot| Some((Slot::NAMES[slot as usize], self.get(slot)?)))
    }

    /// Whether no span says anything.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The value of a slot, a JSON string.
    pub(super) fn get(&self, slot: Slot) -> Option<&[u8]> {
        self.values[slot as usize].clone().map(|range| &self.bytes[range])
    }
}
