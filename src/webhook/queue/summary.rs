//! How a failing webhook is doing, in short: `state/summary-<name>.<id>.json`.
//!
//! The queue of a webhook that fails can be long, so it is saved seldom. Its summary, which has no
//! deliveries, is saved more often, for administrators. It is never synced, and counts only while
//! it is newer than the queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    entry::{Timestamp, timestamp_micros},
    error::Result,
    store::{document::Document, layout::Layout},
    webhook::{
        queue::{self, Queue, Status, clock::QueueClock, next},
        settings::DeliveryOrder,
    },
};

/// How often it is saved, while the queue is not. At some 1,000 bytes that is 0.7 MB a day.
pub(in crate::webhook) const EVERY: Duration = Duration::from_secs(120);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Summary {
    pub(in crate::webhook) status: Status,
    pub(in crate::webhook) waiting_deliveries: usize,
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) next_attempt: Option<Timestamp>,
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) oldest_waiting: Option<Timestamp>,
}

pub(in crate::webhook) fn document(layout: &Layout, key: &str) -> Document {
    Document::new(layout, &format!("summary-{key}"), "forward")
}

impl Summary {
    /// How a webhook is doing whose deliveries go in this order, by its queue.
    pub(in crate::webhook) fn new(queue: &Queue, order: DeliveryOrder, clock: &QueueClock) -> Self {
        let next = next::next_attempt(queue, order);
        Self {
            status: queue.status.clone(),
            waiting_deliveries: queue.deliveries.len(),
            next_attempt: next.map(|time| clock.wall(time)),
            oldest_waiting: queue.oldest().map(Timestamp::from_micros),
        }
    }

    /// The webhook's summary, if it is newer than its queue.
    pub(in crate::webhook) fn of(layout: &Layout, key: &str) -> Result<Option<Self>> {
        let document = document(layout, key);
        let modified = |document: &Document| -> Result<Option<i64>> {
            let version = document.version()?;
            Ok(version.map(|(_, _, _, modified)| modified))
        };
        let is_newer = modified(&document)? > modified(&queue::document(layout, key))?;
        is_newer.then(|| document.read()).transpose()
    }
}
