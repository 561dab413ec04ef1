//! Whether a webhook is fit to be sent to: pure, with time and chance given from outside.
//!
//! After a few failures in a row the circuit is open: then one request goes at a time, at most one
//! a second for what is due, and, so that a webhook that is back is found before the next step of
//! a long schedule, now and then one that is not due. That one costs its entries no attempt of
//! their schedule. A success closes it.
//!
//! The pauses differ a little, so that webhooks that began to fail together don't go on together.

use crate::webhook::queue::schedule::LONGEST_DELAY;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// It opens after so many failures in a row.
const OPENS_AFTER: u32 = 5;
const SECOND: i64 = 1_000_000;
/// The pauses before requests that are not due: doubled from the first to the last. While parked,
/// they are longer.
const FIRST_PROBE: i64 = 5 * SECOND;
const LAST_PROBE: i64 = 300 * SECOND;
const PARKED_PROBE: i64 = 3600 * SECOND;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Circuit {
    /// Failures in a row.
    failures: u32,
    /// The earliest time of an attempt that is due while the circuit is open, by the queue's clock.
    due_at: i64,
    /// The earliest time of an attempt that is not due.
    probe_at: i64,
    /// It has failed for so long that it is only probed.
    parked: bool,
    /// Until when the webhook asked to be left alone.
    alone_until: i64,
}

impl Circuit {
    pub(in crate::webhook) fn is_open(&self) -> bool {
        self.failures >= OPENS_AFTER
    }

    /// Notes a success; true if the circuit was open.
    pub(in crate::webhook) fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        *self = Self::default();
        was_open
    }

    /// Closes it because someone mended something; the receiver is still left alone as it asked.
    pub(in crate::webhook) fn close(&mut self) {
        *self = Self {
            alone_until: self.alone_until,
            ..Self::default()
        };
    }

    /// Notes a failure; true if that opened the circuit.
    pub(in crate::webhook) fn failed(
        &mut self,
        now: i64,
        retry_after: Option<Duration>,
        parked: bool,
        chance: u32,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.parked = parked;
        self.due_at = now + SECOND + part(SECOND / 2, chance);
        let doubled = FIRST_PROBE << self.failures.saturating_sub(OPENS_AFTER).min(10);
        let pause = if parked {
            PARKED_PROBE
        } else {
            doubled.min(LAST_PROBE)
        };
        self.probe_at = now + pause + part(pause / 5, chance);
        if let Some(asked) = retry_after {
            let asked = i64::try_from(asked.min(LONGEST_DELAY).as_micros()).unwrap_or_default();
            self.alone_until = self.alone_until.max(now + asked);
        }
        self.failures == OPENS_AFTER
    }

    /// Whether what is due may be sent, while so many requests are under way and so many may be.
    pub(in crate::webhook) fn lets_due(&self, now: i64, under_way: usize, most: usize) -> bool {
        if self.parked {
            return false;
        }
        if !self.is_open() {
            return under_way < most && self.left_alone(now);
        }
        under_way == 0 && self.left_alone(now) && now >= self.due_at
    }

    /// Whether something that is not due may be sent.
    pub(in crate::webhook) fn lets_probe(&self, now: i64) -> bool {
        (self.is_open() || self.parked) && self.left_alone(now) && now >= self.probe_at
    }

    /// When something may be sent again of which the first is due at this time.
    pub(in crate::webhook) fn earliest(&self, due: i64) -> i64 {
        let lets_go = match (self.parked, self.is_open()) {
            (true, _) => self.probe_at,
            (false, true) => due.max(self.due_at).min(self.probe_at),
            (false, false) => due,
        };
        lets_go.max(self.alone_until)
    }

    fn left_alone(&self, now: i64) -> bool {
        now >= self.alone_until
    }

    /// Shortens what an earlier version noted by a wall clock that was set back since.
    pub(in crate::webhook) fn bound(&mut self, now: i64) {
        let longest = LONGEST_DELAY.as_micros() as i64;
        self.due_at = self.due_at.min(now + SECOND / 2 * 3);
        self.probe_at = self.probe_at.min(now + PARKED_PROBE / 5 * 6);
        self.alone_until = self.alone_until.min(now + longest);
    }
}

