//! Which process delivers the webhooks of a log, and which of them it can't serve:
//! `state/dispatcher.json`.
//!
//! The dispatcher writes the file and holds `forward.lock`. The file counts only while that lock is
//! held, because a process that dies leaves it behind.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::tasks::Revision;
use crate::{
    entry::Timestamp,
    error::Result,
    store::{document::Document, layout::Layout, lock::Lock},
    webhook::settings::stored::Stored,
};

/// The process that delivers the webhooks of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DispatcherReport {
    /// The number of the process on its host.
    pub pid: u32,
    /// The name of the host, or of the container; empty if it has none.
    pub host: String,
    /// The source of the log in that process.
    pub source: String,
    /// The time since which it delivers.
    pub since: Timestamp,
}

/// The contents of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Presence {
    pub(in crate::webhook) dispatcher: Option<DispatcherReport>,
    /// The webhooks that it can't serve, by their keys.
    unusable: BTreeMap<String, Unusable>,
}

/// Why a webhook can't be served as it is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Unusable {
    /// The revision of its settings. Another revision is tried at once.
    revision: u64,
    reason: String,
    /// This revision is not tried again before this time.
    #[serde(skip)]
    again: Option<Instant>,
}

impl Presence {
    /// This process, which delivers from now on.
    pub(super) fn begin(source: &str) -> Self {
        let host = rustix::system::uname();
        Self {
            dispatcher: Some(DispatcherReport {
                pid: std::process::id(),
                host: host.nodename().to_string_lossy().into_owned(),
                source: source.to_owned(),
                since: Timestamp::now(),
            }),
            unusable: BTreeMap::new(),
        }
    }

    /// Forgets the reasons of webhooks that were removed, changed or paused.
    pub(super) fn keep(&mut self, wanted: &[Stored]) {
        self.unusable.retain(|key, found| {
            let mut wanted = wanted.iter();
            wanted.any(|one| one.key() == *key && one.revision == found.revision)
        });
    }

    /// Whether the webhook of this key is not to be tried yet.
    pub(super) fn waits(&self, key: &str) -> bool {
        let found = self.unusable.get(key);
        found.is_some_and(|found| found.again > Some(Instant::now()))
    }

    /// Notes that a webhook can't be served until `pause` has passed; true if the reason is another
    /// one than before.
    pub(super) fn note(&mut self, of: Revision, reason: String, pause: Duration) -> bool {
        let before = self.unusable.get(&of.key);
        let is_new = before.is_none_or(|one| one.reason != reason);
        let unusable = Unusable {
            revision: of.number,
            reason,
            again: Some(Instant::now() + pause),
        };
        self.unusable.insert(of.key, unusable);
        is_new
    }

    /// Notes that the webhook of this key is served.
    pub(super) fn forget(&mut self, key: &str) {
        self.unusable.remove(key);
    }

    pub(super) fn text(&self) -> Vec<u8> {
        Document::text(self)
    }

    /// Writes its text. Not synced: after a loss of power nobody holds the lock.
    pub(super) fn write(layout: &Layout, text: &[u8]) -> Result<()> {
        document(layout).write(text, false)
    }

    /// The presence of the process that delivers; empty if none does.
    pub(in crate::webhook) fn read(layout: &Layout) -> Result<Self> {
        if Lock::is_held(&layout.lock(LOCK))? {
            document(layout).read()
        } else {
            Ok(Self::default())
        }
    }

    /// The reason why this revision of a webhook can't be served, if it can't.
    pub(in crate::webhook) fn problem(&self, key: &str, revision: u64) -> Option<&str> {
        let found = self.unusable.get(key)?;
        (found.revision == revision).then_some(found.reason.as_str())
    }
}

/// Held by the process that delivers.
pub(super) const LOCK: &str = "forward";

fn document(layout: &Layout) -> Document {
    Document::new(layout, "dispatcher", LOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        std::fs::create_dir_all(dir.path().join("state/locks")).unwrap();
        let delivers = || Presence::read(&layout).unwrap().dispatcher;
        assert_eq!(delivers(), None);
        let mut presence = Presence::begin("shop");
        let revision = Revision {
            key: "siem.1".to_owned(),
            number: 7,
        };
        presence.note(revision, "no key".to_owned(), Duration::from_secs(60));
        Presence::write(&layout, &presence.text()).unwrap();
        assert_eq!(delivers(), None);
        let lock = Lock::try_take(&layout.lock(LOCK)).unwrap().unwrap();
        let read = Presence::read(&layout).unwrap();
        assert_eq!(read.text(), presence.text());
        assert_eq!(read.problem("siem.1", 7), Some("no key"));
        assert_eq!(read.problem("siem.1", 8), None, "it was changed since");
        assert_eq!(read.problem("siem.2", 7), None);
        drop(lock);
        assert_eq!(delivers(), None);
    }
}
