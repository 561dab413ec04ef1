//! Renders one record.
//!
//! The macro calls a [`Writer`] in the order of the record's fields. A field that the event doesn't set is filled, as the writer
//! passes its place, with what the spans around the event say.

use super::{
    argument::Argument,
    context::{Inherited, Slot},
    parts::{ActorParts, ContextParts, Fields, OutcomeParts, ResourceParts},
};
use crate::record::{
    Actor, Buffer, Outcome, Rendered, Resource,
    json::{self, Presence},
};

/// The places that are filled from the spans when the event leaves them empty, in the record's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    TenantId,
    Actor,
    IpAddress,
    UserAgent,
    Context,
    End,
}

/// Where a part of the record lies in the buffer.
pub(super) type Mark = std::ops::Range<usize>;

/// Where the parts of the record lie that the mirrored event shows; empty for those it lacks.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) id: Mark,
    pub(super) actor: Mark,
    pub(super) resource: Mark,
    pub(super) outcome: Mark,
    pub(super) description: Mark,
    pub(super) details: Mark,
}

/// Writes the fields of one record, in their order.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) out: &'a mut Buffer,
    pub(super) inherited: &'a Inherited,
    /// The actor of an event that has none, as JSON.
    system: &'a [u8],
    next: Place,
    marks: Marks,
}

impl<'a> Writer<'a> {
    /// Continues a record whose fields up to `source` are in `out`.
    pub(super) fn new(out: &'a mut Buffer, inherited: &'a Inherited, system: &'a [u8], id: Mark) -> Self {
        Self { out, inherited, system, next: Place::TenantId, marks: Marks { id, ..Marks::default() } }
    }

    /// Fills what is left; the record lacks only its closing brace.
    pub(super) fn finish(mut self) -> Marks {
        self.reach(Place::End);
        self.marks
    }

    /// Fills the places before `place` that the event left empty.
    #[inline]
    fn reach(&mut self, place: Place) {
        if self.next < place {
            self.fill_up_to(place);
        }
    }

    fn fill_up_to(&mut self, place: Place) {
        if self.next > Place::Actor && self.inherited.is_empty() {
            self.next = place;
        }
        while self.next < place {
            match self.next {
                Place::TenantId => {
                    self.next = Place::Actor;
                    self.inherit(b",\"tenant_id\":", Slot::TenantId);
                }
                Place::Actor => self.actor_parts(|_| {}),
                Place::IpAddress => {
                    self.next = Place::UserAgent;
                    self.inherit(b",\"ip_address\":", Slot::IpAddress);
                }
                Place::UserAgent => {
                    self.next = Place::Context;
                    self.inherit(b",\"user_agent\":", Slot::UserAgent);
                }
                Place::Context => self.context(|_| {}),
                Place::End => {}
            }
        }
    }

    /// Sets `tenant_id`.
    pub fn tenant_id(&mut self, value: &dyn Argument) {
        self.next = Place::Actor;
        self.text_or(b",\"tenant_id\":", Slot::TenantId, value);
    }

    /// Sets the whole actor.
    pub fn actor(&mut self, actor: &Actor) {
        self.reach(Place::Actor);
        self.next = Place::IpAddress;
        self.marks.actor = self.object(b",\"actor\":", |w| w.part(&actor.0, PART));
    }

    /// Sets parts of the actor.
    #[inline]
    pub fn actor_parts(&mut self, write: impl FnOnce(&mut ActorParts<'_, 'a>)) {
        self.reach(Place::Actor);
        self.next = Place::IpAddress;
        self.marks.actor = self.object(b",\"actor\":", |w| {
            let mut parts = ActorParts::new(w);
            write(&mut parts);
            parts.finish();
        });
        if self.marks.actor.is_empty() {
            self.out.extend_from_slice(b",\"actor\":");
            let start = self.out.len();
            self.out.append(self.system);
            self.marks.actor = start..self.out.len();
        }
    }

    /// Sets the whole resource.
    pub fn resource(&mut self, resource: &Resource) {
        self.reach(Place::IpAddress);
        self.marks.resource = self.object(b",\"resource\":", |w| w.part(&resource.0, PART));
    }

    /// Sets parts of the resource.
    #[inline]
    pub fn resource_parts(&mut self, write: impl FnOnce(&mut ResourceParts<'_, 'a>)) {
        self.reach(Place::IpAddress);
        self.marks.resource = self.object(b",\"resource\":", |w| write(&mut ResourceParts::new(w)));
    }

