//! Pages in the order of arrival: each entry once, whichever streams come, go on and end, and with a
//! cursor that doesn't grow with the number of streams that have ended.

use std::collections::BTreeMap;

use super::*;
use crate::entry::StreamId;

/// The longest cursor of a log of which few streams go on.
const SHORT: usize = 8 * 1024;

fn name(stream: usize) -> StreamId {
    format!("app-{stream:012x}").parse().unwrap()
}

/// Two streams at a time begin their files in the same microsecond.
fn file(stream: usize, number: u32) -> FileStem {
    FileStem {
        stream: name(stream),
        born: Timestamp::from_micros(START + (stream / 2 * 100) as i64 + i64::from(number) * 7),
        number,
    }
}

fn lines(stream: usize, seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
    let line = |seq| {
        let line = Record::new(stream, seq, (stream as i64) * 100 + seq as i64).line();
        line.replace(&stream_name(stream), name(stream).as_str())
    };
    seqs.map(line).collect()
}

struct Follower {
    reader: AuditReader,
    query: Query,
    found: BTreeMap<(String, u64), u32>,
    longest: usize,
}

impl Follower {
    fn new(log: &Log, limit: usize) -> Self {
        let order = Order::Arrival;
        Self {
            reader: log.reader(),
            query: Query {
                order,
                limit,
                ..Query::default()
            },
            found: BTreeMap::new(),
            longest: 0,
        }
    }

    /// Reads pages until there are no more.
    fn follow(&mut self) {
        for _ in 0..10_000 {
            let page = self.reader.page(&self.query).unwrap();
            assert_eq!(page.scanned.problems, []);
            assert!(page.entries.len() <= self.query.limit);
            for entry in page.entries {
                let place = (entry.stream().into_owned(), entry.seq().0);
                *self.found.entry(place).or_default() += 1;
            }
            self.longest = self.longest.max(page.next_cursor.len());
            self.query.start = PageStart::Cursor(page.next_cursor);
            if !page.has_more {
                return;
            }
        }
        panic!("it has always more");
    }

    fn has_all(&self, streams: impl IntoIterator<Item = (usize, u64)>) {
        let mut wanted = BTreeMap::new();
        for (stream, last) in streams {
            wanted.extend((1..=last).map(|seq| ((name(stream).to_string(), seq), 1)));
        }
        assert_eq!(self.found, wanted);
    }
}

#[test]
fn many_streams_that_have_ended_make_no_long_cursor() {
    for limit in [7, 1000] {
        let log = Log::new();
        let end = |stream: usize| log.sealed(&file(stream, 1), &lines(stream, 1..=3));
        (0..150).for_each(end);
        // One goes on from the beginning.
        log.append(&file(200, 1), &lines(200, 1..=2));
        let mut follower = Follower::new(&log, limit);
        follower.follow();
        let ended = |streams: std::ops::Range<usize>| streams.map(|stream| (stream, 3));
        follower.has_all(ended(0..150).chain([(200, 2)]));

        (150..170).for_each(end);
        log.append(&file(200, 1), &lines(200, 3..=4));
        log.append(&file(200, 2), &lines(200, 5..=5));
        follower.follow();
        follower.has_all(ended(0..170).chain([(200, 5)]));
        assert!(follower.longest < SHORT, "{}", follower.longest);
    }
}

#[test]
fn a_stream_that_began_long_ago_and_goes_on_is_not_forgotten() {
    let log = Log::new();
    log.append(&file(0, 1), &lines(0, 1..=1));
    (1..60).for_each(|stream| log.sealed(&file(stream, 1), &lines(stream, 1..=1)));
    let mut follower = Follower::new(&log, 10);
    follower.follow();
    log.append(&file(0, 1), &lines(0, 2..=2));
    follower.follow();
    follower.has_all((1..60).map(|stream| (stream, 1)).chain([(0, 2)]));
}

