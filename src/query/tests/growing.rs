//! Reading while the log is written: each entry once, whatever happens to its file meanwhile.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering as Atomic},
    time::{Duration, Instant},
};

use super::{meddled::Meddled, *};

/// Ends what would hang.
const HANGS: Duration = Duration::from_secs(300);

#[test]
fn a_live_file_is_read_to_its_last_whole_line_as_it_grows() {
    let log = Log::new();
    let reader = log.reader();
    let records: Vec<_> = (1..=200)
        .map(|seq| Record {
            padding: 9_000,
            ..Record::new(0, seq, seq as i64 * 1_000)
        })
        .collect();
    let text: Vec<u8> = records
        .iter()
        .flat_map(|record| (record.line() + "\n").into_bytes())
        .collect();
    let mut file = std::fs::File::create(log.layout.live(&stem(0, 1))).unwrap();
    let mut written = 0;
    for part in text.chunks(37_777) {
        file.write_all(part).unwrap();
        written += part.len();
        let whole = text[..written]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(
            all(&reader, &Filter::new(), Order::Asc).0,
            sorted(&records[..whole], Order::Asc)
        );
        if whole > 0 {
            let newest = &records[whole - 1];
            assert!(reader.get(newest.id().parse().unwrap()).unwrap().is_some());
            let filter = Filter::new().with("actor", &newest.actor).unwrap();
            assert_eq!(all(&reader, &filter, Order::Desc).0, [newest.line()]);
        }
    }
}

#[test]
fn a_question_asked_again_costs_only_what_was_added() {
    let log = Log::new();
    let records: Vec<_> = (1..=100)
        .map(|seq| Record {
            padding: 30_000,
            ..Record::new(0, seq, seq as i64 * 1_000)
        })
        .collect();
    log.append(
        &stem(0, 1),
        &records.iter().map(Record::line).collect::<Vec<_>>(),
    );
    let reader = log.reader();
    let filter = Filter::new().with("actor", "user-50").unwrap();
    let (found, scanned) = all(&reader, &filter, Order::Desc);
    assert_eq!(found.len(), 1);
    assert!(
        scanned.blocks <= 2,
        "the block it is in and the rest, which has no filter: {scanned:?}"
    );
}

#[test]
fn a_live_file_that_was_made_anew_is_read_anew() {
    let log = Log::new();
    let reader = log.reader();
    let records: Vec<_> = (1..=40)
        .map(|seq| Record {
            padding: 30_000,
            ..Record::new(0, seq, seq as i64 * 1_000)
        })
        .collect();
    let lines: Vec<_> = records.iter().map(Record::line).collect();
    log.append(&stem(0, 1), &lines);
    assert_eq!(all(&reader, &Filter::new(), Order::Asc).0.len(), 40);
    // Kept open, so that the new file can't get the inode of the old one.
    let _old = std::fs::File::open(log.layout.live(&stem(0, 1))).unwrap();
    log.unlink(&stem(0, 1));
    log.append(&stem(0, 1), &lines[20..]);
    log.append(&stem(0, 1), &lines[..20]);
    let (found, scanned) = all(&reader, &Filter::new(), Order::Asc);
    assert_eq!(
        (found, scanned.problems),
        (sorted(&records, Order::Asc), vec![])
    );
}

