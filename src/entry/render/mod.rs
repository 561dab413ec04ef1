//! Renders an entry: the one way in which an event of `audit!`, an ordinary event of `tracing` and
//! an entry of the log's own become JSON.
//!
//! In come the head, which is known before the event's values are ([`Head`]), and a closure that
//! writes these values with a [`Writer`], in the order of the entry; what they leave empty is
//! filled from the spans and contexts around the event ([`Inherited`]). Out goes the entry without
//! its opening brace: the writer thread puts `stream` and `seq` before it. Always true:
//!
//! - The fields stand in the order of `tracing_audit_schema::FIELDS`, whatever the caller does.
//! - A value that is absent leaves nothing behind, and neither does an object without members.
//! - Nothing is allocated, but for what the buffer grows by.
//!
//! `writer`, `parts` and `values` are one type in three files: the fields in their order, the parts
//! of those that have some, and how any value is written.

mod argument;
mod head;
mod inherited;
mod joined;
mod parts;
mod rendered;
mod values;
mod writer;

use uuid::Uuid;

use super::{Buffer, Instant, Stamp, hide::hide};
pub use argument::{Argument, AsDebug, AsDisplay, Recordable, debug, display, json, literal};
pub(crate) use argument::{Debugged, Displayed, Json, Written};
pub(crate) use head::Head;
pub(crate) use inherited::{Inherited, SpanFields};
pub use parts::{ActorParts, ContextParts};
pub(crate) use rendered::Rendered;
pub use values::{Object, Parts};
pub use writer::Writer;

/// An event before its values are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) at: Instant,
    pub(crate) id: Uuid,
    pub(crate) head: Head<'a>,
}

impl Event<'_> {
    /// Has it happen now, if that is later.
    pub(crate) fn happens_again(&mut self, random: u64) {
        let now = Instant::now();
        if now.as_micros() > self.at.as_micros() {
            self.at = now;
            self.id = now.uuid(random);
        }
    }

    /// Renders the entry to the end of the buffer. `source` is the field of that name, or empty
    /// where no log takes the event.
    ///
    /// Inlined, because it has two callers, of which one has to be fast.
    #[inline(always)]
    pub(crate) fn render(
        &self,
        out: &mut Buffer,
        stamp: &mut Stamp,
        source: &[u8],
        inherited: &Inherited,
        values: impl FnOnce(&mut Writer<'_>),
    ) -> Parts {
        stamp.write(out, self.at, self.id);
        self.head.write(out);
        out.append(source);
        let start = out.len();
        let mut writer = Writer::new(out, inherited);
        values(&mut writer);
        let parts = writer.finish();
        hide(out, start);
        out.push(b'}');
        parts
    }
}
