//! A dead letter is a place in the log: it can be replayed as long as the log has its entries, and
//! says so when it has them no longer. What an older version copied is not lost.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tracing_audit::{
    AuditLog,
    webhook::{Replay, Webhook},
};

use crate::shop::{self, emit, open, wait};
use crate::{
    receiver::Receiver,
    support::{files, records, until},
};

fn to(receiver: &Receiver) -> Webhook {
    shop::to(receiver).schedule([0])
}

/// A log with so many dead letters, each of one entry.
fn with_dead_letters(receiver: &Receiver, count: u64) -> (tempfile::TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.webhooks().add(to(receiver)).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    emit(&log, 0..count);
    wait(&log, "all are given up", |report| {
        report.status.dead_lettered == count
    });
    drop(dispatcher);
    (dir, log)
}

/// Removes the entries from the log, as retention does.
fn prune(dir: &Path, log: AuditLog) -> AuditLog {
    log.close().unwrap();
    // At the next opening, what the dead stream left is sealed.
    open(dir).close().unwrap();
    for part in ["live", "sealed", "index"] {
        let days = std::fs::read_dir(dir.join(part)).unwrap();
        for found in days.map(|found| found.unwrap().path()) {
            if found.is_dir() {
                std::fs::remove_dir_all(found).unwrap();
            } else {
                std::fs::remove_file(found).unwrap();
            }
        }
    }
    open(dir)
}

fn letter_files(dir: &Path) -> Vec<PathBuf> {
    files(&dir.join("state/dead-letters"))
}

#[test]
fn a_dead_letter_has_no_copy_of_its_entries_and_says_when_they_are_gone() {
    let receiver = Receiver::saying(500);
    let (dir, log) = with_dead_letters(&receiver, 3);
    let kept = std::fs::read_to_string(&letter_files(dir.path())[0]).unwrap();
    assert!(!kept.contains("order.placed"), "{kept}");
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    let first = &letters[0];
    assert_eq!((first.missing, first.places.len()), (0, 1), "{first:?}");
    assert_eq!(first.places[0].stream, *first.entries[0].stream());

    let log = prune(dir.path(), log);
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    assert_eq!(letters.len(), 3);
    for letter in &letters {
        assert_eq!((letter.missing, letter.entries.len()), (1, 0), "{letter:?}");
        assert_eq!(letter.places.len(), 1, "{letter:?}");
    }
    // Asked for all the same, they are given up again, which says why.
    receiver.say(200);
    let dispatcher = log.webhooks().run().unwrap();
    assert!(
        log.webhooks()
            .replay("test", Replay::dead_letters())
            .unwrap()
    );
    wait(&log, "they are given up again", |report| {
        report.status.dead_lettered == 6
    });
    drop(dispatcher);
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    let says_so = |reason: &str| reason == "1 of its entries are no longer in the log";
    assert!(
        letters.len() == 3 && letters.iter().all(|one| says_so(&one.reason)),
        "{letters:?}"
    );
    assert!(receiver.taken().is_empty());
    log.close().unwrap();
}

/// Makes of the dead letters what an older version kept: in two files, with copies of the entries.
fn as_an_older_version(dir: &Path, log: &AuditLog) {
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    let path = letter_files(dir).remove(0);
    for (letter, ending) in letters
        .iter()
        .zip(["jsonl", "00000001.jsonl", "00000001.jsonl"])
    {
        let entries: Vec<Value> = letter
            .entries
            .iter()
            .map(|one| one.parse().unwrap())
            .collect();
        let line = json!({
            "webhook_id": letter.delivery_id,
            "endpoint": "test",
            "given_up": letter.given_up,
            "attempts": 3,
            "why": "all attempts failed",
            "entries": entries,
        });
        let path = path.with_extension(ending);
        let mut text = match ending {
            "jsonl" => String::new(),
            _ => std::fs::read_to_string(&path).unwrap_or_default(),
        };
        text.push_str(&format!("{line}\n"));
        std::fs::write(path, text).unwrap();
    }
    let ages = json!({"version": 1, "saved": 0, "files": {}}).to_string();
    std::fs::write(dir.join("state/dead-letter-ages.json"), ages).unwrap();
}

#[test]
fn what_an_older_version_copied_becomes_a_place_and_is_replayed() {
    let receiver = Receiver::saying(500);
    let (dir, log) = with_dead_letters(&receiver, 3);
    as_an_older_version(dir.path(), &log);
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    assert_eq!((letters.len(), letters[2].attempts), (3, 3), "{letters:?}");
    assert_eq!(letters[0].reason, "all attempts failed");

    let dispatcher = log.webhooks().run().unwrap();
    until("the files are made one, without copies", || {
        let files = letter_files(dir.path());
        let text = || std::fs::read_to_string(&files[0]).unwrap();
        files.len() == 1 && !text().contains("order.placed")
    });
    assert_eq!(log.webhooks().dead_letters("test", 0, 10).unwrap().len(), 3);
    receiver.say(200);
    assert!(
        log.webhooks()
            .replay("test", Replay::dead_letters())
            .unwrap()
    );
    wait(&log, "they arrive", |report| report.status.delivered == 3);
    assert!(
        log.webhooks()
            .dead_letters("test", 0, 10)
            .unwrap()
            .is_empty()
    );
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn a_copy_whose_entries_are_gone_is_kept_and_replayed() {
    let receiver = Receiver::saying(500);
    let (dir, log) = with_dead_letters(&receiver, 3);
    as_an_older_version(dir.path(), &log);
    let log = prune(dir.path(), log);
    let dispatcher = log.webhooks().run().unwrap();
    until("the files are made one", || {
        letter_files(dir.path()).len() == 1
    });
    let letters = log.webhooks().dead_letters("test", 0, 10).unwrap();
    assert!(
        letters.len() == 3 && letters.iter().all(|letter| letter.missing == 0),
        "{letters:?}"
    );
    receiver.say(200);
    assert!(
        log.webhooks()
            .replay("test", Replay::dead_letters())
            .unwrap()
    );
    wait(&log, "they arrive", |report| report.status.delivered == 3);
    let ids = letters.iter().map(|letter| letter.delivery_id.clone());
    let arrived = receiver.taken().into_values().flatten();
    assert_eq!(
        ids.collect::<std::collections::BTreeSet<_>>(),
        arrived.collect::<std::collections::BTreeSet<_>>()
    );
    assert!(
        log.webhooks()
            .dead_letters("test", 0, 10)
            .unwrap()
            .is_empty()
    );
    drop(dispatcher);
    log.close().unwrap();
}

#[test]
fn the_dead_letters_of_a_removed_webhook_go_and_that_is_recorded() {
    let receiver = Receiver::saying(500);
    let (dir, log) = with_dead_letters(&receiver, 2);
    log.webhooks().remove("test").unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    until("they are removed", || letter_files(dir.path()).is_empty());
    drop(dispatcher);
    log.close().unwrap();
    let removed = records(dir.path())
        .into_iter()
        .find(|record| record["event_type"] == "audit.delivery.dead_letters_removed")
        .unwrap();
    let details = &removed["details"];
    assert_eq!(
        (
            &details["webhook"],
            &details["deliveries"],
            &details["entries"]
        ),
        (&"test".into(), &2.into(), &2.into()),
        "{removed}"
    );
    assert_eq!(details["reason"], "webhook_removed");
}
