//! Batches that could not be written, and rotations meanwhile.

use super::*;

fn is_live(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "jsonl")
}

/// From now on these operations on live files fail.
fn fail(log: &Log, what: &'static [&'static str]) {
    log.disk.fail(move |_, op| {
        let fails = what.contains(&op.what) && is_live(&op.path);
        fails.then(|| std::io::Error::from_raw_os_error(28))
    });
}

#[test]
fn a_batch_that_waits_for_room_is_not_released_by_a_rotation() {
    for killed in [false, true] {
        let mut log = Log::new();
        log.record();
        log.settle();
        fail(&log, &["append"]);
        (0..4).for_each(|_| log.record());
        for _ in 0..3 {
            log.step();
            log.pass(1_100);
        }
        log.pass(3_600_000);
        for _ in 0..3 {
            log.step();
            log.pass(1_100);
            log.seal();
        }
        assert_eq!(log.durable().len(), 1, "the others are nowhere");
        match killed {
            true => log.kill(),
            false => assert!(!log.close()),
        }
        log.disk.heal();
        log.take_over();
        let left = log.judge(&format!("killed: {killed}"));
        assert!(left.missing.is_empty(), "killed: {killed}");
    }
}

#[test]
fn a_partial_write_whose_cut_fails_doubles_nothing_when_the_file_is_ended() {
    for killed in [false, true] {
        let mut log = Log::new();
        log.record();
        log.settle();
        log.record();
        log.record();
        // Less than both lines.
        log.disk.limit(Some(log.disk.used() + 300));
        log.disk.fail(|_, op| {
            let fails = op.what == "truncate" && is_live(&op.path);
            fails.then(|| std::io::Error::from_raw_os_error(5))
        });
        for _ in 0..3 {
            log.step();
            log.pass(1_100);
        }
        log.disk.limit(None);
        log.pass(3_600_000);
        for _ in 0..3 {
            log.step();
            log.pass(1_100);
            log.seal();
        }
        match killed {
            true => log.kill(),
            false => {
                log.disk.heal();
                log.settle();
                assert!(log.close());
            }
        }
        log.take_over();
        let left = log.judge(&format!("killed: {killed}"));
        assert!(left.missing.is_empty(), "killed: {killed}");
    }
}

#[test]
fn a_file_that_was_cut_while_a_write_failed_is_not_filled_up_with_zeros() {
    for fails in [&["append"][..], &["sync"]] {
        let mut log = Log::new();
        (0..3).for_each(|_| log.record());
        log.settle();
        let live = log.live();
        log.disk.change(&live, Vec::clear);
        fail(
            &log,
            if fails == ["append"] {
                &["append"]
            } else {
                &["sync"]
            },
        );
        log.record();
        log.step();
        log.disk.heal();
        log.settle();
        assert!(log.close());
        log.take_over();
        let left = log.judge(&format!("{fails:?} fails"));
        assert_eq!(left.missing.len(), 3);
        assert!(log.was_reported("tampered with"));
    }
}

#[test]
fn what_could_not_be_moved_away_is_moved_later() {
    for killed in [false, true] {
        let mut log = super::live_file::log_with_events();
        super::live_file::Tampering::ReplaceBySame.act(&log);
        // From `live/`; the copy comes from elsewhere.
        fail(&log, &["rename"]);
        log.settle();
        let files = log.disk.files(Layout::new(DIR).live_dir());
        assert_eq!(files.len(), 2, "the copy, and what can't be moved");
        log.record();
        log.settle();
        assert_eq!(log.durable().len(), 4, "a death now would find lines twice");
        match killed {
            true => log.kill(),
            false => {
                log.disk.heal();
                log.settle();
                assert!(log.close());
            }
        }
        log.take_over();
        assert!(log.judge("moved later").missing.is_empty());
    }
}

#[test]
fn a_sync_that_succeeds_after_one_that_failed_proves_nothing() {
    // Who sees the one that fails: the process that dies then, or the one that recovers.
    for (writer, recovery) in [
        (&["sync", "truncate"][..], &[][..]),
        (&[], &["sync"]),
        (&[], &["sync", "truncate"]),
    ] {
        let context = format!("{writer:?} fail in the writer, {recovery:?} in the recovery");
        let mut log = Log::new();
        log.record();
        log.settle();
        log.record();
        log.step();
        (0..3).for_each(|_| log.record());
        log.step();
        fail(&log, writer);
        if !writer.is_empty() {
            log.pass(1_100);
            log.step();
        }
        assert!(log.durable().len() < 5, "{context}");
        let (stream, layout) = (log.parts().stream.clone(), Layout::new(DIR));
        log.kill();
        fail(&log, recovery);
        let recover = |log: &Log| {
            let fs = log.disk.process();
            let recovered = super::super::recover::recover(&fs, &layout, &*log.clock, &stream);
            recovered.map(drop)
        };
        assert_eq!(recover(&log).is_err(), !recovery.is_empty(), "{context}");
        log.disk.heal();
        recover(&log).unwrap();
        assert_eq!(log.disk.files(layout.journal_dir()).len(), 0, "{context}");
        log.disk.crash();
        log.take_over();
        assert!(log.judge(&context).missing.is_empty(), "{context}");
    }
}
