//! What an event inherits from the spans around it.
//!
//! A span keeps the fields that mean something to an audit record, rendered as JSON, in its
//! extensions. An event gathers them from the innermost span outwards; the innermost wins. An actor
//! is one unit: the span that names its `id` hides the whole actor of the spans outside it, as does
//! a context that is given an actor, so that one person's name never stands beside another's id.

use std::{fmt, ops::Range};

use tracing::field::{Field, Visit};

use crate::record::{Buffer, address, json};

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

    #[inline]
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

const ACTOR: u16 = Slot::ActorType.bit() | Slot::ActorId.bit() | Slot::ActorName.bit();

/// What one span says, each value a JSON string. Kept in the span's extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanFields {
    /// All values, one after the other, so that an event copies them at once.
    text: Vec<u8>,
    /// Where each lies.
    values: Vec<(Slot, Range<usize>)>,
    /// Whether the actor is known, even if it has no `id`.
    whole_actor: bool,
}

impl SpanFields {
    fn set(&mut self, field: &Field, write: impl FnOnce(&mut Buffer)) {
        if let Some(slot) = Slot::of(field.name()) {
            self.set_slot(slot, write);
        }
    }

    /// From now on the actor is what is set after this, and of no other actor anything.
    pub(super) fn begin_actor(&mut self) {
        [Slot::ActorType, Slot::ActorId, Slot::ActorName]
            .into_iter()
            .for_each(|slot| self.remove(slot));
        self.whole_actor = true;
    }

    fn remove(&mut self, slot: Slot) {
        if let Some(place) = self.values.iter().position(|(set, _)| *set == slot) {
            let (_, old) = self.values.remove(place);
            self.values
                .iter_mut()
                .filter(|(_, later)| later.start >= old.end)
                .for_each(|(_, later)| {
                    *later = later.start - old.len()..later.end - old.len();
                });
            self.text.drain(old);
        }
    }

    /// Sets what the other one says.
    pub(super) fn add(&mut self, other: &Self) {
        for (slot, value) in &other.values {
            self.set_slot(*slot, |out| out.append(&other.text[value.clone()]));
        }
    }

    /// Sets a slot to the JSON that is written.
    pub(super) fn set_slot(&mut self, slot: Slot, write: impl FnOnce(&mut Buffer)) {
        let mut value = Buffer::default();
        write(&mut value);
        json::stringify(&mut value, 0);
        if slot == Slot::IpAddress {
            address::canonicalize(&mut value, 0);
        }
        self.remove(slot);
        let start = self.text.len();
        self.text.extend_from_slice(&value);
        self.values.push((slot, start..self.text.len()));
    }
}

impl Visit for SpanFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, |out| json::write_str(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, |out| {
            json::write_display(out, format_args!("{value:?}"))
        });
    }
}

/// What an event inherits: copied, so that no span stays locked while the event is rendered.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    bytes: Buffer,
    /// Where each value lies in `bytes`; of those that are set.
    values: [(usize, usize); SLOTS],
    /// A bit for each slot that is set.
    set: u16,
    /// A bit for each slot that no span further out can set: those set, and of a known actor all.
    closed: u16,
}

impl Inherited {
    #[inline]
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.set, self.closed) = (0, 0);
    }

    /// Adds what the next span outwards says.
    pub(super) fn add(&mut self, span: &SpanFields) {
        let start = self.bytes.len();
        self.bytes.append(&span.text);
        let mut said = 0;
        for (slot, value) in &span.values {
            said |= slot.bit();
            if self.closed & slot.bit() == 0 {
                self.values[*slot as usize] = (start + value.start, start + value.end);
            }
        }
        self.set |= said & !self.closed;
        self.closed |= if span.whole_actor || said & Slot::ActorId.bit() != 0 {
            said | ACTOR
        } else {
            said
        };
    }

    /// All values, with the names of their slots.
    #[cfg(all(test, feature = "tower"))]
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        Slot::ALL
            .iter()
            .filter_map(|&slot| Some((Slot::NAMES[slot as usize], self.get(slot)?)))
    }

    /// Whether nobody further out has a say in who the actor is.
    pub(super) fn has_whole_actor(&self) -> bool {
        self.closed & ACTOR == ACTOR
    }

    /// Whether no span says anything.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// The value of a slot, a JSON string.
    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&[u8]> {
        if self.set & slot.bit() == 0 {
            return None;
        }
        let (start, end) = self.values[slot as usize];
        self.bytes.get(start..end)
    }
}
