//! Renders one entry.
//!
//! The macro calls a [`Writer`] in the order of the entry's fields. What it knows while compiling
//! it gives as text, together with the key of the value that follows: [`field`](Writer::field). A
//! field that the event doesn't set is filled, as the writer passes its place, with what the spans
//! around the event say.

use tracing_audit_schema::{
    Field, Slot,
    fields::{self, ACTOR, CONTEXT, DETAILS, OUTCOME, RESOURCE},
};

use super::{
    argument::Argument,
    inherited::Inherited,
    joined::joined,
    parts::{ActorParts, ContextParts},
};
use crate::entry::{
    Actor, Buffer, Outcome, PartJson, Resource, address,
    denied::{REDACTED_JSON, is_denied},
    json,
};

/// The places that are filled from the spans when the event leaves them empty, in the entry's
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    TenantId,
    Actor,
    IpAddress,
    UserAgent,
    Context,
    End,
}

/// Of the parts that the mirrored event shows, those that the entry has; every entry has an
/// actor.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

#[doc(hidden)]
impl Parts {
    pub const RESOURCE: Self = Self(1);
    pub const OUTCOME: Self = Self(2);
    pub const DETAILS: Self = Self(4);

    pub(super) fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }
}

/// An object that may turn out to be empty; see [`Writer::open`].
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "it has to be closed"]
pub struct Object {
    /// Where its key begins.
    key: usize,
    start: usize,
}

/// Writes the fields of one entry, in their order.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) out: &'a mut Buffer,
    pub(super) inherited: &'a Inherited,
    next: Place,
    parts: Parts,
}

impl<'a> Writer<'a> {
    /// Continues an entry whose fields up to `source` are in `out`.
    pub(super) fn new(out: &'a mut Buffer, inherited: &'a Inherited) -> Self {
        Self {
            out,
            inherited,
            next: Place::TenantId,
            parts: Parts::default(),
        }
    }

    /// Fills what is left; the entry lacks only its closing brace.
    pub(super) fn finish(mut self) -> Parts {
        self.reach(Place::End);
        self.parts
    }

    /// Fills the places before `place` that the event left empty.
    #[inline]
    fn reach(&mut self, place: Place) {
        if self.next < place {
            if self.next > Place::Actor && self.inherited.is_empty() {
                self.next = place;
            } else {
                self.fill_up_to(place);
            }
        }
    }

    fn fill_up_to(&mut self, place: Place) {
        while self.next < place {
            match self.next {
                Place::TenantId => {
                    self.next = Place::Actor;
                    self.inherit(Slot::TenantId);
                }
                Place::Actor => self.actor_parts(|_| {}),
                Place::IpAddress => {
                    self.next = Place::UserAgent;
                    self.inherit(Slot::IpAddress);
                }
                Place::UserAgent => {
                    self.next = Place::Context;
                    self.inherit(Slot::UserAgent);
                }
                Place::Context => self.context(|_| {}),
                Place::End => {}
            }
        }
    }

    /// Sets `tenant_id`.
    pub fn tenant_id(&mut self, value: &dyn Argument) {
        self.next = Place::Actor;
        self.text_or(Slot::TenantId, value);
    }

    /// Sets `tenant_id` to what is known while compiling: `,"tenant_id":"acme"`.
    pub fn known_tenant_id(&mut self, field: &'static str) {
        self.next = Place::Actor;
        self.out.append(field.as_bytes());
    }

    /// Sets the whole actor.
    pub fn actor(&mut self, actor: &Actor) {
        self.reach(Place::Actor);
        self.next = Place::IpAddress;
        let object = self.open_field(&ACTOR);
        self.part(&actor.0, &fields::ACTOR_PARTS);
        self.close_actor(object);
    }