    /// Sets the whole outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.reach(Place::IpAddress);
        self.marks.outcome = self.object(b",\"outcome\":", |w| w.part(&outcome.0, [b",\"type\":", b",\"reason\":", b",\"error\":"]));
    }

    /// Sets parts of the outcome.
    #[inline]
    pub fn outcome_parts(&mut self, write: impl FnOnce(&mut OutcomeParts<'_, 'a>)) {
        self.reach(Place::IpAddress);
        self.marks.outcome = self.object(b",\"outcome\":", |w| write(&mut OutcomeParts::new(w)));
    }

    /// Sets `description`.
    pub fn description(&mut self, value: &dyn Argument) {
        self.reach(Place::IpAddress);
        self.marks.description = self.text(b",\"description\":", value).unwrap_or_default();
    }

    /// Sets all of `details`. What is no object becomes `{"value":…}`, so that a path into `details` always means something.
    pub fn details_whole(&mut self, value: &dyn Argument) {
        self.reach(Place::IpAddress);
        let Some(mut mark) = self.field(b",\"details\":", value) else { return };
        if self.out.get(mark.start) != Some(&b'{') {
            self.out.insert(mark.start, b"{\"value\":");
            self.out.push(b'}');
            mark.end = self.out.len();
        }
        self.marks.details = mark;
    }

    /// Sets fields of `details`.
    #[inline]
    pub fn details(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        self.reach(Place::IpAddress);
        self.marks.details = self.object(b",\"details\":", |w| write(&mut Fields::new(w.out)));
    }

    /// Sets `tags`.
    pub fn tags(&mut self, value: &dyn Argument) {
        self.reach(Place::IpAddress);
        self.field(b",\"tags\":", value);
    }

    /// Sets `ip_address`.
    pub fn ip_address(&mut self, value: &dyn Argument) {
        self.reach(Place::IpAddress);
        self.next = Place::UserAgent;
        self.text_or(b",\"ip_address\":", Slot::IpAddress, value);
    }

    /// Sets `user_agent`.
    pub fn user_agent(&mut self, value: &dyn Argument) {
        self.reach(Place::UserAgent);
        self.next = Place::Context;
        self.text_or(b",\"user_agent\":", Slot::UserAgent, value);
    }

    /// Sets fields of `context`.
    #[inline]
    pub fn context(&mut self, write: impl FnOnce(&mut ContextParts<'_, 'a>)) {
        self.reach(Place::Context);
        self.next = Place::End;
        self.object(b",\"context\":", |w| {
            let mut parts = ContextParts::new(w);
            write(&mut parts);
            parts.finish();
        });
    }

    /// Writes a field, if the value is present; says where the value lies.
    #[inline(always)]
    pub(super) fn field(&mut self, key: &[u8], value: &dyn Argument) -> Option<Mark> {
        write_field(self.out, key, value)
    }

    /// Writes a field whose value must be a string.
    #[inline(always)]
    pub(super) fn text(&mut self, key: &[u8], value: &dyn Argument) -> Option<Mark> {
        let mark = self.field(key, value)?;
        json::stringify(self.out, mark.start);
        Some(mark.start..self.out.len())
    }

    #[inline(always)]
    fn text_or(&mut self, key: &[u8], slot: Slot, value: &dyn Argument) {
        if self.text(key, value).is_none() {
            self.inherit(key, slot);
        }
    }

    /// Writes a field with what the spans say, if they do.
    pub(super) fn inherit(&mut self, key: &[u8], slot: Slot) {
        if let Some(value) = self.inherited.get(slot) {
            self.out.append(key);
            self.out.append(value);
        }
    }

    /// Writes an object; an empty one leaves nothing. Says where it lies, braces and all.
    #[inline(always)]
    fn object(&mut self, key: &[u8], write: impl FnOnce(&mut Self)) -> Mark {
        let before = self.out.len();
        self.out.extend_from_slice(key);
        let start = self.out.len();
        write(self);
        close_object(self.out, before, start)
    }

    fn part<const N: usize>(&mut self, part: &Rendered<N>, keys: [&[u8]; N]) {
        for (index, key) in keys.iter().enumerate() {
            if let Some(value) = part.field(index) {
                self.out.append(key);
                self.out.append(value);
            }
        }
    }
}

const PART: [&[u8]; 5] = [b",\"type\":", b",\"id\":", b",\"name\":", b",\"attributes\":", b",\"prior_attributes\":"];

/// Writes a field of an object that is open at the end of `out`, unless the value is absent. Says where the value lies.
///
/// The key is JSON with a comma before and a colon behind it. The comma of an object's first field becomes its opening brace.
#[inline(always)]
pub(super) fn write_field(out: &mut Buffer, key: &[u8], value: &dyn Argument) -> Option<Mark> {
    let before = out.len();
    out.extend_from_slice(key);
    let start = out.len();
    if value.write(out).0 == Presence::Absent {
        out.truncate(before);
        return None;
    }
    Some(start..out.len())
}

/// Ends the object whose key begins at `before` and whose first field at `start`; takes the key back if there is no field.
#[inline]
pub(super) fn close_object(out: &mut Buffer, before: usize, start: usize) -> Mark {
    match out.at(start) {
        None => {
            out.truncate(before);
            Mark::default()
        }
        Some(comma) => {
            *comma = b'{';
            out.push(b'}');
            start..out.len()
        }
    }
}
