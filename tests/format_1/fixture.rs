//! The fixture, unpacked, and what has to be in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tracing_audit::{AuditLog, Retention};

/// Numbers in `order.placed` events, by when they were recorded: when only `siem` was there and
/// refused all; when all three webhooks were there; and when nobody delivered.
pub(crate) const PRUNED: [u64; 3] = [1, 2, 3];
pub(crate) const ATTEMPTED: std::ops::Range<u64> = 100..112;
pub(crate) const UNREAD: std::ops::Range<u64> = 200..230;

/// The value that `details.email` of `auth.login.success` has the hash of.
pub(crate) const EMAIL: &str = "ann@example.com";

/// The secret that `crm` gets its deliveries signed with, and its key.
pub(crate) const SIGNING_SECRET: &str = "whsec_Zm9ybWF0LTEtZml4dHVyZS1zaWduaW5nLXNlY3JldA==";
pub(crate) const API_KEY: &str = "key-of-the-fixture";

/// What is in the fixture: `contents.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Where the webhooks' receiver was.
    pub(crate) receiver: String,
    /// The ids of all events that were recorded and not pruned.
    pub(crate) recorded: Vec<String>,
    /// The ids of the events that were pruned.
    pub(crate) pruned: Vec<String>,
    /// The deliveries to `crm` that are to be tried again: their ids, and the numbers in them.
    pub(crate) unfinished: BTreeMap<String, Vec<u64>>,
    /// The deliveries to `siem` that were given up.
    pub(crate) dead_letters: BTreeMap<String, Vec<u64>>,
    /// A token that may do all.
    pub(crate) token: String,
}

pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format_1")
}

/// A copy of the fixture's directory that may be written to.
pub(crate) struct Fixture {
    pub(crate) contents: Contents,
    place: TempDir,
}

impl Fixture {
    pub(crate) fn unpack() -> Self {
        let place = tempfile::tempdir().unwrap();
        let unpacked = Command::new("tar")
            .args(["-xpz", "--no-same-owner", "-f"])
            .arg(home().join("log.tar.gz"))
            .arg("-C")
            .arg(place.path())
            .status()
            .expect("tar is installed");
        assert!(unpacked.success());
        let contents = fs::read(home().join("contents.json")).unwrap();
        Self {
            contents: serde_json::from_slice(&contents).unwrap(),
            place,
        }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("log")
    }

    /// Lets the webhooks send to another receiver, as the settings stand in the fixture's file: no
    /// code of today's has a part in it.
    pub(crate) fn send_to(&self, receiver: &str) {
        let path = self.dir().join("state/webhooks.json");
        let settings = fs::read_to_string(&path).unwrap();
        let there = |base: &str| base.trim_end_matches("/hook").to_owned();
        let changed = settings.replace(&there(&self.contents.receiver), &there(receiver));
        assert_ne!(settings, changed);
        fs::write(path, changed).unwrap();
    }

    /// Opens the log as an application would, and waits until what the killed process left is
    /// taken over. The fixture is older than any retention.
    pub(crate) fn open(&self) -> AuditLog {
        let log = AuditLog::builder(self.dir())
            .source("later")
            .retention(Retention::unlimited())
            .journal_bytes(1 << 20)
            .open()
            .unwrap();
        crate::support::recovered(&self.dir());
        log
    }
}
