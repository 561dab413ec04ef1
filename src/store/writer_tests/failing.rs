//! Writes, syncs and cuts that fail, and a disk that fills up.

use super::*;

#[test]
fn a_failed_sync_costs_nothing_and_doubles_nothing() {
    let mut rig = Rig::new();
    for failing in [true, false, true] {
        rig.push();
        rig.push();
        if failing {
            rig.fs.fail(|_, op| {
                (op.what == "sync" && op.path.extension().is_some_and(|e| e == "jsonl")).then(full)
            });
            rig.clock.pass(Duration::from_secs(2));
            assert!(!rig.step());
            assert_eq!(rig.health.trouble().len(), 1);
            rig.fs.heal();
            rig.push();
        }
        rig.settle();
        rig.all_there();
    }
    // What a sync failed for is in a new file: the kernel may never write the old one's pages.
    assert!(rig.fs.files(rig.layout().live_dir()).len() > 1);
    assert!(rig.health.trouble().is_empty());
    rig.fs.crash();
    rig.all_there();
    assert!(
        rig.types()
            .contains(&"audit.log.write_recovered".to_owned())
    );
}

#[test]
fn a_failed_sync_and_a_failed_cut_double_nothing() {
    for recovered_by_another in [false, true] {
        let mut rig = Rig::new();
        rig.push();
        rig.settle();
        rig.push();
        rig.fs.fail(|_, op| {
            (["sync", "truncate"].contains(&op.what)
                && op.path.extension().is_some_and(|e| e == "jsonl"))
            .then(full)
        });
        for _ in 0..5 {
            rig.push();
            rig.step();
            rig.clock.pass(Duration::from_secs(2));
        }
        assert_eq!(
            rig.fs.files(rig.layout().live_dir()).len(),
            1,
            "nothing is written elsewhere before the cut"
        );
        rig.fs.heal();
        if recovered_by_another {
            rig.fs.kill();
            rig.die();
            rig.recover().unwrap().unwrap();
        } else {
            rig.settle();
        }
        rig.all_there();
    }
}

#[test]
fn any_one_failing_operation_costs_nothing() {
    for n in 0..60 {
        let mut rig = Rig::with(|options| options.rotate_bytes = 600);
        rig.fs.fail_nth(n);
        for _ in 0..6 {
            rig.push();
            rig.step();
            rig.clock.pass(Duration::from_millis(700));
        }
        rig.fs.heal();
        rig.settle();
        rig.all_there();
    }
}

#[test]
fn a_full_disk_is_said_and_waited_for() {
    let mut rig = Rig::new();
    rig.push();
    rig.settle();
    let fs = rig.fs.clone();
    rig.writer().reserve.fill(&fs);
    rig.fs.limit(Some(rig.fs.used() + 700));
    for _ in 0..20 {
        rig.push();
    }
    // The reserve makes room for what was pending and for the entry that says so.
    rig.settle();
    rig.all_there();
    assert!(
        rig.types().contains(&"audit.log.write_failed".to_owned()),
        "{:?}",
        rig.types()
    );

    rig.fs.limit(Some(rig.fs.used() + 10));
    let before = rig.lines().len();
    for _ in 0..20 {
        rig.push();
    }
    rig.settle();
    assert_eq!(rig.lines().len(), before, "only complete lines");
    assert_eq!(rig.health.trouble().len(), 1);
    let last = rig.pushed.last().unwrap().1;
    assert!(!rig.durability.is_durable(last));
    rig.fs.limit(None);
    rig.settle();
    rig.all_there();
    assert!(rig.durability.is_durable(last) && rig.health.trouble().is_empty());
}

#[test]
fn each_watermark_is_said_once_and_acted_on() {
    let marks = Watermarks::default()
        .low(50_000, SpaceAction::Prune)
        .very_low(20_000, SpaceAction::PruneOldest);
    let mut rig = Rig::with(|options| options.watermarks = marks);
    let mut with_free = |free: u64| {
        rig.fs.limit(Some(rig.fs.used() + free));
        // A check is due; what it has to say is written and synced.
        for _ in 0..3 {
            rig.clock.pass(Duration::from_millis(1100));
            rig.step();
        }
        let jobs: Vec<_> = rig.jobs.try_iter().map(|job| format!("{job:?}")).collect();
        (rig.types(), rig.health.trouble().len(), jobs)
    };
    let jobs = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(with_free(60_000), (vec![], 0, vec![]));
    let low = "audit.log.space_low".to_owned();
    assert_eq!(
        with_free(49_000),
        (vec![low.clone()], 0, jobs(&["RemoveTwins", "Prune"]))
    );
    assert_eq!(with_free(48_000), (vec![low.clone()], 0, vec![]));
    let both = vec![low, "audit.log.space_very_low".to_owned()];
    assert_eq!(
        with_free(19_000),
        (both.clone(), 1, jobs(&["RemoveTwins", "MakeRoom(22500)"]))
    );
    assert_eq!(with_free(30_000), (both.clone(), 0, vec![]));
    assert_eq!(with_free(60_000), (both, 0, vec![]));
}

#[test]
fn drops_in_a_long_outage_wait_in_one_entry() {
    let mut rig = Rig::new();
    rig.push();
    rig.settle();
    rig.fs.fail(|_, op| (op.what == "append").then(full));
    for outage in 1..=100 {
        rig.producer.count_dropped(1_000_000 * outage);
        rig.step();
        rig.clock.pass(Duration::from_secs(2));
    }
    assert_eq!(rig.health.counters().dropped, 100, "it is known at once");
    rig.fs.heal();
    rig.producer.close();
    rig.settle();
    let reports = rig.lines();
    let reports = reports
        .iter()
        .filter(|line| line.contains("audit.log.dropped"));
    let counts: Vec<_> = reports
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry["details"]["count"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(counts, [1, 99]);
    assert_eq!(rig.health.counters().dropped, 100);
}

#[test]
fn drops_that_wait_for_an_entry_are_told_before_the_end() {
    let mut rig = Rig::new();
    rig.producer.count_dropped(1_000_000);
    rig.step();
    rig.producer.count_dropped(2_000_000);
    rig.producer.close();
    while rig.writer().step().unwrap() != Step::Done {}
    let told = rig.types();
    assert_eq!(told, ["audit.log.dropped", "audit.log.dropped"]);
}

#[test]
fn a_closing_that_fails_on_a_file_that_is_gone_is_made_up_for() {
    let mut rig = Rig::new();
    rig.writer().place.lifecycle = true;
    rig.push();
    rig.settle();
    rig.producer.close();
    // The entry about the closing waits.
    while !rig.writer().own.are_closing() {
        rig.step();
    }
    let live = rig.fs.files(rig.layout().live_dir()).pop().unwrap();
    rig.fs.take_away(&live);
    let tmp = rig.layout().tmp_dir();
    rig.fs
        .fail(move |_, op| (op.what == "create_new" && op.path.starts_with(&tmp)).then(full));
    assert!(!rig.step());
    rig.fs.heal();
    rig.settle();
    rig.all_there();
    let types = rig.types();
    assert_eq!(types.last().unwrap(), "audit.log.closed", "{types:?}");
    assert_eq!(rig.writer().step().unwrap(), Step::Done);
}
