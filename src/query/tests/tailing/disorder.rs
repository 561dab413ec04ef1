//! Files that a follower doesn't expect: dated by a wrong clock, with a number that was used
//! before, recovered, or pruned while they are read.

use super::*;

/// As the clock of a machine says it that has none of its own.
fn in_1970(stream: usize, number: u32) -> FileStem {
    FileStem {
        born: Timestamp::from_micros(i64::from(number) * 1_000_000),
        ..stem(stream, number)
    }
}

/// Polls until there is something.
fn soon(tail: &mut Tail) -> Vec<(String, u64)> {
    let since = std::time::Instant::now();
    loop {
        let found = seqs(&tail.poll(9).unwrap());
        if !found.is_empty() || since.elapsed() > std::time::Duration::from_secs(60) {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_stream_that_a_wrong_clock_dated_back_is_given_though_it_was_never_seen_live() {
    let log = Log::new();
    // Its day is there already, with files of others.
    log.sealed(&in_1970(2, 1), &lines(2, 1..=1));
    log.append(&stem(0, 1), &lines(0, 1..=3));
    let mut all = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    let mut new = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    assert_eq!(all.poll(9).unwrap().len(), 4);
    assert_eq!(new.poll(9).unwrap().len(), 0);
    log.sealed(&in_1970(1, 1), &lines(1, 1..=3));
    assert_eq!(soon(&mut all), named("app1", 1..=3));
    assert_eq!(soon(&mut new), named("app1", 1..=3));
    // Or it is the first of its day.
    let born = Timestamp::from_micros(-1);
    log.sealed(&FileStem { born, ..stem(3, 1) }, &lines(3, 1..=2));
    assert_eq!(soon(&mut all), named("app3", 1..=2));
    assert_eq!(soon(&mut new), named("app3", 1..=2));
    // Who goes on from its places has had them.
    let mut next = log.reader().resume(Filter::new(), &all.places()).unwrap();
    log.sealed(&in_1970(1, 2), &lines(1, 4..=5));
    assert_eq!(soon(&mut next), named("app1", 4..=5));
}

#[test]
fn no_file_of_a_stream_is_passed_over_for_its_date() {
    let log = Log::new();
    log.append(&stem(0, 1), &lines(0, 1..=3));
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    let start = tail.places();
    assert_eq!(tail.poll(9).unwrap().len(), 3);
    // The clock was wrong for the time of one file.
    log.seal(&stem(0, 1));
    log.unlink(&stem(0, 1));
    log.sealed(&in_1970(0, 2), &lines(0, 4..=6));
    log.append(&stem(0, 3), &lines(0, 7..=9));
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 4..=9));
    let mut behind = log.reader().resume(Filter::new(), &start).unwrap();
    assert_eq!(rest(&mut behind), named("app0", 1..=9));
}

#[test]
fn another_file_of_a_number_is_given_as_well() {
    let log = Log::new();
    log.append(&stem(0, 1), &[]);
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    assert_eq!(tail.poll(9).unwrap().len(), 0);
    let stopped = tail.places();
    let again = FileStem {
        born: Timestamp::from_micros(START + 999_000_000),
        ..stem(0, 1)
    };
    // While the first is still there, or when it is gone.
    for gone in [false, true] {
        if gone {
            log.unlink(&stem(0, 1));
        }
        log.append(&again, &lines(0, if gone { 4..=6 } else { 1..=3 }));
        assert_eq!(
            seqs(&tail.poll(9).unwrap()),
            named("app0", if gone { 4..=6 } else { 1..=3 })
        );
        assert!(tail.poll(9).unwrap().is_empty(), "and not again");
    }
    for places in [&stopped, &tail.places()] {
        let mut next = log.reader().resume(Filter::new(), places).unwrap();
        assert_eq!(
            rest(&mut next),
            if *places == stopped {
                named("app0", 1..=6)
            } else {
                vec![]
            }
        );
    }
    // Also when both are sealed, and are met again with what comes into their day.
    log.append(&stem(0, 1), &lines(0, 1..=1));
    for stem in [stem(0, 1), again] {
        log.seal(&stem);
        log.unlink(&stem);
    }
    for n in 7..=9 {
        log.sealed(&stem(0, n), &lines(0, u64::from(n)..=u64::from(n)));
        assert_eq!(
            seqs(&come(&mut tail)),
            named("app0", u64::from(n)..=u64::from(n))
        );
    }
}

/// What comes next. Into days long past it is looked for every few seconds only.
fn come(tail: &mut Tail) -> Vec<RawEntry> {
    loop {
        let found = tail.poll(9).unwrap();
        if !found.is_empty() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What a kill leaves: a log's directory as it is at this moment.
#[cfg(feature = "webhook")]
fn copied(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = entry
            .map(|entry| (entry.path(), to.join(entry.file_name())))
            .unwrap();
        if from.is_dir() {
            copied(&from, &to)
        } else {
            std::fs::copy(&from, &to).map(drop).unwrap()
        }
    }
}

#[cfg(feature = "webhook")]
#[test]
fn what_is_recovered_beside_an_empty_file_is_given() {
    use crate::entry::{OwnEntry, Severity};
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = crate::AuditLog::builder(one.path())
        .lifecycle(false)
        .source("app")
        .open()
        .unwrap();
    for n in 0..3_u64 {
        log.store()
            .unwrap()
            .note(&OwnEntry::new("audit.log.test", Severity::Info, "Noted").detail("n", n))
            .unwrap();
    }
    let live = one.path().join("live");
    while std::fs::read_dir(&live).unwrap().count() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // On a full disk, or just after it was created, the file has nothing yet.
    let copy = two.path().join("log");
    copied(one.path(), &copy);
    drop(log);
    for file in std::fs::read_dir(copy.join("live")).unwrap() {
        std::fs::File::options()
            .write(true)
            .open(file.unwrap().path())
            .unwrap()
            .set_len(0)
            .unwrap();
    }
    let reader = AuditReader::open(&copy).unwrap();
    let mut tail = reader.resume(Filter::new(), &Default::default()).unwrap();
    assert_eq!(tail.poll(99).unwrap().len(), 0);
    let places = tail.places();
    let next = crate::AuditLog::builder(&copy)
        .lifecycle(false)
        .source("app")
        .open()
        .unwrap();
    for mut tail in [tail, reader.resume(Filter::new(), &places).unwrap()] {
        let (since, mut told) = (std::time::Instant::now(), 0);
        while told < 3 && since.elapsed() < std::time::Duration::from_secs(60) {
            told += tail
                .poll(99)
                .unwrap()
                .iter()
                .filter(|entry| entry.event_type() == "audit.log.test")
                .count();
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!((told, tail.take_problems().len()), (3, 0));
    }
    drop(next);
}

#[test]
fn a_file_pruned_while_it_is_read_stops_nothing() {
    let log = Log::new();
    log.sealed(&stem(0, 1), &lines(0, 1..=20));
    log.append(&stem(0, 2), &lines(0, 21..=23));
    let reader = log.reader();
    let mut tail = reader.resume(Filter::new(), &Default::default()).unwrap();
    let placed = tail.poll_placed(5).unwrap();
    assert_eq!(placed.len(), 5);
    std::fs::remove_file(log.layout.sealed(&stem(0, 1))).unwrap();
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 21..=23));
    let told: Vec<_> = tail
        .take_problems()
        .into_iter()
        .map(|problem| problem.what)
        .collect();
    assert_eq!(told, ["it was removed before all of it was read"]);
    assert!(reader.at(&placed[0].place).unwrap().is_none());
    // What was there when it was looked at, and is not when it is opened.
    log.sealed(&stem(0, 1), &lines(0, 1..=20));
    assert!(reader.at(&placed[0].place).unwrap().is_some());
    std::fs::remove_file(log.layout.sealed(&stem(0, 1))).unwrap();
    for _ in 0..2 {
        assert!(reader.at(&placed[0].place).unwrap().is_none());
    }
    assert!(
        reader
            .get(placed[0].entry.id().parse().unwrap())
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_came_instead_of_lines_that_a_power_loss_took_is_given() {
    let log = Log::new();
    let of = |seq: u64, padding| {
        Record {
            padding,
            ..Record::new(0, seq, seq as i64 * 1_000_000 + padding as i64)
        }
        .line()
    };
    let first: Vec<_> = (1..=5).map(|seq| of(seq, 0)).collect();
    log.append(&stem(0, 1), &first);
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    assert_eq!(tail.poll(9).unwrap().len(), 5);
    let places = tail.places();
    // The last two were not synced. What the journal has is appended under the numbers that follow,
    // and the place is within a line.
    std::fs::write(
        log.layout.live(&stem(0, 1)),
        first[..3]
            .iter()
            .flat_map(|line| [line, "\n"])
            .collect::<String>(),
    )
    .unwrap();
    let instead: Vec<_> = (4..=6).map(|seq| of(seq, 300)).collect();
    log.append(&stem(0, 1), &instead);
    log.seal(&stem(0, 1));
    log.unlink(&stem(0, 1));
    for mut tail in [tail, log.reader().resume(Filter::new(), &places).unwrap()] {
        let given: Vec<_> = tail
            .poll(99)
            .unwrap()
            .iter()
            .map(|entry| String::from_utf8(entry.line().to_vec()).unwrap())
            .collect();
        assert_eq!(
            given,
            [&first[..3], &instead].concat(),
            "better twice than not at all"
        );
        assert_eq!(
            (tail.poll(9).unwrap().len(), tail.take_problems().len()),
            (0, 0)
        );
    }
}
