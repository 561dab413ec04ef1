//! The runtime of `audit!`.

use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
};

use tracing::dispatcher;
use uuid::Uuid;

use super::{
    context::Inherited,
    hash::{CurrentKey, Hashing},
    in_force,
    intake::Intake,
    layer::{AuditLayer, KeepsOpen},
    mirror::{self, Mirror},
    nowhere,
    receipt::{NotTaken, Receipt, Taken},
    shorten,
    site::Site,
    writer::{Parts, Writer},
};
use crate::{
    entry::{
        Buffer, Instant, Stamp, denied::FieldNames, hide::hide, is_free_event_type,
        nearest_event_type,
    },
    journal::Process,
};

/// The log for events without a layer, and what keeps it open.
static GLOBAL: OnceLock<(Arc<Intake>, KeepsOpen)> = OnceLock::new();

/// Sets the process-wide log; false if there is one already.
pub(crate) fn set_global(intake: Arc<Intake>, open: KeepsOpen) -> bool {
    GLOBAL.set((intake, open)).is_ok()
}

fn global() -> Option<&'static Arc<Intake>> {
    GLOBAL.get().map(|(intake, _)| intake)
}

/// What a thread keeps from one event to the next.
pub(super) struct Scratch {
    out: Buffer,
    inherited: Inherited,
    random: fastrand::Rng,
    stamp: Stamp,
    /// A child by `fork` makes its own: with the random numbers of its parent it would give the
    /// same ids.
    process: Process,
    /// The log of the last event: kept, so that the next one need not touch its reference count,
    /// which all threads share.
    intake: Option<Arc<Intake>>,
}

impl Scratch {
    #[cold]
    fn new() -> Box<Self> {
        let mut seed = [0; 8];
        // Without entropy from the system the generator seeds itself from the time, the thread and
        // addresses.
        let random = match getrandom::fill(&mut seed) {
            Ok(()) => fastrand::Rng::with_seed(u64::from_ne_bytes(seed)),
            Err(_) => fastrand::Rng::new(),
        };
        Box::new(Self {
            out: Buffer::with_capacity(2048),
            inherited: Inherited::default(),
            random,
            stamp: Stamp::default(),
            process: Process::current(),
            intake: None,
        })
    }

    fn adopt(&mut self, intake: &Arc<Intake>) {
        if !self
            .intake
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, intake))
        {
            self.intake = Some(intake.clone());
        }
    }
}

thread_local! {
    /// Taken while an event is rendered, so an event inside an event's argument works with a new
    /// one.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A buffer that once held a long entry is not kept.
const KEPT_CAPACITY: usize = 256 * 1024;

#[inline]
fn take_scratch() -> Box<Scratch> {
    // At the thread's end the slot may be gone.
    match SCRATCH.try_with(Cell::take) {
        Ok(Some(scratch)) if scratch.process.is_current() => scratch,
        _ => Scratch::new(),
    }
}

fn keep_scratch(mut scratch: Box<Scratch>) {
    if scratch.out.capacity() > KEPT_CAPACITY {
        scratch.out = Buffer::with_capacity(2048);
    }
    let _ = SCRATCH.try_with(|slot| slot.set(Some(scratch)));
}

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
    if is_free_event_type(event_type) {
        return record_as(site, event_type, write);
    }
    let nearest = nearest_event_type(event_type);
    site.report_malformed(event_type, &nearest);
    record_as(site, &nearest, write)
}

fn record_as(site: &'static Site, event_type: &str, write: &dyn Fn(&mut Writer<'_>)) -> Receipt {
    let mut scratch = take_scratch();
    scratch.inherited.clear();
    let found = dispatcher::get_default(|dispatch| {
        let Some(layer) = dispatch.downcast_ref::<AuditLayer>() else {
            return false;
        };
        layer.gather(dispatch, &mut scratch.inherited);
        scratch.adopt(layer.intake());
        true
    });
    if !found {
        in_force::gather(&mut scratch.inherited);
    }
    let found = found || global().map(|global| scratch.adopt(global)).is_some();
    let intake = if found { scratch.intake.take() } else { None };

    let at = Instant::now();
    let id = at.uuid(scratch.random.u64(..));
    let head = |out: &mut Buffer| site.write_head(out, event_type);
    let (parts, taken) = take(&mut scratch, &head, at, id, intake.as_deref(), write);
    let mut receipt = Receipt::new(id, taken);
    let is_refused = intake.is_some() && !receipt.is_recorded();
    let mirror = Mirror {
        event_type,
        record: &scratch.out,
        parts,
    };
    let recorded = mirror::Recorded;
    let sent = mirror::send(site, mirror, intake.as_ref());
    if !sent.is_seen() {
        for other in mirror::take_missed() {
            let (_, taken) = take(&mut scratch, &head, at, id, Some(&other), write);
            if !receipt.is_recorded() {
                receipt = Receipt::new(id, taken);
            }
        }
    }
    // A closed log is let go of: its journal's memory should not outlive it on every thread.
    if !is_refused {
        scratch.intake = intake.or(scratch.intake);
    }
    keep_scratch(scratch);
    sent.resume();
    recorded.returns();
    if receipt.met_no_log() {
        nowhere::came(event_type);
    }
    receipt
}

