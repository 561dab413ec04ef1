//! What can't be read stays: nobody knows how old it is, nor whether it is held.

use super::*;
use crate::store::hold::{self, Hold};

fn unreadable(rig: &Rig, number: usize) {
    let stem = &rig.stems[number - 1];
    let paths = [rig.layout.index(stem), rig.layout.sealed(stem)];
    rig.fs.fail(move |_, op| {
        let fails = op.what.contains("read") && paths.contains(&op.path);
        fails.then(|| io::Error::other("not now"))
    });
}

#[test]
fn a_file_that_cannot_be_read_now_stays_and_is_reported() {
    let mut rig = rig();
    let now = rig.after(5, 30 * MICROS_PER_DAY);
    let clock = SetClock::at(now);
    rig.trust(&clock).unwrap();
    unreadable(&rig, 2);
    let error = rig.prune_by(Retention::days(1), &clock).unwrap_err();
    assert!(error.to_string().contains("not now"), "{error}");
    assert_eq!(rig.left(), [2]);
    rig.fs.heal();
    assert_eq!(rig.prune_by(Retention::days(1), &clock).unwrap(), [2]);
}

#[test]
fn a_hold_keeps_a_damaged_file_whose_entries_may_be_those_held() {
    let mut rig = rig();
    let stem = rig.stems[0].clone();
    rig.fs.put(rig.layout.sealed(&stem), "no gzip");
    rig.fs.take_away(rig.layout.index(&stem));
    // Long before the day of the file: a recovery may have filed the entries there.
    let held = Hold::new("case", "2026-10-01", "2026-10-02").unwrap();
    let now = rig.after(5, 40 * MICROS_PER_DAY);
    hold::place(rig.fs(), &rig.layout, held, now).unwrap();
    assert_eq!(rig.prune(Retention::days(1), now).unwrap(), [2, 3, 4, 5]);
    assert_eq!(rig.left(), [1]);
}
