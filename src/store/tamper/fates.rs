//! Tampering, and then a failing operation, a death or both, at every step.

use super::{
    live_file::{Tampering, log_with_events},
    *,
};

/// What the log does after it was tampered with.
fn go_on(log: &mut Log, rotate: bool) {
    for round in 0..3 {
        log.record();
        log.step();
        log.pass(if rotate && round == 0 {
            3_600_000
        } else {
            1_100
        });
        log.step();
        log.seal();
    }
}

/// Runs this with the n-th operation failing, for every n that there is.
fn at_every_operation(run: impl Fn(Tampering, bool, u64) -> bool) {
    for (at, tampering) in Tampering::ALL.into_iter().enumerate() {
        // Each kind of tampering has neighbours that go the other way.
        let rotate = at % 2 == 0;
        let mut n = 0;
        while run(tampering, rotate, n) {
            n += 1;
        }
        assert!(n > 5, "{tampering:?}: only {n} operations");
    }
}

#[test]
fn one_failing_operation_after_it_costs_nothing() {
    at_every_operation(|tampering, rotate, n| {
        let context = format!("{tampering:?}, rotated: {rotate}, operation {n} fails");
        let mut log = log_with_events();
        let gone = tampering.act(&log);
        let before = log.disk.op_count();
        log.disk.fail_nth(n);
        go_on(&mut log, rotate);
        let met = log.disk.op_count() - before > n;
        log.disk.heal();
        log.settle();
        assert!(log.close(), "{context}");
        assert!(log.was_reported("tampered with"), "{context}");
        log.take_over();
        assert_eq!(log.judge(&context).missing, gone, "{context}");
        met
    });
}

#[test]
fn a_log_that_closes_while_an_operation_fails_loses_nothing() {
    at_every_operation(|tampering, rotate, n| {
        let context = format!("{tampering:?}, rotated: {rotate}, operation {n} fails at the end");
        let mut log = log_with_events();
        let gone = tampering.act(&log);
        if rotate {
            log.pass(3_600_000);
        }
        let durable = log.durable();
        let before = log.disk.op_count();
        log.disk.fail_nth(n);
        let closed = log.close();
        let met = log.disk.op_count() - before > n;
        log.disk.heal();
        log.take_over();
        // The caller knows that it failed, so entries that only the dead handle had may be missing.
        let left = log.judge_killed(tampering, &context);
        let mut allowed = gone;
        if !closed && tampering.takes_the_file_away() {
            allowed.extend(durable);
        }
        assert!(
            left.missing.is_subset(&allowed),
            "{context}: {:?}",
            left.missing
        );
        met
    });
}

#[test]
fn a_death_at_any_operation_after_it_costs_no_more_than_it_took_away() {
    at_every_operation(|tampering, rotate, n| {
        let context = format!("{tampering:?}, rotated: {rotate}, killed at operation {n}");
        let mut log = log_with_events();
        let (mut gone, durable) = (tampering.act(&log), log.durable());
        let before = log.disk.op_count();
        log.disk.stop_after(n);
        go_on(&mut log, rotate);
        let met = log.disk.op_count() - before > n;
        log.kill();
        log.take_over();
        if tampering.takes_the_file_away() {
            gone.extend(durable);
        }
        let left = log.judge_killed(tampering, &context);
        assert!(
            left.missing.is_subset(&gone),
            "{context}: {:?}",
            left.missing
        );
        met
    });
}

#[test]
fn a_power_cut_at_any_operation_after_it_costs_no_more_than_it_took_away() {
    at_every_operation(|tampering, rotate, n| {
        let context = format!("{tampering:?}, rotated: {rotate}, power lost at operation {n}");
        let mut log = log_with_events();
        let (mut gone, durable) = (tampering.act(&log), log.durable());
        let before = log.disk.op_count();
        log.disk.stop_after(n);
        go_on(&mut log, rotate);
        let met = log.disk.op_count() - before > n;
        let kept = log.durable();
        log.disk.crash();
        log.kill();
        log.take_over();
        if tampering.takes_the_file_away() {
            gone.extend(durable);
        }
        let left = log.judge_killed(tampering, &context);
        let lost: BTreeSet<_> = left.missing.intersection(&kept).cloned().collect();
        assert!(lost.is_subset(&gone), "{context}: {lost:?}");
        met
    });
}
