//! What auditors ask, and whether the log gives the right answer.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::Value;
use tracing_audit::{AuditReader, RawEntry, Timestamp};

use crate::{
    client::{Kind, Operation},
    support::{query, text},
};

/// What auditors ask.
pub(crate) struct Questions<'a> {
    pub(crate) reader: AuditReader,
    pub(crate) operations: &'a [Operation],
    pub(crate) entries: &'a [Value],
    pub(crate) asked: u64,
}

impl Questions<'_> {
    /// How many were asked; all have the right answer.
    pub(crate) fn ask(mut self, rng: &mut Rng) -> u64 {
        self.who_changed(rng);
        for user in ["ann", "bob", "eve"] {
            let by = |e: &Value| text(e, "/actor/id") == user || text(e, "/actor/name") == user;
            self.answer(&[("actor", user)], by, |o| o.user == user);
        }
        let addresses: BTreeSet<_> = self.operations.iter().map(|o| o.address).collect();
        for address in addresses {
            let filters = [
                ("event_type", "auth.login.failed"),
                ("ip_address", &address.to_string()),
            ];
            let failed = |e: &Value| {
                text(e, "/event_type") == "auth.login.failed"
                    && text(e, "/ip_address") == address.to_string()
            };
            let by = |o: &Operation| o.kind == Kind::FailedLogin && o.address == address;
            self.answer(&filters, failed, by);
        }
        self.answer(
            &[("event_type", "command.denied")],
            |e| text(e, "/event_type") == "command.denied",
            |o| o.kind == Kind::Denied,
        );
        for _ in 0..5 {
            self.what_happened_between(rng);
        }
        self.asked
    }

    /// Asks the log, and compares with its lines and with what the clients know.
    pub(crate) fn answer(
        &mut self,
        filters: &[(&str, &str)],
        of_entry: impl Fn(&Value) -> bool,
        of_operation: impl Fn(&Operation) -> bool,
    ) -> Vec<RawEntry> {
        let found = query(&self.reader, filters);
        let got: BTreeSet<_> = found.iter().map(|entry| entry.id().to_owned()).collect();
        assert_eq!(got.len(), found.len(), "{filters:?}");
        let wanted = self.entries.iter().filter(|e| of_entry(e));
        let wanted: BTreeSet<_> = wanted.map(|e| text(e, "/id").to_owned()).collect();
        assert_eq!(got, wanted, "{filters:?}");
        for operation in self.operations.iter().filter(|o| of_operation(o)) {
            let missing = operation.id().filter(|id| !got.contains(*id));
            assert_eq!(missing, None, "{filters:?}: {operation:?}");
        }
        self.asked += 1;
        found
    }

    /// Who changed a key, and what it was before and after: of some keys.
    pub(crate) fn who_changed(&mut self, rng: &mut Rng) {
        let keys: BTreeSet<_> = self.operations.iter().map(|o| &o.key).collect();
        let mut keys: Vec<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        rng.shuffle(&mut keys);
        keys.truncate(12);
        for key in keys {
            let found = self.answer(
                &[("resource", key)],
                |e| text(e, "/resource/id") == key,
                |o| o.key == *key,
            );
            let found: Vec<Value> = found.iter().map(|entry| entry.parse().unwrap()).collect();
            // The keys with a number are one client's own, which knows in which order it set them.
            let values = found.iter().filter(|e| e["event_type"] == "key.set");
            let values: Vec<_> = values
                .map(|e| text(e, "/resource/attributes/value"))
                .collect();
            let set = |o: &&Operation| o.kind == Kind::Set && o.key == *key;
            let sent: Vec<_> = self.operations.iter().filter(set).collect();
            if !key.ends_with("shared") {
                let sent: Vec<_> = sent.iter().map(|o| o.value.as_str()).collect();
                assert!(sent.starts_with(&values) && sent.len() <= values.len() + 1);
            }
            let who: BTreeSet<_> = sent.iter().filter_map(|o| o.id().map(|_| o.user)).collect();
            let changed = found.iter().filter(|e| e["event_type"] == "key.set");
            let told: BTreeSet<_> = changed.map(|e| text(e, "/actor/id")).collect();
            assert!(told.is_superset(&who), "{key}: {told:?} {who:?}");
        }
    }

    pub(crate) fn what_happened_between(&mut self, rng: &mut Rng) {
        let mut moments = [(); 2].map(|()| rng.choice(self.operations).unwrap().sent);
        moments.sort();
        let [from, to] = moments;
        if from == to {
            return;
        }
        let (start, end) = (from.to_string(), to.to_string());
        let between = |e: &Value| {
            let at: Timestamp = text(e, "/timestamp").parse().unwrap();
            from <= at && at < to
        };
        let during = |o: &Operation| {
            from <= o.sent
                && o.answer
                    .as_ref()
                    .is_some_and(|(answered, _)| *answered < to)
        };
        let found = self.answer(
            &[("start_date", &start), ("end_date", &end)],
            between,
            during,
        );
        let found: BTreeSet<_> = found.iter().map(RawEntry::id).collect();
        for operation in self.operations {
            let Some((id, (answered, _))) = operation.id().zip(operation.answer.as_ref()) else {
                continue;
            };
            let outside = *answered < from || to <= operation.sent;
            assert!(!outside || !found.contains(id), "{operation:?}");
        }
    }
}
