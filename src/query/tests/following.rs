//! What a follower lists: `live/` on each look, and sealed days only where a number is missing.

use std::{
    sync::atomic::{AtomicUsize, Ordering as Atomic},
    time::{Duration, Instant},
};

use super::{meddled::Meddled, *};

/// A reader, and how often it has listed sealed days, or the directory that they are in.
fn counted(log: &Log) -> (AuditReader, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let sealed = log.layout.sealed_dir();
    let fs = Meddled::new(move |path| {
        let is_directory = path.starts_with(&sealed) && path.extension().is_none_or(|e| e != "gz");
        counter.fetch_add(usize::from(is_directory), Atomic::SeqCst);
    });
    let reader = AuditReader::open_on(Arc::new(fs), log.layout.clone()).unwrap();
    (reader, count)
}

/// Born now: into the day in which sealing goes on.
fn now(number: u32) -> FileStem {
    FileStem {
        born: Timestamp::now(),
        ..stem(0, number)
    }
}

fn line(seq: u64) -> [String; 1] {
    [Record::new(0, seq, seq as i64 * 1_000_000).line()]
}

/// A log with one sealed file on each of so many days.
fn sealed_days(days: u32) -> Log {
    let log = Log::new();
    for day in 1..=days {
        let born = Timestamp::from_micros(START + i64::from(day) * 86_400_000_000);
        let stem = FileStem {
            born,
            ..stem(1, day)
        };
        log.sealed(&stem, &[Record::new(1, u64::from(day), 0).line()]);
    }
    log
}

#[test]
fn while_no_number_is_missing_no_sealed_day_is_listed() {
    const DAYS: u32 = 30;
    const FILES: u32 = 50;
    let log = sealed_days(DAYS);
    let (reader, count) = counted(&log);
    let mut tails: Vec<_> = (0..3)
        .map(|_| reader.tail(Filter::new(), TailStart::Now).unwrap())
        .collect();
    // What was listed long enough ago is not listed again.
    std::thread::sleep(Duration::from_millis(3_100));
    reader.tail(Filter::new(), TailStart::Now).unwrap();
    let start = Instant::now();
    let before = count.load(Atomic::SeqCst);
    let mut files = vec![now(1)];
    for number in 1..=FILES {
        let stem = files.last().unwrap().clone();
        log.append(&stem, &line(u64::from(number) * 2 - 1));
        let mut given = |seq: u64| {
            for tail in &mut tails {
                let seqs: Vec<_> = tail
                    .poll(9)
                    .unwrap()
                    .iter()
                    .map(|entry| entry.seq().0)
                    .collect();
                assert_eq!(seqs, [seq]);
                assert!(tail.poll(9).unwrap().is_empty() && tail.take_problems().is_empty());
            }
        };
        given(u64::from(number) * 2 - 1);
        // The rest of it is sealed and gone when the next one is there.
        log.append(&stem, &line(u64::from(number) * 2));
        log.seal(&stem);
        log.unlink(&stem);
        given(u64::from(number) * 2);
        files.push(now(number + 1));
    }
    let listed = count.load(Atomic::SeqCst) - before;
    // Every few seconds it is looked, once for all, for what was never in `live/`.
    let looks = start.elapsed().as_secs() as usize / 5 + 1;
    assert!(listed <= looks * 2, "{listed} listings in {looks} looks");
}

#[test]
fn where_a_number_is_missing_the_days_that_have_changed_are_listed_at_once() {
    let log = sealed_days(9);
    log.append(&now(1), &line(1));
    let (reader, count) = counted(&log);
    let mut tail = reader.resume(Filter::new(), &Places::default()).unwrap();
    assert_eq!(tail.poll(99).unwrap().len(), 10);
    std::thread::sleep(Duration::from_millis(3_100));
    reader.tail(Filter::new(), TailStart::Now).unwrap();
    log.sealed(&now(2), &line(2));
    log.append(&now(3), &line(3));
    let before = count.load(Atomic::SeqCst);
    let seqs: Vec<_> = tail
        .poll(9)
        .unwrap()
        .iter()
        .map(|entry| entry.seq().0)
        .collect();
    assert_eq!(seqs, [2, 3]);
    let listed = count.load(Atomic::SeqCst) - before;
    assert!(
        listed <= 2,
        "{listed}: the list of days, and the day that came"
    );
}
