//! The body of a delivery: made of its entries by the webhook's format, on a thread for that, and
//! held until it is sent.

use crate::{
    query::RawEntry,
    webhook::{
        format::{Batch, Encoded},
        queue::memory::Held,
        settings::Prepared,
    },
};

/// The longest body of more than one entry, in bytes. A longer one is split into more deliveries.
pub(in crate::webhook) const LONGEST: usize = 256 * 1024;

/// The body of a delivery, with facts about its entries.
#[derive(Debug)]
pub(in crate::webhook) struct Body {
    pub(in crate::webhook) encoded: Encoded,
    /// How many entries it has.
    pub(in crate::webhook) entries: usize,
    pub(in crate::webhook) first_entry_id: String,
    /// Its entries only report on deliveries.
    pub(in crate::webhook) is_report: bool,
    /// The memory that it takes, where that is counted.
    pub(in crate::webhook) held: Option<Held>,
}

impl Body {
    /// The body's length in bytes.
    pub(in crate::webhook) fn of(
        webhook: &Prepared,
        source: &str,
        id: &str,
        entries: &[RawEntry],
    ) -> Result<Self, String> {
        let batch = Batch {
            id,
            source,
            entries,
            batched: webhook.batch.is_some(),
        };
        let mut encoded = webhook
            .format
            .encode(&batch)
            .map_err(|error| error.to_string())?;
        encoded.body.shrink_to_fit();
        Ok(Self {
            encoded,
            entries: entries.len(),
            first_entry_id: entries
                .first()
                .map(|entry| entry.id().to_owned())
                .unwrap_or_default(),
            is_report: is_report(entries),
            held: None,
        })
    }

    pub(in crate::webhook) fn len(&self) -> usize {
        self.encoded.body.len()
    }

    /// Whether its entries have to go in more than one delivery.
    pub(in crate::webhook) fn is_too_long(&self) -> bool {
        self.entries > 1 && self.len() > LONGEST
    }
}

/// The bytes of these entries' lines.
pub(in crate::webhook) fn lines(entries: &[RawEntry]) -> usize {
    entries.iter().map(|entry| entry.line().len()).sum()
}

/// Whether these entries only report on deliveries, `audit.delivery.*`. If such a delivery is given
/// up or rejected, that isn't recorded: if two webhooks got each other's reports and both failed,
/// each report would make the next one, for ever.
pub(in crate::webhook) fn is_report(entries: &[RawEntry]) -> bool {
    let is_report = |entry: &RawEntry| entry.event_type().starts_with("audit.delivery.");
    // Of a delivery whose entries are gone it isn't known, so that is recorded.
    !entries.is_empty() && entries.iter().all(is_report)
}
