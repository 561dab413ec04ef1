//! The age limit that is set for all processes, in place of the applications' own.

use std::path::Path;

use super::*;
use crate::store::tmp;

fn set(rig: &Rig, text: &str) {
    let path = rig.layout.document("settings");
    tmp::replace(&rig.fs, &path, text.as_bytes(), true).unwrap();
    assert!(path.starts_with(Path::new("/log/state")));
}

fn days(limit: &str) -> String {
    format!("{{\"version\": 1, \"retention_days\": {limit}}}")
}

/// Prunes when all files are so many days old.
fn prune_after(rig: &mut Rig, days: i64, retention: Retention) -> Result<Vec<u32>> {
    let now = rig.after(5, days * MICROS_PER_DAY);
    rig.prune(retention, now)
}

#[test]
fn an_age_limit_that_is_set_holds_at_the_next_pruning() {
    let mut rig = rig();
    assert_eq!(
        prune_after(&mut rig, 40, Retention::days(90)).unwrap(),
        NONE
    );
    set(&rig, &days("30"));
    // Someone who names a retention gets that.
    let explicit = Retention::days(90).fixed();
    assert_eq!(prune_after(&mut rig, 40, explicit).unwrap(), NONE);
    let unlimited = Retention::unlimited().fixed();
    assert_eq!(prune_after(&mut rig, 40, unlimited).unwrap(), NONE);
    assert_eq!(
        prune_after(&mut rig, 40, Retention::unlimited()).unwrap(),
        [1, 2, 3, 4, 5]
    );
}

#[test]
fn what_is_set_to_stay_stays_but_for_the_limits_in_bytes() {
    let mut rig = rig();
    set(&rig, &days("\"unlimited\""));
    assert_eq!(
        prune_after(&mut rig, 400, Retention::days(1)).unwrap(),
        NONE
    );
    let small = Retention::days(1).max_bytes(0);
    assert_eq!(prune_after(&mut rig, 400, small).unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn with_settings_that_cant_be_read_nothing_goes() {
    let mut rig = rig();
    for damaged in ["{\"version\": 1, \"ret", &days("1"), &days("\"forever\"")] {
        set(&rig, damaged);
        let error = prune_after(&mut rig, 400, Retention::days(1)).unwrap_err();
        assert!(error.to_string().contains("settings.json"), "{error}");
    }
    assert_eq!(rig.left(), [1, 2, 3, 4, 5]);
}
