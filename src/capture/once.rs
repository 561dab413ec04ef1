//! One entry of an ordinary event for each log, however many layers of that log see the event.
//!
//! `tracing` asks all layers of a subscriber whether they want an event before it shows the event
//! to the first of them. So a layer that was asked knows that what was noted of the event since
//! then is of this event and of no earlier one at the same address. A layer that wasn't asked,
//! because a subscriber doesn't pass the question on, records the event: twice is better than
//! never.

use std::{cell::RefCell, ptr};

use smallvec::SmallVec;
use tracing::Event;

/// The event that layers were asked about last.
#[derive(Default)]
struct Asked {
    event: usize,
    /// The layers that it was not shown to yet.
    layers: SmallVec<[usize; 4]>,
    /// The logs that have it.
    logs: SmallVec<[usize; 2]>,
}

thread_local! {
    static ASKED: RefCell<Asked> = RefCell::default();
}

/// Notes that a layer is asked about an event.
pub(super) fn asked(event: &Event<'_>, layer: usize) {
    let _ = ASKED.try_with(|asked| {
        let mut asked = asked.borrow_mut();
        let event = ptr::from_ref(event).addr();
        let is_begun = asked.event == event && asked.logs.is_empty();
        if !is_begun || asked.layers.contains(&layer) {
            *asked = Asked {
                event,
                ..Asked::default()
            };
        }
        asked.layers.push(layer);
    });
}

/// Whether a log still lacks the event that is shown to a layer. The layer then records it.
pub(super) fn is_lacked(event: &Event<'_>, layer: usize, log: usize) -> bool {
    let is_lacked = ASKED.try_with(|asked| {
        let mut asked = asked.borrow_mut();
        let place = asked.layers.iter().position(|other| *other == layer);
        let Some(place) = place.filter(|_| asked.event == ptr::from_ref(event).addr()) else {
            return true;
        };
        asked.layers.swap_remove(place);
        if asked.logs.contains(&log) {
            return false;
        }
        asked.logs.push(log);
        true
    });
    is_lacked.unwrap_or(true)
}