/// The part of a pause that `chance` picks: nothing for 0, all of it for the greatest number.
fn part(pause: i64, chance: u32) -> i64 {
    pause * i64::from(chance >> 16) / i64::from(u16::MAX)
}

/// No more than so many requests a second, with no more than a tenth of a second's at once.
#[derive(Debug)]
pub(in crate::webhook) struct Pace {
    interval: i64,
    burst: i64,
    /// When the next one would be sent if they were spread evenly.
    next: i64,
}

impl Pace {
    pub(in crate::webhook) fn new(most_per_second: u32) -> Self {
        let interval = SECOND / i64::from(most_per_second.max(1));
        Self {
            interval,
            burst: SECOND / 10,
            next: 0,
        }
    }

    /// When the next one may be sent.
    pub(in crate::webhook) fn next(&self) -> i64 {
        self.next - self.burst
    }

    /// Whether one may be sent now; it is then counted.
    pub(in crate::webhook) fn take(&mut self, now: i64) -> bool {
        if self.next > now + self.burst {
            return false;
        }
        self.next = self.next.max(now) + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn open() -> Circuit {
        let mut circuit = Circuit::default();
        let opened: Vec<bool> = (0..6)
            .map(|_| circuit.failed(NOW, None, false, 0))
            .collect();
        assert_eq!(opened, [false, false, false, false, true, false]);
        circuit
    }

    #[test]
    fn a_dead_webhook_gets_one_request_a_second_and_a_probe_now_and_then() {
        let circuit = open();
        assert!(!circuit.lets_due(NOW, 0, 4) && !circuit.lets_due(NOW + SECOND - 1, 0, 4));
        assert!(circuit.lets_due(NOW + SECOND, 0, 4) && !circuit.lets_due(NOW + SECOND, 1, 4));
        let mut later = open();
        later.failed(NOW, None, false, u32::MAX);
        assert!(!later.lets_due(NOW + SECOND * 3 / 2 - 1, 0, 4));
        assert!(later.lets_due(NOW + SECOND * 3 / 2, 0, 4));
        // The sixth failure: the pause was doubled once.
        assert!(!circuit.lets_probe(NOW + 9 * SECOND) && circuit.lets_probe(NOW + 10 * SECOND));
    }

    #[test]
    fn the_pauses_of_probes_grow_to_five_minutes_and_to_an_hour_while_parked() {
        let mut circuit = open();
        for _ in 0..100 {
            circuit.failed(NOW, None, false, u32::MAX);
        }
        assert!(!circuit.lets_probe(NOW + 359 * SECOND) && circuit.lets_probe(NOW + 361 * SECOND));
        circuit.failed(NOW, None, true, 0);
        assert!(
            !circuit.lets_due(NOW + 3599 * SECOND, 0, 4),
            "a parked one is only probed"
        );
        assert!(
            !circuit.lets_probe(NOW + 3599 * SECOND) && circuit.lets_probe(NOW + 3600 * SECOND)
        );
    }

    #[test]
    fn a_success_closes_it() {
        let mut circuit = open();
        assert!(circuit.succeeded() && !circuit.is_open() && !circuit.succeeded());
        assert!(
            circuit.lets_due(NOW, 3, 4)
                && !circuit.lets_due(NOW, 4, 4)
                && !circuit.lets_probe(NOW + 86_400 * SECOND)
        );
    }

    #[test]
    fn who_asks_to_be_left_alone_is_and_not_for_longer_than_a_day() {
        let mut circuit = Circuit::default();
        circuit.failed(NOW, Some(Duration::from_secs(90)), false, 0);
        assert!(
            !circuit.lets_due(NOW + 89 * SECOND, 0, 4) && circuit.lets_due(NOW + 90 * SECOND, 0, 4)
        );
        circuit.failed(NOW, Some(Duration::MAX), false, 0);
        assert!(circuit.lets_due(NOW + 86_400 * SECOND, 0, 4));
    }

    #[test]
    fn a_pace_is_kept_over_any_second() {
        for most in [1, 7, 100, 5000] {
            let mut pace = Pace::new(most);
            let sent = (0..3_000_000)
                .step_by(50)
                .filter(|at| pace.take(NOW + at))
                .count();
            assert!(
                (3 * most as usize..=3 * most as usize + most as usize / 10 + 2).contains(&sent),
                "{most}: {sent}"
            );
        }
    }
}
