//! How the log records that events were dropped, because the journal was full.
//!
//! The journal counts them. An entry says how many they were, in their place; until that entry is
//! durable, its events count as unreported, so a death in between loses no drop.

use super::{health::Problem, writer::Writer};
use crate::{
    entry::{OwnEntry, Severity, Timestamp},
    journal::Dropped,
};

impl Writer {
    /// How many events were dropped that no entry reports, durable or not, and all drops.
    pub(super) fn drops(&self) -> (u64, Dropped) {
        let dropped = self.consumer.dropped();
        // Drops whose entry is not durable yet still count as unreported in the journal.
        let since_report = dropped.total.saturating_sub(self.own.reported_drops());
        (dropped.unreported.min(since_report), dropped)
    }

    /// Records drops that no entry has said yet, and makes them known.
    pub(super) fn report_drops(&mut self) {
        let (count, dropped) = self.drops();
        let new = count.min(dropped.total.saturating_sub(self.reported_drops));
        if new > 0 {
            self.reported_drops = dropped.total;
            let health = &self.place.health;
            health.count(health.dropped(), new);
            health.report(&Problem::Dropped(new));
        }
        // While such an entry waits because the disk refuses, the next one counts all later drops.
        if count == 0 || self.own.have_drops() {
            return;
        }
        let what = "Events were dropped because the journal was full";
        let mut entry = OwnEntry::new("audit.log.dropped", Severity::Critical, what)
            .detail("count", count)
            .detail("total", dropped.total);
        if let Some(since) = dropped.since_micros {
            entry = entry.detail("since", Timestamp::from_micros(since).to_string());
        }
        self.own.push_drops(entry, dropped.total);
    }
}
