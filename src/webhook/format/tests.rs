//! Bytes of each format, and laws that all of them keep.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LINE: &str = concat!(
    r#"{"stream":"billing-7f3a9c","seq":1042,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","#,
    r#""timestamp":"2025-01-15T10:30:00.123456Z","schema_version":"1.0","event_type":"user.role.changed","category":"user","#,
    r#""action":"changed","severity":"warning","source":"billing","actor":{"type":"user","id":"ann müller"},"#,
    r#""resource":{"type":"user","id":"7"},"outcome":{"type":"success"},"details":{"z":1,"a":[1.50,null]},"#,
    r#""context":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}}"#
);

fn entry(line: &str) -> RawEntry {
    RawEntry::from_line(line.as_bytes()).unwrap()
}

fn encode(
    format: &dyn Format,
    entries: &[RawEntry],
    batched: bool,
) -> Result<Encoded, Unencodable> {
    format.encode(&Batch {
        id: "msg_1",
        source: "fallback",
        entries,
        batched,
    })
}

fn body(format: &dyn Format, entries: &[RawEntry], batched: bool) -> String {
    String::from_utf8(encode(format, entries, batched).unwrap().body).unwrap()
}

fn all() -> Vec<std::sync::Arc<dyn Format>> {
    FormatName::ALL
        .iter()
        .map(|name| name.build(&FormatOptions::default()).unwrap())
        .collect()
}

#[test]
fn native_is_type_timestamp_and_the_line() {
    let one = format!(
        r#"{{"type":"user.role.changed","timestamp":"2025-01-15T10:30:00.123456Z","data":{LINE}}}"#
    );
    let line = entry(LINE);
    assert_eq!(body(&Native, std::slice::from_ref(&line), false), one);
    assert_eq!(
        body(&Native, std::slice::from_ref(&line), true),
        format!("[{one}]")
    );
    assert_eq!(
        body(&Native, &[line.clone(), line.clone()], true),
        format!("[{one},{one}]")
    );
    assert!(matches!(
        encode(&Native, &[line.clone(), line], false),
        Err(Unencodable::Batch { .. })
    ));
}

