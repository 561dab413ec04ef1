//! The ordinary `tracing` event that every audit event also is, for the other layers.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
    thread,
};

use tracing::{
    Dispatch, Event, Metadata, dispatcher,
    field::{Value, display},
};

use super::{intake::Intake, site::Site, writer::Parts};
use crate::record::{STAMP_ID, scan};

/// The name by which the layer knows a mirrored event.
pub(super) const NAME: &str = "audit!";

/// The fields of a mirrored event, in the order of [`Mirror::send_to`].
pub(super) const FIELDS: [&str; 7] = [
    "message",
    "event_type",
    "id",
    "actor",
    "resource",
    "outcome",
    "details",
];

/// What the mirrored event shows: parts of the rendered record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirror<'a> {
    pub(super) event_type: &'static str,
    pub(super) record: &'a [u8],
    pub(super) parts: Parts,
}

impl Mirror<'_> {
    #[inline(always)]
    fn send_to(&self, dispatch: &Dispatch, metadata: &'static Metadata<'static>) {
        let record = self.record;
        let description = display(Description {
            event_type: self.event_type,
            record,
        });
        // The record's head is ASCII.
        let id = record
            .get(STAMP_ID)
            .and_then(|id| std::str::from_utf8(id).ok())
            .unwrap_or_default();
        let [actor, resource, outcome, details] =
            ["actor", "resource", "outcome", "details"].map(|name| display(Part { name, record }));
        let values: [Option<&dyn Value>; FIELDS.len()] = [
            Some(&description),
            Some(&self.event_type),
            Some(&id),
            Some(&actor),
            self.parts.has(Parts::RESOURCE).then_some(&resource),
            self.parts.has(Parts::OUTCOME).then_some(&outcome),
            self.parts.has(Parts::DETAILS).then_some(&details),
        ];
        dispatch.event(&Event::new(
            metadata,
            &metadata.fields().value_set_all(&values),
        ));
    }
}

/// The text of a member of the record. It is looked for only when a layer shows it: usually none
/// does.
fn text<'a>(record: &'a [u8], name: &str) -> &'a str {
    scan::member(record, name)
        .and_then(|value| std::str::from_utf8(value).ok())
        .unwrap_or_default()
}

#[derive(Debug)]
struct Part<'a> {
    name: &'static str,
    record: &'a [u8],
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(self.record, self.name))
    }
}

/// The event's description, or its type if it has none.
#[derive(Debug)]
struct Description<'a> {
    event_type: &'static str,
    record: &'a [u8],
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = text(self.record, "description");
        if quoted.is_empty() {
            return f.write_str(self.event_type);
        }
        match quoted.get(1..quoted.len() - 1) {
            Some(plain) if !plain.contains('\\') => f.write_str(plain),
            _ => f.write_str(
                &serde_json::from_str::<String>(quoted).unwrap_or_else(|_| quoted.to_owned()),
            ),
        }
    }
}

/// What the layers on this thread should do with a mirrored event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mirroring {
    /// None is under way.
    #[default]
    Idle,
    /// One is, whose record this log (by its intake's address) has already; 0 for none.
    Of(usize),
    /// One is, and it has reached a log that lacks its record.
    Missed(usize),
}

thread_local! {
    static MIRRORING: Cell<Mirroring> = const { Cell::new(Mirroring::Idle) };
    /// The logs that saw a mirrored event whose record they lack.
    static MISSED: RefCell<Vec<Arc<Intake>>> = const { RefCell::new(Vec::new()) };
    /// Another layer panicked over a mirrored event, whose record was in the log by then.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether another layer has panicked over a mirrored event on this thread since this was asked
/// last.
pub(super) fn take_panicked() -> bool {
    PANICKED.try_with(Cell::take).unwrap_or_default()
}

/// Sends the mirrored event; says whether it reached a log that lacks its record: then
/// [`take_missed`] has it. A mirrored event that is recorded while another is under way (because a
/// layer records audit events about events) is not mirrored again: that would not end.
#[inline]
pub(super) fn send(
    site: &'static Site,
    mirror: Mirror<'_>,
    recorded_by: Option<&Arc<Intake>>,
) -> bool {
    /// Ends the state however the event ends.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let _ = MIRRORING.try_with(|state| state.set(Mirroring::Idle));
            if thread::panicking() {
                let _ = PANICKED.try_with(|panicked| panicked.set(true));
            }
        }
    }
    let interest = site.interest();
    if interest.is_never() || MIRRORING.try_with(Cell::get) != Ok(Mirroring::Idle) {
        return false;
    }
    let _ = MIRRORING.try_with(|state| state.set(Mirroring::Of(recorded_by.map_or(0, address))));
    let _end = End;
    // Once for both questions: finding the dispatcher is a good part of what an event costs that
    // nobody looks at.
    dispatcher::get_default(|dispatch| {
        if interest.is_always() || dispatch.enabled(site.metadata()) {
            mirror.send_to(dispatch, site.metadata());
        }
    });
    MIRRORING
        .try_with(Cell::get)
        .is_ok_and(|state| matches!(state, Mirroring::Missed(_)))
}

/// The logs that the mirrored event has reached and that lack its record.
pub(super) fn take_missed() -> Vec<Arc<Intake>> {
    MISSED.try_with(RefCell::take).unwrap_or_default()
}

/// Called by a layer that sees a mirrored event.
pub(super) fn seen_by(intake: &Arc<Intake>) {
    let Ok(Mirroring::Of(has) | Mirroring::Missed(has)) = MIRRORING.try_with(Cell::get) else {
        return;
    };
    if has != address(intake) {
        let _ = MIRRORING.try_with(|state| state.set(Mirroring::Missed(has)));
        let _ = MISSED.try_with(|missed| missed.borrow_mut().push(intake.clone()));
    }
}

fn address(intake: &Arc<Intake>) -> usize {
    Arc::as_ptr(intake).addr()
}
