//! The writer rests until the next thing is due, and no longer.

use super::*;

/// How long it rests now, in milliseconds.
fn rest_of(rig: &mut Rig) -> u128 {
    let now = rig.clock.monotonic();
    let due = rig.writer().next_due(now);
    due.saturating_sub(now).as_millis()
}

fn pass(rig: &mut Rig, millis: u64) {
    rig.clock.pass(Duration::from_millis(millis));
    rig.step();
}

#[test]
fn a_writer_without_events_rests_until_it_looks_at_the_files() {
    let mut rig = Rig::new();
    rig.clock.pass(Duration::from_secs(5));
    rig.step();
    assert_eq!(rest_of(&mut rig), 1000);
    pass(&mut rig, 400);
    assert_eq!(rest_of(&mut rig), 600);
}

#[test]
fn a_writer_rests_until_its_sync_is_due() {
    let mut rig = Rig::with(|options| options.sync_interval = Duration::from_millis(300));
    rig.clock.pass(Duration::from_secs(5));
    rig.push();
    rig.step();
    assert!(rig.durability.is_durable(rig.pushed[0].1), "it was due");
    pass(&mut rig, 100);
    rig.push();
    rig.step();
    assert_eq!(rest_of(&mut rig), 200);
    pass(&mut rig, 200);
    assert!(rig.durability.is_durable(rig.pushed[1].1));
    assert_eq!(rest_of(&mut rig), 700, "nothing is left to sync");
}

#[test]
fn a_writer_rests_until_its_file_is_too_old() {
    let mut rig = Rig::with(|options| options.rotate_age = Duration::from_millis(2300));
    rig.push();
    rig.step();
    pass(&mut rig, 1000);
    pass(&mut rig, 1000);
    assert_eq!(rest_of(&mut rig), 300);
    pass(&mut rig, 300);
    assert_eq!(rig.jobs.try_iter().count(), 1, "the file is to be sealed");
}

#[test]
fn a_writer_that_has_something_to_report_does_not_rest() {
    let mut rig = Rig::new();
    rig.fs.fail(|_, op| (op.what == "create_new").then(full));
    rig.push();
    assert!(!rig.step());
    rig.fs.heal();
    rig.clock.pass(Duration::from_secs(2));
    assert!(rig.step());
    assert!(!rig.writer().own.is_empty(), "that it writes again");
    let mut rest = || {
        let begun = std::time::Instant::now();
        rig.writer().rest();
        begun.elapsed()
    };
    // The quickest: the machine may have other things to do in between.
    let quickest = (0..10).map(|_| rest()).min();
    assert!(quickest < Some(Duration::from_millis(900)));
}
