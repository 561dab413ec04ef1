//! Foreign and damaged files in `sealed/`, and indexes that are gone, while a stream is recovered
//! that misses entries.

use super::*;
use crate::store::{samples, seal};

/// A killed process's log with three durable events, of which one is lost, and one more in the
/// journal.
fn log_that_lost_an_entry() -> Log {
    let mut log = Log::new();
    (0..3).for_each(|_| log.record());
    log.settle();
    log.record();
    let live = log.live();
    log.disk.change(live, |bytes| {
        let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        *bytes = [lines[0], lines[2]].concat();
    });
    log.kill();
    log
}

fn events(left: &Left, event_type: &str) -> usize {
    let types = left.types.iter();
    types.filter(|one| *one == event_type).count()
}

#[test]
fn what_is_not_ours_in_the_folder_of_sealed_files_stops_no_recovery() {
    let mut log = log_that_lost_an_entry();
    let journal = log.disk.files(Layout::new(DIR).journal_dir()).remove(0);
    let (layout, stem) = (Layout::new(DIR), samples::stem(1));
    let day = layout.sealed_day(stem.day());
    for name in ["README", ".DS_Store"] {
        log.disk.put(layout.sealed_dir().join(name), "mine");
        log.disk.put(day.join(name), "mine");
    }
    log.disk.put_dir(layout.sealed(&stem));
    log.take_over();
    assert!(log.disk.bytes(journal).is_none(), "{:#?}", log.problems());
    for name in ["README", ".DS_Store"] {
        log.disk.take_away(layout.sealed_dir().join(name));
        log.disk.take_away(day.join(name));
    }
    log.disk.take_away(layout.sealed(&stem));
    let left = log.judge("foreign files");
    assert_eq!(
        (left.missing.len(), events(&left, "audit.log.lost")),
        (1, 1)
    );
}

#[test]
fn a_damaged_file_of_any_stream_stops_no_recovery_and_nothing_is_called_lost_then() {
    let mut log = log_that_lost_an_entry();
    let journal = log.disk.files(Layout::new(DIR).journal_dir()).remove(0);
    let damaged = Layout::new(DIR).sealed(&samples::stem(1));
    log.disk.put(&damaged, "no gzip");
    log.take_over();
    assert!(log.disk.bytes(journal).is_none(), "{:#?}", log.problems());
    assert!(log.was_reported("doesn't call these entries lost"));
    log.disk.take_away(damaged);
    let left = log.judge_if(false, "a damaged file");
    assert_eq!(
        (left.missing.len(), events(&left, "audit.log.lost")),
        (1, 0)
    );
    assert_eq!(events(&left, "audit.log.recovered"), 1);
}

#[test]
fn on_a_full_disk_attempts_leave_one_empty_file_at_most() {
    let mut log = Log::new();
    log.record();
    log.kill();
    log.disk.fail(|_, op| {
        let fails = op.what == "append" && op.path.starts_with(Layout::new(DIR).live_dir());
        fails.then(|| std::io::ErrorKind::StorageFull.into())
    });
    log.open();
    for _ in 0..5 {
        log.pass(61_000);
        log.seal();
    }
    let live = log.disk.files(Layout::new(DIR).live_dir());
    assert_eq!(live.len(), 1, "{live:#?}");
    log.disk.heal();
    log.pass(61_000);
    log.seal();
    assert!(log.close());
    log.take_over();
    assert!(log.judge("the disk had room again").missing.is_empty());
}

/// The stream `billing-7f3a9c` with the entries 1 to 30 in three files: one is live and sealed, one
/// is sealed, one is live. Its process died after entry 30.
fn stream_with_a_sealed_file_in_between() -> (SimFs, Layout) {
    let (disk, layout) = (SimFs::new(), Layout::new(DIR));
    layout.dirs().iter().for_each(|dir| disk.put_dir(dir));
    for number in 1..=3 {
        let (stem, first) = (samples::stem(number), u64::from(number) * 10 - 9);
        disk.put(layout.live(&stem), samples::lines(first, 10));
        if number < 3 {
            seal::seal(&disk, &layout, &stem, Level::FASTEST).unwrap();
        }
    }
    disk.take_away(layout.live(&samples::stem(2)));
    let process = disk.process();
    let stream = samples::stem(1).stream;
    let (producer, mut consumer) =
        super::super::assemble::new_journal(&process, &layout, &stream, 1 << 14).unwrap();
    producer.push(b"\"id\":\"of no importance\"}").unwrap();
    assert!(consumer.next().is_some());
    consumer.release(consumer.position(), 31);
    process.end();
    (disk, layout)
}

fn recover(disk: &SimFs, layout: &Layout) -> crate::Result<()> {
    let clock = SetClock::new("2026-11-21T10:00:00Z");
    let stream = samples::stem(1).stream;
    let fs = disk.process();
    let recovered = super::super::recover::recover(&fs, layout, &clock, &stream);
    fs.end();
    recovered.map(|recovered| assert!(recovered.is_some()))
}

fn was_called_lost(disk: &SimFs, layout: &Layout) -> bool {
    let live = disk.files(layout.live_dir());
    let text: Vec<u8> = live
        .iter()
        .flat_map(|path| disk.bytes(path).unwrap())
        .collect();
    memchr::memmem::find(&text, b"audit.log.lost").is_some()
}

#[test]
fn what_is_sealed_is_not_called_lost_when_its_index_is_gone_or_damaged() {
    for damage in [None, Some("no index")] {
        let (disk, layout) = stream_with_a_sealed_file_in_between();
        let index = layout.index(&samples::stem(2));
        match damage {
            None => disk.take_away(&index),
            Some(text) => disk.put(&index, text),
        }
        recover(&disk, &layout).unwrap();
        assert!(!was_called_lost(&disk, &layout), "{damage:?}");
    }
}

#[test]
fn a_recovery_that_cannot_read_an_index_now_is_tried_again() {
    let (disk, layout) = stream_with_a_sealed_file_in_between();
    let index = layout.index(&samples::stem(2));
    disk.fail(move |_, op| {
        let fails = op.what == "read" && op.path == index;
        fails.then(|| std::io::Error::other("not now"))
    });
    assert!(recover(&disk, &layout).is_err());
    disk.heal();
    recover(&disk, &layout).unwrap();
    assert!(!was_called_lost(&disk, &layout));
}

#[test]
fn that_a_stream_has_no_journal_is_durable_before_its_files_are_sealed() {
    let (disk, layout) = stream_with_a_sealed_file_in_between();
    disk.take_away(layout.ring(&samples::stem(1).stream));
    let mut log = Log {
        disk,
        clock: Arc::new(SetClock::new("2026-11-21T10:00:00Z")),
        process: None,
        events: Vec::new(),
        problems: Arc::default(),
    };
    log.open();
    log.seal();
    let ops = log.disk.ops();
    let sealed = ops.iter().position(|op| {
        let stem = samples::stem(3).to_string();
        op.what == "create_new"
            && op
                .path
                .to_string_lossy()
                .contains(&format!("{stem}.jsonl.gz"))
    });
    // The new process's own journal is made durable there before.
    let own = ops
        .iter()
        .rposition(|op| op.what == "create_mapped")
        .unwrap();
    let journals =
        |op: &super::super::sim::Op| op.what == "sync_dir" && op.path == layout.journal_dir();
    let syncs = ops[own..sealed.unwrap()].iter().filter(|op| journals(op));
    assert_eq!(syncs.count(), 2);
}