/// Files of a day that has changed are met again, and streams that the cursor no longer names are
/// among them.
#[test]
fn a_file_that_comes_while_a_page_is_read_begins_no_stream_again() {
    let log = Log::new();
    let end = |stream: usize| {
        log.sealed(&file(stream, 1), &lines(stream, 1..=1));
        log.sealed(&file(stream, 2), &lines(stream, 2..=2));
    };
    (0..40).for_each(end);
    let mut follower = Follower::new(&log, 1000);
    follower.follow();
    std::thread::scope(|threads| {
        let rest = threads.spawn(|| (40..200).for_each(end));
        while !rest.is_finished() {
            follower.follow();
        }
    });
    follower.follow();
    follower.has_all((0..200).map(|stream| (stream, 2)));
}

/// Nothing says which of its entries are final.
#[test]
fn a_stream_that_begins_behind_the_look_at_the_log_is_left_for_the_next_page() {
    let log = Log::new();
    log.append(&file(0, 1), &lines(0, 1..=1));
    let reader = log.reader();
    let looks = std::cell::Cell::new(0);
    let look = || {
        let progress = reader.progress();
        looks.set(looks.get() + 1);
        let stream = looks.get();
        log.append(&file(stream, 1), &lines(stream, 1..=1));
        progress
    };
    let files = reader.files();
    let mut query = Query {
        order: Order::Arrival,
        ..Query::default()
    };
    let first = arrival::page(files, &query, Filter::new(), &look).unwrap();
    let streams = |page: &Page| -> Vec<_> {
        let entries = page.entries.iter();
        entries.map(|entry| entry.stream().into_owned()).collect()
    };
    // The stream of the second look is left out, that of the first one was known to the second.
    assert_eq!(looks.get(), 2);
    assert_eq!(streams(&first), [0, 1].map(|n| name(n).to_string()));
    assert!(first.has_more);
    query.start = PageStart::Cursor(first.next_cursor);
    let second = reader.page(&query).unwrap();
    assert_eq!(streams(&second), [name(2).to_string()]);
    assert!(!second.has_more);
}

#[test]
fn a_range_begins_where_its_files_do() {
    let log = Log::new();
    let day = |days: i64| FileStem {
        born: Timestamp::from_micros(START + days * 86_400_000_000),
        ..file(0, days as u32 + 1)
    };
    for days in 0..4 {
        let micros = days * 86_400_000_000;
        let line = Record::new(0, days as u64 + 1, micros).line();
        log.sealed(
            &day(days),
            &[line.replace(&stream_name(0), name(0).as_str())],
        );
    }
    let start = Timestamp::from_micros(START + 2 * 86_400_000_000).day();
    let mut follower = Follower::new(&log, 10);
    follower.query.filter = Filter::new().with("start_date", start.to_string()).unwrap();
    follower.follow();
    let found: Vec<_> = follower.found.keys().map(|(_, seq)| *seq).collect();
    assert_eq!(found, [3, 4]);
}

#[test]
fn a_cursor_is_checked() {
    let page = |cursor: &str| Query::parse([("order", "arrival"), ("cursor", cursor)]).map(drop);
    let file = file(7, 1);
    page(&format!("a1~0~{file}~e~12")).unwrap();
    page(&format!("a1~5~{file}~0~0")).unwrap();
    page("a1~0").unwrap();
    for wrong in [
        "".to_owned(),
        "a1".into(),
        "a1~".into(),
        "a1~x".into(),
        "a2~0".into(),
        format!("a1~0~{file}"),
        format!("a1~0~{file}~e"),
        format!("a1~0~{file}~-1~3"),
        format!("a1~0~{file}~e~3~"),
        format!("a1~0~{file}~e~3~{file}~e~3"),
        format!("a1~0~../{file}~e~3"),
        "v1.5.0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11".into(),
    ] {
        let error = page(&wrong).unwrap_err().to_string();
        assert!(error.contains("with order=arrival"), "{wrong}: {error}");
    }
    let by_time = Query::parse([("cursor", "a1~0")]).unwrap_err().to_string();
    assert!(by_time.contains("isn't the next_cursor"), "{by_time}");
    let offset = Query::parse([("order", "arrival"), ("offset", "3")]);
    let offset = offset.unwrap_err().to_string();
    assert!(offset.contains("order=arrival has no offset"), "{offset}");
}
