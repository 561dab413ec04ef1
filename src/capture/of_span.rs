//! The fields of a span for the logs whose layers are in its subscriber: each log has its own names
//! of the fields that it reads.

use smallvec::{SmallVec, smallvec};
use tracing_subscriber::registry::ExtensionsMut;

use crate::entry::render::SpanFields;

/// In the extensions of a span: what it says to each log, by the address of the log's intake.
pub(super) struct OfSpan(SmallVec<[(usize, SpanFields); 1]>);

impl OfSpan {
    /// The fields of a span that a log reads; `None` if it reads none of them.
    pub(super) fn to(&self, log: usize) -> Option<&SpanFields> {
        let mut logs = self.0.iter();
        logs.find_map(|(of, fields)| (*of == log).then_some(fields))
    }

    /// The same, for what comes later.
    pub(super) fn to_mut(&mut self, log: usize) -> Option<&mut SpanFields> {
        let mut logs = self.0.iter_mut();
        logs.find_map(|(of, fields)| (*of == log).then_some(fields))
    }

    /// Keeps what a span says to a log.
    pub(super) fn keep(log: usize, fields: SpanFields, extensions: &mut ExtensionsMut<'_>) {
        let Some(of_span) = extensions.get_mut::<Self>() else {
            extensions.insert(Self(smallvec![(log, fields)]));
            return;
        };
        match of_span.to_mut(log) {
            Some(kept) => *kept = fields,
            None => of_span.0.push((log, fields)),
        }
    }
}
