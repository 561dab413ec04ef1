//! Nothing goes whose removal isn't durably recorded.

use std::sync::Mutex;

use super::*;

/// Due are all files but the last.
fn four_are_due(rig: &Rig) -> SetClock {
    let clock = SetClock::at(rig.after(5, MICROS_PER_DAY));
    rig.trust(&clock).unwrap();
    clock
}

const DAY: u32 = 1;

/// As if the disk refused whatever the writer writes.
fn refuse(rig: &mut Rig) {
    rig.durability = Durability::leak();
    rig.durability.fail("no space left on device");
    wait_for(rig);
}

/// What the pruning waits for is another durability's to say.
fn wait_for(rig: &mut Rig) {
    let durability = rig.durability;
    rig.pruner.wait = Box::new(|position| durability.wait(position));
}

fn fill(rig: &Rig) {
    while rig.pruner.producer.push(b"x").is_ok() {}
}

fn empty(rig: &mut Rig) {
    while rig.consumer.next().is_some() {}
    let read = rig.consumer.position();
    rig.consumer.release(read, 1);
}

fn intended(fs: &SimFs) -> String {
    let owed = Intents::new(fs, &Layout::new("/log")).owed();
    let owed = owed.unwrap_or_default();
    owed.iter()
        .map(|entry| String::from_utf8_lossy(entry))
        .collect()
}

#[test]
fn an_entry_too_long_for_the_journal_is_split() {
    let mut rig = rig_with_journal(8192);
    let clock = four_are_due(&rig);
    assert_eq!(
        rig.prune_by(Retention::days(DAY), &clock).unwrap(),
        [1, 2, 3, 4]
    );
    assert_eq!(intended(&rig.fs), "");
    let first = rig.recorded().unwrap();
    assert_eq!(first["details"]["files"].as_array().unwrap().len(), 2);
    assert_eq!(rig.all_recorded(), [3, 4]);
}