/// The key of the log that would take an event now.
pub(super) fn key_of_log() -> Option<&'static CurrentKey> {
    of_log(|intake| intake.hash_key)
}

/// The names of the log that would take an event now.
pub(crate) fn names_of_log() -> Option<&'static FieldNames> {
    of_log(|intake| intake.names).flatten()
}

fn of_log<T>(what: impl Fn(&Intake) -> T) -> Option<T> {
    let of_layer = dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<AuditLayer>();
        layer.map(|layer| what(layer.intake()))
    });
    of_layer.or_else(|| global().map(|global| what(global)))
}

/// Records an event that came through `tracing`. `head` is the entry's JSON from
/// `schema_version` to `severity`.
pub(super) fn record_plain(
    intake: &Arc<Intake>,
    head: &str,
    gather: impl FnOnce(&mut Inherited),
    write: &dyn Fn(&mut Writer<'_>),
) {
    let mut scratch = take_scratch();
    scratch.inherited.clear();
    gather(&mut scratch.inherited);
    let at = Instant::now();
    let id = at.uuid(scratch.random.u64(..));
    let head = |out: &mut Buffer| out.append(head.as_bytes());
    // There is no receipt; that a log is closed or full is counted and reported.
    let _ = take(&mut scratch, &head, at, id, Some(intake), write);
    keep_scratch(scratch);
}

/// Renders the entry into `scratch.out` and hands it to the log.
fn take(
    scratch: &mut Scratch,
    head: &dyn Fn(&mut Buffer),
    at: Instant,
    id: Uuid,
    intake: Option<&Intake>,
    write: &dyn Fn(&mut Writer<'_>),
) -> (Parts, Taken) {
    let parts = render(scratch, head, at, id, intake, write);
    let taken = match intake {
        Some(intake) => push(intake, scratch),
        None => Err(NotTaken::NoLog),
    };
    (parts, taken)
}

/// Renders the entry into `scratch.out`, all but `stream` and `seq`, which the writer puts before
/// it.
fn render(
    scratch: &mut Scratch,
    head: &dyn Fn(&mut Buffer),
    at: Instant,
    id: Uuid,
    intake: Option<&Intake>,
    write: &dyn Fn(&mut Writer<'_>),
) -> Parts {
    let Scratch {
        out,
        inherited,
        stamp,
        ..
    } = scratch;
    out.clear();
    out.limit_texts(intake.map_or(Buffer::LONGEST, |intake| intake.longest));
    out.set_names(intake.and_then(|intake| intake.names));
    stamp.write(out, at, id);
    head(out);
    if let Some(intake) = intake {
        out.append(&intake.source);
    }
    // An event in an event's argument may be another log's.
    let hashing = Hashing::with(intake.map(|intake| intake.hash_key));
    let start = out.len();
    let mut writer = Writer::new(out, inherited);
    write(&mut writer);
    let parts = writer.finish();
    drop(hashing);
    hide(out, start);
    out.push(b'}');
    parts
}

/// Hands the rendered entry to the log.
fn push(intake: &Intake, scratch: &mut Scratch) -> Taken {
    if !scratch.process.is_current() {
        return Err(NotTaken::OtherProcess);
    }
    let shortened;
    let record: &[u8] = if scratch.out.len() <= intake.longest {
        &scratch.out
    } else {
        shortened = shorten::shorten(&scratch.out, intake.longest);
        &shortened
    };
    intake.push(record)
}
