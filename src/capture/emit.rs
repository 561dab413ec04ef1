//! The runtime of `audit!`: finds the log, has it take the event, and mirrors the event.

use tracing_audit_schema::event_type::is_free;

use super::{
    current_log,
    mirror::{self, Mirror},
    nowhere,
    receipt::Receipt,
    site::Site,
    take::Scratch,
};
use crate::entry::{nearest_event_type, render::Writer};

/// Records one event: called by the expansion of `audit!`. `write` renders the fields.
///
/// Through a pointer, so that a thousand call sites share one copy of what follows.
pub fn record(site: &'static Site, write: &dyn Fn(&mut Writer<'_>)) -> Receipt {
    record_as(site, site.event_type(), write)
}

/// Records one event whose type is only known now. One of another shape than an event type has
/// becomes the nearest that has it: an event is not lost for the sake of its name.
pub fn record_dynamic(
    site: &'static Site,
    event_type: &str,
    write: &dyn Fn(&mut Writer<'_>),
) -> Receipt {
    if is_free(event_type) {
        return record_as(site, event_type, write);
    }
    let nearest = nearest_event_type(event_type);
    site.report_malformed(event_type, &nearest);
    record_as(site, &nearest, write)
}

fn record_as(site: &'static Site, event_type: &str, write: &dyn Fn(&mut Writer<'_>)) -> Receipt {
    let mut scratch = Scratch::of_thread();
    let Scratch {
        inherited, intake, ..
    } = &mut *scratch;
    let intake = current_log::find(inherited, intake);
    let mut event = scratch.event(site.head(event_type));
    let (parts, taken) = scratch.take(&mut event, intake.as_deref(), write);
    let mut receipt = Receipt::new(event.id, taken);
    let is_refused = intake.is_some() && !receipt.is_recorded();
    let recorded = mirror::Recorded;
    let mirrored = Mirror {
        event_type,
        entry: scratch.rendered(parts),
    };
    let sent = mirror::send(site, mirrored, intake.as_ref());
    if !sent.is_seen() {
        for (other, inherited) in mirror::take_missed() {
            scratch.inherited = inherited;
            let (_, taken) = scratch.take(&mut event, Some(&other), write);
            if !receipt.is_recorded() {
                receipt = Receipt::new(event.id, taken);
            }
        }
    }
    // A closed log is dropped from the cache: its journal's memory should not outlive the log on
    // every thread.
    if !is_refused {
        scratch.intake = intake.or(scratch.intake);
    }
    scratch.keep();
    sent.resume();
    recorded.returns();
    if receipt.met_no_log() {
        nowhere::came(event_type);
    }
    receipt
}
