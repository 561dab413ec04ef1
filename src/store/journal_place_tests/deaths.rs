//! Deaths and power losses at every operation: no event is lost, and a journal that is gone is
//! recorded once.

use super::*;
use crate::store::sim::Model;

#[test]
fn a_kill_at_any_step_loses_nothing() {
    for at in 0..operations() {
        let context = format!("killed after {at} operations");
        let run = Run::new(at);
        run.disk.heal();
        assert!(run.verify().is_none_or(|report| report.ok), "{context}");
        for cut in [at % 40, u64::MAX / 2] {
            let problems = run.recover(cut);
            assert!(
                problems.is_err() || problems.is_ok_and(|p| p.is_empty()),
                "{context}"
            );
        }
        assert_eq!(run.check(&run.recorded, &context), 0, "{context}");
    }
}

#[test]
fn a_power_loss_at_any_step_loses_nothing_durable() {
    for at in 0..operations() {
        for (model, seed) in [(Model::Posix, at), (Model::Ordered, at)] {
            let context = format!("power lost after {at} operations, {model:?}, {seed}");
            let run = Run::new(at);
            run.disk.crash_randomly(model, seed);
            let problems = run.recover(u64::MAX / 2).unwrap();
            assert_eq!(problems, Vec::<String>::new(), "{context}");
            assert_eq!(run.check(&run.durable, &context), 0, "{context}");
        }
    }
}

#[test]
fn a_journal_that_is_gone_is_recorded_once_and_only_if_it_was_missed() {
    let mut recorded = 0;
    for at in 0..operations() {
        let model = [Model::Posix, Model::Ordered][at as usize % 2];
        for power in [None, Some((model, at))] {
            let context = format!("{power:?} after {at} operations, without the journal");
            let run = Run::new(at);
            if let Some((model, seed)) = power {
                run.disk.crash_randomly(model, seed);
            }
            run.disk.heal();
            let missed = run.journal_is_missed();
            // The pointer of a process that recorded an event and did not close its log says so.
            assert!(missed || !run.opened || run.closing, "{context}");
            assert!(!missed || !run.closed, "{context}");
            run.take_journal_away();
            if let Some(report) = run.verify() {
                assert!(report.ok, "{context}: {:#?}", report.findings);
                let notes = report.notes().filter(|note| note.kind == FindingKind::Lost);
                let noted = notes.filter(|note| note.what.contains("is gone")).count();
                assert_eq!(noted, usize::from(missed), "{context}: {report:#?}");
            }
            let mut problems = Vec::new();
            let cuts = match at % 3 {
                0 => [u64::MAX / 2; 3],
                _ => [at % 30, (at + 7) % 30, u64::MAX / 2],
            };
            for cut in cuts {
                let _ = run.recover_into(cut, &mut problems);
            }
            problems.retain(|what| what.contains("is gone"));
            // An attempt that fails at its very last operation reports that instead.
            let reported = problems.len() == usize::from(missed);
            assert!(reported || problems.is_empty() && at % 3 > 0, "{context}");
            let gone = run.check(&run.durable, &context);
            assert_eq!(gone, usize::from(missed), "{context}");
            recorded += gone;
        }
    }
    assert!(recorded > 100, "only {recorded} journals were missed");
}
