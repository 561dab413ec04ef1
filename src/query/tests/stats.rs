//! Counts are those of a plain count over parsed entries.

use std::collections::BTreeMap;

use proptest::{
    option,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Map, Value, json};

use super::{
    filters::{Parameter, entry, log_of, parameter, wants, written},
    *,
};
use crate::query::{cancel::Cancel, stats::Depth};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Times before `START`: of some minutes, hours, days, months or years.
fn times() -> impl Strategy<Value = Vec<i64>> {
    select(vec![MINUTE, 30 * MINUTE, DAY, 40 * DAY, 3 * 365 * DAY])
        .prop_flat_map(|span| prop::collection::vec(-span..0, 40))
}

/// The fields that get values which are too long for a tally, of so many of the entries.
fn long_values() -> impl Strategy<Value = Vec<(&'static str, usize)>> {
    let fields = vec!["actor", "ip_address", "event_type"];
    prop::collection::vec((select(fields), 5..30usize), 0..3)
}

/// Gives entries values of 20,000 bytes that no other entry has.
fn lengthen(entries: &mut [(i64, Map<String, Value>)], long: &[(&str, usize)]) {
    for (field, most) in long {
        for (n, (_, entry)) in entries.iter_mut().enumerate().take(*most) {
            let value = format!("{n}{}", ".x".repeat(10_000));
            let value = match *field {
                "actor" => json!({ "type": "user", "id": value }),
                _ => json!(format!("{field}{value}")),
            };
            entry.insert((*field).to_owned(), value);
        }
    }
}

/// The first letters of its time that all entries of the same step have.
fn step_text(step: Step, entry: &Value) -> String {
    let time = entry["timestamp"].as_str().unwrap();
    let letters = match step {
        Step::Second => 19,
        Step::TenSeconds => 18,
        Step::FiveSeconds | Step::ThirtySeconds => 17,
        Step::Minute => 16,
        Step::TenMinutes => 15,
        Step::Hour => 13,
        Step::Day | Step::SixHours => 10,
        Step::Month => 7,
        Step::Year => 4,
    };
    let quarter = time[11..13].parse::<u8>().unwrap() / 6;
    let second = time[17..19].parse::<u8>().unwrap();
    match step {
        Step::FiveSeconds => format!("{}{:02}", &time[..letters], second / 5 * 5),
        Step::ThirtySeconds => format!("{}{:02}", &time[..letters], second / 30 * 30),
        Step::SixHours => format!("{}T{:02}", &time[..letters], quarter * 6),
        _ => time[..letters].to_owned(),
    }
}

/// How many entries there are for each text.
fn count<'a>(entries: &[&'a Value], text: impl Fn(&'a Value) -> Option<String>) -> Counted {
    let mut counted = Counted::new();
    for text in entries.iter().filter_map(|entry| text(entry)) {
        *counted.entry(text).or_default() += 1;
    }
    counted
}

type Counted = BTreeMap<String, u64>;

fn of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn outcome(entry: &Value) -> Option<String> {
    of(&entry["outcome"]["type"]).or(Some("success".into()))
}

fn actor(entry: &Value) -> Option<String> {
    let parts = ["id", "name", "type"];
    parts.iter().find_map(|part| of(&entry["actor"][*part]))
}

fn resource(entry: &Value) -> Option<String> {
    let parts = ["id", "name"];
    parts.iter().find_map(|part| of(&entry["resource"][*part]))
}

fn address(entry: &Value) -> Option<String> {
    let text = of(&entry["ip_address"])?;
    let address = text.parse::<std::net::IpAddr>();
    Some(address.map_or(text, |address| address.to_canonical().to_string()))
}

/// The values of a field that these entries have.
fn values(field: StatsField, entries: &[&Value]) -> Counted {
    match field {
        StatsField::EventType => count(entries, |entry| of(&entry["event_type"])),
        StatsField::Severity => count(entries, |entry| of(&entry["severity"])),
        StatsField::Outcome => count(entries, outcome),
        StatsField::Actor => count(entries, actor),
        StatsField::IpAddress => count(entries, address),
    }
}

