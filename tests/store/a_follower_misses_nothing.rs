//! A program that follows the log by `order=arrival` gets every entry once, whatever dies meanwhile;
//! and of what the log calls complete, nothing is missing and nothing is added to it.

use std::{
    collections::HashMap,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tracing_audit::{
    AuditLog, AuditReader, Filter, Query, Timestamp, audit,
    reader::{Order, PageStart},
};

use tracing_subscriber::prelude::*;

use crate::{
    kill_minus_nine_loses_nothing::open,
    support::{self, HANGS, Victim},
};

/// Asks until the log is complete up to this instant; gives up to when it is.
fn complete(reader: &AuditReader, instant: Timestamp) -> Timestamp {
    let begun = Instant::now();
    loop {
        let until = reader.complete_until().unwrap().expect("it is known");
        if until > instant {
            return until;
        }
        assert!(begun.elapsed() < HANGS, "complete until {until} only");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_quiet_log_is_complete_up_to_some_seconds_ago() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).open().unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    complete(&reader, Timestamp::now());
    log.close().unwrap();
    let before = Timestamp::now();
    assert!(reader.complete_until().unwrap().unwrap() >= before);
}

/// A call may be held up between its look at the clock and the journal: here it waits, while it is
/// rendered, until its time is one before which the log is complete.
#[test]
fn an_event_that_was_held_up_is_of_a_later_time() {
    struct HeldUp<'a>(&'a AuditReader, OnceLock<Timestamp>);

    impl serde::Serialize for HeldUp<'_> {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            self.1.get_or_init(|| complete(self.0, Timestamp::now()));
            to.serialize_bool(true)
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).open().unwrap();
    let reader = AuditReader::open(dir.path()).unwrap();
    let held_up = HeldUp(&reader, OnceLock::new());
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let record = || audit!("held.up", done = &held_up);
    let receipt = tracing::subscriber::with_default(subscriber, record);
    receipt.wait().unwrap();
    let entry = reader.get(receipt.id()).unwrap();
    let recorded = entry.expect("it is under the receipt's id").timestamp();
    let until = *held_up.1.get().unwrap();
    assert!(recorded >= until, "{recorded} came after {until}");
    let (seconds, nanos) = receipt.id().get_timestamp().unwrap().to_unix();
    let millis = seconds as i64 * 1000 + i64::from(nanos / 1_000_000);
    assert_eq!(millis, recorded.as_micros() / 1000);
    log.close().unwrap();
}

/// A line that was not synced may be written again under another number.
#[test]
fn what_is_not_on_stable_storage_has_not_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .sync_every(Duration::from_secs(3600))
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let receipt = tracing::subscriber::with_default(subscriber, || audit!("order.shipped"));
    let reader = AuditReader::open(dir.path()).unwrap();
    let begun = Instant::now();
    while reader.get(receipt.id()).unwrap().is_none() {
        assert!(begun.elapsed() < HANGS);
        std::thread::sleep(Duration::from_millis(5));
    }
    let query = Query {
        order: Order::Arrival,
        ..Query::default()
    };
    let first = reader.page(&query).unwrap();
    assert_eq!((first.entries.len(), first.has_more), (0, false));
    receipt.wait().unwrap();
    let query = Query {
        start: PageStart::Cursor(first.next_cursor),
        ..query
    };
    assert_eq!(reader.page(&query).unwrap().entries.len(), 1);
    log.close().unwrap();
}

/// What was found of what the log called complete.
struct Claim {
    until: Timestamp,
    ids: usize,
}

fn before(until: Timestamp) -> Filter {
    Filter::parse([("end_date", until.to_string())]).unwrap()
}

fn count(reader: &AuditReader, filter: &Filter) -> usize {
    let mut ids = 0;
    let scanned = reader.each(filter, Order::Asc, |_| {
        ids += 1;
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(scanned.unwrap().problems, []);
    ids
}

#[test]
fn through_kills_it_gets_every_entry_once_and_what_is_complete_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    open(path).close().unwrap();
    let reader = AuditReader::open(path).unwrap();
    let stop = AtomicBool::new(false);
    let mut claims: Vec<Claim> = Vec::new();
    let mut found: HashMap<String, u32> = HashMap::new();
    let mut query = Query {
        order: Order::Arrival,
        limit: 1000,
        ..Query::default()
    };
    let mut follow = |claims: &mut Vec<Claim>| loop {
        let page = reader.page(&query).unwrap();
        assert_eq!(page.scanned.problems, []);
        for entry in &page.entries {
            *found.entry(entry.id().to_owned()).or_default() += 1;
        }
        query.start = PageStart::Cursor(page.next_cursor);
        let until = page.complete_until.expect("it is known");
        if fastrand::u8(..20) == 0 {
            let ids = count(&reader, &before(until));
            claims.push(Claim { until, ids });
        }
        if !page.has_more {
            break;
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..100 {
                let victim = Victim::start(&mut support::child(
                    "store::kill_minus_nine_loses_nothing",
                    "victim",
                    &[("KILL_DIR", path)],
                ));
                std::thread::sleep(Duration::from_micros(fastrand::u64(500..60_000)));
                victim.kill::<String>();
                if round % 10 == 9 {
                    let log = open(path);
                    support::recovered(dir.path());
                    log.close().unwrap();
                }
            }
            stop.store(true, Relaxed);
        });
        while !stop.load(Relaxed) {
            follow(&mut claims);
        }
    });
    follow(&mut claims);
    let all = support::ids(dir.path());
    assert!(all.len() > 1000, "{} entries are too few to say", all.len());
    let missing = all.keys().filter(|id| !found.contains_key(*id)).count();
    let twice = found.values().filter(|count| **count > 1).count();
    assert_eq!((missing, twice, found.len()), (0, 0, all.len()));
    assert!(claims.len() > 3, "{}", claims.len());
    for Claim { until, ids } in claims {
        assert_eq!(count(&reader, &before(until)), ids, "before {until}");
    }
}
