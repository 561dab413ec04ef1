//! What nobody waits for ends, and what many damaged blocks hold is not held all at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::query::cancel::Cancel;

/// A log of one file, with about `blocks` blocks of nine entries; in each of them a line that is
/// none, if it is to be damaged.
fn log(blocks: u64, damaged: bool) -> Log {
    let log = Log::new();
    let record = |seq: u64| {
        Record {
            padding: 30_000,
            ..Record::new(0, seq, seq as i64 * 1_000_000)
        }
        .line()
    };
    let line = |seq: u64| {
        if damaged && seq.is_multiple_of(9) {
            "no entry".to_owned()
        } else {
            record(seq)
        }
    };
    log.sealed(&stem(0, 1), &(1..=blocks * 9).map(line).collect::<Vec<_>>());
    log
}

/// A reader that is told, before each block, how many came before.
fn asking(
    log: &Log,
    go_on: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (AuditReader, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let cancel = Cancel::when(move || !go_on(count.fetch_add(1, Ordering::SeqCst)));
    (log.reader().cancelled_by(&cancel), asked)
}

#[test]
fn a_query_that_finds_nothing_ends_soon_after_it_is_cancelled() {
    let log = log(40, false);
    let nothing = Filter::new().with("q", "no such text").unwrap();
    for blocks in [0, 2, 7] {
        let (reader, asked) = asking(&log, move |n| n < blocks);
        let error = reader
            .each(&nothing, Order::Asc, |_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(error.to_string().contains("has gone"), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), blocks + 1);
    }
    let (cancel, guard) = Cancel::on_drop();
    let reader = log.reader().cancelled_by(&cancel);
    let query = Query {
        filter: nothing,
        ..Query::default()
    };
    assert!(reader.page(&query).is_ok());
    drop(guard);
    assert!(reader.page(&query).is_err());
}

#[test]
fn entries_of_many_damaged_blocks_are_given_as_they_are_read() {
    const BLOCKS: u64 = 40;
    let log = log(BLOCKS, true);
    for order in [Order::Asc, Order::Desc] {
        let (reader, asked) = asking(&log, |_| true);
        let (mut given, mut at) = (Vec::new(), Vec::new());
        let scanned = reader
            .each(&Filter::new(), order, |entry| {
                given.push(entry.timestamp());
                at.push(asked.load(Ordering::SeqCst));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(given.len() as u64, BLOCKS * 8);
        assert!(given.is_sorted_by(|a, b| if order == Order::Asc { a <= b } else { a >= b }));
        assert!(
            scanned.problems.len() as u64 >= BLOCKS - 5,
            "{}",
            scanned.problems.len()
        );
        // Every one of them is read before the first is given, but only for its times: held are
        // those of a few.
        assert!(
            at[0] + 20 < *at.last().unwrap(),
            "the first after {}, the last after {:?}",
            at[0],
            at.last()
        );
    }
}
