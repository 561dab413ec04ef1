//! The time by which retention measures age: the trusted time, which a clock has to prove.
//!
//! Files that are past their retention are removed for good, so one wrong reading of one clock must
//! not be enough. A machine whose battery is empty starts in the wrong year, a wrong time server
//! moves the clock, a person mistypes a date: a clock that is a year ahead makes everything look a
//! year old.
//!
//! # What is believed
//!
//! [`ClockGuard`] keeps a *trusted time* in `state/clock.json` and moves it at each observation,
//! once a minute while a log is open:
//!
//! 1. The trusted time goes on with the machine's uptime (`CLOCK_BOOTTIME`), which can't be set,
//!    and which counts on while the machine sleeps and while no process of ours runs.
//! 2. The trusted time never follows the wall clock forward at once. The distance by which the wall
//!    clock is ahead is a *leap*. A leap is believed after the clock kept on for as long as it
//!    leapt, an hour at least and three days at most ([`PROOF`]), measured in uptime: across
//!    restarts of the process, and across those of the machine, whose time without power counts for
//!    nothing. Each leap has its own proof; a later one doesn't profit from an earlier one. A clock
//!    that goes back by more than a tenth of its leaps begins all of their proofs anew.
//! 3. The trusted time follows the wall clock backward at once. The time that was trusted before is
//!    remembered until the earlier clock has proved itself as long as a leap over the difference
//!    would have to: a machine without a battery starts in 1970 each time, and when it learns the
//!    time from the network, only the time that it was off is a leap.
//! 4. The file system's clock has a say as well: the reading is the earlier of the two. On a
//!    network file system that clock is another machine's; on a local one it is the kernel's, which
//!    differs where a process sees another time than the kernel's (`faketime`).
//! 5. The first clock that a log ever has must prove itself for a day ([`FIRST`]), the shortest
//!    retention there is, so a new log never waits. A log that has files and no trusted time yet
//!    begins with the birth of its newest file that isn't in the future.
//!
//! Entries can bear a wrong time as well. When a leap within one boot is believed, or the clock
//! comes back to the time before it went back, what was stamped in the wrong time is younger than
//! it looks. Such a span is remembered with the difference, and files whose newest entry lies in it
//! go when they are past their retention after adding that ([`aged`](ClockGuard::aged)).
//!
//! # What follows
//!
//! - The clock jumps a year ahead, and back within three days: nothing goes.
//! - The clock jumps a year ahead while the machine runs, and stays there: after three days, what
//!   is past its retention by that clock goes, but for what the same boot stamped before the jump.
//! - The machine starts a year ahead, and stays there for three days of uptime: what is past its
//!   retention by that clock goes. It is reported for these three days.
//! - The machine was off for three months: nothing goes at first; after three days, what is past
//!   its retention.
//! - The machine starts in 1970 and then learns the time: only the time it was off is a leap, and
//!   its entries of 1970 stay as long as those of today.
//! - The machine is on for eight hours a day: the trusted time is two or three days late.
//! - The process restarts every minute: as without.
//! - The clock is set back a year: nothing goes until it is set right, or a year is over.
//! - Only `tracing-audit prune` opens the log, and the machine restarts in between: no two
//!   observations share a boot, so nothing goes until a person has checked the clock.
//! - `state/clock.json` is lost: what is past its retention by the newest file goes; the rest as
//!   after a leap.
//!
//! A person who has checked the clock ends the waiting: `tracing-audit prune --trust-clock`, or
//! [`AuditLog::trust_clock`](crate::AuditLog::trust_clock).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Uptime;
use crate::entry::Timestamp;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// How long a clock has to keep on after a leap: as long as the leap, within these bounds. The
/// longer one is a weekend, in which no person may look.
pub(super) const PROOF: (i64, i64) = (HOUR, 3 * DAY);
/// How long a log's first clock has to keep on.
pub(super) const FIRST: i64 = DAY;
/// Differences up to this are none: clocks of files are coarse, and two machines that share a
/// network file system differ a little.
pub(super) const STEP: i64 = 5 * SECOND;

const MAX_LEAPS: usize = 32;
const MAX_MISDATED: usize = 16;
const MAX_BOOTS: usize = 16;

/// The clocks' times at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    /// `None` if the file system's clock could not be asked: then no leap is believed now.
    pub(super) disk: Option<Timestamp>,
    pub(super) uptime: Uptime,
}

/// The state machine; see the [module](self). All times are microseconds since 1970, all spans
/// microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ClockGuard {
    /// `None` before the first observation.
    trusted: Option<i64>,
    /// The oldest first.
    leaps: Vec<Leap>,
    before_setback: Option<Setback>,
    misdated: Vec<Misdated>,
    /// The last observation of each boot: of one machine's, or of each of several that share a
    /// directory.
    boots: BTreeMap<String, Seen>,
    /// How far the file system's clock is behind, according to the person who confirmed the clock.
    disk_behind: i64,
    /// Whether the log says that files wait for the clock.
    pub(super) recorded: bool,
}

