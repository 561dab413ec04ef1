//! Someone changes the live twin of a file that is sealed already: the sealed file stays as it is.

use super::*;

/// A log with three durable events in a sealed file, whose live twin is in its grace.
fn log_with_a_twin() -> (Log, PathBuf) {
    let (mut log, live) = sealing::log_with_a_finished_file();
    log.seal();
    assert!(log.disk.bytes(&live).is_some(), "its grace is not over");
    (log, live)
}

fn drop_last_line(bytes: &mut Vec<u8>) {
    let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    *bytes = lines[..lines.len() - 1].concat();
}

/// The sealed file that was there before is as it was, and what was changed is kept and reported.
fn check(log: &Log, sealed: &(PathBuf, Vec<u8>), live: &Path, context: &str) {
    let problems = log.problems();
    assert_eq!(log.disk.bytes(&sealed.0).unwrap(), sealed.1, "{context}");
    assert!(log.disk.bytes(live).is_none(), "{context}");
    let aside = log.disk.files(Layout::new(DIR).aside_dir());
    assert_eq!(aside.len(), 1, "{context}: {problems:#?}");
    let what = "was changed after it was sealed";
    assert!(log.was_reported(what), "{context}: {problems:#?}");
    assert!(log.judge(context).missing.is_empty(), "{context}");
}

fn sealed(log: &Log) -> (PathBuf, Vec<u8>) {
    let path = log.disk.files(Layout::new(DIR).sealed_dir()).remove(0);
    let bytes = log.disk.bytes(&path).unwrap();
    (path, bytes)
}

#[test]
fn a_recovery_keeps_the_sealed_file() {
    for has_index in [true, false] {
        let (mut log, live) = log_with_a_twin();
        let sealed = sealed(&log);
        log.disk.change(&live, drop_last_line);
        if !has_index {
            let indexes = log.disk.files(Layout::new(DIR).index_dir());
            indexes.iter().for_each(|index| log.disk.take_away(index));
        }
        log.kill();
        log.take_over();
        check(&log, &sealed, &live, "the process was killed");
    }
}

#[test]
fn the_process_that_sealed_it_keeps_the_sealed_file() {
    let (mut log, live) = log_with_a_twin();
    let sealed = sealed(&log);
    log.disk.change(&live, drop_last_line);
    log.pass(61_000);
    log.seal();
    assert!(log.close());
    check(&log, &sealed, &live, "the grace is over");
}

#[test]
fn a_process_that_finds_the_twin_of_a_closed_log_keeps_the_sealed_file() {
    let (mut log, live) = log_with_a_twin();
    assert!(log.close());
    let sealed = sealed(&log);
    log.disk.change(&live, drop_last_line);
    log.take_over();
    check(&log, &sealed, &live, "the log was closed");
}

#[test]
fn a_sealed_file_that_was_damaged_in_the_grace_is_sealed_again_and_kept_aside() {
    let (mut log, live) = log_with_a_twin();
    let (path, whole) = sealed(&log);
    log.disk
        .change(&path, |bytes| bytes.truncate(bytes.len() / 2));
    log.pass(61_000);
    log.seal();
    log.seal();
    assert!(log.was_reported("sealed again"), "{:#?}", log.problems());
    assert_eq!(log.disk.bytes(&path).unwrap(), whole);
    let aside = log.disk.files(Layout::new(DIR).aside_dir());
    assert_eq!(aside.len(), 1);
    assert_eq!(log.disk.bytes(&aside[0]).unwrap(), whole[..whole.len() / 2]);
    log.pass(61_000);
    log.seal();
    assert!(log.disk.bytes(&live).is_none(), "its grace is over");
    assert!(log.close());
    assert!(log.judge("sealed again").missing.is_empty());
}
