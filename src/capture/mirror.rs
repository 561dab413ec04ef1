//! The ordinary `tracing` event that every audit event also is, for the other layers.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use tracing::{
    Dispatch, Event, Metadata, dispatcher,
    field::{Value, display},
};
use tracing_audit_schema::fields::{ACTOR, DETAILS, OUTCOME, RESOURCE};

use super::{
    ending,
    intake::Intake,
    site::{MIRRORED_FIELDS, Site},
};
use crate::entry::render::{Inherited, Parts, Rendered};

/// The fields that the mirrored event shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirror<'a> {
    pub(super) event_type: &'a str,
    pub(super) entry: Rendered<'a>,
}

impl Mirror<'_> {
    #[inline(always)]
    fn send_to(&self, dispatch: &Dispatch, metadata: &'static Metadata<'static>) {
        let entry = self.entry;
        let description = display(entry.description_or(self.event_type));
        let id = entry.id();
        let actor = display(entry.json(&ACTOR));
        let resource = display(entry.json(&RESOURCE));
        let outcome = display(entry.json(&OUTCOME));
        let details = display(entry.json(&DETAILS));
        let values: [Option<&dyn Value>; MIRRORED_FIELDS.len()] = [
            Some(&description),
            Some(&self.event_type),
            Some(&id),
            Some(&actor),
            entry.has(Parts::RESOURCE).then_some(&resource),
            entry.has(Parts::OUTCOME).then_some(&outcome),
            entry.has(Parts::DETAILS).then_some(&details),
        ];
        dispatch.event(&Event::new(
            metadata,
            &metadata.fields().value_set_all(&values),
        ));
    }
}

/// The state of mirroring on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mirroring {
    /// None is under way.
    #[default]
    Idle,
    /// An event is mirrored whose entry this log (by its intake's address) has already; 0 for none.
    Of(usize),
    /// An event is mirrored, and has reached a log that lacks its entry.
    Missed(usize),
}

thread_local! {
    static MIRRORING: Cell<Mirroring> = const { Cell::new(Mirroring::Idle) };
    /// The logs that saw the mirrored event and lack its entry, each with what the event inherits
    /// there.
    static MISSED: RefCell<Vec<(Arc<Intake>, Inherited)>> = const { RefCell::new(Vec::new()) };
    /// A call of `audit!` has unwound whose event was recorded by then.
    static UNWOUND: Cell<bool> = const { Cell::new(false) };
}

/// Whether a call of `audit!` has unwound on this thread, with its event recorded, since this was
/// asked last.
pub(super) fn take_unwound() -> bool {
    UNWOUND.try_with(Cell::take).unwrap_or_default()
}

/// While this lives, an event is recorded whose call has not returned.
pub(super) struct Recorded;

impl Recorded {
    /// The call returns. (It may do so while something else unwinds: in a destructor.)
    #[inline]
    pub(super) fn returns(self) {
        mem::forget(self);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = UNWOUND.try_with(|unwound| unwound.set(true));
    }
}

/// The outcome of mirroring an event.
#[must_use = "a log may lack the entry"]
pub(super) enum Sent {
    /// Each log that saw it has its entry.
    Seen,
    /// The event has reached a log that lacks its entry: [`take_missed`] has it.
    Missed,
    /// Another layer panicked over it; it may have reached such a log before.
    Panicked(Box<dyn Any + Send>),
}

impl Sent {
    #[inline]
    pub(super) fn is_seen(&self) -> bool {
        matches!(self, Self::Seen)
    }

    /// Goes on with the panic of another layer, if there was one, as if it had not been caught.
    /// Inside an unwinding it would abort the process, so there it ends.
    #[inline]
    pub(super) fn resume(self) {
        if let Self::Panicked(panic) = self
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// Sends the mirrored event, unless the thread ends. A mirrored event that is recorded while
/// another is under way (because a layer records audit events about events) is not mirrored again:
/// that would not end.
///
/// A panic of another layer is caught, so that what follows is done and nothing of this event is
/// left for the next one to find.
#[inline]
pub(super) fn send(
    site: &'static Site,
    mirror: Mirror<'_>,
    recorded_by: Option<&Arc<Intake>>,
) -> Sent {
    let interest = site.interest();
    if interest.is_never()
        || ending::is_ending()
        || MIRRORING.try_with(Cell::get) != Ok(Mirroring::Idle)
    {
        return Sent::Seen;
    }
    let _ = MIRRORING.try_with(|state| state.set(Mirroring::Of(recorded_by.map_or(0, address))));
    // Once for both questions: finding the dispatcher is a good part of what an event costs that
    // nobody looks at.
    let sent = catch_unwind(AssertUnwindSafe(|| {
        dispatcher::get_default(|dispatch| {
            if interest.is_always() || dispatch.enabled(site.metadata()) {
                mirror.send_to(dispatch, site.metadata());
            }
        });
    }));
    ending::watch();
    let state = MIRRORING.try_with(Cell::take);
    match sent {
        Err(panic) if !ending::is_told_by(&*panic) => Sent::Panicked(panic),
        _ if matches!(state, Ok(Mirroring::Missed(_))) => Sent::Missed,
        _ => Sent::Seen,
    }
}

/// The logs that the mirrored event has reached and that lack its entry, each with what the event
/// inherits there: a log has names of its own for what spans say.
#[cold]
pub(super) fn take_missed() -> Vec<(Arc<Intake>, Inherited)> {
    MISSED.try_with(RefCell::take).unwrap_or_default()
}

/// Called by a layer that sees a mirrored event, with the way to gather what it inherits.
pub(super) fn seen_by(intake: &Arc<Intake>, gather: impl FnOnce(&mut Inherited)) {
    let Ok(Mirroring::Of(has) | Mirroring::Missed(has)) = MIRRORING.try_with(Cell::get) else {
        return;
    };
    if has != address(intake) {
        let _ = MIRRORING.try_with(|state| state.set(Mirroring::Missed(has)));
        let mut inherited = Inherited::default();
        gather(&mut inherited);
        let _ = MISSED.try_with(|missed| {
            let mut missed = missed.borrow_mut();
            // It may have two layers in the stack.
            if !missed.iter().any(|(other, _)| Arc::ptr_eq(other, intake)) {
                missed.push((intake.clone(), inherited));
            }
        });
    }
}

fn address(intake: &Arc<Intake>) -> usize {
    Arc::as_ptr(intake).addr()
}
