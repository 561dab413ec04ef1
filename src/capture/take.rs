//! Takes an event into a log: renders it in a buffer of the thread and pushes it into the journal.
//! `audit!` and ordinary events of `tracing` share this way.

use std::{cell::Cell, sync::Arc};

use super::{
    hash::Hashing,
    intake::Intake,
    receipt::{NotTaken, Taken},
    shorten,
};
use crate::{
    entry::{
        Buffer, Instant, Stamp, make_again,
        render::{Event, Head, Inherited, Parts, Rendered, Writer},
    },
    journal::Process,
};

/// The buffers that a thread keeps from one event to the next.
pub(super) struct Scratch {
    out: Buffer,
    /// The fields that the event inherits.
    pub(super) inherited: Inherited,
    random: fastrand::Rng,
    stamp: Stamp,
    /// A child by `fork` makes its own: with the random numbers of its parent it would give the
    /// same ids.
    process: Process,
    /// The log of the last event.
    pub(super) intake: Option<Arc<Intake>>,
}

thread_local! {
    /// Taken while an event is rendered, so an event inside an event's argument works with a new
    /// one.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A buffer that once held a long entry is not kept.
const KEPT_CAPACITY: usize = 256 * 1024;

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

    /// The scratch space of this thread, in which nothing is inherited yet.
    #[inline]
    pub(super) fn of_thread() -> Box<Self> {
        // At the thread's end the slot may be gone.
        let mut scratch = match SCRATCH.try_with(Cell::take) {
            Ok(Some(scratch)) if scratch.process.is_current() => scratch,
            _ => Self::new(),
        };
        scratch.inherited.clear();
        scratch
    }

    /// Leaves it to the next event.
    pub(super) fn keep(mut self: Box<Self>) {
        if self.out.capacity() > KEPT_CAPACITY {
            self.out = Buffer::with_capacity(2048);
        }
        let _ = SCRATCH.try_with(|slot| slot.set(Some(self)));
    }

    /// An event that happens now.
    #[inline]
    pub(super) fn event<'a>(&mut self, head: Head<'a>) -> Event<'a> {
        let at = Instant::now();
        let id = at.uuid(self.random.u64(..));
        Event { at, id, head }
    }

    /// Renders the event, and pushes it into the journal of the log, if there is one.
    pub(super) fn take(
        &mut self,
        event: &mut Event<'_>,
        intake: Option<&Intake>,
        write: &dyn Fn(&mut Writer<'_>),
    ) -> (Parts, Taken) {
        let parts = self.render(event, intake, write);
        let taken = match intake {
            Some(intake) => self.push(event, intake),
            None => Err(NotTaken::NoLog),
        };
        (parts, taken)
    }

    /// The entry that was rendered last.
    #[inline]
    pub(super) fn rendered(&self, parts: Parts) -> Rendered<'_> {
        Rendered::new(&self.out, parts)
    }

    fn render(
        &mut self,
        event: &Event<'_>,
        intake: Option<&Intake>,
        write: &dyn Fn(&mut Writer<'_>),
    ) -> Parts {
        let Self {
            out,
            inherited,
            stamp,
            ..
        } = self;
        out.clear();
        out.limit_texts(intake.map_or(Buffer::LONGEST, |intake| intake.longest));
        out.set_names(intake.and_then(|intake| intake.names));
        let source = intake.map_or(&[][..], |intake| &intake.source);
        // An event in an event's argument may be another log's.
        let _hashing = Hashing::with(intake.map(|intake| intake.hash_key));
        event.render(out, stamp, source, inherited, write)
    }

    fn push(&mut self, event: &mut Event<'_>, intake: &Intake) -> Taken {
        if !self.process.is_current() {
            return Err(NotTaken::OtherProcess);
        }
        let mut shortened;
        let entry: &mut [u8] = if self.out.len() <= intake.longest {
            &mut self.out
        } else {
            shortened = shorten::shorten(&self.out, intake.longest);
            &mut shortened
        };
        let made = event.at.as_micros();
        intake.push(entry, made, |entry| {
            event.happens_again(self.random.u64(..));
            make_again(entry, event.at, event.id);
        })
    }
}
