//! What a filter finds in a log is what a plain filter over parsed entries finds.

mod plain;

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

pub(in crate::query::tests) use self::plain::wants;
use super::*;
use crate::store::samples;

/// Texts that are ids, names and types, so that one value meets all of them.
const TEXTS: [&str; 11] = [
    "ann", "Ann", "c \"d\"", "e\\f", "GRÜN", "h\ni", "system", "!x", "\\!x", "12", "true",
];
const EVENT_TYPES: [&str; 5] = [
    "auth.login",
    "auth.login.failed",
    "auth.logout",
    "authz.denied",
    "file.read",
];
const SEVERITIES: [&str; 4] = ["info", "warning", "error", "critical"];
const OUTCOMES: [&str; 3] = ["success", "failure", "unknown"];
/// Addresses as lines spell them.
const ADDRESSES: [&str; 9] = [
    "192.0.2.1",
    "192.0.2.77",
    "198.51.100.7",
    "::ffff:192.0.2.1",
    "::FFFF:C000:24D",
    "2001:db8::1",
    "2001:DB8:0:0::1",
    "2001:db8:ffff::2",
    "localhost",
];
/// Networks as parameters spell them.
const NETWORKS: [&str; 10] = [
    "192.0.2.1",
    "::ffff:c000:201",
    "192.0.2.0/24",
    "192.0.2.64/26",
    "192.0.0.0/5",
    "0.0.0.0/0",
    "::/0",
    "2001:DB8::0:1",
    "2001:db8::/33",
    "::ffff:192.0.2.0/120",
];

fn text() -> impl Strategy<Value = &'static str> {
    select(&TEXTS[..])
}

fn number() -> impl Strategy<Value = Value> {
    select(vec![
        json!(1),
        json!(1.0),
        json!(-1),
        json!(12),
        json!(0),
        json!(0.5),
        json!(100),
    ])
}

fn detail() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        number(),
        select(vec![
            json!("1"),
            json!("1.0"),
            json!(true),
            json!(null),
            json!([1]),
            json!({})
        ]),
    ]
}

/// Some members of an object.
fn members(
    names: &'static [&'static str],
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Value> {
    let some = prop::collection::vec(prop::option::of(value), names.len());
    some.prop_map(|values| {
        let members = names.iter().zip(values);
        let given = members.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    })
}

/// An entry without its place in the log.
pub(super) fn entry() -> impl Strategy<Value = Map<String, Value>> {
    let texts = ["category", "action", "source", "tenant_id", "user_agent"];
    let outcome = prop_oneof![
        Just(json!({})),
        select(&OUTCOMES[..]).prop_map(|kind| json!({"type": kind})),
    ];
    let parts = (
        select(&EVENT_TYPES[..]),
        select(&SEVERITIES[..]),
        prop::collection::vec(prop::option::of(text()), texts.len()),
        members(&["type", "id", "name"], text().prop_map(Value::from)),
        members(&["type", "id", "name"], text().prop_map(Value::from)),
        prop::option::of(outcome),
        prop::option::of(select(&ADDRESSES[..])),
        members(
            &["session_id", "request_id", "trace_id"],
            text().prop_map(Value::from),
        ),
        members(&["n", "a", "a.b", "x"], detail()),
        text(),
    );
    parts.prop_map(
        move |(
            event_type,
            severity,
            values,
            actor,
            resource,
            outcome,
            address,
            context,
            details,
            said,
        )| {
            let mut entry = Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                value.map(|value| entry.insert(name.to_owned(), value))
            };
            put("event_type", Some(event_type.into()));
            put("severity", Some(severity.into()));
            for (name, value) in texts.iter().zip(values) {
                put(name, value.map(Value::from));
            }
            put("actor", Some(actor));
            put("resource", Some(resource));
            put("outcome", outcome);
            put("ip_address", address.map(Value::from));
            put("context", Some(context));
            put("details", Some(nested(&details)));
            put("description", Some(said.into()));
            entry
        },
    )
}