    /// Sets parts of the actor.
    #[inline]
    pub fn actor_parts(&mut self, write: impl FnOnce(&mut ActorParts<'_, 'a>)) {
        self.reach(Place::Actor);
        self.next = Place::IpAddress;
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
        self.reach(Place::IpAddress);
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

    /// Sets all of `details`. What is no object becomes `{"value":…}`, so that a path into
    /// `details` always means something.
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

    /// Writes what is known while compiling: `,"mode":"full"`, and what opens or closes an object
    /// that is not empty.
    #[inline]
    pub fn known(&mut self, json: &'static str) {
        self.out.append(json.as_bytes());
    }

    /// Writes what is known while compiling, and a field. `json` ends in the field's key, of `key`
    /// bytes with its comma and colon; without a value the key is taken back.
    pub fn field(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        write_field(self.out, json.as_bytes(), key, value);
    }

    /// As [`field`](Self::field), of an object whose members stand in the field's place. Another
    /// value stays under the key, and so does `[redacted]` if the key is denied.
    pub fn flatten(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        let name = json.get(json.len() - key + 2..json.len() - 2);
        let name = name.unwrap_or_default().as_bytes();
        let names = self.out.names();
        if is_denied(name, names) || names.is_some_and(|names| names.denies_also(name)) {
            self.out.append(json.as_bytes());
            self.out.append(REDACTED_JSON);
            return;
        }
        let Some(start) = write_field(self.out, json.as_bytes(), key, value) else {
            return;
        };
        let end = self.out.len() - 1;
        match self.out.get(start..end) {
            Some(b"{") => self.out.truncate(start - key),
            Some([b'{', ..]) => {
                self.out.truncate(end);
                // The comma of the key is that of the first member.
                self.out.replace(start - key + 1..start + 1, b"");
            }
            _ => {}
        }
    }

    /// Of members that have one name, keeps the last, in the place of the first. To be called
    /// before the object is closed.
    pub fn leave_last(&mut self, object: &Object) {
        json::leave_last(self.out, object.start);
    }

    /// As [`field`](Self::field), of a value that must be a string.
    pub fn text(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        write_text(self.out, json.as_bytes(), key, value);
    }

    /// Sets a text of the entry's own that no span fills.
    pub(crate) fn own_text(&mut self, field: &'static Field, value: &dyn Argument) {
        write_text(self.out, field.key.as_bytes(), field.key.len(), value);
    }

    /// Sets the texts of a part that no span fills, such as the resource.
    pub(crate) fn own_part(
        &mut self,
        field: &'static Field,
        part: Parts,
        write: impl FnOnce(&mut Self),
    ) {
        let object = self.open_field(field);
        write(self);
        self.close_part(object, part);
    }

    /// As [`field`](Self::field), of a value that must be a list: another one becomes the only
    /// element.
    pub fn list(&mut self, json: &'static str, key: usize, value: &dyn Argument) {
        let Some(start) = write_field(self.out, json.as_bytes(), key, value) else {
            return;
        };
        if self.out.at(start).map(|first| *first) != Some(b'[') {
            self.out.insert(start, b"[");
            self.out.push(b']');
        }
    }

    /// As [`field`](Self::field), of an object that may turn out to be empty, and then leaves
    /// nothing. Each field in it has a comma before it; that of the first becomes the opening
    /// brace.
    pub fn open(&mut self, json: &'static str, key: usize) -> Object {
        self.out.extend_from_slice(json.as_bytes());
        let start = self.out.len();
        Object {
            key: start - key,
            start,
        }
    }

    /// Opens an object of the entry's own.
    #[inline]
    fn open_field(&mut self, field: &Field) -> Object {
        self.out.extend_from_slice(field.key.as_bytes());
        let start = self.out.len();
        Object {
            key: start - field.key.len(),
            start,
        }
    }

    /// Ends an object; says whether there is anything in it.
    pub fn close(&mut self, object: Object) -> bool {
        match self.out.at(object.start) {
            None => {
                self.out.truncate(object.key);
                false
            }
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
                true
            }
        }
    }

    /// As [`close`](Self::close), of a part of the entry.
    pub fn close_part(&mut self, object: Object, part: Parts) {
        if self.close(object) {
            self.has(part);
        }
    }

    /// Says that the entry has this part.
    #[inline]
    pub fn has(&mut self, part: Parts) {
        self.parts.0 |= part.0;
    }

    /// Sets `ip_address`; an address is written in its canonical form.
    pub fn ip_address(&mut self, value: &dyn Argument) {
        const KEY: &str = fields::IP_ADDRESS.key;
        self.reach(Place::IpAddress);
        self.next = Place::UserAgent;
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
        self.reach(Place::UserAgent);
        self.next = Place::Context;
        self.text_or(Slot::UserAgent, value);
    }

    /// Sets fields of `context`.
    #[inline]
    pub fn context(&mut self, write: impl FnOnce(&mut ContextParts<'_, 'a>)) {
        self.reach(Place::Context);
        self.next = Place::End;
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

    fn part<const N: usize>(&mut self, part: &PartJson<N>, fields: &[Field; N]) {
        for (index, field) in fields.iter().enumerate() {
            if let Some(value) = part.field(index) {
                self.out.append(field.key.as_bytes());
                self.out.append(value);
            }
        }
    }
}

/// The actor of an event of which nobody says who acted.
const UNKNOWN_ACTOR: &[u8] = joined!(
    ACTOR.key,
    "{\"",
    fields::ACTOR_TYPE.name,
    "\":\"",
    fields::UNKNOWN,
    "\"}"
);

/// Writes JSON that ends in a key of `key` bytes, and the value; if that is absent, takes the key
/// back. Says where the value begins.
///
/// Inlined, as is [`write_text`]: of a key that is a constant only a store or two is left.
#[inline(always)]
pub(super) fn write_field(
    out: &mut Buffer,
    json: &[u8],
    key: usize,
    value: &dyn Argument,
) -> Option<usize> {
    out.extend_from_slice(json);
    let start = out.len();
    if value.write(out).is_present() {
        Some(start)
    } else {
        out.truncate(start - key);
        None
    }
}

/// As [`write_field`], of a key that nothing stands before.
#[inline(always)]
pub(super) fn write_key(
    out: &mut Buffer,
    key: &'static str,
    value: &dyn Argument,
) -> Option<usize> {
    write_field(out, key.as_bytes(), key.len(), value)
}

/// As [`write_field`], of a value that must be a string. Says whether it is there.
#[inline(always)]
pub(super) fn write_text(out: &mut Buffer, json: &[u8], key: usize, value: &dyn Argument) -> bool {
    match write_field(out, json, key, value) {
        Some(start) => {
            json::stringify(out, start);
            true
        }
        None => false,
    }
}
