//! What auditors ask, and whether the log gives the right answer.

use std::{collections::BTreeSet, path::Path};

use fastrand::Rng;
use serde_json::Value;
use tracing_audit::{
    AuditLog, AuditReader, Timestamp,
    http::{NewToken, Scope},
};

use crate::{
    client::{Operation, USERS},
    http::Http,
    start,
    support::{ids, query, text},
};

/// Asks the service itself what was denied, as an auditor with a token.
pub(crate) fn ask_by_http(dir: &Path, entries: &[Value]) -> u64 {
    let server = start(dir);
    let new = NewToken {
        name: "auditor".to_owned(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    };
    let log = AuditLog::builder(dir.join("audit")).for_maintenance();
    let log = log.open().unwrap();
    let (_, token) = log.tokens().create(new).unwrap();
    log.close().unwrap();
    let mut http = Http::connect(server.address).unwrap();
    let path = "/audit/entries?event_type=access.denied&limit=100";
    let denied = entries
        .iter()
        .filter(|e| e["event_type"] == "access.denied");
    let mut found = Vec::new();
    let mut next = path.to_owned();
    loop {
        let (status, page) = http.ask(("GET", &next, None), Some(&token), &[]).unwrap();
        assert_eq!(status, 200, "{page}");
        found.extend(page["entries"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            break;
        }
        next = format!("{path}&cursor={}", page["next_cursor"].as_str().unwrap());
    }
    assert_eq!(ids(&found), ids(&denied.cloned().collect::<Vec<_>>()));
    let (status, _) = http.ask(("GET", path, None), Some("guess"), &[]).unwrap();
    assert_eq!(status, 401);
    server.terminate();
    1
}

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
        for user in USERS {
            let by = |e: &Value| text(e, "/actor/name") == user;
            self.answer(&[("actor", user)], by, |o| {
                o.user == user && o.entries != ["auth.token.rejected"]
            });
        }
        let addresses: BTreeSet<_> = self.operations.iter().map(|o| &o.address).collect();
        for address in addresses {
            let filters = [("event_type", "auth.login.failed"), ("ip_address", address)];
            let failed = |e: &Value| {
                text(e, "/event_type") == "auth.login.failed" && text(e, "/ip_address") == address
            };
            self.answer(&filters, failed, |o| {
                o.entries == ["auth.login.failed"] && o.address == *address
            });
        }
        let denied = |e: &Value| text(e, "/event_type") == "access.denied";
        let filters = [("event_type", "access.denied")];
        self.answer(&filters, denied, |o| o.entries == ["access.denied"]);
        let changed = |e: &Value| {
            text(e, "/event_type").starts_with("user.role") && text(e, "/resource/name") == "temp"
        };
        let types = ["user.role_change.*", "user.role_changed"].map(|of| ("event_type", of));
        let filters = [("resource", "temp"), types[0], types[1]];
        self.answer(&filters, changed, |o| {
            o.resource == "temp" && o.entries[0].starts_with("user.role")
        });
        self.who_changed(rng);
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
    ) -> Vec<Value> {
        // What was recorded since, by the question over HTTP, is the answer to none of these.
        let found = query(&self.reader, filters);
        let mut found: Vec<Value> = found.iter().map(|entry| entry.parse().unwrap()).collect();
        found.retain(|e| !text(e, "/event_type").starts_with("audit."));
        let got = ids(&found);
        assert_eq!(got.len(), found.len(), "{filters:?}");
        let wanted = self.entries.iter().filter(|e| of_entry(e));
        let wanted = wanted.filter(|e| !text(e, "/event_type").starts_with("audit."));
        let wanted: BTreeSet<_> = wanted.map(|e| text(e, "/id").to_owned()).collect();
        assert_eq!(got, wanted, "{filters:?}");
        let requests: BTreeSet<_> = found
            .iter()
            .map(|e| text(e, "/context/request_id"))
            .collect();
        for operation in self.operations.iter().filter(|o| of_operation(o)) {
            let should = operation.answer.is_some() && !operation.entries.is_empty();
            let does = requests.contains(operation.request_id.as_str());
            assert!(does || !should, "{filters:?}: {operation:?}");
        }
        self.asked += 1;
        found
    }

    /// The history of some notes: who changed them, and what they were before and after.
    pub(crate) fn who_changed(&mut self, rng: &mut Rng) {
        let notes = self
            .operations
            .iter()
            .filter(|o| o.entries.contains(&"note.updated"));
        let mut notes: Vec<_> = notes.map(|o| &o.resource).collect();
        rng.shuffle(&mut notes);
        notes.truncate(12);
        for note in notes {
            let filters = [("resource", note.as_str()), ("event_type", "note.*")];
            let of = |e: &Value| {
                text(e, "/resource/type") == "note"
                    && text(e, "/resource/id") == note
                    && text(e, "/event_type").starts_with("note.")
            };
            let history = self.answer(&filters, of, |o| {
                o.resource == *note && o.entries.iter().any(|e| e.starts_with("note."))
            });
            // Its only client changed it in this order, and knows all but what was cut off.
            let known = self.operations.iter().filter(|o| {
                o.resource == *note && o.answer.is_some() && o.entries.contains(&"note.updated")
            });
            let known: Vec<_> = known.map(|o| (o.user, o.text.as_str())).collect();
            let told = history.iter().filter(|e| e["event_type"] == "note.updated");
            let mut told =
                told.map(|e| (text(e, "/actor/name"), text(e, "/resource/attributes/text")));
            for change in known {
                assert!(told.any(|told| told == change), "{note}: {change:?}");
            }
        }
    }

    pub(crate) fn what_happened_between(&mut self, rng: &mut Rng) {
        let mut moments = [(); 2].map(|()| rng.choice(self.operations).unwrap().sent);
        moments.sort();
        let [from, to] = moments;
        if from == to {
            return;
        }
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
        let (start, end) = (from.to_string(), to.to_string());
        let found = self.answer(
            &[("start_date", &start), ("end_date", &end)],
            between,
            during,
        );
        let mut requests: BTreeSet<_> = found
            .iter()
            .map(|e| text(e, "/context/request_id"))
            .collect();
        requests.remove("");
        for operation in self.operations {
            // A job may end long after the answer.
            let is_export = operation.entries == ["export.requested"];
            let before = operation
                .answer
                .as_ref()
                .is_some_and(|(answered, _)| *answered < from);
            let outside = to <= operation.sent || before && !is_export;
            let found = requests.contains(operation.request_id.as_str());
            assert!(!outside || !found, "{operation:?}");
        }
    }
}
