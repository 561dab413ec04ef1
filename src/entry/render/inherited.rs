//! The fields that an event inherits from the spans and contexts around it.
//!
//! A span keeps the fields that mean something to an entry, rendered as JSON, in its extensions. An
//! event gathers them from the innermost span or context outwards; the innermost wins. An actor is
//! one unit: the span that names its `id` hides the whole actor of the spans outside it, as does a
//! context that is given an actor, so that one person's name never stands beside another's id. A
//! type alone hides an actor of another type.

use std::ops::Range;

use tracing_audit_schema::{Slot, fields};

use super::joined::joined;
use crate::entry::{Buffer, address, json};

const SLOTS: usize = Slot::ALL.len();

const ACTOR: u16 = {
    let [kind, id, name, attributes] = Slot::OF_ACTOR;
    bit(kind) | bit(id) | bit(name) | bit(attributes)
};

/// The type of an actor with an id and no type.
const USER: &[u8] = joined!("\"", fields::USER, "\"");

#[inline]
const fn bit(slot: Slot) -> u16 {
    1 << slot as u16
}

/// The fields of one span or context, each value a JSON string, but for the actor's attributes.
/// The fields of a span are kept in its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanFields {
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
    pub(crate) fn complete() -> Self {
        Self {
            complete: true,
            ..Self::default()
        }
    }

    /// From now on the actor is what is set after this, and of no other actor anything.
    pub(crate) fn begin_actor(&mut self) {
        Slot::OF_ACTOR
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
    pub(crate) fn add(&mut self, other: &Self) {
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
    pub(crate) fn overlay(&mut self, inner: &Self) {
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
    pub(crate) fn set_slot(&mut self, slot: Slot, write: impl FnOnce(&mut Buffer)) {
        let mut value = Buffer::default();
        write(&mut value);
        if slot.is_text() {
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

/// The fields that an event inherits: copied, so that no span stays locked while the event is
/// rendered.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
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
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.set, self.closed) = (0, 0);
    }

    /// Adds what the next span or context outwards says.
    pub(crate) fn add(&mut self, span: &SpanFields) {
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
            said |= bit(*slot);
            if self.closed & bit(*slot) == 0 {
                self.values[*slot as usize] = (start + value.start, start + value.end);
            }
        }
        self.set |= said & !self.closed;
        self.closed |= if span.complete {
            u16::MAX
        } else if span.whole_actor || said & bit(Slot::ActorId) != 0 {
            said | ACTOR
        } else {
            said
        };
    }

    /// All values, with the names of their slots.
    #[cfg(all(test, feature = "tower"))]
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        Slot::ALL
            .into_iter()
            .filter_map(|slot| Some((slot.name(), self.get(slot)?)))
    }

    /// Whether an actor of this type can be the one that is known.
    pub(crate) fn has_no_actor_but_of(&self, kind: &[u8]) -> bool {
        let known = self.get(Slot::ActorType);
        let user = self.get(Slot::ActorId).map(|_| USER);
        known.or(user).is_none_or(|known| known == kind)
    }

    /// Whether no span says anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// The value of a slot, a JSON string.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&[u8]> {
        if self.set & bit(slot) == 0 {
            return None;
        }
        let (start, end) = self.values[slot as usize];
        self.bytes.get(start..end)
    }
}
