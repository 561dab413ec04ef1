//! Following the log: each new entry once, in its stream's order, across files, streams and
//! restarts.

mod disorder;

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

#[cfg(feature = "webhook")]
#[test]
fn entries_in_runs_are_read_across_blocks_of_the_live_file_and_of_the_sealed_one() {
    let log = Log::new();
    let stem = stem(0, 1);
    let numbers: Vec<u64> = (1..=2000).filter(|n| n % 700 != 0).collect();
    let line = |n: &u64| Record::new(0, *n, *n as i64).line();
    let lines: Vec<String> = numbers.iter().map(line).collect();
    assert!(lines.concat().len() > 2 * 256 * 1024);
    log.append(&stem, &lines);
    let mut tail = log
        .reader()
        .resume(Filter::new(), &Places::default())
        .unwrap();
    let placed = tail.poll_placed(5000).unwrap();
    let (entries, places): (Vec<_>, Vec<_>) =
        placed.into_iter().map(|one| (one.entry, one.place)).unzip();
    let runs = Runs::of(&places, &entries);
    let stored = serde_json::to_string(&runs).unwrap();
    let runs: Vec<Runs> = serde_json::from_str(&stored).unwrap();
    assert!(runs.len() == 1 && stored.len() < 200, "{stored}");
    assert_eq!(runs[0].seqs().collect::<Vec<_>>(), numbers);
    let read = || {
        let read = log.reader().all_of(&runs[0]).unwrap();
        let text = |entry: RawEntry| String::from_utf8(entry.into_line()).unwrap();
        read.into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(read(), lines);
    log.seal(&stem);
    log.unlink(&stem);
    assert_eq!(read(), lines);
    std::fs::remove_dir_all(log.layout.sealed_dir()).unwrap();
    assert!(read().is_empty());
}