/// Details that are below others, and whose keys have dots.
fn nested(details: &Value) -> Value {
    let mut nested = Map::new();
    for (name, value) in details.as_object().unwrap() {
        match name.as_str() {
            "a.b" => nested.insert(name.clone(), json!({"c": value})),
            "a" => nested.insert(name.clone(), json!({"n": value})),
            _ => nested.insert(name.clone(), value.clone()),
        };
    }
    Value::Object(nested)
}

/// A log of these entries, each so many microseconds after `START`, in files of some lines, of which
/// the first are sealed; and its entries as they stand in it.
pub(super) fn log_of(
    entries: impl IntoIterator<Item = (i64, Map<String, Value>)>,
    per_file: usize,
    sealed: usize,
) -> (Log, Vec<Value>) {
    let log = Log::new();
    let mut stored = Vec::new();
    for (number, (micros, mut entry)) in entries.into_iter().enumerate() {
        let place = Record::new(0, number as u64 + 1, micros);
        entry.insert("stream".into(), stream_name(0).into());
        entry.insert("seq".into(), place.seq.into());
        entry.insert("id".into(), place.id().into());
        let time = Timestamp::from_micros(START + micros);
        entry.insert("timestamp".into(), time.to_string().into());
        stored.push(Value::Object(entry));
    }
    for (number, part) in (1..).zip(stored.chunks(per_file)) {
        let lines: Vec<_> = part.iter().map(Value::to_string).collect();
        log.append(&stem(0, number), &lines);
        if (number as usize) <= sealed {
            log.seal(&stem(0, number));
            log.unlink(&stem(0, number));
        }
    }
    (log, stored)
}

/// A parameter: its name, whether its value is excluded, and the value.
pub(super) type Parameter = (String, bool, String);

pub(super) fn parameter() -> impl Strategy<Value = Parameter> {
    let of = |names: Vec<&'static str>, values: Vec<&'static str>| {
        (select(names), select(values)).boxed()
    };
    let texts = vec![
        "category",
        "action",
        "source",
        "tenant_id",
        "actor",
        "actor",
        "actor_type",
        "resource",
        "resource_type",
        "user_agent",
        "session_id",
        "request_id",
        "trace_id",
    ];
    let types = vec![
        "auth.*",
        "auth.login",
        "auth.login.*",
        "file.read",
        "*",
        "nothing.such",
    ];
    let found = vec!["ANN", "grün", "\"d", "\\", "\nI", "AUTH", "!x", "read"];
    let values = vec![
        "1", "1.0", "1e0", "-1", "0", "0.50", "1e2", "12", "ann", "true", "null", "[1]", "",
    ];
    let details = vec![
        "details.n",
        "details.a.n",
        "details.a.b.c",
        "details.x",
        "details.none",
    ];
    let one = prop_oneof![
        4 => of(texts, TEXTS.to_vec()),
        1 => of(vec!["event_type"], types),
        1 => of(vec!["severity"], SEVERITIES.to_vec()),
        1 => of(vec!["outcome"], OUTCOMES.to_vec()),
        2 => of(vec!["ip_address"], NETWORKS.to_vec()),
        1 => of(vec!["q"], found),
        2 => of(details, values),
    ];
    let named = (one, prop::bool::weighted(0.3))
        .prop_map(|((name, value), excluded)| (name.to_owned(), excluded, value.to_owned()));
    let date = (select(vec!["start_date", "end_date"]), 0..120i64, 0..5u8);
    let dated =
        date.prop_map(|(name, micros, form)| (name.to_owned(), false, spelled(micros, form)));
    prop_oneof![6 => named, 1 => dated]
}

/// An instant in one of several spellings.
fn spelled(micros: i64, form: u8) -> String {
    let text = Timestamp::from_micros(START + micros).to_string();
    match form {
        0 => text,
        1 => text.replace('Z', ""),
        2 => text.replace('Z', "5Z"),
        3 => text.replace('T', " ").replace('Z', "0000z"),
        _ => {
            let ahead = Timestamp::from_micros(START + micros + 7_200_000_000).to_string();
            ahead.replace('Z', "+0200")
        }
    }
}