/// Checks the values of one field.
fn check_top(top: &Top, counted: Counted, most: usize, entries: usize) {
    let with: u64 = counted.values().sum();
    assert_eq!(top.distinct, Some(counted.len() as u64));
    assert_eq!(top.without, entries as u64 - with);
    let mut all: Vec<_> = counted.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = all.split_off(all.len().min(most));
    assert_eq!(top.other, rest.iter().map(|(_, count)| count).sum::<u64>());
    let values = top.values.iter();
    let values: Vec<_> = values.map(|one| (one.value.clone(), one.count)).collect();
    assert_eq!(values, all);
}

/// Checks that the steps are all those of the range, and that their counts are right.
fn check_steps(stats: &Stats, entries: &[&Value]) {
    let numbers = stats.steps.iter().map(|one| stats.step.number(one.start));
    let first = stats
        .steps
        .first()
        .map_or(0, |one| stats.step.number(one.start));
    assert!(numbers.eq((first..).take(stats.steps.len())), "{stats:?}");
    let step = |entry: &Value| Some(step_text(stats.step, entry));
    let mut left = count(entries, step);
    for one in &stats.steps {
        let start = one.start.to_string();
        let of_step: Vec<_> = entries
            .iter()
            .copied()
            .filter(|entry| start.starts_with(&step_text(stats.step, entry)))
            .collect();
        let text = of_step.first().map(|entry| step_text(stats.step, entry));
        assert_eq!(
            one.count,
            text.and_then(|text| left.remove(&text)).unwrap_or(0)
        );
        let severities = count(&of_step, |entry| of(&entry["severity"]));
        let outcomes = count(&of_step, outcome);
        let are = |counted: &Counted, given: Value| {
            given
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, count)| *count == counted.get(name).copied().unwrap_or(0))
        };
        assert!(are(
            &severities,
            serde_json::to_value(one.severity).unwrap()
        ));
        assert!(are(&outcomes, serde_json::to_value(one.outcome).unwrap()));
    }
    assert_eq!(left, Counted::new(), "each is in a step: {stats:?}");
}

/// Checks that the steps are few enough, and that shorter ones would be too many.
fn check_choice(stats: &Stats, filter: &Filter, entries: &[&Value], most: u16) {
    let time =
        |entry: &&Value| -> Timestamp { entry["timestamp"].as_str().unwrap().parse().unwrap() };
    let before = |end: Timestamp| Timestamp::from_micros(end.as_micros() - 1);
    let first = filter.start().or(entries.iter().map(time).min());
    let last = filter.end().map(before).or(entries.iter().map(time).max());
    let Some((first, last)) = first.zip(last) else {
        return;
    };
    let steps = |step: Step| step.number(last) - step.number(first) + 1;
    assert!(stats.step == Step::Year || steps(stats.step) <= i64::from(most));
    // No step of seconds is chosen.
    let shorter = Step::ALL.into_iter().rev();
    let mut shorter = shorter.filter(|step| *step >= Step::Minute);
    let shorter = shorter.find(|step| *step < stats.step);
    assert!(
        shorter.is_none_or(|shorter| steps(shorter) > i64::from(most)),
        "{stats:?}"
    );
}

