//! Finished files and their fate: changed before they are sealed, left by others, or
//! twins.

use super::*;
use crate::{
    entry::json::members,
    store::{samples, seal, sealer::Job},
};

/// A log with three durable events, whose file was finished and not sealed yet.
pub(super) fn log_with_a_finished_file() -> (Log, PathBuf) {
    let mut log = Log::new();
    (0..3).for_each(|_| log.record());
    log.settle();
    let file = log.live();
    log.pass(3_600_000);
    log.step();
    (log, file)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

type Change = fn(&mut Vec<u8>);

/// What someone does to a finished file, and how many events it costs.
const CHANGES: [(&str, Change, usize); 6] = [
    (
        "a line is appended",
        |b| b.extend_from_slice(b"foreign\n"),
        0,
    ),
    (
        "half a line is appended",
        |b| b.extend_from_slice(b"foreign"),
        0,
    ),
    (
        "our own line is appended",
        |b| {
            let end = b.iter().position(|byte| *byte == b'\n').unwrap();
            b.extend_from_within(..=end);
        },
        0,
    ),
    ("a line is spoiled", |b| b[3] = b'#', 1),
    (
        "zeros stand in a text",
        |b| {
            let at = memchr::memmem::find(b, b"xxxx").unwrap();
            b[at] = 0;
        },
        1,
    ),
    (
        "a line is another stream's",
        |b| {
            let end = b.iter().position(|byte| *byte == b'-').unwrap();
            b[end + 1] = if b[end + 1] == b'0' { b'1' } else { b'0' };
        },
        1,
    ),
];

#[test]
fn a_file_that_is_changed_before_it_is_sealed_is_sealed_without_the_change() {
    for (what, change, lost) in CHANGES {
        let (mut log, file) = log_with_a_finished_file();
        log.disk.change(&file, change);
        log.seal();
        log.seal();
        assert!(log.was_reported("tampered with"), "{what}");
        let layout = Layout::new(DIR);
        assert_eq!(log.disk.files(layout.sealed_dir()).len(), 1, "{what}");
        assert_eq!(log.disk.files(layout.aside_dir()).len(), 1, "{what}");
        log.pass(6_000);
        log.settle();
        assert!(log.close(), "{what}");
        log.take_over();
        let left = log.judge_if(lost == 0, what);
        assert_eq!(left.missing.len(), lost, "{what}");
    }
}

#[test]
fn what_is_removed_from_a_finished_file_before_it_is_sealed_is_recorded_as_lost() {
    let changes: [(&str, Change, usize); 5] = [
        ("the last line is removed", |b| drop(b.drain(line(b, 2))), 1),
        ("a line is removed", |b| drop(b.drain(line(b, 1))), 1),
        (
            "two lines are removed",
            |b| drop(b.drain(..line(b, 1).end)),
            2,
        ),
        ("it is cut to nothing", Vec::clear, 3),
        ("a line is written over by another", same_length, 1),
    ];
    for (what, change, lost) in changes {
        let (mut log, file) = log_with_a_finished_file();
        log.disk.change(&file, change);
        (0..4).for_each(|_| log.seal());
        assert!(log.was_reported("tampered with"), "{what}");
        assert_eq!(log.parts().sealer.queue.len(), 0, "{what}");
        log.settle();
        assert!(log.close(), "{what}");
        log.take_over();
        let left = log.judge(what);
        assert_eq!(left.missing.len(), lost, "{what}");
    }
}

#[test]
fn a_finished_file_that_is_removed_before_it_is_sealed_is_recorded_as_lost() {
    let (mut log, file) = log_with_a_finished_file();
    log.disk.take_away(&file);
    (0..4).for_each(|_| log.seal());
    assert_eq!(log.parts().sealer.queue.len(), 0);
    log.settle();
    assert!(log.close());
    log.take_over();
    assert_eq!(log.judge("it is gone").missing.len(), 3);
}

#[test]
fn a_finished_file_that_another_process_pruned_is_not_recorded_as_lost() {
    // This process failed to seal it, and tries again. Meanwhile the other found it sealed (the
    // failure came after the rename), recorded its removal and removed it.
    let (mut log, file) = log_with_a_finished_file();
    let name = file.file_stem().unwrap().to_str().unwrap();
    let row = members! { "file": name, "first_seq": 1, "last_seq": 3 };
    let pruned = OwnEntry::new("audit.log.pruned", Severity::Info, "x").detail("files", [row]);
    let entry = pruned.render(&"app".parse().unwrap());
    log.parts().producer.push(&entry).unwrap();
    for _ in 0..4 {
        log.step();
        log.pass(1_100);
    }
    log.disk.take_away(&file);
    (0..4).for_each(|_| log.seal());
    assert_eq!(log.problems(), [""; 0]);
    assert_eq!(log.parts().sealer.queue.len(), 0);
    log.settle();
    assert!(log.close());
    log.take_over();
    assert!(
        !log.judge_if(false, "")
            .types
            .contains(&"audit.log.lost".to_owned())
    );
}

/// Where the line with this index, its end included, is.
fn line(bytes: &[u8], index: usize) -> std::ops::Range<usize> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let start = lines.by_ref().take(index).map(<[u8]>::len).sum();
    start..start + lines.next().unwrap().len()
}

