//! Writes the fields inside a record's parts, in their order.

use super::{
    argument::Argument,
    context::Slot,
    writer::{Writer, write_text},
};
use crate::record::json;

/// Fields of an actor. The spans fill what the event leaves empty, unless it names an `id`: then
/// the actor is the event's alone.
#[derive(Debug)]
pub struct ActorParts<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// How many of type, id and name are dealt with.
    done: usize,
    identified: bool,
}

impl<'w, 'a> ActorParts<'w, 'a> {
    const KEYS: [(&'static [u8], Slot); 3] = [
        (b",\"type\":", Slot::ActorType),
        (b",\"id\":", Slot::ActorId),
        (b",\"name\":", Slot::ActorName),
    ];

    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self {
            writer,
            done: 0,
            identified: false,
        }
    }

    /// Sets `type`.
    pub fn kind(&mut self, value: &dyn Argument) {
        if self.text(b",\"type\":", value) {
            self.done = 1;
        }
    }

    /// Sets `id`. Without a type it is a `user`.
    pub fn id(&mut self, value: &dyn Argument) {
        if self.text(
            if self.done == 0 {
                b",\"type\":\"user\",\"id\":"
            } else {
                b",\"id\":"
            },
            value,
        ) {
            self.done = 2;
            self.identified = true;
        }
    }

    /// Sets `name`.
    pub fn name(&mut self, value: &dyn Argument) {
        self.reach(2);
        if self.text(b",\"name\":", value) {
            self.done = 3;
        }
    }

    /// Sets `attributes`, whole.
    pub fn attributes(&mut self, value: &dyn Argument) {
        self.reach(3);
        self.writer.field(",\"attributes\":", 14, value);
    }

    /// Sets `attributes`, field by field.
    pub fn attribute_fields(&mut self, write: impl FnOnce(&mut Writer<'a>)) {
        self.reach(3);
        write(self.writer);
    }

    #[inline]
    fn text(&mut self, key: &'static [u8], value: &dyn Argument) -> bool {
        write_text(self.writer.out, key, key.len(), value)
    }

    pub(super) fn finish(&mut self) {
        self.reach(3);
    }

    #[inline]
    fn reach(&mut self, place: usize) {
        if self.done < place {
            if !self.identified && !self.writer.inherited.is_empty() {
                self.fill_up_to(place);
            }
            self.done = place;
        }
    }

    fn fill_up_to(&mut self, place: usize) {
        let inherited = self.writer.inherited;
        if self.done == 0
            && place > 0
            && inherited.get(Slot::ActorType).is_none()
            && inherited.get(Slot::ActorId).is_some()
        {
            self.writer.out.extend_from_slice(USER);
        }
        for (key, slot) in Self::KEYS.get(self.done..place).unwrap_or_default() {
            self.writer.inherit(key, *slot);
        }
    }
}

/// The type of an actor with an id and no type.
const USER: &[u8] = b",\"type\":\"user\"";

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

    /// Says how the event came and from which module, before all other fields.
    pub(super) fn captured(&mut self, how: &str, module: Option<&str>) {
        let out = &mut *self.writer.out;
        out.append(b",\"captured\":");
        json::write_str(out, how);
        if let Some(module) = module {
            out.append(b",\"module\":");
            json::write_str(out, module);
        }
    }

    /// Sets a field; the key is JSON with its comma and colon, one of those of the context, in
    /// their order.
    pub fn field(&mut self, key: &'static str, value: &dyn Argument) {
        let place = Self::KEYS
            .iter()
            .position(|(name, _)| *name == key)
            .unwrap_or(self.done);
        self.reach(place);
        if write_text(self.writer.out, key.as_bytes(), key.len(), value) {
            self.done = place + 1;
        }
    }

    pub(super) fn finish(&mut self) {
        self.reach(Self::KEYS.len());
    }

    fn reach(&mut self, place: usize) {
        let keys = if self.writer.inherited.is_empty() {
            None
        } else {
            Self::KEYS.get(self.done..place)
        };
        for (key, slot) in keys.unwrap_or_default() {
            self.writer.inherit(key.as_bytes(), *slot);
        }
        self.done = self.done.max(place);
    }
}