/// A parameter as a query string has it.
pub(super) fn written((name, excluded, value): &Parameter) -> (String, String) {
    let sign = if *excluded { "!" } else { "" };
    let is_date = name.ends_with("_date");
    let backslash = match value.trim_start_matches('\\').starts_with('!') && !is_date {
        true => "\\",
        false => "",
    };
    (name.clone(), format!("{sign}{backslash}{value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_filter_finds_what_a_plain_one_finds(
        entries in prop::collection::vec(entry(), 1..40),
        filters in prop::collection::vec(prop::collection::vec(parameter(), 1..5), 12),
        per_file in 1..12usize,
        sealed in 0..6usize,
    ) {
        let (log, stored) = log_of((0..).step_by(3).zip(entries), per_file, sealed);
        let reader = log.reader();
        for parameters in filters {
            // A date that is there twice, an empty range, all types excluded.
            let Ok(filter) = Filter::parse(parameters.iter().map(written)) else { continue };
            let mut wanted: Vec<_> = stored
                .iter()
                .filter(|entry| wants(entry, &parameters))
                .map(Value::to_string)
                .collect();
            let (mut found, scanned) = all(&reader, &filter, Order::Asc);
            // Entries of a millisecond are in the order of their ids.
            wanted.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(scanned.problems, vec![]);
            prop_assert_eq!(found, wanted, "{:?}", parameters);

            let again = Filter::parse(filter.params()).unwrap();
            prop_assert_eq!(again.params(), filter.params());
            let shuffled = Filter::parse(parameters.iter().rev().map(written)).unwrap();
            prop_assert_eq!(shuffled.params(), filter.params());
        }
    }
}

/// Makes the indexes of the first files those of these versions, and flips a byte in some of them.
fn make_older(log: &Log, indexes: &[(u32, Option<prop::sample::Index>)]) {
    for (number, (version, damage)) in (1..).zip(indexes) {
        let stem = stem(0, number);
        if !log.layout.sealed(&stem).exists() {
            continue;
        }
        samples::index_of_version(*version, &log.layout, &stem);
        if let Some(at) = damage {
            let path = log.layout.index(&stem);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_tenants_filter_finds_the_same_by_indexes_of_any_version_damaged_or_not(
        entries in prop::collection::vec((entry(), select(&TEXTS[..3])), 1..40),
        filters in prop::collection::vec(prop::collection::vec(parameter(), 0..4), 8),
        per_file in 1..12usize,
        indexes in prop::collection::vec((1..=3u32, prop::option::of(any::<prop::sample::Index>())), 6),
    ) {
        let entries = entries.into_iter().map(|(mut entry, tenant)| {
            entry.insert("tenant_id".into(), tenant.into());
            entry
        });
        let (log, stored) = log_of((0..).step_by(3).zip(entries), per_file, indexes.len());
        make_older(&log, &indexes);
        let reader = log.reader();
        for mut parameters in filters {
            parameters.push(("tenant_id".into(), false, TEXTS[2].into()));
            let Ok(filter) = Filter::parse(parameters.iter().map(written)) else { continue };
            let wanted = stored.iter().filter(|entry| wants(entry, &parameters));
            let mut wanted: Vec<_> = wanted.map(Value::to_string).collect();
            let (mut found, scanned) = all(&reader, &filter, Order::Desc);
            wanted.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(scanned.hiding_problem(), None);
            prop_assert_eq!(&found, &wanted, "{:?}", parameters);
            let stats = reader.stats(&StatsQuery { filter, ..StatsQuery::default() }).unwrap();
            prop_assert!(stats.exact);
            prop_assert_eq!(stats.total, wanted.len() as u64, "{:?}", parameters);
        }
        let stats = reader.stats(&StatsQuery::default()).unwrap();
        prop_assert!(stats.exact);
        prop_assert_eq!(stats.total, stored.len() as u64);
        let types = stats.top.event_type.unwrap().values;
        prop_assert_eq!(types.iter().map(|one| one.count).sum::<u64>(), stored.len() as u64);
    }
}
