//! The scanner against `serde_json`: the same fields from every line, and no panic from any bytes.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const LINE: &str = r#"{"stream":"billing-7f3a9c","seq":1042,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","schema_version":"1.0","event_type":"discovery.scan.completed","category":"discovery","action":"completed","severity":"info","source":"certify-core","tenant_id":"acme","actor":{"type":"user","id":"user-456","name":"admin@company.com","attributes":{"id":"not-this"}},"resource":{"type":"scan","id":"scan-789","name":"nightly","attributes":{}},"outcome":{"type":"success"},"description":"Scan \"nightly\" done","details":{"mode":"full","duration_seconds":45,"by":{"zone.a":{"n":[1,{"n":2}]}}},"tags":["nightly"],"ip_address":"192.0.2.50","user_agent":"Mozilla/5.0","context":{"environment":"prod","session_id":"s-1","request_id":"r-2"}}"#;

#[test]
fn every_field_is_found() {
    let f = scan(LINE.as_bytes()).unwrap();
    assert_eq!(
        (f.stream, f.seq, f.timestamp.to_string().as_str()),
        (&b"billing-7f3a9c"[..], 1042, "2025-01-15T10:30:00.123456Z")
    );
    assert_eq!(f.id, b"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11");
    let texts = [
        (f.event_type, "discovery.scan.completed"),
        (f.category, "discovery"),
        (f.action, "completed"),
        (f.severity, "info"),
        (f.source, "certify-core"),
        (f.tenant_id, "acme"),
        (f.actor_type, "user"),
        (f.actor_id, "user-456"),
        (f.actor_name, "admin@company.com"),
        (f.resource_type, "scan"),
        (f.resource_id, "scan-789"),
        (f.resource_name, "nightly"),
        (f.outcome, r#"{"type":"success"}"#),
        (f.outcome_type, "success"),
        (f.description, r#"Scan \"nightly\" done"#),
        (f.tags, r#"["nightly"]"#),
        (f.ip_address, "192.0.2.50"),
        (f.user_agent, "Mozilla/5.0"),
        (f.session_id, "s-1"),
        (f.request_id, "r-2"),
    ];
    for (found, wanted) in texts {
        assert_eq!(String::from_utf8_lossy(found), wanted);
    }
    for part in [f.actor, f.resource, f.details, f.context] {
        assert!(serde_json::from_slice::<Value>(part).unwrap().is_object());
    }
}

#[test]
fn details_are_reached_by_path() {
    let details = scan(LINE.as_bytes()).unwrap().details;
    let at = |path| details_path(details, path).map(|v| std::str::from_utf8(v).unwrap());
    assert_eq!(at("mode"), Some(r#""full""#));
    assert_eq!(at("duration_seconds"), Some("45"));
    assert_eq!(at("by.zone.a.n"), Some(r#"[1,{"n":2}]"#));
    assert_eq!(at("by.zone"), None);
    assert_eq!(at("mode.full"), None);
    assert_eq!(at(""), None);
    // Lines that others wrote may have a key twice; the last value counts, as to `serde_json`.
    let twice = br#"{"a":{"b":1,"b":2},"c":1,"a":{"b":3,"b":4},"a.b":5}"#;
    assert_eq!(details_path(twice, "a.b"), Some(&b"4"[..]));
    assert_eq!(details_path(br#"{"a":{"b":1},"a":2}"#, "a.b"), None);
    assert_eq!(
        details_path(br#"{"a\"b":{"\\":1}}"#, "a\"b.\\"),
        Some(&b"1"[..])
    );
}

#[test]
fn a_path_no_deeper_than_the_stack() {
    let deep = [r#"{"":"#.repeat(50_000), "1".into(), "}".repeat(50_000)].concat();
    assert_eq!(details_path(deep.as_bytes(), &".".repeat(49_999)), None);
}

#[test]
fn what_is_no_line_of_the_log_is_refused() {
    for (from, to) in [
        (r#""seq":1042,"#, ""),
        (r#""seq":1042,"#, r#""seq":-1,"#),
        (r#""seq":1042,"#, r#""seq":99999999999999999999,"#),
        (r#""stream":"billing-7f3a9c","#, ""),
        ("2025-01-15T", "2025-02-30T"),
        ("2025-01-15T", "2025-01-15 "),
        ("00.123456Z", "00.123Z"),
        ("0193f2a4-", "0193f2a4"),
        (r#","event_type":"#, r#", "event_type":"#),
        (r#""tags":["nightly"]"#, r#""tags":["nightly""#),
        (r#""tags":["nightly"]"#, r#""tags":"#),
    ] {
        assert!(LINE.contains(from));
        assert!(
            scan(LINE.replacen(from, to, 1).as_bytes()).is_none(),
            "{from} -> {to}"
        );
    }
    assert!(scan(format!("{LINE}{LINE}").as_bytes()).is_none());
    for cut in 0..LINE.len() {
        assert!(scan(&LINE.as_bytes()[..cut]).is_none(), "cut at {cut}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        scan(&bytes);
        details_path(&bytes, "a.b");
    }

    #[test]
    fn a_mutated_line_is_survived(at in 0..LINE.len(), byte: u8, cut in 0..LINE.len()) {
        let mut line = LINE.as_bytes().to_vec();
        line[at] = byte;
        if let Some(fields) = scan(&line) {
            details_path(fields.details, "by.zone.a.n");
        }
        scan(&line[..cut]);
    }

    #[test]
    fn any_order_and_unknown_keys_are_read(
        extra in prop::collection::vec(("x[a-z\"\\\\]{0,8}", value()), 0..5),
        details in value(),
        (name, description) in any::<(String, String)>(),
        micros in -62_167_219_200_000_000i64..=253_402_300_799_999_999,
        seq in 1u64..=u64::MAX,
        order in any::<u64>(),
    ) {
        let time = Timestamp::from_micros(micros);
        let mut members: Vec<(String, Value)> = vec![
            ("stream".into(), json!("a-000000")),
            ("seq".into(), json!(seq)),
            ("id".into(), json!("0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")),
            ("timestamp".into(), json!(time.to_string())),
            ("event_type".into(), json!("a.b")),
            ("description".into(), json!(description)),
            ("actor".into(), json!({"attributes": details, "name": name})),
            ("details".into(), details.clone()),
        ];
        members.extend(extra);
        let turn = order as usize % members.len();
        members.rotate_left(turn);
        let line = serde_json::to_vec(&Value::Object(members.into_iter().collect::<Map<_, _>>())).unwrap();
        let f = scan(&line).unwrap();
        prop_assert_eq!((f.seq, f.timestamp), (seq, time));
        prop_assert_eq!(f.actor_name, &escape(&name)[..]);
        prop_assert_eq!(f.description, &escape(&description)[..]);
        prop_assert_eq!(serde_json::from_slice::<Value>(f.details).unwrap(), serde_json::from_slice::<Value>(&serde_json::to_vec(&details).unwrap()).unwrap());
        if let Value::Object(details) = &details {
            for (key, value) in details {
                let found = details_path(f.details, key);
                prop_assert_eq!(found, Some(&serde_json::to_vec(value).unwrap()[..]));
            }
        }
    }
}

/// `cargo test --release --lib scanning_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn scanning_speed() {
    use crate::store::samples::{cpu_time, lines};
    let log = lines(1, 100_000);
    let repeated = format!("{LINE}\n").repeat(60_000).into_bytes();
    for (name, log) in [("one line", &repeated), ("many lines", &log)] {
        let lines: Vec<_> = log
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        let rate = |_| {
            let begin = cpu_time();
            for line in &lines {
                std::hint::black_box(scan(std::hint::black_box(line))).unwrap();
            }
            log.len() as f64 / (cpu_time() - begin).as_secs_f64() / 1e9
        };
        let best = (0..10).map(rate).fold(0.0, f64::max);
        println!(
            "{name}: {} B, {:.0} ns, {best:.2} GB/s",
            log.len() / lines.len(),
            (log.len() / lines.len()) as f64 / best
        );
    }
}

#[test]
fn a_scan_that_is_kept_gives_the_same_fields() {
    let short = r#"{"stream":"a-1","seq":7,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
    for line in [LINE, short] {
        let kept = Scanned::of(line.as_bytes()).unwrap();
        let again = line.to_owned();
        let (kept, fresh) = (
            kept.fields(again.as_bytes()),
            scan(line.as_bytes()).unwrap(),
        );
        assert_eq!(format!("{kept:?}"), format!("{fresh:?}"));
    }
    assert!(Scanned::of(b"{}").is_none());
}

#[test]
fn a_control_character_is_found_wherever_it_stands() {
    for len in 0..70 {
        let mut line = vec![b' '; len];
        assert!(!has_control(&line));
        for at in 0..len {
            for control in [0, b'\t', b'\r', 0x1f] {
                line[at] = control;
                assert!(has_control(&line), "{control} at {at} of {len}");
            }
            line[at] = 0xff;
        }
    }
}
