//! A delivery: the entries of one request, and how far it is.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest, Sha256};

use crate::{
    entry::Timestamp,
    query::{Placed, RawEntry},
    webhook::queue::{body::Body, contents::Contents},
};

/// The entries of one request, and the state of their delivery.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Delivery {
    /// The `webhook-id`.
    pub(in crate::webhook) id: String,
    #[serde(flatten)]
    pub(in crate::webhook) contents: Contents,
    /// It is a dead letter that is replayed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) dead: bool,
    /// The number of the replay that made it; zero if none did.
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::webhook) replay: u64,
    /// An administrator gave it up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) skipped: bool,
    /// An administrator asked that it be sent again while it was being given up, or was under way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::webhook) resend: bool,
    /// An older version noted here where the dead letter stands that has the entries.
    #[serde(skip_serializing)]
    pub(in crate::webhook) letter: Option<IgnoredAny>,
    /// How many they are.
    pub(in crate::webhook) count: usize,
    /// When the first of them happened, in microseconds since 1970.
    pub(in crate::webhook) since: i64,
    pub(in crate::webhook) attempts: u32,
    /// When the next attempt is due, by the queue's clock.
    pub(in crate::webhook) due: i64,
    /// The line that is kept of it when it is saved, for replays.
    #[serde(skip)]
    pub(in crate::webhook) line: Option<Vec<u8>>,
    /// Its body, made with it, if there was memory for that: for the first attempt only.
    #[serde(skip)]
    pub(in crate::webhook) body: Option<Body>,
    /// Distinguishes it from other deliveries while this process runs.
    #[serde(skip)]
    pub(in crate::webhook) key: u64,
    /// The save that makes its bounds durable.
    #[serde(skip)]
    pub(in crate::webhook) save: u64,
    #[serde(skip)]
    pub(in crate::webhook) in_flight: bool,
    /// It was taken, and is not acknowledged.
    #[serde(skip)]
    pub(in crate::webhook) taken: bool,
    /// When it may be tried though it is not due: the webhook is back.
    #[serde(skip)]
    pub(in crate::webhook) early: Option<i64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Delivery {
    /// Of entries that stand in the log; with these.
    pub(in crate::webhook) fn placed(webhook: &str, placed: Vec<Placed>) -> (Self, Vec<RawEntry>) {
        let (contents, entries) = Contents::placed(placed);
        (Self::of(webhook, contents, &entries), entries)
    }

    /// Of entries that are looked up by their ids; with these.
    pub(in crate::webhook) fn looked_up(
        webhook: &str,
        entries: Vec<RawEntry>,
    ) -> (Self, Vec<RawEntry>) {
        let contents = Contents::by_id(&entries);
        (Self::of(webhook, contents, &entries), entries)
    }

    /// Of what was sent before, under the id that it had.
    pub(in crate::webhook) fn again(id: String, contents: Contents, dead: bool) -> Self {
        Self {
            id,
            count: contents.len(),
            since: contents
                .since()
                .unwrap_or_else(|| Timestamp::now().as_micros()),
            contents,
            dead,
            ..Self::default()
        }
    }

    /// Its id says what is in it: the webhook and its entries.
    fn of(webhook: &str, contents: Contents, entries: &[RawEntry]) -> Self {
        Self {
            id: delivery_id(webhook, entries),
            contents,
            count: entries.len(),
            since: entries
                .first()
                .map_or(0, |entry| entry.timestamp().as_micros()),
            ..Self::default()
        }
    }

    /// Its halves, each with an id of its own and its entries, which are those of the delivery.
    pub(in crate::webhook) fn split(
        self,
        webhook: &str,
        mut entries: Vec<RawEntry>,
    ) -> [(Self, Vec<RawEntry>); 2] {
        let later = entries.split_off(entries.len() / 2);
        let [first, second] = self.contents.halved(&entries, &later);
        [
            (Self::of(webhook, first, &entries), entries),
            (Self::of(webhook, second, &later), later),
        ]
    }
}

pub(in crate::webhook) fn delivery_id(webhook: &str, entries: &[RawEntry]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(webhook).chain(entries.iter().map(RawEntry::id)) {
        hash.update(part);
        hash.update([0]);
    }
    format!("msg_{}", HEXLOWER.encode(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{queue::Queue, testing::entry};

    fn entries(numbers: &[u8]) -> Vec<RawEntry> {
        numbers.iter().copied().map(entry).collect()
    }

    #[test]
    fn an_id_says_what_is_in_the_delivery() {
        let id = |webhook, numbers: &[u8]| delivery_id(webhook, &entries(numbers));
        assert_eq!(id("siem", &[1, 2, 3]), id("siem", &[1, 2, 3]));
        for other in [
            id("siem", &[1, 3]),
            id("siem", &[1, 2, 4]),
            id("siem", &[1]),
            id("chat", &[1, 2, 3]),
        ] {
            assert_ne!(other, id("siem", &[1, 2, 3]));
        }
    }

    #[test]
    fn halves_have_all_entries_and_come_back_as_they_were_kept() {
        let (delivery, _) = Delivery::looked_up("siem", entries(&[1, 2, 3, 4, 5]));
        let ids = delivery.contents.ids.clone();
        let all = entries(&[1, 2, 3, 4, 5]);
        let [(mut first, of_first), (second, of_second)] = delivery.split("siem", all);
        assert_eq!((of_first.len(), of_second.len()), (2, 3));
        assert_eq!(
            [first.contents.ids.clone(), second.contents.ids.clone()].concat(),
            ids
        );
        assert_eq!((first.count, second.count), (2, 3));
        first.attempts = 3;
        let queue = Queue {
            deliveries: [first, second].into(),
            ..Queue::default()
        };
        let read: Queue = serde_json::from_slice(&serde_json::to_vec(&queue).unwrap()).unwrap();
        assert_eq!(
            (
                read.deliveries[0].attempts,
                &read.deliveries[0].contents.ids[..]
            ),
            (3, &ids[..2])
        );
        assert!(
            read.deliveries
                .iter()
                .all(|delivery| delivery.body.is_none() && !delivery.in_flight)
        );
    }
}
