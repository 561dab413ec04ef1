//! The webhooks that can't be served as they are set: why, and when they are tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::tasks::Revision;
use crate::webhook::settings::stored::Stored;

/// The webhooks that can't be served now, by their keys.
#[derive(Default)]
pub(super) struct Unusable(HashMap<String, Unserved>);

/// A webhook that can't be served.
struct Unserved {
    /// The revision of its settings. Another revision is tried at once.
    revision: u64,
    /// This revision is not tried again before.
    again: Instant,
    reason: String,
}

impl Unusable {
    /// Forgets webhooks that were removed, changed or paused.
    pub(super) fn keep(&mut self, wanted: &[Stored]) {
        self.0.retain(|key, found| {
            let mut wanted = wanted.iter();
            wanted.any(|one| one.key() == *key && one.revision == found.revision)
        });
    }

    /// Whether the webhook of this key is not to be tried yet.
    pub(super) fn waits(&self, key: &str) -> bool {
        let found = self.0.get(key);
        found.is_some_and(|found| found.again > Instant::now())
    }

    /// Notes that a webhook can't be served until `pause` has passed; true if the reason is another
    /// one than before.
    pub(super) fn note(&mut self, of: Revision, reason: String, pause: Duration) -> bool {
        let is_new = self.0.get(&of.key).is_none_or(|one| one.reason != reason);
        let unserved = Unserved {
            revision: of.number,
            again: Instant::now() + pause,
            reason,
        };
        self.0.insert(of.key, unserved);
        is_new
    }

    /// Notes that the webhook of this key is served.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// The key, the revision and the reason of each.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (String, u64, String)> {
        let all = self.0.iter();
        all.map(|(key, one)| (key.clone(), one.revision, one.reason.clone()))
    }
}
