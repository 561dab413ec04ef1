//! What a child of `fork` records through the log it inherited, and a child of that, is in the log
//! exactly once, in a stream of its own, whether it closes the log or only ends.

use std::{
    collections::{BTreeMap, HashSet},
    thread,
};

use crate::forking::fork;
use tracing::dispatcher;
use tracing_audit::audit;
use tracing_subscriber::prelude::*;

const EVENTS: usize = 100;

/// As many events by the layer and by the process-wide log, from two threads each.
fn record(who: &'static str) {
    let dispatch = dispatcher::get_default(Clone::clone);
    let both_ways = || {
        for n in 0..EVENTS {
            let by_layer = audit!("process.step", who, n);
            let none = tracing::Dispatch::none();
            let globally = dispatcher::with_default(&none, || audit!("process.step", who, n));
            assert!(by_layer.is_recorded() && globally.is_recorded());
        }
        audit!("process.step", who).wait().unwrap();
    };
    thread::scope(|threads| {
        threads.spawn(|| dispatcher::with_default(&dispatch, both_ways));
        both_ways();
    });
}

#[test]
fn each_process_has_a_stream_of_its_own() {
    if !crate::support::is_apart(module_path!(), "each_process_has_a_stream_of_its_own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = || crate::support::builder(dir.path()).open().unwrap();
    let log = open();
    log.set_global().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    audit!("process.step", who = "parent");

    let stream = log.stream().to_string();
    let closing = fork(|| {
        record("closing");
        assert_ne!(log.stream().to_string(), stream);
        fork(|| record("grandchild")).ends_well();
        record("closing");
        log.close().unwrap();
        assert!(!audit!("process.late").is_recorded());
    });
    let dying = fork(|| record("dying"));
    // One that let go of the log before it had anything to say.
    let mut dropped = Some(log.clone());
    let late = fork(|| {
        drop(dropped.take());
        record("late");
    });
    record("parent");
    for child in [closing, dying, late] {
        child.ends_well();
    }
    assert_eq!(log.stream().to_string(), stream);
    log.close().unwrap();
    // Recovers what those left that ended without closing.
    open().close().unwrap();

    let found = crate::support::ids(dir.path());
    assert!(found.values().all(|count| *count == 1));
    // Nor does a child go on with the random numbers of its parent.
    let random: HashSet<_> = found.keys().map(|id| id[19..].to_owned()).collect();
    assert_eq!(random.len(), found.len());
    let mut streams: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in crate::support::records(dir.path()) {
        if record["event_type"] == "process.step" {
            let who = record["details"]["who"].as_str().unwrap().to_owned();
            let stream = record["stream"].as_str().unwrap().to_owned();
            streams.entry(who.clone()).or_default().insert(stream);
            *counts.entry(who).or_default() += 1;
        }
    }
    let once = 2 * (2 * EVENTS + 1);
    let expected = [
        ("closing", 2 * once),
        ("dying", once),
        ("grandchild", once),
        ("late", once),
        ("parent", once + 1),
    ];
    assert_eq!(
        counts,
        expected.map(|(who, count)| (who.to_owned(), count)).into()
    );
    assert!(streams.values().all(|streams| streams.len() == 1));
    let all: HashSet<_> = streams.values().flatten().collect();
    assert_eq!(all.len(), 5, "{streams:?}");
}