#[test]
fn a_journal_that_takes_no_entry_about_it_prunes_nothing() {
    let mut rig = rig_with_journal(4096);
    let clock = four_are_due(&rig);
    let error = rig.prune_by(Retention::days(DAY), &clock).unwrap_err();
    assert!(error.to_string().starts_with("journal_bytes: "), "{error}");
    assert_eq!(rig.left(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_a_full_journal_or_a_failing_disk_can_not_take_is_durable_elsewhere_before_it_goes() {
    for way in ["full", "fails"] {
        let mut rig = rig();
        let clock = four_are_due(&rig);
        match way {
            "full" => fill(&rig),
            _ => refuse(&mut rig),
        }
        rig.fs.watch_removals(|fs, path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.starts_with("/log/sealed") || path.starts_with("/log/index") {
                let stem = name.split(".jsonl").next().unwrap().trim_end_matches(INDEX);
                assert!(intended(&fs.after_crash()).contains(stem), "{name}");
            }
        });
        assert_eq!(
            rig.prune_by(Retention::days(DAY), &clock).unwrap(),
            [1, 2, 3, 4],
            "{way}"
        );
        // As long as it stays so, the entry stays where it is, and is not written twice.
        rig.prune_by(Retention::days(DAY), &clock).unwrap();
        assert_eq!(intended(&rig.fs).matches("audit.log.pruned").count(), 1);
        if way == "full" {
            empty(&mut rig);
        }
        rig.durability.recovered();
        rig.durability.advance(u64::MAX);
        rig.prune_by(Retention::days(DAY), &clock).unwrap();
        assert_eq!(intended(&rig.fs), "", "{way}");
        assert_eq!(rig.all_recorded(), [1, 2, 3, 4], "{way}");
    }
}

#[test]
fn a_writer_that_dies_keeps_no_removal_waiting() {
    let mut rig = rig();
    let clock = four_are_due(&rig);
    rig.durability = Durability::leak();
    wait_for(&mut rig);
    let (durability, producer) = (rig.durability, rig.pruner.producer.clone());
    let dies = std::thread::spawn(move || {
        while !durability.has_waiters() {
            std::thread::yield_now();
        }
        producer.close();
        durability.die("it panicked");
    });
    let pruned = rig.prune_by(Retention::days(DAY), &clock).unwrap();
    dies.join().unwrap();
    assert_eq!(pruned, [1, 2, 3, 4]);
    // The next process writes it into the log.
    for _ in 0..2 {
        assert_eq!(intended(&rig.fs).matches("audit.log.pruned").count(), 1);
        let again = rig.prune_by(Retention::days(DAY), &clock).unwrap();
        assert!(again.is_empty());
    }
}

#[test]
fn what_can_be_kept_nowhere_stays() {
    for way in ["full", "fails", "closed"] {
        let mut rig = rig();
        let clock = four_are_due(&rig);
        match way {
            "full" => fill(&rig),
            "fails" => refuse(&mut rig),
            _ => {
                refuse(&mut rig);
                rig.durability.recovered();
                rig.durability.close();
            }
        }
        if way != "closed" {
            let intents = Intents::new(&rig.fs, &rig.layout);
            intents.prepare().unwrap();
            while intents.add(b"x").is_ok() {}
        }
        assert!(rig.prune_by(Retention::days(DAY), &clock).is_err(), "{way}");
        assert_eq!(rig.left(), [1, 2, 3, 4, 5], "{way}");
    }
    // Whether something is owed can't be known.
    let mut rig = rig();
    let clock = four_are_due(&rig);
    rig.fs.put_dir(rig.layout.pruning());
    assert!(rig.prune_by(Retention::days(DAY), &clock).is_err());
    assert_eq!(rig.left(), [1, 2, 3, 4, 5]);
}

#[test]
fn an_unlimited_retention_still_writes_what_is_owed() {
    let mut rig = rig();
    let clock = four_are_due(&rig);
    refuse(&mut rig);
    rig.prune_by(Retention::days(DAY), &clock).unwrap();
    rig.restart("tracing-audit-00000c");
    rig.prune_by(Retention::unlimited(), &clock).unwrap();
    assert_eq!(rig.all_recorded(), [1, 2, 3, 4]);
    assert_eq!(intended(&rig.fs), "");
}

#[test]
fn what_is_known_of_an_idle_stream_outlives_its_files() {
    let mut rig = rig();
    let idle: StreamId = "idle-00000a".parse().unwrap();
    let _ends = new_journal(&rig.fs, &rig.layout, &idle, 1 << 16).unwrap();
    let row = |stream: &str| {
        let mut file = samples::stem(1);
        file.stream = stream.parse().unwrap();
        json!({"file": file.to_string(), "first_seq": 1, "last_seq": 10})
    };
    let told = OwnEntry::new(removed::PRUNED, Severity::Info, "")
        .detail("files", vec![row("idle-00000a"), row("gone-00000a")]);
    let stem = FileStem {
        stream: "other-00000a".parse().unwrap(),
        ..samples::stem(1)
    };
    set_now(Some(stem.born));
    let entry = told.render(&"other".parse().unwrap());
    set_now(None);
    let line = [b"{\"stream\":\"other-00000a\",\"seq\":1,", &*entry, b"\n"].concat();
    rig.fs.put(rig.layout.live(&stem), line);
    seal(&rig.fs, &rig.layout, &stem, Level::FASTEST).unwrap();
    let now = rig.after(5, 2 * MICROS_PER_DAY);
    let stuck = rig.layout.sealed(&stem);
    rig.fs.fail(move |_, op| {
        let fails = op.what == "remove_file" && op.path == stuck;
        fails.then(|| io::ErrorKind::PermissionDenied.into())
    });
    // Once, however often it fails.
    for _ in 0..3 {
        rig.prune(Retention::days(1), now).unwrap_err();
    }
    rig.recorded().unwrap();
    let earlier = &rig.recorded().unwrap()["details"]["earlier"];
    let known = json!([{"stream": "idle-00000a", "first_seq": 1, "last_seq": 10}]);
    assert_eq!(*earlier, known);
    assert_eq!(rig.recorded(), None);
}

#[test]
fn a_pruned_file_takes_its_live_twin_and_its_index_along_durably() {
    let mut rig = rig();
    let clock = four_are_due(&rig);
    // The one who sealed them still waits for the end of their grace.
    for stem in &rig.stems {
        let first = u64::from(stem.number) * (HOUR as u64) / 700;
        let text = samples::lines(first, 200);
        rig.fs.put(rig.layout.live(stem), text);
    }
    rig.fs.put(rig.layout.live(&rig.stems[1]), "not ours\n");
    let layout = rig.layout.clone();
    rig.fs.watch_removals(move |fs, path| {
        if let Some(stem) = layout_stem(path) {
            let after = fs.after_crash();
            assert!(after.bytes(layout.live(&stem)).is_none());
            assert!(after.bytes(layout.index(&stem)).is_none());
        }
    });
    let problem = rig.prune_by(Retention::days(DAY), &clock).unwrap_err();
    assert!(problem.to_string().contains("was moved to"), "{problem}");
    let live = rig.fs.files(rig.layout.live_dir());
    assert_eq!(live, [rig.layout.live(&rig.stems[4])]);
    assert_eq!(rig.left(), [5]);
    let aside = rig.fs.files(rig.layout.aside_dir());
    let aside: Vec<_> = aside.iter().map(|path| rig.fs.bytes(path)).collect();
    assert_eq!(aside, [Some(b"not ours\n".to_vec())]);
}

#[test]
fn a_file_whose_entries_stay_in_its_live_twin_is_not_recorded_as_removed() {
    let mut rig = rig();
    // The age of a damaged file is not known to the hour.
    let clock = SetClock::at(rig.after(5, 3 * MICROS_PER_DAY));
    rig.trust(&clock).unwrap();
    let stem = rig.stems[1].clone();
    let first = u64::from(stem.number) * (HOUR as u64) / 700;
    rig.fs
        .put(rig.layout.live(&stem), samples::lines(first, 200));
    let damaged = rig.fs.bytes(rig.layout.sealed(&stem)).unwrap();
    let damaged = &damaged[..damaged.len() / 2];
    rig.fs.put(rig.layout.sealed(&stem), damaged);
    for _ in 0..2 {
        let problem = rig.prune_by(Retention::days(DAY), &clock).unwrap_err();
        assert!(problem.to_string().contains("sealed again"), "{problem}");
        assert_eq!(rig.left(), [2]);
    }
    assert_eq!(rig.all_recorded(), [1, 3, 4, 5]);
    // As the sealer does it.
    seal(&rig.fs, &rig.layout, &stem, Level::FASTEST).unwrap();
    assert_eq!(rig.prune_by(Retention::days(DAY), &clock).unwrap(), [2]);
    assert_eq!(rig.all_recorded(), [2]);
    assert_eq!(rig.fs.bytes(rig.layout.live(&stem)), None);
}

/// The stem of a sealed file.
fn layout_stem(path: &std::path::Path) -> Option<FileStem> {
    FileStem::parse(path.file_name()?.to_str()?, SEALED)
}

#[test]
fn a_file_that_can_not_be_removed_keeps_no_other_and_is_recorded_once() {
    let mut rig = rig();
    let clock = four_are_due(&rig);
    let stuck = rig.layout.sealed(&rig.stems[1]);
    rig.fs.fail(move |_, op| {
        let fails = op.what == "remove_file" && op.path == stuck;
        fails.then(|| io::ErrorKind::PermissionDenied.into())
    });
    for _ in 0..3 {
        assert!(rig.prune_by(Retention::days(DAY), &clock).is_err());
        assert_eq!(rig.left(), [2, 5]);
    }
    // Nor those whose time comes later.
    let clock = SetClock::at(rig.after(5, MICROS_PER_DAY + 1));
    rig.trust(&clock).unwrap();
    assert!(rig.prune_by(Retention::days(DAY), &clock).is_err());
    assert_eq!(rig.left(), [2]);
    assert_eq!(rig.all_recorded(), [1, 2, 3, 4, 5]);
    rig.fs.heal();
    assert_eq!(rig.prune_by(Retention::days(DAY), &clock).unwrap(), [2]);
    assert_eq!(rig.recorded(), None);
}

#[test]
fn a_twin_that_can_not_be_removed_keeps_no_other_stream() {
    let mut rig = rig();
    let clock = four_are_due(&rig);
    let other = FileStem {
        stream: "other-00000a".parse().unwrap(),
        ..samples::stem(1)
    };
    let text = samples::lines(1, 200);
    let text = String::from_utf8(text).unwrap();
    let text = text.replace(samples::stem(1).stream.as_str(), other.stream.as_str());
    rig.fs.put(rig.layout.live(&other), text);
    seal(&rig.fs, &rig.layout, &other, Level::FASTEST).unwrap();
    rig.fs.remove_file(&rig.layout.live(&other)).unwrap();
    let stuck = rig.layout.live(&rig.stems[0]);
    rig.fs.put(&stuck, samples::lines((HOUR as u64) / 700, 200));
    let fails = stuck.clone();
    rig.fs.fail(move |_, op| {
        let fails = op.what == "remove_file" && op.path == fails;
        fails.then(|| io::ErrorKind::PermissionDenied.into())
    });
    assert!(rig.prune_by(Retention::days(DAY), &clock).is_err());
    assert!(rig.fs.bytes(rig.layout.sealed(&other)).is_none());
    assert_eq!(rig.left(), [1, 2, 3, 4, 5]);
    rig.fs.heal();
    rig.prune_by(Retention::days(DAY), &clock).unwrap();
    assert_eq!(rig.left(), [5]);
}

#[test]
fn a_death_between_any_two_steps_leaves_no_removal_unrecorded() {
    for way in ["durable", "full", "fails"] {
        let mut deaths = 0;
        for step in 0.. {
            let mut rig = rig();
            let clock = four_are_due(&rig);
            match way {
                "full" => fill(&rig),
                "fails" => refuse(&mut rig),
                _ => {}
            }
            let removals = Arc::new(Mutex::new(0));
            let counted = removals.clone();
            rig.fs.fail(move |_, op| {
                let mut done = counted.lock().unwrap();
                let of_files = !op.path.starts_with("/log/state");
                *done += usize::from(of_files && op.what.starts_with("remove_"));
                (*done > step).then(|| io::Error::other("dead"))
            });
            let pruned = rig.prune_by(Retention::days(DAY), &clock);
            let died = *removals.lock().unwrap() > step;
            assert_eq!(pruned.is_err() || died, died);
            // What was durable in the log. Of what wasn't, power loss leaves nothing.
            let mut recorded = match way {
                "durable" => rig.all_recorded(),
                _ => Vec::new(),
            };
            rig.restart("tracing-audit-00000c");
            let left = rig.left();
            let then = rig.prune_by(Retention::days(DAY), &clock).unwrap();
            assert_eq!(rig.left(), [5], "{way} {step}");
            assert_eq!(then.len(), left.len() - 1);
            recorded.extend(rig.all_recorded());
            for number in 1..=4 {
                let times = recorded.iter().filter(|of| **of == number).count();
                let again = usize::from(died && left.contains(&number));
                assert_eq!(times, 1 + again, "{way} {step}: {number} of {recorded:?}");
            }
            if !died {
                break;
            }
            deaths += 1;
        }
        assert!(deaths >= 8, "{way}: {deaths}");
    }
}
