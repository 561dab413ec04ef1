//! What an event inherits from the spans and contexts around it.
//!
//! A span keeps the fields that mean something to an entry, rendered as JSON, in its
//! extensions (which ones, `span_names` says). An event gathers them from the innermost span or
//! context outwards; the innermost wins. An actor is one unit: the span that names its `id` hides
//! the whole actor of the spans outside it, as does a context that is given an actor, so that one
//! person's name never stands beside another's id. A type alone hides an actor of another type.

use std::ops::Range;

use crate::entry::{Buffer, address, json};

macro_rules! slots {
    ($($slot:ident: $name:literal,)*) => {
        /// A field of the entry that can come from the surroundings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Slot {
            $($slot,)*
        }

        impl Slot {
            pub(super) const ALL: &[Self] = &[$(Self::$slot,)*];
            /// What each is called, in the same order; those of `context` without that word.
            pub(super) const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

slots! {
    TenantId: "tenant_id",
    ActorType: "actor.type",
    ActorId: "actor.id",
    ActorName: "actor.name",
    ActorAttributes: "actor.attributes",
    IpAddress: "ip_address",
    UserAgent: "user_agent",
    Environment: "environment",
    SessionId: "session_id",
    RequestId: "request_id",
    Protocol: "protocol",
    Host: "host",
    TraceId: "trace_id",
    SpanId: "span_id",
}

const SLOTS: usize = Slot::ALL.len();

impl Slot {
    /// The slot of this name; those of `context` with that word or without.
    pub(super) fn named(name: &str) -> Option<Self> {
        let part = name.strip_prefix("context.");
        let place = Self::NAMES
            .iter()
            .position(|slot| *slot == part.unwrap_or(name))?;
        Self::ALL
            .get(place)
            .copied()
            .filter(|slot| part.is_none() || *slot as usize >= Self::Environment as usize)
    }

    #[inline]
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

const ACTOR: u16 = Slot::ActorType.bit()
    | Slot::ActorId.bit()
    | Slot::ActorName.bit()
    | Slot::ActorAttributes.bit();

/// The slots of an actor, in the order of its fields.
pub(super) const OF_ACTOR: [Slot; 4] = [
    Slot::ActorType,
    Slot::ActorId,
    Slot::ActorName,
    Slot::ActorAttributes,
];

/// The type of an actor with an id and no type.
const USER: &[u8] = b"\"user\"";

/// What one span or context says, each value a JSON string, but for the actor's attributes. That of
/// a span is kept in its extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanFields {
    /// All values, one after the other, so that an event copies them at once.
    text: Vec<u8>,
    /// Where each lies.
    values: Vec<(Slot, Range<usize>)>,
    /// Whether the actor is known, even if it has no `id`.
    whole_actor: bool,
    /// Whether it is all that is known: of what is further out nothing shows through.
    complete: bool,
}

impl SpanFields {
    /// Says nothing, and that nothing else is known.
    pub(super) fn complete() -> Self {
        Self {
            complete: true,
            ..Self::default()
        }
    }

    /// From now on the actor is what is set after this, and of no other actor anything.
    pub(super) fn begin_actor(&mut self) {
        OF_ACTOR.into_iter().for_each(|slot| self.remove(slot));
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

    fn value(&self, slot: Slot) -> Option<&[u8]> {
        let (_, value) = self.values.iter().find(|(set, _)| *set == slot)?;
        self.text.get(value.clone())
    }

    /// Whether it names an actor, of another type than this: one who is not the one of that type.
    fn has_actor_but_of(&self, kind: &[u8]) -> bool {
        let named = self.whole_actor || self.value(Slot::ActorId).is_some();
        named && self.value(Slot::ActorType).unwrap_or(USER) != kind
    }

    /// Says what the inner one says, and of what that leaves open what it said before.
    pub(super) fn overlay(&mut self, inner: &Self) {
        if inner.complete {
            self.clone_from(inner);
            return;
        }
        let names_actor = inner.whole_actor || inner.value(Slot::ActorId).is_some();
        let is_other = inner
            .value(Slot::ActorType)
            .is_some_and(|kind| self.has_actor_but_of(kind));
        if names_actor || is_other {
            self.begin_actor();
        }
        self.add(inner);
    }

    /// Sets a slot to the JSON that is written.
    pub(super) fn set_slot(&mut self, slot: Slot, write: impl FnOnce(&mut Buffer)) {
        let mut value = Buffer::default();
        write(&mut value);
        if slot != Slot::ActorAttributes {
            json::stringify(&mut value, 0);
        }
        if slot == Slot::IpAddress {
            address::canonicalize(&mut value, 0);
        }
        self.remove(slot);
        let start = self.text.len();
        self.text.extend_from_slice(&value);
        self.values.push((slot, start..self.text.len()));
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

    /// Adds what the next span or context outwards says.
    pub(super) fn add(&mut self, span: &SpanFields) {
        if self.closed == u16::MAX {
            return;
        }
        if self
            .get(Slot::ActorType)
            .is_some_and(|kind| span.has_actor_but_of(kind))
        {
            self.closed |= ACTOR;
        }
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
        self.closed |= if span.complete {
            u16::MAX
        } else if span.whole_actor || said & Slot::ActorId.bit() != 0 {
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

    /// Whether an actor of this type can be the one that is known.
    pub(super) fn has_no_actor_but_of(&self, kind: &[u8]) -> bool {
        let known = self.get(Slot::ActorType);
        let user = self.get(Slot::ActorId).map(|_| USER);
        known.or(user).is_none_or(|known| known == kind)
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
