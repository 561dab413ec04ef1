//! The journal: deleted, replaced, unreadable for a while, damaged for good.

use super::*;
use crate::store::{recover::recover, sim::Model};

#[test]
fn a_deleted_or_replaced_journal_is_reported_once_and_costs_nothing() {
    for replaced in [false, true] {
        let mut log = Log::new();
        log.record();
        log.settle();
        let journal = log.journal();
        match replaced {
            false => log.disk.take_away(&journal),
            true => log.disk.put(&journal, "something else"),
        }
        for _ in 0..3 {
            log.record();
            log.settle();
        }
        let trouble = log.parts().health.trouble();
        assert_eq!(trouble.len(), 1, "{trouble:?}");
        assert!(trouble[0].contains("journal"), "{trouble:?}");
        log.record();
        assert!(log.close());
        let reports = log.problems();
        let lost = reports.iter().filter(|text| text.contains("is gone"));
        assert_eq!(lost.count(), 1, "{reports:#?}");
        // What has its name is not ours to remove.
        assert_eq!(log.disk.bytes(&journal).is_some(), replaced);
        log.take_over();
        if replaced {
            assert!(log.was_reported("it is kept as"), "{:#?}", log.problems());
            log.disk.take_away(journal.with_extension("ring.damaged"));
        }
        assert!(log.judge("without a journal").missing.is_empty());
    }
}

#[test]
fn a_journal_that_is_no_file_is_set_aside() {
    let mut log = Log::new();
    log.record();
    log.settle();
    let journal = log.journal();
    log.kill();
    log.disk.take_away(&journal);
    log.disk.put_dir(&journal);
    log.take_over();
    assert!(
        log.was_reported("it is not a regular file"),
        "{:#?}",
        log.problems()
    );
    let fs = log.disk.process();
    let aside = journal.with_extension("ring.damaged");
    assert!(
        crate::store::fs::Fs::identity(&fs, &aside)
            .unwrap()
            .is_some()
    );
}

/// A killed process with events that only its journal has, one live file, and the stream's name.
fn killed() -> Log {
    let mut log = Log::new();
    log.record();
    log.settle();
    (0..3).for_each(|_| log.record());
    log
}

#[test]
fn a_passing_error_while_a_journal_is_recovered_sets_nothing_aside() {
    for error in [5, 24] {
        let mut n = 0;
        loop {
            let mut log = killed();
            let stream = log.parts().stream.clone();
            log.kill();
            let fs = log.disk.process();
            let (layout, at) = (Layout::new(DIR), log.disk.op_count() + n);
            log.disk.fail(move |number, _| {
                (number == at).then(|| std::io::Error::from_raw_os_error(error))
            });
            let recovered = recover(&fs, &layout, &*log.clock, &stream);
            let met = log.disk.op_count() > at;
            log.disk.heal();
            assert!(met != recovered.is_ok() || n > 0, "operation {n}");
            drop(recovered);
            fs.end();
            let files = log.disk.files(layout.journal_dir());
            let damaged = |path: &PathBuf| path.to_string_lossy().ends_with(".damaged");
            assert!(!files.iter().any(damaged), "operation {n}: {files:?}");
            log.take_over();
            assert!(log.judge(&format!("operation {n}")).missing.is_empty());
            if !met {
                break;
            }
            n += 1;
        }
        assert!(n > 8, "only {n} operations");
    }
}

#[test]
fn a_damaged_journal_is_set_aside_once_and_reported_by_everyone_until_it_is_gone() {
    let mut log = killed();
    let journal = log.journal();
    log.kill();
    log.disk.change(&journal, |bytes| bytes[40] ^= 1);
    log.take_over();
    let aside = journal.with_extension("ring.damaged");
    let kept = log.disk.bytes(&aside).unwrap();
    for _ in 0..2 {
        log.problems.lock().unwrap().clear();
        log.take_over();
        assert!(log.was_reported("was set aside as damaged"));
        assert_eq!(log.disk.bytes(&aside), Some(kept.clone()));
        assert!(!log.verify().ok);
    }
    log.disk.take_away(&aside);
    log.problems.lock().unwrap().clear();
    log.take_over();
    assert_eq!(log.problems(), [""; 0]);
    assert!(log.verify().ok);
}

#[test]
fn a_journal_gone_with_a_torn_last_line_is_damage_that_is_reported() {
    let mut log = killed();
    let (journal, live) = (log.journal(), log.live());
    log.kill();
    log.disk.take_away(&journal);
    log.disk
        .change(&live, |bytes| bytes.extend_from_slice(b"{\"stream\":"));
    log.take_over();
    assert!(log.was_reported("was damaged"), "{:#?}", log.problems());
    let aside = log.disk.files(Layout::new(DIR).aside_dir());
    assert_eq!(log.disk.bytes(&aside[0]).unwrap(), b"{\"stream\":");
    log.judge("a torn line");
}

#[test]
fn zeros_in_the_tail_after_a_power_cut_are_no_damage() {
    for seed in 0..40 {
        let mut log = killed();
        for _ in 0..12 {
            log.record();
            log.step();
        }
        let durable = log.durable();
        log.disk.crash_randomly(Model::Posix, seed);
        log.kill();
        log.take_over();
        let left = log.judge(&format!("seed {seed}"));
        assert!(left.missing.is_disjoint(&durable));
        assert_eq!(log.problems(), [""; 0]);
    }
}

#[test]
fn a_damaged_durable_line_is_set_aside_and_its_loss_recorded_exactly() {
    for line in 0..4 {
        for what in [b'\n', 0, b'{'] {
            let mut log = super::live_file::log_with_events();
            let (live, durable) = (log.live(), log.durable());
            log.kill();
            let mut damaged = Vec::new();
            log.disk.change(&live, |bytes| {
                let mut starts = vec![0];
                starts.extend(memchr::memchr_iter(b'\n', bytes).map(|end| end + 1));
                bytes[starts[line] + 2] = what;
                damaged = bytes[starts[line]..starts[line + 1]].to_vec();
            });
            log.take_over();
            let context = format!("line {line} with {what}");
            let left = log.judge(&context);
            assert_eq!(left.missing.len(), 1, "{context}");
            assert!(left.missing.is_subset(&durable), "{context}");
            assert!(
                left.types.contains(&"audit.log.lost".to_owned()),
                "{context}"
            );
            assert!(log.was_reported("was damaged"), "{context}");
            let aside = log.disk.files(Layout::new(DIR).aside_dir());
            let aside = log.disk.bytes(&aside[0]).unwrap();
            assert!(aside.starts_with(&damaged), "{context}");
        }
    }
}