/// The second line is removed, and the first one made longer by as much.
fn same_length(bytes: &mut Vec<u8>) {
    let len = bytes.drain(line(bytes, 1)).len();
    let at = memchr::memmem::find(bytes, b"xxxx").unwrap();
    bytes.splice(at..at, std::iter::repeat_n(b'x', len));
}

#[test]
fn a_file_whose_number_has_a_gap_is_sealed() {
    // Entries were lost, and the log says so: the file is as sound as it gets.
    let mut log = Log::new();
    (0..3).for_each(|_| log.record());
    log.settle();
    log.disk.change(log.live(), |bytes| {
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        bytes.drain(first + 1..);
    });
    log.settle();
    log.record();
    log.settle();
    log.pass(3_600_000);
    log.settle();
    let problems = log.problems();
    assert!(!log.was_reported("could not be sealed"), "{problems:?}");
    assert!(log.close());
    log.take_over();
    assert_eq!(log.judge("a gap").missing.len(), 2);
}

#[test]
fn a_stream_that_is_to_be_recovered_again_outlives_the_next_look() {
    let mut log = Log::new();
    (0..3).for_each(|_| log.record());
    log.settle();
    let file = log.live();
    assert!(log.close());
    // It has no journal, so it is taken for whole.
    log.disk.change(&file, |bytes| {
        let spoiled = text(bytes).replacen("test.event", "test event\u{1}", 1);
        *bytes = spoiled.into_bytes();
    });
    log.open();
    log.seal();
    log.pass(61_000);
    (0..3).for_each(|_| log.seal());
    let problems = log.problems();
    assert!(log.was_reported("was damaged"), "{problems:?}");
    assert!(!log.was_reported("could not be sealed"), "{problems:?}");
    assert_eq!(log.disk.files(Layout::new(DIR).sealed_dir()).len(), 1);
}

#[test]
fn a_recovery_that_fails_is_tried_again_soon() {
    let mut log = Log::new();
    log.record();
    log.step();
    log.record();
    let journal = log.journal();
    log.kill();
    log.disk.fail(|_, op| {
        let fails = op.what == "append" && op.path.starts_with(Layout::new(DIR).live_dir());
        fails.then(|| std::io::ErrorKind::StorageFull.into())
    });
    log.open();
    assert!(log.disk.bytes(&journal).is_some());
    for seconds in [1, 2, 4] {
        let wait = log.parts().sealer.turn();
        assert_eq!(wait, Duration::from_secs(seconds));
        log.pass(1_000 * seconds);
    }
    log.disk.heal();
    log.seal();
    assert!(log.disk.bytes(&journal).is_none());
    assert!(log.close());
    log.take_over();
    assert!(log.judge("it was tried again").missing.is_empty());
}

#[test]
fn where_room_is_short_twins_go_at_once() {
    let (mut log, file) = log_with_a_finished_file();
    log.seal();
    assert!(log.disk.bytes(&file).is_some(), "its grace is not over");
    let parts = log.parts();
    parts.jobs.send(Job::RemoveTwins).unwrap();
    parts.sealer.take_all();
    assert!(log.disk.bytes(&file).is_none());
    assert!(log.close());
    log.take_over();
    assert!(log.judge("twins went").missing.is_empty());
}

#[test]
fn a_process_that_ends_removes_a_few_twins_and_no_more() {
    let mut log = Log::new();
    assert!(log.close());
    let layout = Layout::new(DIR);
    for number in 1..=20 {
        let (stem, first) = (samples::stem(number), u64::from(number) * 10);
        log.disk.put(layout.live(&stem), samples::lines(first, 10));
        seal::seal(&log.disk, &layout, &stem, Level::FASTEST).unwrap();
    }
    log.pass(60_000);
    log.open();
    assert!(log.close());
    assert_eq!(log.disk.files(layout.live_dir()).len(), 12);
    log.open();
    (0..2).for_each(|_| log.seal());
    assert_eq!(log.disk.files(layout.live_dir()).len(), 0);
}

#[test]
fn nothing_is_begun_or_sealed_in_a_directory_that_is_not_the_one_opened() {
    let (mut log, _) = log_with_a_finished_file();
    log.record();
    log.settle();
    let layout = Layout::new(DIR);
    let before = (
        log.disk.files(layout.live_dir()),
        log.disk.files(layout.sealed_dir()),
    );
    // Another directory has its name, as if that one had been renamed.
    log.disk.take_away(DIR);
    log.disk.put_dir(DIR);
    log.pass(14 * 3_600_000);
    log.record();
    let ops = log.disk.op_count() as usize;
    (0..4).for_each(|_| {
        log.step();
        log.pass(1_100);
        log.seal();
    });
    let parts = log.parts();
    parts.jobs.send(Job::RemoveTwins).unwrap();
    parts.sealer.take_all();
    let changes = [
        "create_new",
        "create_dir",
        "rename",
        "remove_file",
        "append",
    ];
    let done = log.disk.ops().split_off(ops);
    let done: Vec<_> = done
        .iter()
        .filter(|op| changes.contains(&op.what))
        .collect();
    assert!(done.is_empty(), "{done:?}");
    let after = (
        log.disk.files(layout.live_dir()),
        log.disk.files(layout.sealed_dir()),
    );
    assert_eq!(after, before);
    assert_eq!(log.durable().len(), 4, "the last one waits in the journal");
    assert!(log.was_reported("not the directory in which the log was opened"));
    log.kill();
    log.take_over();
    assert!(log.judge("another directory").missing.is_empty());
}
