//! Up to when the log is complete: the instant before which no entry will be added to it any more.
//!
//! An entry says the time of the call that made it, and gets into a file later: after it was
//! rendered, waited in the journal, and was written and synced. Each stream says in its journal's
//! header how far it is:
//!
//! 1. The writer sets the journal's *bar* to a second ago. A push that comes later, with an event
//!    that says an earlier time, sees the bar and makes the event again, with the present time. So
//!    does a thread that was held up between its look at the clock and its push.
//! 2. Once everything is durable that was reserved in the journal when the bar was set, the stream
//!    is complete up to the bar, and the header says so.
//!
//! The log is complete up to the earliest of these instants, that of a dead stream included until
//! it is recovered; without any stream that goes on, up to now. The instant is determined *before*
//! the files are listed, so every file that was written up to it is among them.
//!
//! Callers that wait for room in the journal keep the time of their call: while there are any, the
//! bar stays, though not for longer than [`PATIENCE`]. If the clock is set back, the bar goes back
//! with it: what is recorded then is of a time that was complete already.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

use super::{
    fs::Fs,
    journal_place::JournalPlace,
    layout::{Layout, POINTER, RING},
};
use crate::{
    entry::{Seq, StreamId, Timestamp},
    error::{Error, Result},
    journal::{self, Consumer, Position},
};

/// How often a journal is read that doesn't look like one.
const TRIES: u32 = 3;
/// How far behind the clock the bar is set. A call takes longer only if its thread is held up.
const BEHIND: Duration = Duration::from_secs(1);
/// How often the bar is set.
const INTERVAL: Duration = Duration::from_secs(1);
/// For how long callers that wait for room keep the bar where it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a stream is.
#[derive(Debug)]
pub(super) struct Complete {
    /// The bar, or what is later than the one that the journal began with.
    bar: Timestamp,
    /// When it was set, by the steady clock.
    set: Option<Duration>,
    /// What has to be released before the stream is complete up to the bar.
    waits_for: Option<Position>,
}

impl Complete {
    /// The state of a stream whose journal has just begun; `wall` is the time of day.
    pub(super) fn new(wall: Timestamp) -> Self {
        Self {
            bar: wall,
            set: None,
            waits_for: None,
        }
    }

    /// Whether the bar is to be set again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let rested = self
            .set
            .is_none_or(|set| now.saturating_sub(set) >= INTERVAL);
        rested && self.waits_for.is_none()
    }

    /// Sets the bar; `wall` is the time of day.
    pub(super) fn begin(&mut self, consumer: &mut Consumer, now: Duration, wall: Timestamp) {
        let since = self.set.map(|set| now.saturating_sub(set));
        if consumer.is_waited_for() && since.is_some_and(|since| since < PATIENCE) {
            return;
        }
        let bar = Timestamp::from_micros(wall.as_micros() - BEHIND.as_micros() as i64);
        if wall < self.bar {
            // The clock was set back.
            consumer.note_complete(bar.as_micros());
        } else if bar <= self.bar {
            return;
        }
        self.bar = bar;
        self.set = Some(now);
        self.waits_for = Some(consumer.set_bar(bar.as_micros()));
    }

    /// Says that the stream is complete up to the bar, if all that this takes was released.
    pub(super) fn end(&mut self, consumer: &mut Consumer, released: Position) {
        if self.waits_for.is_some_and(|reserved| reserved <= released) {
            self.waits_for = None;
            consumer.note_complete(self.bar.as_micros());
        }
    }
}

/// How far the log is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Up to when it is complete. `None` if that can't be known: a journal is only for its owner to
    /// read, or it is on a file system that is not mounted here, or its process has a version of
    /// this library that doesn't say it.
    pub(crate) until: Option<Timestamp>,
    /// For each stream that goes on, or whose process died and that waits for its recovery, the
    /// first number that is not final: entries from there on may yet get other numbers. `None`
    /// where that can't be known. All other streams are final.
    pub(crate) open: Open,
}

/// The streams that are not final, and from which number on.
pub(crate) type Open = BTreeMap<StreamId, Option<Seq>>;

impl Progress {
    /// Looks how far the log is now. What is in the files *after* this is at least as far.
    pub(crate) fn look(fs: &dyn Fs, layout: &Layout) -> Result<Self> {
        let now = Timestamp::now();
        let mut progress = Self {
            until: Some(now),
            open: BTreeMap::new(),
        };
        let dir = layout.journal_dir();
        let names = match fs.names(&dir) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                progress.until = None;
                return Ok(progress);
            }
            names => names.map_err(Error::io("list", &dir))?,
        };
        let streams = names.iter().filter_map(|name| stream(&name.name));
        for stream in streams.collect::<BTreeSet<_>>() {
            let until = match of_stream(fs, layout, &stream) {
                Of::Nothing => continue,
                Of::Unknown => {
                    progress.open.insert(stream, None);
                    None
                }
                Of::Known(of) => {
                    progress.open.insert(stream, Some(Seq(of.next_seq)));
                    of.complete.map(Timestamp::from_micros)
                }
            };
            progress.until = progress.until.min(until);
        }
        Ok(progress)
    }
}

/// The stream whose journal, or whose pointer to one, has this name.
fn stream(name: &str) -> Option<StreamId> {
    let name = name
        .strip_suffix(RING)
        .or_else(|| name.strip_suffix(POINTER))?;
    name.parse().ok()
}

/// The progress that the journal of a stream states.
enum Of {
    /// All is in files, or nothing was recorded yet.
    Nothing,
    Unknown,
    Known(journal::Progress),
}

fn of_stream(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Of {
    let Ok(place) = JournalPlace::find(fs, layout, stream) else {
        return Of::Unknown;
    };
    if !place.may_have_events() {
        return Of::Nothing;
    }
    // The journal may be written while it is read.
    for _ in 0..TRIES {
        match place.page(fs, layout) {
            Ok(page) => match journal::Progress::parse(&page) {
                Some(progress) => return Of::Known(progress),
                // The journal is being created.
                None if !journal::was_pushed_to(&page) => return Of::Nothing,
                None => {}
            },
            // The stream was closed or recovered.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Of::Nothing,
            Err(_) => return Of::Unknown,
        }
    }
    Of::Unknown
}