/// Sealing comes between any two steps of a reader.
#[test]
fn a_file_that_is_sealed_while_it_is_looked_for_is_found_once() {
    for step in 0..12 {
        let log = Arc::new(Log::new());
        let records: Vec<_> = (1..=20)
            .map(|seq| Record::new(0, seq, seq as i64 * 1_000))
            .collect();
        let lines: Vec<_> = records.iter().map(Record::line).collect();
        log.append(&stem(0, 1), &lines[..10]);
        log.append(&stem(0, 2), &lines[10..]);
        let (meddler, count) = (Arc::clone(&log), AtomicU64::new(0));
        let meddled = Meddled::new(move |_| {
            // The first is the opening of the log.
            if count.fetch_add(1, Atomic::SeqCst) == step + 1 {
                meddler.seal(&stem(0, 1));
                meddler.unlink(&stem(0, 1));
            }
        });
        let reader = AuditReader::open_on(Arc::new(meddled), log.layout.clone()).unwrap();
        let mut tail = reader.tail(Filter::new(), TailStart::Now).unwrap();
        let (found, scanned) = all(&reader, &Filter::new(), Order::Asc);
        assert_eq!(
            (found, scanned.problems),
            (sorted(&records, Order::Asc), vec![]),
            "step {step}"
        );
        assert!(tail.poll(100).unwrap().is_empty() && tail.take_problems().is_empty());

        let (meddler, count) = (Arc::clone(&log), AtomicU64::new(0));
        let meddled = Meddled::new(move |_| {
            if count.fetch_add(1, Atomic::SeqCst) == step + 1 {
                meddler.seal(&stem(0, 2));
                meddler.unlink(&stem(0, 2));
            }
        });
        let reader = AuditReader::open_on(Arc::new(meddled), log.layout.clone()).unwrap();
        let (found, scanned) = all(&reader, &Filter::new(), Order::Desc);
        assert_eq!(
            (found, scanned.problems),
            (sorted(&records, Order::Desc), vec![]),
            "step {step}"
        );
    }
}

/// A writer rotates, seals and unlinks as fast as it can, while readers ask. What was written
/// before a question is in the answer, once.
#[test]
fn rotation_sealing_and_unlinking_hide_and_double_nothing() {
    const FILES: u32 = 40;
    const PER_FILE: u64 = 30;
    let log = Log::new();
    let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut tail = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    let record = |seq: u64| Record {
        padding: 20_000,
        ..Record::new(0, seq, seq as i64 * 1_000)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=FILES {
                for seq in u64::from(number - 1) * PER_FILE + 1..=u64::from(number) * PER_FILE {
                    log.append(&stem(0, number), &[record(seq).line()]);
                    written.store(seq, Atomic::SeqCst);
                }
                log.seal(&stem(0, number));
                log.unlink(&stem(0, number));
            }
            done.store(true, Atomic::SeqCst);
        });
        for order in [Order::Asc, Order::Desc] {
            let reader = log.reader();
            let (written, done) = (&written, &done);
            scope.spawn(move || {
                let mut last = false;
                while !last {
                    last = done.load(Atomic::SeqCst);
                    let before = written.load(Atomic::SeqCst);
                    let mut seqs = Vec::new();
                    let scanned = reader.each(&Filter::new(), order, |entry| {
                        seqs.push(entry.seq().0);
                        ControlFlow::Continue(())
                    });
                    let scanned = scanned.unwrap();
                    assert_eq!(scanned.problems, vec![]);
                    if order == Order::Desc {
                        seqs.reverse();
                    }
                    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
                    assert!(seqs.len() as u64 >= before);
                }
            });
        }
        // And one that follows, from the beginning.
        let (written, done) = (&written, &done);
        scope.spawn(move || {
            let begun = Instant::now();
            let mut seqs = Vec::new();
            loop {
                let ended = done.load(Atomic::SeqCst);
                let entries = tail.poll(7).unwrap();
                seqs.extend(entries.iter().map(|entry| entry.seq().0));
                // The last file comes a few seconds later if it was sealed and unlinked between
                // two polls.
                let have_all = seqs.len() as u64 >= written.load(Atomic::SeqCst);
                if ended && entries.is_empty() && have_all {
                    break;
                }
                assert!(begun.elapsed() < HANGS, "{seqs:?}");
            }
            assert_eq!(tail.take_problems(), vec![]);
            assert!(
                seqs.iter().copied().eq(1..=written.load(Atomic::SeqCst)),
                "{seqs:?}"
            );
        });
    });
}
