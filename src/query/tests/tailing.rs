//! Following the log: each new entry once, in its stream's order, across files, streams and
//! restarts.

use super::*;

fn lines(stream: usize, seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
    seqs.map(|seq| Record::new(stream, seq, seq as i64 * 1_000_000).line())
        .collect()
}

fn seqs(entries: &[RawEntry]) -> Vec<(String, u64)> {
    entries
        .iter()
        .map(|entry| (entry.stream()[..4].to_owned(), entry.seq().0))
        .collect()
}

fn named(stream: &str, seqs: std::ops::RangeInclusive<u64>) -> Vec<(String, u64)> {
    seqs.map(|seq| (stream.to_owned(), seq)).collect()
}

#[test]
fn what_is_written_from_now_on() {
    let log = Log::new();
    log.sealed(&stem(0, 1), &lines(0, 1..=5));
    log.append(&stem(0, 2), &lines(0, 6..=8));
    let torn = lines(0, 9..=9).remove(0);
    let (head, rest) = torn.split_at(50);
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(log.layout.live(&stem(0, 2)))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append(head);
    let mut tail = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    assert!(tail.poll(10).unwrap().is_empty());
    append(rest);
    append("\n");
    assert_eq!(seqs(&tail.poll(10).unwrap()), named("app0", 9..=9));

    log.append(&stem(0, 2), &lines(0, 10..=12));
    log.append(&stem(0, 3), &lines(0, 13..=14));
    log.append(&stem(1, 1), &lines(1, 1..=2));
    assert_eq!(
        seqs(&tail.poll(4).unwrap()),
        named("app0", 10..=13),
        "the rest of the old file, then the new one"
    );
    assert!(tail.is_behind());
    assert_eq!(
        seqs(&tail.poll(10).unwrap()),
        [named("app1", 1..=2), named("app0", 14..=14)].concat(),
        "the other stream's turn"
    );
    assert!(!tail.is_behind());

    log.append(&stem(0, 3), &lines(0, 15..=16));
    log.seal(&stem(0, 3));
    log.unlink(&stem(0, 3));
    log.append(&stem(0, 4), &lines(0, 17..=17));
    assert_eq!(
        seqs(&tail.poll(10).unwrap()),
        named("app0", 15..=17),
        "the rest of the old file from its sealed twin"
    );
    assert!(tail.poll(10).unwrap().is_empty() && tail.take_problems().is_empty());
}

#[test]
fn a_file_that_was_sealed_and_whose_day_is_long_past_is_read_to_its_end() {
    let log = Log::new();
    let old = FileStem {
        born: Timestamp::from_micros(START - 5 * 86_400_000_000),
        ..stem(0, 1)
    };
    log.append(&old, &lines(0, 1..=3));
    let mut tail = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    log.append(&stem(1, 1), &lines(1, 1..=1));
    assert_eq!(tail.poll(9).unwrap().len(), 1);
    log.append(&old, &lines(0, 4..=6));
    log.seal(&old);
    log.unlink(&old);
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 4..=6));
    assert!(tail.poll(9).unwrap().is_empty() && tail.take_problems().is_empty());
}

#[test]
fn a_filter_holds_for_the_tail_too() {
    let log = Log::new();
    let mut tail = log
        .reader()
        .tail(
            Filter::new().with("actor", "user-2").unwrap(),
            TailStart::Now,
        )
        .unwrap();
    log.append(&stem(0, 1), &lines(0, 1..=3));
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 2..=2));
}

#[test]
fn a_tail_goes_on_after_an_entry() {
    let log = Log::new();
    log.sealed(&stem(0, 1), &lines(0, 1..=30));
    log.append(&stem(0, 2), &lines(0, 31..=40));
    log.sealed(&stem(1, 1), &lines(1, 1..=50));
    log.append(&stem(2, 1), &lines(2, 1..=60));
    for seq in [1, 25, 30, 31, 40] {
        let id = Record::new(0, seq, seq as i64 * 1_000_000)
            .id()
            .parse()
            .unwrap();
        let mut tail = log
            .reader()
            .tail(Filter::new(), TailStart::After(id))
            .unwrap();
        let (mut found, mut limit) = (Vec::new(), 1);
        loop {
            let entries = tail.poll(limit).unwrap();
            if entries.is_empty() {
                break;
            }
            found.extend(seqs(&entries));
            limit = limit % 7 + 1;
        }
        found.sort();
        let since = seq.saturating_sub(2).max(1);
        let expected = [
            named("app0", seq + 1..=40),
            named("app1", since..=50),
            named("app2", since..=60),
        ]
        .concat();
        assert_eq!(found, expected, "after {seq}");

        // What comes late is given, whatever time it says.
        let late = Record::new(2, 61, -5_000_000).line();
        if seq == 40 {
            log.append(&stem(2, 1), &[late]);
            assert_eq!(seqs(&tail.poll(9).unwrap()), named("app2", 61..=61));
        }
    }
    let error = log
        .reader()
        .tail(Filter::new(), TailStart::After(uuid::Uuid::nil()))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("after: "), "{error}");
}

#[test]
fn a_live_file_that_was_made_anew_gives_nothing_twice() {
    let log = Log::new();
    let mut tail = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    log.append(&stem(0, 1), &lines(0, 1..=6));
    assert_eq!(tail.poll(9).unwrap().len(), 6);
    log.unlink(&stem(0, 1));
    log.append(&stem(0, 1), &lines(0, 4..=7));
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 7..=7));
}