#[test]
fn a_binary_cloud_event_has_its_attributes_in_headers() {
    let encoded = encode(
        &CloudEvents::new(CloudEventsMode::Binary),
        &[entry(LINE)],
        false,
    )
    .unwrap();
    assert_eq!(
        (&*encoded.content_type, encoded.body),
        ("application/json", LINE.as_bytes().to_vec())
    );
    let headers: Vec<_> = encoded
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11"),
        ("ce-source", "urn:tracing-audit:billing"),
        ("ce-type", "user.role.changed"),
        ("ce-time", "2025-01-15T10:30:00.123456Z"),
        ("ce-subject", "user/7"),
        ("ce-stream", "billing-7f3a9c"),
        ("ce-sequence", "00000000000000001042"),
        ("ce-severitytext", "WARN"),
        ("ce-severitynumber", "13"),
        ("ce-authtype", "app_user"),
        ("ce-authid", "ann%20m%C3%BCller"),
        (
            "ce-traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn structured_and_batched_cloud_events_are_objects_around_the_line() {
    let source = "https://billing.example.com/audit";
    let structured = CloudEvents::new(CloudEventsMode::Structured)
        .source(source)
        .unwrap();
    let object = body(&structured, &[entry(LINE)], false);
    assert!(
        object.starts_with(r#"{"specversion":"1.0","id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","source":"https://billing"#),
        "{object}"
    );
    assert!(
        object.ends_with(&format!(
            r#","datacontenttype":"application/json","data":{LINE}}}"#
        )),
        "{object}"
    );
    let parsed: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        (&parsed["authid"], &parsed["severitynumber"]),
        (&json!("ann müller"), &json!(13))
    );

    let batch = CloudEvents::new(CloudEventsMode::Batch)
        .source(source)
        .unwrap();
    assert_eq!(body(&batch, &[entry(LINE)], false), format!("[{object}]"));
    assert_eq!(
        encode(&batch, &[entry(LINE)], true).unwrap().content_type,
        "application/cloudevents-batch+json"
    );
    assert!(matches!(
        encode(&structured, &[entry(LINE), entry(LINE)], true),
        Err(Unencodable::Batch { .. })
    ));
}

#[test]
fn what_attributes_may_not_have_is_replaced_or_left_out() {
    let structured = CloudEvents::new(CloudEventsMode::Structured);
    let parsed = |line: &str| {
        serde_json::from_str::<Value>(&body(&structured, &[entry(line)], false)).unwrap()
    };
    let control = parsed(&LINE.replace("ann müller", r"ann\n\u0085\ufffe"));
    assert_eq!(control["authid"], "ann\u{fffd}\u{fffd}\u{fffd}");
    let long = parsed(&LINE.replace("ann müller", &"é".repeat(200)));
    assert_eq!(
        (&long["authid"], &long["data"]["actor"]["id"]),
        (&Value::Null, &json!("é".repeat(200)))
    );
    assert_eq!(long["authtype"], "app_user");
    for bad in [
        "4bf92f3577b34da6a3ce929d0e0e473",
        "4BF92F3577B34DA6A3CE929D0E0E4736",
        "00000000000000000000000000000000",
    ] {
        assert_eq!(
            parsed(&LINE.replace("4bf92f3577b34da6a3ce929d0e0e4736", bad))["traceparent"],
            Value::Null
        );
    }
}

#[test]
fn splunk_events_follow_each_other() {
    let hec = SplunkHec::new().host("h1").index("audit");
    let one = format!(
        r#"{{"time":1736937000.123456,"host":"h1","source":"billing","sourcetype":"tracing-audit","index":"audit","event":{LINE}}}"#
    );
    assert_eq!(
        body(&hec, &[entry(LINE), entry(LINE)], true),
        format!("{one}{one}")
    );
    let nameless = entry(&LINE.replace(r#""source":"billing","#, ""));
    assert!(body(&SplunkHec::new(), &[nameless], false).contains(r#","source":"fallback","#));
    let channel = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";
    let headers = encode(&hec.channel(channel).unwrap(), &[entry(LINE)], false)
        .unwrap()
        .headers;
    assert_eq!(
        headers,
        [("x-splunk-request-channel".into(), channel.to_owned())]
    );
}

#[test]
fn otlp_groups_by_stream() {
    let lines = [
        LINE.to_owned(),
        LINE.replace("7f3a9c", "000001"),
        LINE.replace("1042", "1043"),
    ];
    let entries = lines.each_ref().map(|line| entry(line));
    let request: Value = serde_json::from_str(&body(&Otlp, &entries, true)).unwrap();
    let streams = request["resourceLogs"].as_array().unwrap();
    let records: Vec<_> = streams
        .iter()
        .map(|stream| {
            stream["scopeLogs"][0]["logRecords"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(records, [2, 1]);
    assert_eq!(
        streams[1]["resource"]["attributes"][1],
        json!({"key": "service.instance.id", "value": {"stringValue": "billing-000001"}})
    );

    let record = &streams[0]["scopeLogs"][0]["logRecords"][1];
    assert_eq!(record["timeUnixNano"], "1736937000123456000");
    assert_eq!(
        (&record["eventName"], &record["traceId"]),
        (
            &json!("user.role.changed"),
            &json!("4bf92f3577b34da6a3ce929d0e0e4736")
        )
    );
    let attributes = record["attributes"].as_array().unwrap();
    let attribute = |key: &str| {
        &attributes
            .iter()
            .find(|attribute| attribute["key"] == key)
            .unwrap()["value"]
    };
    assert_eq!(
        attribute("audit.sequence.number"),
        &json!({"intValue": "1043"})
    );
    assert_eq!(
        attribute("audit.action"),
        &json!({"stringValue": "CHANGED"})
    );
    assert_eq!(
        record["body"]["kvlistValue"]["values"][0],
        json!({"key": "stream", "value": {"stringValue": "billing-7f3a9c"}})
    );
}

#[test]
fn a_damaged_line_is_refused_by_name() {
    let damaged = entry(&LINE.replace("[1.50,null]", "[1.50,nulL]"));
    for format in all() {
        let id = "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11";
        match encode(&*format, std::slice::from_ref(&damaged), false) {
            Err(Unencodable::Entry {
                id: refused,
                problem,
            }) => assert!(refused == id && problem.contains("JSON"), "{problem}"),
            other => panic!("{format:?}: {other:?}"),
        }
        assert!(
            matches!(encode(&*format, &[], true), Err(Unencodable::Batch { .. })),
            "{format:?}"
        );
    }
}

/// Any text, often with characters that mean something somewhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~\r\n\t\"%\\\\:\u{80}-\u{9f}\u{e9}\u{feff}\u{1f600}]{0,40}"
    ]
}

proptest! {
    #[test]
    fn headers_are_visible_ascii_and_bodies_have_the_line_whatever_it_says(
        [event, source, kind, actor, subject, host] in [text(), text(), text(), text(), text(), text()],
    ) {
        let mut record: Value = serde_json::from_str(LINE).unwrap();
        record["event_type"] = json!(format!("a.{event}"));
        record["source"] = json!(source);
        record["actor"] = json!({"type": kind, "id": actor});
        record["resource"] = json!({"type": kind, "id": subject});
        record["context"]["trace_id"] = json!(subject);
        record["details"] = json!({ (host): event });
        let line = record.to_string();
        let entries = [entry(&line)];
        for (name, format) in FormatName::ALL.iter().zip(all()) {
            let encoded = encode(&*format, &entries, false).unwrap();
            for (name, value) in &encoded.headers {
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
                prop_assert!(!value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "{name}: {value:?}");
            }
            prop_assert!(encoded.content_type.is_ascii());
            let body = String::from_utf8(encoded.body).unwrap();
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
            prop_assert!(*name == FormatName::Otlp || body.contains(&line), "{body}");
        }
    }

    #[test]
    fn a_header_decodes_to_the_attribute(actor in text()) {
        let mut record: Value = serde_json::from_str(LINE).unwrap();
        record["actor"]["id"] = json!(actor);
        let entries = [entry(&record.to_string())];
        let structured = body(&CloudEvents::new(CloudEventsMode::Structured), &entries, false);
        let attribute = serde_json::from_str::<Value>(&structured).unwrap()["authid"].as_str().map(str::to_owned);
        let headers = encode(&CloudEvents::new(CloudEventsMode::Binary), &entries, false).unwrap().headers;
        let header = headers.iter().find(|(name, _)| name == "ce-authid").map(|(_, value)| {
            let mut parts = value.split('%');
            let mut bytes = parts.next().unwrap().as_bytes().to_vec();
            for part in parts {
                bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
                bytes.extend(part[2..].bytes());
            }
            String::from_utf8(bytes).unwrap()
        });
        prop_assert_eq!(header, attribute);
    }
}
