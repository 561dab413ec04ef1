//! Which process delivers the webhooks of a log, and which of them it can't serve:
//! `state/dispatcher.json`.
//!
//! The dispatcher writes the file and holds `forward.lock`. The file counts only while that lock is
//! held, because a process that dies leaves it behind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    entry::Timestamp,
    error::Result,
    store::{document::Document, layout::Layout, lock::Lock},
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::webhook) struct Presence {
    pub(in crate::webhook) dispatcher: Option<DispatcherReport>,
    /// The webhooks that it can't serve, by their keys.
    unusable: BTreeMap<String, Unusable>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unusable {
    /// Which state of its settings.
    revision: u64,
    reason: String,
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

    /// The same process with the webhooks that it can't serve: key, revision and reason.
    pub(super) fn without(&self, unusable: impl Iterator<Item = (String, u64, String)>) -> Self {
        let unusable = unusable.map(|(key, revision, reason)| (key, Unusable { revision, reason }));
        Self {
            dispatcher: self.dispatcher.clone(),
            unusable: unusable.collect(),
        }
    }

    /// Not synced: after a loss of power nobody holds the lock.
    pub(super) fn write(&self, layout: &Layout) -> Result<()> {
        document(layout).write(&Document::text(self), false)
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
        assert_eq!(Presence::read(&layout).unwrap(), Presence::default());
        let presence = Presence::begin("shop");
        let unusable = [("siem.1".to_owned(), 7, "no key".to_owned())];
        let presence = presence.without(unusable.into_iter());
        presence.write(&layout).unwrap();
        assert_eq!(Presence::read(&layout).unwrap(), Presence::default());
        let lock = Lock::try_take(&layout.lock(LOCK)).unwrap().unwrap();
        let read = Presence::read(&layout).unwrap();
        assert_eq!(read, presence);
        assert_eq!(read.problem("siem.1", 7), Some("no key"));
        assert_eq!(read.problem("siem.1", 8), None, "it was changed since");
        assert_eq!(read.problem("siem.2", 7), None);
        drop(lock);
        assert_eq!(Presence::read(&layout).unwrap(), Presence::default());
    }
}
