//! The deliveries of a webhook that are known: those that wait, the dead letters, and those of the
//! last attempts. The list has no entries and no bodies.

use std::collections::HashMap;

use super::delivery::DeliveryState;
use crate::{
    entry::Timestamp,
    error::Result,
    store::layout::Layout,
    webhook::{
        queue::{
            Delivery, Queue,
            attempts::{self, Attempt},
            dead_letter::{self, Kept},
        },
        settings::stored::{self, Stored},
    },
};

/// How many of the newest dead letters are listed: each is a line of a file that is read for it.
pub(crate) const MOST_LETTERS: usize = 500;

/// A delivery in the list.
#[derive(Clone, Debug)]
pub(crate) struct ListedDelivery {
    pub(crate) delivery_id: String,
    pub(crate) state: DeliveryState,
    /// When it was last tried or given up; before that, when its first entry happened.
    pub(crate) time: Timestamp,
    pub(crate) entries: usize,
    pub(crate) attempts: u32,
    /// The result of its last attempt, or why it was given up.
    pub(crate) result: Option<String>,
    /// The status of the last answer that is known.
    pub(crate) status: Option<u16>,
}

/// The deliveries of a webhook, the newest first; `None` if there is no such webhook.
pub(crate) fn deliveries(layout: &Layout, name: &str) -> Result<Option<Vec<ListedDelivery>>> {
    let Some(webhook) = stored::find(layout, name)? else {
        return Ok(None);
    };
    let attempts = attempts::read(layout, name)?;
    let mut known = Known::of(&attempts);
    for letter in letters(layout, &webhook)? {
        known.add_letter(&letter);
    }
    let queue = Queue::read(layout, &webhook.key())?.unwrap_or_default();
    for waiting in &queue.deliveries {
        known.add_waiting(waiting);
    }
    let mut all: Vec<_> = known.deliveries.into_values().collect();
    // Deliveries of one moment are always in the same order.
    all.sort_unstable_by(|one, other| {
        let by_time = other.time.cmp(&one.time);
        by_time.then_with(|| other.delivery_id.cmp(&one.delivery_id))
    });
    Ok(Some(all))
}

/// The newest dead letters.
fn letters(layout: &Layout, webhook: &Stored) -> Result<Vec<Kept>> {
    let key = webhook.key();
    let index = dead_letter::index(layout, &key)?;
    let newest = index.iter().rev().take(MOST_LETTERS);
    let letters = newest.map(|at| dead_letter::read(layout, &key, *at));
    letters.filter_map(Result::transpose).collect()
}

/// The deliveries that are known so far, by their ids.
#[derive(Default)]
struct Known {
    deliveries: HashMap<String, ListedDelivery>,
}

impl Known {
    /// The deliveries of the last attempts, which are the newest first.
    fn of(attempts: &[Attempt]) -> Self {
        let mut known = Self::default();
        for attempt in attempts {
            let listed = || ListedDelivery {
                delivery_id: attempt.delivery_id.clone(),
                state: DeliveryState::Ended,
                time: attempt.ended,
                entries: attempt.entries,
                attempts: attempt.attempt,
                result: Some(attempt.result.clone()),
                status: attempt.status,
            };
            let found = known.deliveries.entry(attempt.delivery_id.clone());
            let found = found.or_insert_with(listed);
            if attempt.delivered {
                found.state = DeliveryState::Delivered;
            }
        }
        known
    }

    fn add_letter(&mut self, letter: &Kept) {
        let before = self.deliveries.get(&letter.delivery_id);
        let listed = ListedDelivery {
            delivery_id: letter.delivery_id.clone(),
            state: DeliveryState::DeadLetter,
            time: letter.given_up,
            entries: letter.contents().len(),
            attempts: letter.attempts,
            status: before.and_then(|before| before.status),
            result: Some(letter.reason.clone()),
        };
        self.deliveries.insert(letter.delivery_id.clone(), listed);
    }

    /// A dead letter is durable before the queue is saved without it; one that is sent again is
    /// marked as one in the queue.
    fn add_waiting(&mut self, waiting: &Delivery) {
        let before = self.deliveries.get(&waiting.id);
        let is_dead = before.is_some_and(|before| before.state == DeliveryState::DeadLetter);
        if is_dead && !waiting.dead {
            return;
        }
        let listed = ListedDelivery {
            delivery_id: waiting.id.clone(),
            state: DeliveryState::Waiting,
            time: before.map_or(Timestamp::from_micros(waiting.since), |before| before.time),
            entries: waiting.count,
            attempts: waiting.attempts,
            result: before.and_then(|before| before.result.clone()),
            status: before.and_then(|before| before.status),
        };
        self.deliveries.insert(waiting.id.clone(), listed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{
        queue::contents::Contents,
        testing::{self, entry},
    };

    fn attempt(id: &str, at: &str, delivered: bool) -> Attempt {
        serde_json::from_value(serde_json::json!({
            "delivery_id": id, "ended": at, "took_ms": 3, "attempt": 2, "entries": 1,
            "first_entry_id": "", "delivered": delivered, "status": 500, "result": "the answer",
        }))
        .unwrap()
    }

    #[test]
    fn each_delivery_is_listed_once_in_its_last_state() {
        let dir = tempfile::tempdir().unwrap();
        let layout = testing::layout(dir.path());
        let webhook = testing::stored();
        let key = webhook.key();
        stored::change(&layout, |all| {
            all.push(webhook);
            Ok::<_, crate::Error>(())
        })
        .unwrap();
        assert!(deliveries(&layout, "e").unwrap().unwrap().is_empty());
        assert!(deliveries(&layout, "other").unwrap().is_none());

        let entry = [entry(1)];
        let contents = Contents::by_id(&entry);
        for id in ["dead", "again"] {
            let letter = Kept::new(
                "e",
                id,
                3,
                "3 attempts have failed",
                contents.clone(),
                &entry,
            );
            letter.append(&layout, &key).unwrap();
        }
        let waiting = |id: &str, dead| Delivery::again(id.into(), contents.clone(), dead);
        let queue = Queue {
            deliveries: [
                waiting("dead", false),
                waiting("again", true),
                waiting("new", false),
            ]
            .into(),
            ..Queue::default()
        };
        queue.save(&layout, &key).unwrap();
        let mut history = attempts::History::default();
        for made in [
            attempt("arrived", "2025-01-15T10:31:00Z", false),
            attempt("arrived", "2025-01-15T10:32:00Z", true),
            attempt("halved", "2025-01-15T10:33:00Z", false),
        ] {
            history.push(made, Contents::default());
        }
        attempts::document(&layout, &key)
            .write(&history.text(), false)
            .unwrap();

        let all = deliveries(&layout, "e").unwrap().unwrap();
        let mut states: Vec<_> = all
            .iter()
            .map(|one| (&*one.delivery_id, one.state))
            .collect();
        assert!(all.is_sorted_by(|newer, older| newer.time >= older.time));
        states.sort_unstable_by_key(|(id, _)| *id);
        assert_eq!(
            states,
            [
                ("again", DeliveryState::Waiting),
                ("arrived", DeliveryState::Delivered),
                ("dead", DeliveryState::DeadLetter),
                ("halved", DeliveryState::Ended),
                ("new", DeliveryState::Waiting),
            ]
        );
        let arrived = all.iter().find(|one| one.delivery_id == "arrived").unwrap();
        assert_eq!(arrived.time, "2025-01-15T10:32:00Z".parse().unwrap());
    }
}
