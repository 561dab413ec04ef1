//! Deaths and power losses at every operation, of the writer and of the recovery.

use super::*;

#[test]
fn death_at_any_operation_loses_nothing_and_recovery_may_die_as_well() {
    for n in 0..40 {
        for recovery_dies_at in [None, Some(0), Some(1), Some(2), Some(3), Some(5), Some(7)] {
            let mut rig = Rig::with(|options| options.rotate_bytes = 700);
            let mut seen = Seen::new(&rig.fs, &rig.layout());
            rig.fs.stop_after(n);
            for _ in 0..8 {
                rig.push();
                rig.step();
                rig.clock.pass(Duration::from_millis(600));
                seen.look();
            }
            rig.fs.kill();
            rig.die();
            if let Some(k) = recovery_dies_at {
                rig.fs.stop_after(k);
                let _ = rig.recover();
                rig.fs.kill();
                seen.look();
                rig.clock.pass(Duration::from_millis(600));
            }
            let _recovered = rig.recover().unwrap().unwrap();
            seen.look();
            let live = rig.fs.files(rig.layout().live_dir());
            assert!(
                live.iter()
                    .all(|path| !rig.fs.bytes(path).unwrap().is_empty()),
                "empty files are gone"
            );
            assert!(rig.fs.bytes(rig.layout().ring(&rig.stream)).is_none());
            rig.all_there();
        }
    }
}

#[test]
fn recovery_gives_no_number_again_and_appends_to_no_file_that_others_followed() {
    type Way = (&'static str, fn(&mut Rig));
    fn fill_up(rig: &mut Rig) {
        rig.fs.fail(|_, op| {
            (op.what == "append" && op.path.extension().is_some_and(|e| e == "jsonl")).then(full)
        });
    }
    fn write_a_file(rig: &mut Rig) {
        rig.push();
        rig.settle();
        rig.clock.pass(Duration::from_secs(3600));
        rig.step();
    }
    let ways: [Way; 4] = [
        ("the disk is full at once", fill_up),
        (
            "the disk is full when the second file is begun, and the first is not sealed yet",
            |rig| {
                write_a_file(rig);
                fill_up(rig);
            },
        ),
        ("all that was written was sealed and pruned", write_a_file),
        (
            "a sync failed, and the new file was removed with all that was in it",
            |rig| {
                write_a_file(rig);
                rig.fs.fail(|_, op| {
                    (op.what == "sync" && op.path.to_string_lossy().ends_with("00000002.jsonl"))
                        .then(full)
                });
                rig.push();
                rig.clock.pass(Duration::from_secs(2));
                rig.step();
                rig.fs.heal();
            },
        ),
    ];
    for (way, go) in ways {
        for cut_short in [
            None,
            Some(0),
            Some(2),
            Some(3),
            Some(4),
            Some(5),
            Some(6),
            Some(8),
            Some(10),
            Some(12),
        ] {
            let mut rig = Rig::new();
            let mut seen = Seen::new(&rig.fs, &rig.layout());
            go(&mut rig);
            seen.look();
            rig.push();
            if way.contains("full") {
                rig.step();
            }
            seen.look();
            if way.contains("pruned") {
                rig.fs
                    .files(rig.layout().live_dir())
                    .iter()
                    .for_each(|path| rig.fs.remove_file(path).unwrap());
                rig.pushed.remove(0);
            }
            rig.fs.kill();
            rig.die();
            if let Some(k) = cut_short {
                rig.fs.stop_after(k);
                rig.clock.pass(Duration::from_secs(1));
                let _ = rig.recover();
                rig.fs.kill();
                seen.look();
            }
            rig.clock.pass(Duration::from_secs(1));
            let recovered = rig.recover().unwrap().unwrap();
            seen.look();
            let last = recovered.files.last().unwrap();
            assert_eq!(
                last.number,
                *seen.born.last_key_value().unwrap().0,
                "{way} {cut_short:?}"
            );
            assert!(
                last.number > 1 || way.ends_with("at once"),
                "{way} {cut_short:?}"
            );
            let text = String::from_utf8(rig.fs.bytes(rig.layout().live(last)).unwrap()).unwrap();
            assert!(
                text.contains(&rig.pushed.last().unwrap().0),
                "{way} {cut_short:?}: {text}"
            );
        }
    }
}

#[test]
fn what_was_called_durable_survives_a_power_failure_at_any_operation() {
    for n in 0..60 {
        for seed in 0..4 {
            let mut rig = Rig::with(|options| options.rotate_bytes = 700);
            rig.fs.stop_after(n);
            for _ in 0..8 {
                rig.push();
                rig.step();
                rig.clock.pass(Duration::from_millis(600));
            }
            let durable: Vec<_> = rig
                .pushed
                .iter()
                .filter(|(_, position)| rig.durability.is_durable(*position))
                .cloned()
                .collect();
            if seed == 0 {
                rig.fs.crash()
            } else {
                rig.fs.crash_randomly(Model::Posix, seed)
            }
            rig.die();
            // The worst for the journal: all of it is gone.
            rig.fs.remove_file(&rig.layout().ring(&rig.stream)).unwrap();
            let _recovered = rig.recover().unwrap().unwrap();
            rig.pushed = durable;
            rig.all_there();
        }
    }
}