/// An end of the range, as text.
fn date(name: &str, micros: Option<i64>) -> Option<(String, String)> {
    let time = Timestamp::from_micros(START + micros?);
    Some((name.to_owned(), time.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn counts_are_those_of_a_plain_count(
        entries in prop::collection::vec(entry(), 1..40),
        times in times(),
        filters in prop::collection::vec(prop::collection::vec(parameter(), 0..3), 6),
        range in (option::weighted(0.4, -40 * DAY..0), option::weighted(0.4, -40 * DAY..0)),
        step in option::of(select(&Step::ALL[..])),
        most in (0..12usize, 2..50u16),
        fields in subsequence(StatsField::ALL.to_vec(), 0..=5),
        files in (1..12usize, 0..6usize),
        long in long_values(),
    ) {
        let mut entries: Vec<(i64, Map<_, _>)> = times.into_iter().zip(entries).collect();
        for (_, entry) in entries.iter_mut().step_by(5) {
            entry.remove("severity");
        }
        lengthen(&mut entries, &long);
        let (log, stored) = log_of(entries, files.0, files.1);
        let reader = log.reader();
        for mut parameters in filters {
            parameters.retain(|(name, ..): &Parameter| !name.ends_with("_date"));
            let dates = [date("start_date", range.0), date("end_date", range.1)];
            let dates: Vec<_> = dates.into_iter().flatten().collect();
            let params = parameters.iter().map(written).chain(dates.clone());
            let Ok(filter) = Filter::parse(params) else { continue };
            let in_range = |entry: &&Value| dates.iter().all(|(name, date)| {
                let is_from = entry["timestamp"].as_str().unwrap() >= date.as_str();
                is_from == (name == "start_date")
            });
            let wanted: Vec<_> =
                stored.iter().filter(|entry| wants(entry, &parameters)).filter(in_range).collect();

            let (top, most_steps) = most;
            let query = StatsQuery {
                filter: filter.clone(),
                step,
                top,
                fields: fields.clone(),
                most_steps,
                include_access: false,
            };
            let stats = match reader.stats(&query) {
                Ok(stats) => stats,
                Err(error) => {
                    prop_assert!(matches!(step, Some(step) if step < Step::Month), "{error}");
                    prop_assert!(error.to_string().contains("more than 1000 steps"));
                    continue;
                }
            };
            prop_assert_eq!((stats.total, stats.exact), (wanted.len() as u64, true));
            prop_assert!(step.is_none_or(|step| step == stats.step));
            check_steps(&stats, &wanted);
            if step.is_none() {
                check_choice(&stats, &filter, &wanted, most_steps);
            }
            let (quick, _) = reader.count(&query, Depth::Quick).unwrap();
            prop_assert_eq!(&quick.steps, &stats.steps);
            for field in StatsField::ALL {
                let is_chosen = top > 0 && fields.contains(&field);
                prop_assert_eq!(stats.top.of(field).is_some(), is_chosen);
                if let Some(found) = stats.top.of(field) {
                    check_top(found, values(field, &wanted), top, wanted.len());
                }
                if let Some(found) = quick.top.of(field) {
                    prop_assert_eq!(Some(found), stats.top.of(field));
                }
            }

            let (again, more) = reader.count(&query, Depth::WithMore).unwrap();
            prop_assert_eq!((&again.steps, &again.top), (&stats.steps, &stats.top));
            let n = wanted.len();
            check_top(&more.resource, count(&wanted, resource), top, n);
            check_top(&more.user_agent, count(&wanted, |e| of(&e["user_agent"])), top, n);
        }
    }
}

fn record(seq: u64, day: i64) -> Record {
    Record {
        padding: 30_000,
        ..Record::new(0, seq, day * DAY)
    }
}

#[test]
fn the_range_of_the_filter_has_all_its_steps() {
    let log = Log::new();
    log.append(&stem(0, 1), &[record(1, -5).line(), record(2, -2).line()]);
    let stats = |params: &[(&str, &str)]| {
        let query = StatsQuery::parse(params.iter().copied()).unwrap();
        log.reader().stats(&query).unwrap()
    };
    let counts = |stats: &Stats| stats.steps.iter().map(|one| one.count).collect::<Vec<_>>();
    let days = stats(&[("step", "day")]);
    assert_eq!(counts(&days), [1, 0, 0, 1]);
    assert_eq!(
        days.start.unwrap().to_string(),
        "2026-11-16T00:00:00.000000Z"
    );
    assert_eq!(days.end.unwrap().to_string(), "2026-11-20T00:00:00.000000Z");

    let from = ("start_date", "2026-11-14T12:00:00Z");
    let ranged = stats(&[("step", "day"), from, ("end_date", "2026-11-17")]);
    assert_eq!(counts(&ranged), [0, 0, 1, 0]);
    assert_eq!(
        ranged.start.unwrap().to_string(),
        "2026-11-14T12:00:00.000000Z"
    );
    assert_eq!(
        ranged.end.unwrap().to_string(),
        "2026-11-18T00:00:00.000000Z"
    );
    assert_eq!(
        ranged.steps[0].start.to_string(),
        "2026-11-14T00:00:00.000000Z"
    );

    let chosen = stats(&[]);
    assert_eq!((chosen.step, chosen.steps.len()), (Step::Hour, 3 * 24 + 1));
    let none = stats(&[("actor", "nobody")]);
    assert_eq!((none.start, none.end, none.steps), (None, None, vec![]));
}

#[test]
fn steps_of_seconds_are_those_of_the_entries_in_sealed_files_too() {
    let log = Log::new();
    let at = |seq, seconds: i64| Record {
        padding: 30_000,
        ..Record::new(0, seq, seconds * 1_000_000 - DAY)
    };
    let lines: Vec<_> = [(1, 3), (2, 4), (3, 17), (4, 29)]
        .map(|(seq, seconds)| at(seq, seconds).line())
        .into();
    log.sealed(&stem(0, 1), &lines);
    for (step, expected) in [
        ("second", vec![1, 1, 0, 0]),
        ("5-seconds", vec![2, 0, 0, 1]),
        ("10-seconds", vec![2, 1, 1]),
        ("30-seconds", vec![4]),
    ] {
        let query = StatsQuery::parse([("step", step)]).unwrap();
        let stats = log.reader().stats(&query).unwrap();
        let counts: Vec<_> = stats.steps.iter().map(|one| one.count).collect();
        assert_eq!(&counts[..expected.len()], expected, "{step}");
        assert_eq!((counts.iter().sum::<u64>(), stats.total), (4, 4), "{step}");
    }
    // None is chosen that wasn't asked for.
    assert_eq!(
        log.reader().stats(&StatsQuery::default()).unwrap().step,
        Step::Minute
    );
}

#[test]
fn too_many_steps_are_refused_and_the_error_says_what_to_give() {
    let log = Log::new();
    log.append(&stem(0, 1), &[record(1, -5).line(), record(2, -2).line()]);
    for (params, is_refused) in [
        (&[("step", "minute")][..], true),
        (&[("step", "10-minutes")], false),
        (&[("step", "minute"), ("start_date", "2026-11-19")], false),
        (
            &[
                ("step", "hour"),
                ("start_date", "2026-01-01"),
                ("end_date", "2026-02-28"),
            ],
            true,
        ),
    ] {
        let query = StatsQuery::parse(params.iter().copied()).unwrap();
        let error = log
            .reader()
            .stats(&query)
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.is_some(), is_refused, "{params:?}");
        let says = "give a longer one, or a shorter range with start_date and end_date";
        assert!(error.is_none_or(|error| error.contains(says)));
    }
}

#[test]
fn wrong_parameters_are_named() {
    for (params, named) in [
        (
            &[("top", "-1")][..],
            "top: it must be a number from 0 to 100",
        ),
        (&[("top", "101")], "top"),
        (
            &[("fields", "actor,tenant_id")],
            "fields: \"tenant_id\" must be one of event_type, severity, outcome, actor, ip_address",
        ),
        (&[("fields", "")], "fields: \"\" must be one of"),
        (&[("step", "week")], "step: \"week\" must be one of second"),
        (&[("include", "all")], "include: it must be access"),
        (
            &[("step", "day"), ("step", "day")],
            "step: it is given twice",
        ),
        (&[("limit", "3")], "limit: there is no such parameter"),
    ] {
        let error = StatsQuery::parse(params.iter().copied())
            .unwrap_err()
            .to_string();
        assert!(error.contains(named), "{error}");
    }
    let unknown = StatsQuery::parse([("stp", "day")]).unwrap_err().to_string();
    assert!(unknown.contains("step, top, fields, include"), "{unknown}");
}

#[test]
fn entries_of_a_damaged_block_are_missing_and_the_answer_says_so() {
    let log = Log::new();
    let lines: Vec<_> = (1..=60).map(|seq| record(seq, -1).line()).collect();
    log.sealed(&stem(0, 1), &lines);
    let query = StatsQuery::parse([("severity", "info")]).unwrap();
    let whole = log.reader().stats(&query).unwrap();
    assert_eq!((whole.total, whole.exact), (60, true));
    assert!(whole.scanned.blocks > 1 && whole.scanned.files == 1);
    let path = log.layout.sealed(&stem(0, 1));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let stats = log.reader().stats(&query).unwrap();
    assert!((45..60).contains(&stats.total), "{}", stats.total);
    assert_eq!((stats.exact, stats.scanned.problems.len()), (false, 1));
}

#[test]
fn each_entry_of_many_damaged_blocks_is_counted_once() {
    let log = Log::new();
    // With lines that are none, a block says nothing about its times.
    let line = |seq: u64| match seq.is_multiple_of(9) {
        true => "no entry".to_owned(),
        false => record(seq, -1).line(),
    };
    log.sealed(&stem(0, 1), &(1..=180).map(line).collect::<Vec<_>>());
    let stats = log.reader().stats(&StatsQuery::default()).unwrap();
    assert_eq!((stats.total, stats.exact), (160, false));
}

#[test]
fn a_count_ends_when_it_is_cancelled() {
    let log = Log::new();
    let lines: Vec<_> = (1..=60).map(|seq| record(seq, -1).line()).collect();
    log.sealed(&stem(0, 1), &lines);
    let (cancel, guard) = Cancel::on_drop();
    let reader = log.reader().cancelled_by(&cancel);
    assert!(reader.stats(&StatsQuery::default()).is_ok());
    drop(guard);
    let error = reader
        .stats(&StatsQuery::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("has gone"), "{error}");
}

#[test]
fn reads_of_the_log_are_counted_if_they_are_asked_for() {
    let log = Log::new();
    let read = Record {
        event_type: "audit.access.read".into(),
        ..record(2, -1)
    };
    log.append(&stem(0, 1), &[record(1, -1).line(), read.line()]);
    for (params, total) in [
        (&[][..], 1),
        (&[("include", "access")], 2),
        (&[("event_type", "audit.*")], 1),
    ] {
        let query = StatsQuery::parse(params.iter().copied()).unwrap();
        assert_eq!(
            log.reader().stats(&query).unwrap().total,
            total,
            "{params:?}"
        );
    }
}

/// Counts by day, with the work that they took apart.
fn counted(log: &Log, params: &[(&str, &str)]) -> (Stats, Scanned) {
    let params = params.iter().copied().chain([("step", "day")]);
    let mut stats = log
        .reader()
        .stats(&StatsQuery::parse(params).unwrap())
        .unwrap();
    stats.complete_until = None;
    let scanned = std::mem::take(&mut stats.scanned);
    (stats, scanned)
}

#[test]
fn files_that_are_wholly_in_the_range_are_not_read() {
    let log = Log::new();
    for (number, day) in [(1, -3), (2, -2), (3, -1)] {
        let seqs = u64::from(number) * 30..u64::from(number) * 30 + 30;
        let mut lines: Vec<_> = seqs.map(|seq| record(seq, day).line()).collect();
        lines.push(
            Record {
                event_type: "audit.access.read".into(),
                ..record(u64::from(number) * 30 + 30, day)
            }
            .line(),
        );
        log.sealed(&stem(0, number), &lines);
    }
    let (all, scanned) = counted(&log, &[]);
    assert_eq!((all.total, scanned.blocks, scanned.lines), (90, 0, 0));
    assert_eq!(all.top.event_type.as_ref().unwrap().distinct, Some(1));
    let (with, scanned) = counted(&log, &[("include", "access")]);
    assert_eq!((with.total, scanned.blocks), (93, 0));

    // Both ends of a range are sharp.
    for (name, time, total) in [
        ("start_date", "2026-11-19T10:00:00.000000Z", 60),
        ("start_date", "2026-11-19T10:00:00.000001Z", 30),
        ("end_date", "2026-11-19T10:00:00.000000Z", 30),
        ("end_date", "2026-11-19T10:00:00.000001Z", 60),
    ] {
        let (part, scanned) = counted(&log, &[(name, time)]);
        assert_eq!((part.total, scanned.blocks), (total, 0), "{name} {time}");
    }
    let (filtered, scanned) = counted(&log, &[("severity", "info")]);
    assert_eq!((filtered.total, scanned.files), (90, 3));

    // The same by reading: the tallies are damaged, and a reader doesn't write.
    for number in 1..=3 {
        let index = log.layout.index(&stem(0, number));
        let mut bytes = std::fs::read(&index).unwrap();
        let at = memchr::memmem::find(&bytes, b"auth.login").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&index, bytes).unwrap();
    }
    let (read, scanned) = counted(&log, &[]);
    assert!(read == all, "{read:?}");
    assert_eq!((scanned.files, scanned.lines), (3, 93));
}

