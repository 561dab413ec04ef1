//! Renders one entry.
//!
//! The macro calls a [`Writer`] in the order of the entry's fields. The parts that it knows while
//! compiling it gives as text, together with the key of the value that follows:
//! [`field`](Writer::field). A field that the event doesn't set is filled, as the writer passes its
//! place, with what the spans around the event say.

use tracing_audit_schema::{
    Slot,
    fields::{self, ACTOR, CONTEXT, DETAILS, OUTCOME, RESOURCE},
};

use super::{
    argument::Argument,
    inherited::Inherited,
    joined::joined,
    parts::{ActorParts, ContextParts},
    values::{Object, Parts, write_key, write_text},
};
use crate::entry::{Actor, Buffer, Outcome, Resource, address};

/// The fields that are filled from the spans when the event leaves them empty, in the entry's
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NextField {
    TenantId,
    Actor,
    IpAddress,
    UserAgent,
    Context,
    End,
}

/// Writes the fields of one entry, in their order.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) out: &'a mut Buffer,
    pub(super) inherited: &'a Inherited,
    next: NextField,
    pub(super) parts: Parts,
}

impl<'a> Writer<'a> {
    /// Continues an entry whose fields up to `source` are in `out`.
    pub(super) fn new(out: &'a mut Buffer, inherited: &'a Inherited) -> Self {
        Self {
            out,
            inherited,
            next: NextField::TenantId,
            parts: Parts::default(),
        }
    }

    /// Fills what is left; the entry lacks only its closing brace.
    pub(super) fn finish(mut self) -> Parts {
        self.reach(NextField::End);
        self.parts
    }

    /// Fills the fields before `field` that the event left empty.
    #[inline]
    fn reach(&mut self, field: NextField) {
        if self.next < field {
            if self.next > NextField::Actor && self.inherited.is_empty() {
                self.next = field;
            } else {
                self.fill_up_to(field);
            }
        }
    }

    fn fill_up_to(&mut self, field: NextField) {
        while self.next < field {
            match self.next {
                NextField::TenantId => {
                    self.next = NextField::Actor;
                    self.inherit(Slot::TenantId);
                }
                NextField::Actor => self.actor_parts(|_| {}),
                NextField::IpAddress => {
                    self.next = NextField::UserAgent;
                    self.inherit(Slot::IpAddress);
                }
                NextField::UserAgent => {
                    self.next = NextField::Context;
                    self.inherit(Slot::UserAgent);
                }
                NextField::Context => self.context(|_| {}),
                NextField::End => {}
            }
        }
    }

    /// Sets `tenant_id`.
    pub fn tenant_id(&mut self, value: &dyn Argument) {
        self.next = NextField::Actor;
        self.text_or(Slot::TenantId, value);
    }

    /// Sets `tenant_id` to what is known while compiling: `,"tenant_id":"acme"`.
    pub fn known_tenant_id(&mut self, field: &'static str) {
        self.next = NextField::Actor;
        self.out.append(field.as_bytes());
    }

    /// Sets the whole actor.
    pub fn actor(&mut self, actor: &Actor) {
        self.reach(NextField::Actor);
        self.next = NextField::IpAddress;
        let object = self.open_field(&ACTOR);
        self.part(&actor.0, &fields::ACTOR_PARTS);
        self.close_actor(object);
    }

    /// Sets parts of the actor.
    #[inline]
    pub fn actor_parts(&mut self, write: impl FnOnce(&mut ActorParts<'_, 'a>)) {
        self.reach(NextField::Actor);
        self.next = NextField::IpAddress;
        let object = self.open_field(&ACTOR);
        let mut parts = ActorParts::new(self);
        write(&mut parts);
        parts.finish();
        self.close_actor(object);
    }

    fn close_actor(&mut self, object: Object) {
        if !self.close(object) {
            self.out.extend_from_slice(UNKNOWN_ACTOR);
        }
    }

    /// Goes on to the parts between the actor and the address, which no span fills.
    #[inline]
    pub fn after_actor(&mut self) {
        self.reach(NextField::IpAddress);
    }

    /// Sets the whole resource.
    pub fn resource(&mut self, resource: &Resource) {
        let object = self.open_field(&RESOURCE);
        self.part(&resource.0, &fields::RESOURCE_PARTS);
        self.close_part(object, Parts::RESOURCE);
    }

    /// Sets the whole outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        let object = self.open_field(&OUTCOME);
        self.part(&outcome.0, &fields::OUTCOME_PARTS);
        self.close_part(object, Parts::OUTCOME);
    }

    /// Sets all of `details`. A value that isn't an object becomes `{"value":…}`, so that a path
    /// into `details` always means something.
    pub fn details_whole(&mut self, value: &dyn Argument) {
        let Some(start) = write_key(self.out, DETAILS.key, value) else {
            return;
        };
        if self.out.at(start).map(|first| *first) != Some(b'{') {
            self.out.insert(start, b"{\"value\":");
            self.out.push(b'}');
        }
        self.has(Parts::DETAILS);
    }

    /// Sets `ip_address`; an address is written in its canonical form.
    pub fn ip_address(&mut self, value: &dyn Argument) {
        const KEY: &str = fields::IP_ADDRESS.key;
        self.reach(NextField::IpAddress);
        self.next = NextField::UserAgent;
        let start = self.out.len() + KEY.len();
        if write_text(self.out, KEY.as_bytes(), KEY.len(), value) {
            address::canonicalize(self.out, start);
        } else {
            // A span's is canonical already.
            self.inherit(Slot::IpAddress);
        }
    }

    /// Sets `user_agent`.
    pub fn user_agent(&mut self, value: &dyn Argument) {
        self.reach(NextField::UserAgent);
        self.next = NextField::Context;
        self.text_or(Slot::UserAgent, value);
    }

    /// Sets fields of `context`.
    #[inline]
    pub fn context(&mut self, write: impl FnOnce(&mut ContextParts<'_, 'a>)) {
        self.reach(NextField::Context);
        self.next = NextField::End;
        let object = self.open_field(&CONTEXT);
        let mut parts = ContextParts::new(self);
        write(&mut parts);
        parts.finish();
        self.close(object);
    }

    /// A field of the event's own, or else with what the spans say.
    #[inline(always)]
    fn text_or(&mut self, slot: Slot, value: &dyn Argument) {
        let key = slot.field().key;
        if !write_text(self.out, key.as_bytes(), key.len(), value) {
            self.inherit(slot);
        }
    }

    /// Writes a field with what the spans say, if they do.
    #[inline]
    pub(super) fn inherit(&mut self, slot: Slot) {
        if let Some(value) = self.inherited.get(slot) {
            self.out.append(slot.field().key.as_bytes());
            self.out.append(value);
        }
    }
}

/// The actor of an event whose actor nothing names.
const UNKNOWN_ACTOR: &[u8] = joined!(
    ACTOR.key,
    "{\"",
    fields::ACTOR_TYPE.name,
    "\":\"",
    fields::UNKNOWN,
    "\"}"
);