/// Everything that is left, in small portions.
fn rest(tail: &mut Tail) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    loop {
        let entries = tail.poll(7).unwrap();
        if entries.is_empty() && !tail.is_behind() {
            assert_eq!(tail.take_problems().len(), 0);
            found.sort();
            return found;
        }
        found.extend(seqs(&entries));
    }
}

/// A stream of six days, a sealed file a day of ten entries each, and a live one.
fn days() -> Log {
    let log = Log::new();
    for day in 1..=6 {
        let stem = FileStem {
            born: Timestamp::from_micros(START + i64::from(day) * 86_400_000_000),
            ..stem(0, day)
        };
        let last = u64::from(day) * 10;
        if day < 6 {
            log.sealed(&stem, &lines(0, last - 9..=last))
        } else {
            log.append(&stem, &lines(0, last - 9..=last))
        }
    }
    log
}

#[test]
fn a_backlog_of_days_is_given_whole() {
    let log = days();
    let id = Record::new(0, 3, 3_000_000).id().parse().unwrap();
    let mut tail = log
        .reader()
        .tail(Filter::new(), TailStart::After(id))
        .unwrap();
    assert_eq!(rest(&mut tail), named("app0", 4..=60));
}

#[test]
fn another_tail_goes_on_from_the_places_of_the_first() {
    let log = days();
    let everything = rest(
        &mut log
            .reader()
            .resume(Filter::new(), &Places::default())
            .unwrap(),
    );
    assert_eq!(everything, named("app0", 1..=60));
    for taken in 0..=60 {
        let mut first = log
            .reader()
            .resume(Filter::new(), &Places::default())
            .unwrap();
        let mut placed = Vec::new();
        while placed.len() < taken {
            placed.extend(first.poll_placed((taken - placed.len()).min(4)).unwrap());
        }
        let stored = serde_json::to_string(&first.places()).unwrap();
        let mut second = log
            .reader()
            .resume(Filter::new(), &serde_json::from_str(&stored).unwrap())
            .unwrap();
        assert_eq!(rest(&mut second), named("app0", taken as u64 + 1..=60));
        for Placed { entry, place } in placed {
            assert_eq!(
                log.reader().at(&place).unwrap().unwrap().line(),
                entry.line()
            );
        }
    }
    // What was taken from the live file is found in the sealed one, and nowhere when that is gone.
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Places::default())
        .unwrap();
    let last =
        std::iter::from_fn(|| Some(tail.poll_placed(9).unwrap()).filter(|some| !some.is_empty()))
            .flatten()
            .last()
            .unwrap();
    let stem = FileStem {
        born: Timestamp::from_micros(START + 6 * 86_400_000_000),
        ..stem(0, 6)
    };
    log.seal(&stem);
    log.unlink(&stem);
    assert_eq!(log.reader().at(&last.place).unwrap().unwrap().seq().0, 60);
    std::fs::remove_dir_all(log.layout.sealed_dir()).unwrap();
    assert!(log.reader().at(&last.place).unwrap().is_none());
}

#[test]
fn a_busy_stream_starves_no_other() {
    let log = Log::new();
    let mut tail = log.reader().tail(Filter::new(), TailStart::Now).unwrap();
    log.append(&stem(1, 1), &lines(1, 1..=1));
    let mut other = 0;
    // It writes more than is taken at a time.
    for n in 0..100 {
        log.append(&stem(0, 1), &lines(0, n * 5 + 1..=n * 5 + 5));
        other += tail
            .poll(4)
            .unwrap()
            .iter()
            .filter(|entry| entry.stream().starts_with("app1"))
            .count();
    }
    assert_eq!(other, 1);
}

#[test]
fn a_file_born_in_the_future_hides_nothing() {
    let log = Log::new();
    let future = FileStem {
        born: Timestamp::from_micros(START + 400 * 86_400_000_000),
        ..stem(1, 1)
    };
    log.sealed(&future, &lines(1, 1..=1));
    log.append(&stem(0, 1), &lines(0, 1..=3));
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    assert_eq!(tail.poll(9).unwrap().len(), 4);
    log.sealed(&stem(0, 2), &lines(0, 4..=6));
    log.append(&stem(0, 3), &lines(0, 7..=7));
    assert_eq!(seqs(&tail.poll(9).unwrap()), named("app0", 4..=7));
}

#[test]
fn lines_written_again_under_other_numbers_are_given_to_who_goes_on() {
    // A write failed: what was not durable was cut off, and is written again behind a record that
    // says so.
    let log = Log::new();
    log.append(&stem(0, 1), &lines(0, 1..=5));
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Default::default())
        .unwrap();
    assert_eq!(tail.poll(9).unwrap().len(), 5);
    let whole = std::fs::read(log.layout.live(&stem(0, 1))).unwrap();
    let cut: usize = whole
        .split_inclusive(|b| *b == b'\n')
        .take(3)
        .map(<[u8]>::len)
        .sum();
    std::fs::write(log.layout.live(&stem(0, 1)), &whole[..cut]).unwrap();
    log.append(
        &stem(0, 2),
        &[Record {
            event_type: "audit.log.write_failed".into(),
            ..Record::new(0, 4, 9_000_000)
        }
        .line()],
    );
    log.append(&stem(0, 2), &lines(0, 5..=6));
    let got: Vec<_> = tail
        .poll(9)
        .unwrap()
        .iter()
        .map(|entry| entry.event_type().into_owned())
        .collect();
    assert!(
        got.iter()
            .any(|event_type| event_type == "audit.log.write_failed"),
        "{got:?}"
    );
}

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