#[test]
fn a_file_that_is_partly_in_the_range_is_read() {
    let log = Log::new();
    let lines = (1..=60).map(|seq| Record {
        padding: 30_000,
        ..Record::new(0, seq, -1_000_000 * (60 - seq as i64))
    });
    log.sealed(
        &stem(0, 1),
        &lines.map(|one| one.line()).collect::<Vec<_>>(),
    );
    let (whole, scanned) = counted(&log, &[]);
    assert_eq!((whole.total, scanned.blocks), (60, 0));
    let blocks = counted(&log, &[("severity", "info")]).1.blocks;
    let (part, scanned) = counted(&log, &[("start_date", "2026-11-21T09:59:50Z")]);
    assert_eq!(part.total, 11);
    assert!(
        (1..blocks).contains(&scanned.blocks),
        "{scanned:?} of {blocks}"
    );
}

/// A file in which each entry has another actor, with a name too long for a tally.
fn file_of_actors(log: &Log) {
    let lines = (1..=30).map(|seq| {
        let actor = format!("user-{seq}-{}", "x".repeat(20_000));
        let record = Record::new(0, seq, -DAY);
        Record { actor, ..record }.line()
    });
    log.sealed(&stem(0, 1), &lines.collect::<Vec<_>>());
}

#[test]
fn values_that_are_not_asked_for_are_not_read() {
    let log = Log::new();
    file_of_actors(&log);
    let (all, scanned) = counted(&log, &[]);
    let actors = all.top.actor.as_ref().unwrap();
    assert_eq!((all.total, actors.distinct), (30, Some(30)));
    assert_eq!(scanned.lines, 30);
    for (params, fields) in [
        (
            &[("fields", "event_type,ip_address")][..],
            &["event_type", "ip_address"][..],
        ),
        (&[("top", "0")], &[]),
        (&[("top", "0"), ("fields", "actor")], &[]),
    ] {
        let (some, scanned) = counted(&log, params);
        assert_eq!((some.total, scanned.lines), (30, 0), "{params:?}");
        assert_eq!(some.steps, all.steps);
        let top = serde_json::to_value(&some.top).unwrap();
        let names: Vec<_> = top.as_object().unwrap().keys().collect();
        assert_eq!(names, fields, "{params:?}");
    }
    let (_, scanned) = counted(&log, &[("fields", "actor")]);
    assert_eq!(scanned.lines, 30);
}

#[test]
fn quick_counts_leave_out_what_would_have_to_be_read() {
    let log = Log::new();
    file_of_actors(&log);
    log.append(&stem(0, 2), &[record(31, -1).line()]);
    let (quick, _) = log
        .reader()
        .count(&StatsQuery::default(), Depth::Quick)
        .unwrap();
    assert_eq!((quick.total, quick.scanned.lines), (31, 1));
    let counted = StatsField::ALL.map(|field| quick.top.of(field).is_some());
    assert_eq!(counted, [true, true, true, false, true]);
}
