//! The trusted time on disk: `state/clock.json`. The rules of belief are in
//! [`clock_guard`](super::clock_guard).

use std::sync::Arc;

use super::{
    clock::Clock,
    clock_guard::{ClockGuard, Reading},
    document::Document,
    files::{Files, dirs},
    fs::Fs,
    hold,
    layout::Layout,
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
};

/// The times that retention goes by.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// The time of the wall clock.
    pub(super) wall: Timestamp,
    /// The part of it that is trusted.
    pub(super) trusted: Timestamp,
    pub(super) guard: ClockGuard,
    /// The state on disk.
    kept: ClockGuard,
}

impl Times {
    fn new(guard: ClockGuard, kept: ClockGuard, reading: &Reading) -> Self {
        Self {
            wall: reading.wall,
            trusted: guard.trusted(reading),
            guard,
            kept,
        }
    }

    /// For a retention that doesn't look at ages.
    pub(super) fn unknown() -> Self {
        Self {
            wall: Timestamp::MIN,
            trusted: Timestamp::MIN,
            guard: ClockGuard::default(),
            kept: ClockGuard::default(),
        }
    }

    /// Reads the clocks and lets them prove themselves. Under the lock of pruning, or only to look.
    pub(super) fn observe(clock: &dyn Clock, files: &Files) -> Result<Self> {
        let layout = files.layout();
        let document = document(files.fs().clone(), layout, "clock");
        let kept: ClockGuard = match document.read() {
            // A guard that begins anew trusts less, not more.
            Err(Error::Damaged { .. }) => ClockGuard::default(),
            kept => kept?,
        };
        let reading = read(layout, clock);
        let newest = match kept == ClockGuard::default() {
            true => newest_file(files, reading.wall)?,
            false => None,
        };
        let mut guard = kept.clone();
        guard.observe(&reading, || newest);
        Ok(Self::new(guard, kept, &reading))
    }

    /// As if a person had confirmed the clock.
    pub(super) fn confirmed(mut self, layout: &Layout, clock: &dyn Clock) -> Self {
        let reading = read(layout, clock);
        self.guard.confirm(&reading);
        Self::new(self.guard, self.kept, &reading)
    }

    /// Writes down what the next process has to know. Evidence that can't be kept, on a full disk,
    /// only makes proofs longer.
    pub(super) fn keep(&self, fs: &Arc<dyn Fs>, layout: &Layout) {
        if self.guard.is_news(&self.kept) {
            let _ = write(fs, layout, "clock", |guard| {
                *guard = self.guard.clone();
                Ok(())
            });
        }
    }
}

/// A person has checked the clock; `recorded` runs before it is believed.
pub(super) fn trust(
    fs: &Arc<dyn Fs>,
    layout: &Layout,
    clock: &dyn Clock,
    recorded: impl FnOnce(Timestamp) -> Result<()>,
) -> Result<()> {
    // Under the lock of pruning, so that no observation overwrites it.
    write(fs, layout, hold::LOCK, |guard| {
        let reading = read(layout, clock);
        recorded(reading.wall)?;
        guard.confirm(&reading);
        Ok(())
    })
}

fn document(fs: Arc<dyn Fs>, layout: &Layout, lock: &str) -> Document {
    Document::on(fs, layout, "clock", lock)
}

fn write(
    fs: &Arc<dyn Fs>,
    layout: &Layout,
    lock: &str,
    change: impl FnOnce(&mut ClockGuard) -> Result<()>,
) -> Result<()> {
    let document = document(fs.clone(), layout, lock);
    if let Err(Error::Damaged { path, .. }) = document.read::<ClockGuard>() {
        fs.remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    document.change(change)
}

fn read(layout: &Layout, clock: &dyn Clock) -> Reading {
    // The file system's clock first: then the wall clock is not behind it.
    let disk = clock.of_disk(&layout.lock(hold::LOCK));
    Reading {
        wall: clock.now(),
        disk,
        uptime: clock.uptime(),
    }
}

/// The birth of the newest file that isn't in the future.
fn newest_file(files: &Files, now: Timestamp) -> Result<Option<Timestamp>> {
    let (fs, layout) = (&**files.fs(), files.layout());
    for day in dirs::sealed_days(fs, layout)?.into_iter().rev() {
        let stems = dirs::sealed(fs, layout, day)?.into_iter();
        let births = stems.map(|stem| stem.born);
        if let Some(newest) = births.filter(|born| *born <= now).max() {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}
