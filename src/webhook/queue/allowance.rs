//! How many bytes of a failing webhook's state may be written. The time is given from outside.
//!
//! A webhook can fail for months, with a thousand deliveries waiting. Every attempt changes its
//! state, and a change that is lost costs only one more attempt. So the first changes are saved
//! soon, because an administrator may look why nothing arrives, and later ones at a steady pace.

use std::time::{Duration, Instant};

/// Bytes that may be written: some at once, then so many a second on average.
#[derive(Debug)]
pub(in crate::webhook) struct Allowance {
    begun: Instant,
    bytes_per_second: u64,
    at_once: Duration,
    /// The time by which the bytes written since `begun` would have been written at an even pace.
    paid: Duration,
}

impl Allowance {
    pub(in crate::webhook) fn new(bytes_per_second: u64, at_once: u64, now: Instant) -> Self {
        Self {
            begun: now,
            bytes_per_second,
            at_once: Duration::from_secs(at_once / bytes_per_second),
            paid: Duration::ZERO,
        }
    }

    /// Counts what is written now.
    pub(in crate::webhook) fn spend(&mut self, bytes: usize, now: Instant) {
        let takes = Duration::from_millis(bytes as u64 * 1000 / self.bytes_per_second);
        self.paid = self.paid.max(now.duration_since(self.begun)) + takes;
    }

    /// When more may be written.
    pub(in crate::webhook) fn next(&self) -> Instant {
        self.begun + self.paid.saturating_sub(self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_goes_at_once_and_the_rest_at_its_pace() {
        let begun = Instant::now();
        let mut allowance = Allowance::new(100, 1000, begun);
        for _ in 0..11 {
            assert!(allowance.next() <= begun);
            allowance.spend(100, begun);
        }
        assert_eq!(allowance.next(), begun + Duration::from_secs(1));
        allowance.spend(5000, begun);
        assert_eq!(allowance.next(), begun + Duration::from_secs(51));
        let later = begun + Duration::from_secs(1000);
        allowance.spend(1100, later);
        assert_eq!(allowance.next(), later + Duration::from_secs(1));
    }
}