/// How far the clock went ahead without time passing, and how long it has kept on since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leap {
    by: i64,
    need: i64,
    proved: i64,
    /// The entries that this boot stamped before the leap, if it happened within a boot.
    misdated: Option<Misdated>,
}

/// The time that was trusted when the clock went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Setback {
    /// Goes on like the trusted time.
    time: i64,
    /// How long the earlier clock has kept on.
    proved: i64,
    /// The earliest time that can have been stamped since.
    from: i64,
}

/// Entries stamped from `from` to `to` are younger by `by` than they look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Misdated {
    from: i64,
    to: i64,
    by: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    uptime: i64,
    trusted: i64,
    now: i64,
}

/// How long a clock has to keep on that went ahead by `leap`.
pub(super) fn proof(leap: i64) -> i64 {
    leap.clamp(PROOF.0, PROOF.1)
}

impl ClockGuard {
    /// Takes a reading into account. `newest_file` is the birth of the newest file that isn't in
    /// the future of the wall clock; only asked for at the very first observation.
    pub(super) fn observe(
        &mut self,
        reading: &Reading,
        newest_file: impl FnOnce() -> Option<Timestamp>,
    ) {
        let now = self.now(reading);
        let uptime = micros_of(reading);
        if self.trusted.is_none() {
            let file = newest_file().map_or(i64::MIN, Timestamp::as_micros);
            self.trusted = Some(file.clamp(Timestamp::MIN.as_micros(), now));
        }
        let seen = self.boots.get(&reading.uptime.boot).copied();
        let seen = seen.filter(|seen| seen.uptime <= uptime);
        let elapsed = seen.map(|seen| uptime - seen.uptime);
        self.pass(seen, elapsed);
        if now < self.time() - STEP {
            self.set_back(now, elapsed.unwrap_or(uptime));
        }
        self.return_from_setback(now);
        let jumped = seen.zip(elapsed).and_then(|(seen, elapsed)| {
            let by = now - seen.now - elapsed;
            let (from, to) = (seen.now - seen.uptime, seen.now + elapsed);
            (by > STEP).then_some(Misdated { from, to, by })
        });
        self.compare(now, jumped);
        if reading.disk.is_some() {
            self.believe();
        }
        self.remember(reading, now);
    }

    /// Believes the wall clock at once, because a person has checked it.
    pub(super) fn confirm(&mut self, reading: &Reading) {
        let wall = reading.wall.as_micros();
        self.disk_behind = reading.disk.map_or(0, |disk| wall - disk.as_micros());
        self.trusted = Some(wall);
        self.leaps.clear();
        self.before_setback = None;
        self.boots.clear();
        self.recorded = false;
        self.remember(reading, wall);
    }

    /// The latest time that retention may go by.
    pub(super) fn trusted(&self, reading: &Reading) -> Timestamp {
        Timestamp::from_micros(self.time().min(self.now(reading)))
    }

    /// How old an entry with this timestamp may be judged: the time itself, or a later one if the
    /// clock was wrong then.
    pub(super) fn aged(&self, newest: Timestamp) -> Timestamp {
        self.aged_within(newest, newest)
    }

    /// The same for an entry that may have any timestamp between these two.
    pub(super) fn aged_within(&self, oldest: Timestamp, newest: Timestamp) -> Timestamp {
        let (first, last) = (oldest.as_micros(), newest.as_micros());
        let touches = |span: &&Misdated| span.from <= last && first <= span.to + STEP;
        let by = self.misdated.iter().filter(touches).map(|span| span.by);
        Timestamp::from_micros(last.saturating_add(by.max().unwrap_or(0)))
    }

    /// How much more uptime the clock needs to prove all of its leaps.
    pub(super) fn remaining(&self) -> i64 {
        let left = |leap: &Leap| (leap.need - leap.proved).max(0);
        self.leaps.iter().map(left).max().unwrap_or(0)
    }

    /// Whether `before` is worth replacing on disk. Uptime alone isn't, because the next process of
    /// the same boot sees it as well; but every five minutes it is kept for the next boot.
    pub(super) fn is_news(&self, before: &Self) -> bool {
        let shape = |guard: &Self| {
            (
                guard.leaps.len(),
                guard.before_setback.is_some(),
                guard.misdated.clone(),
                guard.boots.keys().cloned().collect::<Vec<_>>(),
                guard.recorded,
            )
        };
        let passed = |(boot, seen): (&String, &Seen)| {
            let before = before.boots.get(boot).map_or(0, |before| before.uptime);
            seen.uptime - before >= 300 * SECOND
        };
        shape(self) != shape(before) || self.boots.iter().any(passed)
    }

    fn time(&self) -> i64 {
        self.trusted.unwrap_or(Timestamp::MIN.as_micros())
    }

    fn now(&self, reading: &Reading) -> i64 {
        let disk = reading.disk.map_or(i64::MAX, Timestamp::as_micros);
        let wall = reading.wall.as_micros();
        wall.min(disk.saturating_add(self.disk_behind))
    }

