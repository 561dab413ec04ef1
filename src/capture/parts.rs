//! Writes the fields inside a record's parts, in their order.

use super::{
    argument::Argument,
    context::Slot,
    writer::{Writer, close_object, write_field},
};
use crate::record::Buffer;

/// Fields of an actor. The spans fill what the event leaves empty, unless it names an `id`: then the actor is the event's alone.
#[derive(Debug)]
pub struct ActorParts<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// How many of type, id and name are dealt with.
    done: usize,
    identified: bool,
}

impl<'w, 'a> ActorParts<'w, 'a> {
    const KEYS: [(&'static [u8], Slot); 3] =
        [(b",\"type\":", Slot::ActorType), (b",\"id\":", Slot::ActorId), (b",\"name\":", Slot::ActorName)];

    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self { writer, done: 0, identified: false }
    }

    /// Sets `type`.
    pub fn kind(&mut self, value: &dyn Argument) {
        if self.writer.text(b",\"type\":", value).is_some() {
            self.done = 1;
        }
    }

    /// Sets `id`. Without a type it is a `user`.
    pub fn id(&mut self, value: &dyn Argument) {
        let before = self.writer.out.len();
        if self.done == 0 {
            self.writer.out.extend_from_slice(USER);
        }
        if self.writer.text(b",\"id\":", value).is_some() {
            self.done = 2;
            self.identified = true;
        } else {
            self.writer.out.truncate(before);
        }
    }

    /// Sets `name`.
    pub fn name(&mut self, value: &dyn Argument) {
        self.reach(2);
        if self.writer.text(b",\"name\":", value).is_some() {
            self.done = 3;
        }
    }

    /// Sets `attributes`, whole.
    pub fn attributes(&mut self, value: &dyn Argument) {
        self.reach(3);
        self.writer.field(b",\"attributes\":", value);
    }

    /// Sets fields of `attributes`.
    pub fn attribute_fields(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        self.reach(3);
        Fields::new(self.writer.out).nested(",\"attributes\":", write);
    }

    pub(super) fn finish(&mut self) {
        self.reach(3);
    }

    fn reach(&mut self, place: usize) {
        let inherited = self.writer.inherited;
        if self.identified || inherited.is_empty() {
            self.done = self.done.max(place);
            return;
        }
        if self.done == 0 && place > 0 && inherited.get(Slot::ActorType).is_none() && inherited.get(Slot::ActorId).is_some() {
            self.writer.out.extend_from_slice(USER);
        }
        for (key, slot) in Self::KEYS.get(self.done..place).unwrap_or_default() {
            self.writer.inherit(key, *slot);
        }
        self.done = self.done.max(place);
    }
}

/// The type of an actor with an id and no type.
const USER: &[u8] = b",\"type\":\"user\"";

/// Fields of a resource.
#[derive(Debug)]
pub struct ResourceParts<'w, 'a>(&'w mut Writer<'a>);

impl<'w, 'a> ResourceParts<'w, 'a> {
    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self(writer)
    }

    /// Sets `type`.
    pub fn kind(&mut self, value: &dyn Argument) {
        self.0.text(b",\"type\":", value);
    }

    /// Sets `id`.
    pub fn id(&mut self, value: &dyn Argument) {
        self.0.text(b",\"id\":", value);
    }

    /// Sets `name`.
    pub fn name(&mut self, value: &dyn Argument) {
        self.0.text(b",\"name\":", value);
    }

    /// Sets `attributes`, whole.
    pub fn attributes(&mut self, value: &dyn Argument) {
        self.0.field(b",\"attributes\":", value);
    }

    /// Sets fields of `attributes`.
    pub fn attribute_fields(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        Fields::new(self.0.out).nested(",\"attributes\":", write);
    }

    /// Sets `prior_attributes`, whole.
    pub fn prior_attributes(&mut self, value: &dyn Argument) {
        self.0.field(b",\"prior_attributes\":", value);
    }

    /// Sets fields of `prior_attributes`.
    pub fn prior_attribute_fields(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        Fields::new(self.0.out).nested(",\"prior_attributes\":", write);
    }
}

/// Fields of an outcome.
#[derive(Debug)]
pub struct OutcomeParts<'w, 'a>(&'w mut Writer<'a>);

impl<'w, 'a> OutcomeParts<'w, 'a> {
    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self(writer)
    }

    /// Sets `type`.
    pub fn kind(&mut self, value: &dyn Argument) {
        self.0.text(b",\"type\":", value);
    }

    /// Sets `reason`.
    pub fn reason(&mut self, value: &dyn Argument) {
        self.0.text(b",\"reason\":", value);
    }

    /// Sets `error`.
    pub fn error(&mut self, value: &dyn Argument) {
        self.0.text(b",\"error\":", value);
    }
}

/// Fields of the context, each filled from the spans if the event leaves it empty.
#[derive(Debug)]
pub struct ContextParts<'w, 'a> {
    writer: &'w mut Writer<'a>,
    done: usize,
}

impl<'w, 'a> ContextParts<'w, 'a> {
    const KEYS: [(&'static str, Slot); 7] = [
        (",\"environment\":", Slot::Environment),
        (",\"session_id\":", Slot::SessionId),
        (",\"request_id\":", Slot::RequestId),
        (",\"protocol\":", Slot::Protocol),
        (",\"host\":", Slot::Host),
        (",\"trace_id\":", Slot::TraceId),
        (",\"span_id\":", Slot::SpanId),
    ];

    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self { writer, done: 0 }
    }

    /// Sets a field; the key is JSON with its comma and colon, one of those of the context, in their order.
    pub fn field(&mut self, key: &'static str, value: &dyn Argument) {
        let place = Self::KEYS.iter().position(|(name, _)| *name == key).unwrap_or(self.done);
        self.reach(place);
        if self.writer.text(key.as_bytes(), value).is_some() {
            self.done = place + 1;
        }
    }

    pub(super) fn finish(&mut self) {
        self.reach(Self::KEYS.len());
    }

    fn reach(&mut self, place: usize) {
        let keys = if self.writer.inherited.is_empty() { None } else { Self::KEYS.get(self.done..place) };
        for (key, slot) in keys.unwrap_or_default() {
            self.writer.inherit(key.as_bytes(), *slot);
        }
        self.done = self.done.max(place);
    }
}

/// Fields of an object of the application's own.
#[derive(Debug)]
pub struct Fields<'a>(&'a mut Buffer);

impl<'a> Fields<'a> {
    pub(super) fn new(out: &'a mut Buffer) -> Self {
        Self(out)
    }

    /// Sets a field; the key is JSON with its comma and colon: `,"mode":`.
    pub fn field(&mut self, key: &'static str, value: &dyn Argument) {
        write_field(self.0, key.as_bytes(), value);
    }

    /// Sets fields that are JSON already, each with a comma before it: `,"mode":"full","found":12`.
    pub fn literal(&mut self, fields: &'static str) {
        self.0.append(fields.as_bytes());
    }

    /// Sets an object; one that stays empty is left out.
    #[inline]
    pub fn nested(&mut self, key: &'static str, write: impl FnOnce(&mut Fields<'_>)) {
        let before = self.0.len();
        self.0.extend_from_slice(key.as_bytes());
        let start = self.0.len();
        write(&mut Fields(self.0));
        close_object(self.0, before, start);
    }
}
