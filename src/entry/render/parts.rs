//! Writes the fields inside an entry's parts, in their order.

use tracing_audit_schema::{
    Slot,
    fields::{
        ACTOR_ATTRIBUTES, ACTOR_ID, ACTOR_NAME, ACTOR_TYPE, CONTEXT_CAPTURED, CONTEXT_MODULE,
        UNKNOWN, USER,
    },
};

use super::{
    argument::Argument,
    joined::joined,
    values::{write_field, write_text},
    writer::Writer,
};
use crate::entry::json;

/// Fields of an actor. The spans and contexts fill what the event leaves empty, unless it names an
/// `id`, or the type of another actor: then the actor is the event's alone.
///
/// Without a type, an actor with an `id` is a `user`, and one without is `unknown`: who acted is
/// never guessed.
#[derive(Debug)]
pub struct ActorParts<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// How many of type, id, name and attributes are dealt with.
    done: usize,
    /// Whether the type is written.
    typed: bool,
    identified: bool,
}

impl<'w, 'a> ActorParts<'w, 'a> {
    /// Each with the key after a type, and before it the type of who is given none.
    const KEYS: [(&'static [u8], &'static [u8]); 4] = [
        (ACTOR_TYPE.key.as_bytes(), ACTOR_TYPE.key.as_bytes()),
        (
            ACTOR_ID.key.as_bytes(),
            joined!(ACTOR_TYPE.key, "\"", USER, "\"", ACTOR_ID.key),
        ),
        (
            ACTOR_NAME.key.as_bytes(),
            joined!(ACTOR_TYPE.key, "\"", UNKNOWN, "\"", ACTOR_NAME.key),
        ),
        (
            ACTOR_ATTRIBUTES.key.as_bytes(),
            joined!(ACTOR_TYPE.key, "\"", UNKNOWN, "\"", ACTOR_ATTRIBUTES.key),
        ),
    ];

    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self {
            writer,
            done: 0,
            typed: false,
            identified: false,
        }
    }

    /// Sets `type`.
    pub fn kind(&mut self, value: &dyn Argument) {
        let start = self.writer.out.len() + Self::KEYS[0].0.len();
        if self.text(0, value)
            && let Some(kind) = self.writer.out.get(start..)
        {
            // Of an actor of another type nothing is taken.
            self.identified = !self.writer.inherited.has_no_actor_but_of(kind);
        }
    }

    /// Sets `id`.
    pub fn id(&mut self, value: &dyn Argument) {
        self.identified |= self.text(1, value);
    }

    /// Sets `name`.
    pub fn name(&mut self, value: &dyn Argument) {
        self.reach(2);
        self.text(2, value);
    }

    /// Sets `attributes`, whole.
    pub fn attributes(&mut self, value: &dyn Argument) {
        self.reach(3);
        let key = self.key(3);
        if write_field(self.writer.out, key, key.len(), value).is_some() {
            self.written(3);
        }
    }

    /// Sets `attributes`, field by field.
    pub fn attribute_fields(&mut self, write: impl FnOnce(&mut Writer<'a>)) {
        self.reach(3);
        let before = self.writer.out.len();
        if !self.typed {
            let unknown = joined!(ACTOR_TYPE.key, "\"", UNKNOWN, "\"");
            self.writer.out.extend_from_slice(unknown);
        }
        let start = self.writer.out.len();
        write(self.writer);
        if self.writer.out.len() == start {
            self.writer.out.truncate(before);
        } else {
            self.written(3);
        }
    }

    fn key(&self, place: usize) -> &'static [u8] {
        let (typed, untyped) = Self::KEYS[place];
        if self.typed { typed } else { untyped }
    }

    #[inline]
    fn written(&mut self, place: usize) {
        self.typed = true;
        self.done = place + 1;
    }

    #[inline]
    fn text(&mut self, place: usize, value: &dyn Argument) -> bool {
        let (typed, untyped) = Self::KEYS[place];
        let out = &mut *self.writer.out;
        // Two calls, each with a key that is a constant.
        let is_written = if self.typed {
            write_text(out, typed, typed.len(), value)
        } else {
            write_text(out, untyped, untyped.len(), value)
        };
        if is_written {
            self.written(place);
        }
        is_written
    }

    pub(super) fn finish(&mut self) {
        self.reach(Self::KEYS.len());
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
        let slots = Slot::OF_ACTOR.into_iter().enumerate();
        for (place, slot) in slots.take(place).skip(self.done) {
            if let Some(value) = inherited.get(slot) {
                self.writer.out.append(self.key(place));
                self.writer.out.append(value);
                self.typed = true;
            }
        }
    }
}

/// Fields of the context, each filled from the spans if the event leaves it empty.
#[derive(Debug)]
pub struct ContextParts<'w, 'a> {
    writer: &'w mut Writer<'a>,
    done: usize,
}

impl<'w, 'a> ContextParts<'w, 'a> {
    const KEYS: [&'static str; Slot::OF_CONTEXT.len()] = {
        let mut keys = [""; Slot::OF_CONTEXT.len()];
        let mut at = 0;
        while at < keys.len() {
            keys[at] = Slot::OF_CONTEXT[at].field().key;
            at += 1;
        }
        keys
    };

    pub(super) fn new(writer: &'w mut Writer<'a>) -> Self {
        Self { writer, done: 0 }
    }

    /// Says how the event came and from which module, before all other fields.
    pub(crate) fn captured(&mut self, how: &str, module: Option<&str>) {
        let out = &mut *self.writer.out;
        out.append(CONTEXT_CAPTURED.key.as_bytes());
        json::write_str(out, how);
        if let Some(module) = module {
            out.append(CONTEXT_MODULE.key.as_bytes());
            json::write_str(out, module);
        }
    }

    /// Sets a field; the key is JSON with its comma and colon, one of those of the context, in
    /// their order.
    pub fn field(&mut self, key: &'static str, value: &dyn Argument) {
        let place = Self::KEYS
            .iter()
            .position(|known| *known == key)
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
        let empty = if self.writer.inherited.is_empty() {
            None
        } else {
            Slot::OF_CONTEXT.get(self.done..place)
        };
        for slot in empty.unwrap_or_default() {
            self.writer.inherit(*slot);
        }
        self.done = self.done.max(place);
    }
}