    /// Lets the trusted time go on with the uptime, and the proofs with it. Another machine that
    /// shares the directory may have been here in between: time isn't counted twice.
    fn pass(&mut self, seen: Option<Seen>, elapsed: Option<i64>) {
        let time = self.time();
        let on = seen
            .zip(elapsed)
            .map(|(seen, elapsed)| seen.trusted + elapsed);
        let passed = on.map_or(0, |on| (on - time).max(0));
        self.trusted = Some(time + passed);
        for leap in &mut self.leaps {
            leap.proved += passed;
        }
        if let Some(setback) = &mut self.before_setback {
            setback.time += passed;
            setback.proved += passed;
            if setback.proved >= proof(setback.time - time - passed) {
                self.before_setback = None;
                // The time that was believed before was wrong.
                self.misdated
                    .retain(|span| span.from + span.by <= time + passed);
            }
        }
    }

    /// The clock is behind the trusted time; it has been for `since` at most.
    fn set_back(&mut self, now: i64, since: i64) {
        let from = now - since;
        match &mut self.before_setback {
            Some(setback) => setback.from = setback.from.min(from),
            None => {
                self.before_setback = Some(Setback {
                    time: self.time(),
                    proved: 0,
                    from,
                });
            }
        }
        self.trusted = Some(now);
        self.leaps.clear();
        self.boots.clear();
    }

    fn return_from_setback(&mut self, now: i64) {
        if let Some(setback) = self.before_setback.take_if(|setback| now >= setback.time) {
            let to = self.time();
            self.misdate(Misdated {
                from: setback.from,
                to,
                by: now - to,
            });
            self.trusted = Some(setback.time);
            self.leaps.clear();
        }
    }

    /// Compares the clock with the trusted time and the leaps that wait for their proof.
    fn compare(&mut self, now: i64, jumped: Option<Misdated>) {
        let gap = (now - self.time()).max(0);
        let pending: i64 = self.leaps.iter().map(|leap| leap.by).sum();
        if gap > pending + STEP {
            self.leap(gap - pending, jumped);
        } else if pending - gap > STEP.max(pending / 10) {
            let misdated = std::mem::take(&mut self.leaps)
                .into_iter()
                .filter_map(|leap| leap.misdated)
                .max_by_key(|span| span.by);
            if gap > STEP {
                self.leap(gap, misdated);
            }
        } else if pending > gap {
            self.shrink(pending - gap);
        }
    }

    fn leap(&mut self, by: i64, misdated: Option<Misdated>) {
        let first = self.trusted == Some(Timestamp::MIN.as_micros());
        if self.leaps.len() >= MAX_LEAPS {
            self.merge_oldest();
        }
        self.leaps.push(Leap {
            by,
            need: if first { FIRST } else { proof(by) },
            proved: 0,
            misdated,
        });
    }

    /// Makes one leap of the two oldest, proved as long as the later of them.
    fn merge_oldest(&mut self) {
        let oldest = self.leaps.remove(0);
        if let Some(next) = self.leaps.first_mut() {
            next.by += oldest.by;
            next.need = next.need.max(oldest.need).max(proof(next.by));
            let spans = [next.misdated.take(), oldest.misdated];
            next.misdated = spans.into_iter().flatten().max_by_key(|span| span.by);
        }
    }

    /// Takes `by` from the youngest leaps, whose proofs go on.
    fn shrink(&mut self, mut by: i64) {
        while by > 0
            && let Some(mut leap) = self.leaps.pop()
        {
            let less = by.min(leap.by);
            by -= less;
            leap.by -= less;
            if leap.by > 0 {
                self.leaps.push(leap);
            }
        }
    }

    /// Believes the leaps that the clock has proved.
    fn believe(&mut self) {
        let proved = self
            .leaps
            .extract_if(.., |leap| leap.proved >= leap.need)
            .collect::<Vec<_>>();
        for leap in proved {
            self.trusted = Some(self.time() + leap.by);
            if let Some(span) = leap.misdated {
                self.misdate(span);
            }
        }
    }

    fn misdate(&mut self, mut span: Misdated) {
        self.misdated.retain(|other| {
            let apart = other.to + STEP < span.from || span.to + STEP < other.from;
            if !apart {
                span.from = span.from.min(other.from);
                span.to = span.to.max(other.to);
                span.by = span.by.max(other.by);
            }
            apart
        });
        self.misdated.push(span);
        if self.misdated.len() > MAX_MISDATED {
            let smallest = (0..self.misdated.len()).min_by_key(|at| self.misdated[*at].by);
            smallest.map(|at| self.misdated.remove(at));
        }
    }

    fn remember(&mut self, reading: &Reading, now: i64) {
        let boot = &reading.uptime.boot;
        self.boots.remove(boot);
        if self.boots.len() >= MAX_BOOTS {
            let oldest = self.boots.iter().min_by_key(|(_, seen)| seen.trusted);
            let oldest = oldest.map(|(boot, _)| boot.clone());
            oldest.map(|boot| self.boots.remove(&boot));
        }
        let seen = Seen {
            uptime: micros_of(reading),
            trusted: self.time(),
            now,
        };
        self.boots.insert(boot.clone(), seen);
    }
}

fn micros_of(reading: &Reading) -> i64 {
    i64::try_from(reading.uptime.time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "clock_guard_tests.rs"]
mod tests;
