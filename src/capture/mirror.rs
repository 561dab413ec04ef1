//! The ordinary `tracing` event that every audit event also is, for the other layers.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
};

use tracing::{
    Dispatch, Event, Metadata, dispatcher,
    field::{Value, display},
};

use super::{
    intake::Intake,
    site::Site,
    writer::{Mark, Marks},
};

/// The name by which the layer knows a mirrored event.
pub(super) const NAME: &str = "audit!";

/// The fields of a mirrored event, in the order of [`Mirror::send_to`].
pub(super) const FIELDS: [&str; 7] = ["message", "event_type", "id", "actor", "resource", "outcome", "details"];

/// What the mirrored event shows: parts of the rendered record.
#[derive(Debug)]
pub(super) struct Mirror<'a> {
    pub(super) event_type: &'static str,
    pub(super) record: &'a [u8],
    pub(super) marks: &'a Marks,
}

impl Mirror<'_> {
    fn part(&self, mark: &Mark) -> Text<'_> {
        Text(self.record.get(mark.clone()).unwrap_or_default())
    }

    #[inline(always)]
    fn send_to(&self, dispatch: &Dispatch, metadata: &'static Metadata<'static>) {
        let description = display(Description { event_type: self.event_type, json: self.part(&self.marks.description) });
        let id = self.part(&self.marks.id).as_str();
        let parts = [&self.marks.actor, &self.marks.resource, &self.marks.outcome, &self.marks.details].map(|mark| self.part(mark));
        let shown = parts.map(display);
        let [actor, resource, outcome, details] = std::array::from_fn(|at| (!parts[at].0.is_empty()).then_some(&shown[at] as &dyn Value));
        let values = [Some(&description as &dyn Value), Some(&self.event_type), Some(&id), actor, resource, outcome, details];
        dispatch.event(&Event::new(metadata, &metadata.fields().value_set_all(&values)));
    }
}

/// A part of the record. It becomes text only when a layer shows it: usually none does.
#[derive(Clone, Copy, Debug)]
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn as_str(self) -> &'a str {
        // The record is JSON, and its parts are cut between ASCII.
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The event's description, or its type if it has none.
#[derive(Debug)]
struct Description<'a> {
    event_type: &'static str,
    json: Text<'a>,
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self.json.as_str();
        if quoted.is_empty() {
            return f.write_str(self.event_type);
        }
        match quoted.get(1..quoted.len() - 1) {
            Some(plain) if !plain.contains('\\') => f.write_str(plain),
            _ => f.write_str(&serde_json::from_str::<String>(quoted).unwrap_or_else(|_| quoted.to_owned())),
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
}

thread_local! {
    static MIRRORING: Cell<Mirroring> = const { Cell::new(Mirroring::Idle) };
    /// The logs that saw a mirrored event whose record they lack.
    static FOUND: RefCell<Vec<Arc<Intake>>> = const { RefCell::new(Vec::new()) };
}

/// Sends the mirrored event; returns the logs it reached that lack its record. A mirrored event that is recorded while another is
/// under way (because a layer records audit events about events) is not mirrored again: that would not end.
pub(super) fn send(site: &'static Site, mirror: &Mirror<'_>, recorded_by: Option<&Arc<Intake>>) -> Vec<Arc<Intake>> {
    let idle = MIRRORING.try_with(Cell::get).is_ok_and(|state| state == Mirroring::Idle);
    let interest = site.interest();
    if !idle || interest.is_never() {
        return Vec::new();
    }
    /// Ends the state however the event ends.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let _ = MIRRORING.try_with(|state| state.set(Mirroring::Idle));
        }
    }
    let _ = MIRRORING.try_with(|state| state.set(Mirroring::Of(recorded_by.map_or(0, address))));
    let end = End;
    // Once for both questions: finding the dispatcher is a good part of what an event costs that nobody looks at.
    dispatcher::get_default(|dispatch| {
        if interest.is_always() || dispatch.enabled(site.metadata()) {
            mirror.send_to(dispatch, site.metadata());
        }
    });
    drop(end);
    FOUND.try_with(|found| found.try_borrow_mut().map(|mut found| std::mem::take(&mut *found)).unwrap_or_default()).unwrap_or_default()
}

/// Called by a layer that sees a mirrored event.
pub(super) fn seen_by(intake: &Arc<Intake>) {
    let missing = MIRRORING.try_with(Cell::get).is_ok_and(|state| matches!(state, Mirroring::Of(has) if has != address(intake)));
    if missing {
        let _ = FOUND.try_with(|found| {
            if let Ok(mut found) = found.try_borrow_mut() {
                found.push(intake.clone());
            }
        });
    }
}

fn address(intake: &Arc<Intake>) -> usize {
    Arc::as_ptr(intake).addr()
}
