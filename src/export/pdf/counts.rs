//! The counts of a document's entries, for the title page.

use super::text::grouped;
use crate::{entry::Timestamp, query::RawEntry};

const SEVERITIES: [&str; 4] = ["info", "warning", "error", "critical"];
const OUTCOMES: [&str; 3] = ["success", "failure", "unknown"];

/// The counts so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) entries: u64,
    /// By the place in the list of the names; the last is for any other name.
    severities: [u64; SEVERITIES.len() + 1],
    outcomes: [u64; OUTCOMES.len() + 1],
    /// The first and the last instant.
    pub(super) times: Option<(Timestamp, Timestamp)>,
}

impl Counts {
    pub(super) fn add(&mut self, entry: &RawEntry) {
        self.entries += 1;
        let time = entry.timestamp();
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
        self.severities[place(&SEVERITIES, &entry.severity())] += 1;
        let outcome = entry.outcome();
        // An entry without an outcome is a success, as the filter has it.
        let outcome = if outcome.is_empty() {
            "success"
        } else {
            &*outcome
        };
        self.outcomes[place(&OUTCOMES, outcome)] += 1;
    }

    pub(super) fn by_severity(&self) -> String {
        listed(&SEVERITIES, &self.severities)
    }

    pub(super) fn by_outcome(&self) -> String {
        listed(&OUTCOMES, &self.outcomes)
    }
}

fn place(names: &[&str], name: &str) -> usize {
    let found = names.iter().position(|known| *known == name);
    found.unwrap_or(names.len())
}

/// As in `info 12, error 3`, without those that there are none of.
fn listed(names: &[&str], counts: &[u64]) -> String {
    let names = names.iter().copied().chain(["other"]);
    let counted = names.zip(counts).filter(|(_, count)| **count > 0);
    let texts: Vec<_> = counted
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    texts.join(", ")
}
