//! Whatever a value is like, its event is recorded, as a line that readers can parse, and at once.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::recorded;

/// A value inside so many lists.
fn nested(value: Value, depth: u32) -> Value {
    (0..depth).fold(value, |value, _| json!([value]))
}

#[test]
fn what_nests_deeper_than_readers_parse_ends_where_it_is_too_deep() {
    let (deep, deep_and_long) = (
        nested(json!(1), 126),
        json!([nested(json!(1), 126), "x".repeat(100_000)]),
    );
    let records = recorded(|| {
        audit!("body.received", body = deep, actor.id = "ann");
        audit!(
            "body.received",
            body = deep_and_long,
            actor.id = "ann",
            size = 100_000
        );
        audit!(
            "body.received",
            body = nested(json!(1), 99),
            actor.id = "ann"
        );
    });
    assert!(records.iter().all(|record| record["actor"]["id"] == "ann"));
    let text = |at: usize| records[at]["details"]["body"].to_string();
    assert_eq!(
        text(0),
        format!(
            "{}\"(nested too deeply)\"{}",
            "[".repeat(100),
            "]".repeat(100)
        )
    );
    assert_eq!(
        (&records[1]["details"]["size"], &records[1]["truncated"]),
        (&json!(100_000), &json!(["details.body.1"]))
    );
    assert_eq!(
        text(2),
        format!("{}1{}", "[".repeat(99), "]".repeat(99)),
        "what can be parsed stays as it is"
    );
}

#[test]
fn the_value_of_an_enum_ends_where_it_is_too_deep() {
    #[derive(serde::Serialize)]
    enum Tree {
        Leaf,
        Node(Box<Tree>),
        Named { below: Box<Tree> },
        Pair(Box<Tree>, u8),
    }
    let tree = (0..200).fold(Tree::Leaf, |tree, n| match n % 3 {
        0 => Tree::Node(Box::new(tree)),
        1 => Tree::Named {
            below: Box::new(tree),
        },
        _ => Tree::Pair(Box::new(tree), 1),
    });
    let records = recorded(|| _ = audit!("tree.grown", tree));
    assert!(
        records[0]["details"]["tree"]
            .to_string()
            .contains("(nested too deeply)")
    );
}

/// A text in so many pieces.
struct Pieces(usize);

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str("0123456789"))
    }
}

#[test]
fn what_is_much_longer_than_a_record_takes_no_longer_than_its_own_code() {
    let (bytes, began) = (vec![200_u8; 3_000_000], Instant::now());
    let records = recorded(|| {
        audit!(
            "file.uploaded",
            size = bytes.len(),
            bytes,
            name = "a.bin",
            tags = ["x", "y"]
        );
        audit!("file.uploaded", text = %Pieces(3_000_000), name = "a.txt");
    });
    // Cut again and again, it took a minute.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let details = &records[0]["details"];
    assert_eq!(
        (&details["size"], &details["name"], &records[0]["tags"]),
        (&json!(3_000_000), &json!("a.bin"), &json!(["x", "y"]))
    );
    assert_eq!(
        (
            details["bytes"][0].as_u64(),
            records[0]["truncated"].clone()
        ),
        (Some(200), json!(["details.bytes"]))
    );
    assert_eq!(
        details["bytes"].as_array().unwrap().last(),
        Some(&json!("…"))
    );
    assert_eq!(
        (&records[1]["details"]["name"], &records[1]["truncated"]),
        (&json!("a.txt"), &json!(["details.text"]))
    );
}

#[derive(serde::Serialize, Clone)]
struct Document {
    body: String,
    owner: &'static str,
    approved_by: &'static str,
}

#[test]
fn a_long_field_hides_none_of_those_that_come_after_it() {
    let body = "b".repeat(70_000);
    let document = Document {
        body: body.clone(),
        owner: "ann",
        approved_by: "mallory",
    };
    let pair = (body.as_str(), "mallory");
    let listed = json!({"items": (0..20_000).collect::<Vec<_>>(), "approved_by": "mallory"});
    let records = recorded(|| {
        audit!(
            "document.saved",
            resource.id = 7,
            resource.attributes = document
        );
        tracing::info!(target: "audit", event_type = "document.saved", body = body.as_str(), approved_by = "mallory", amount = 5);
        audit!("document.saved", listed, pair);
    });
    let attributes = &records[0]["resource"]["attributes"];
    assert_eq!(
        (&attributes["owner"], &attributes["approved_by"]),
        (&json!("ann"), &json!("mallory"))
    );
    assert_eq!(records[0]["truncated"], json!(["resource.attributes.body"]));
    assert_eq!(
        (
            &records[1]["details"]["approved_by"],
            &records[1]["details"]["amount"]
        ),
        (&json!("mallory"), &json!(5))
    );
    assert_eq!(records[1]["truncated"], json!(["details.body"]));
    let details = &records[2]["details"];
    assert_eq!(
        (&details["listed"]["approved_by"], &details["pair"][1]),
        (&json!("mallory"), &json!("mallory"))
    );
    assert_eq!(
        records[2]["truncated"],
        json!(["details.listed.items", "details.pair.0"])
    );
}

#[test]
fn what_is_left_out_of_a_value_many_times_too_long_is_named() {
    let texts: std::collections::BTreeMap<_, _> =
        (100..200).map(|n| (n, "t".repeat(60_000))).collect();
    let records = recorded(|| _ = audit!("texts.saved", texts, size = 100));
    let details = &records[0]["details"];
    assert_eq!(
        (
            &details["texts"]["…"],
            &details["size"],
            &records[0]["truncated"][0]
        ),
        (&json!("…"), &json!(100), &json!("details.texts"))
    );
    assert!(details["texts"]["100"].as_str().unwrap().len() > 100);
}

#[test]
fn raw_json_is_cut_as_any_value_as_far_as_it_can_be_parsed() {
    #[derive(serde::Serialize)]
    struct Received {
        body: Box<serde_json::value::RawValue>,
        from: &'static str,
    }
    let raw = |depth| {
        serde_json::value::RawValue::from_string(format!(
            "{}1{}",
            "[".repeat(depth),
            "]".repeat(depth)
        ))
        .unwrap()
    };
    let received = |depth| Received {
        body: raw(depth),
        from: "mallory",
    };
    let records = recorded(|| {
        audit!("body.received", d = received(98));
        audit!("body.received", d = received(127));
        audit!("body.received", d = received(128));
    });
    let text = |at: usize| records[at]["details"]["d"]["body"].to_string();
    assert_eq!(text(0), raw(98).get());
    assert_eq!(
        text(1),
        format!(
            "{}\"(nested too deeply)\"{}",
            "[".repeat(99),
            "]".repeat(99)
        )
    );
    assert!(
        text(2).starts_with("\"(not serializable: recursion limit exceeded"),
        "{}",
        text(2)
    );
    assert!(
        records
            .iter()
            .all(|record| record["details"]["d"]["from"] == "mallory")
    );
}

#[test]
fn tags_are_a_list_whatever_is_given() {
    let (one, many, none) = ("nightly", vec!["a", "b"], None::<&str>);
    let records = recorded(|| {
        audit!("scan.done", tags = "nightly");
        audit!("scan.done", tags = one);
        audit!("scan.done", tags = many);
        audit!("scan.done", tags = none);
    });
    let tags: Vec<_> = records
        .iter()
        .map(|record| record["tags"].clone())
        .collect();
    assert_eq!(
        tags,
        [
            json!(["nightly"]),
            json!(["nightly"]),
            json!(["a", "b"]),
            Value::Null
        ]
    );
}

/// A map whose `Serialize` writes a key twice, as one with a flattened field can.
#[derive(serde::Serialize, Clone)]
struct Twice {
    id: u8,
    #[serde(flatten)]
    more: std::collections::BTreeMap<&'static str, u8>,
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_is_recorded() {
    #[tracing_audit::audited("order.sent", order = order, completed(again = order))]
    fn send(order: &Twice) {}
    #[derive(tracing_audit::AuditEvent)]
    #[audit("order.placed")]
    struct Placed {
        order: Twice,
        #[audit(resource.attributes)]
        attributes: Twice,
    }
    let twice = Twice {
        id: 1,
        more: [("id", 2), ("z", 3)].into(),
    };
    let once = json!({"id": 2, "z": 3});
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("values")
        .open()
        .unwrap();
    let act = || {
        audit!("order.placed", order = twice, given = ?twice.id);
        audit!("order.placed", details = twice);
        audit!(Placed {
            order: twice.clone(),
            attributes: twice.clone()
        });
        audit!(
            "order.placed",
            actor = tracing_audit::Actor::user("ann").attributes(&twice)
        );
        let resource = tracing_audit::Resource::new("order", "7").attributes(&twice);
        audit!("order.placed", resource = resource);
        send(&twice);
        tracing_audit::audit_context! { tenant_id = twice }.run(|| audit!("order.placed"));
        // Too long, so it is written again.
        audit!("order.placed", order = twice, body = "x".repeat(100_000));
        tracing::info!(target: "audit", event_type = "order.placed", id = 1, z = 3, details.id = 2);
        tracing::info!(target: "audit", event_type = "a.b", event_type = "order.placed", actor.id = "bob", actor.id = "ann");
        tracing::info!(target: "audit", event_type = "order.placed", order.id = 1, order = 2, order.z = 3);
    };
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        act,
    );
    log.close().unwrap();
    let lines = crate::support::lines(dir.path());
    let records: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (at, path) in [
        (0, "/details/order"),
        (1, "/details"),
        (2, "/details/order"),
        (2, "/resource/attributes"),
        (3, "/actor/attributes"),
        (4, "/resource/attributes"),
        (5, "/details/order"),
        (6, "/details/order"),
        (6, "/details/again"),
        (8, "/details/order"),
        (9, "/details"),
    ] {
        assert_eq!(records[at].pointer(path), Some(&once), "{at} {path}");
        // For a parser that takes the first as well.
        assert!(!lines[at].contains("\"id\":1"), "{}", lines[at]);
    }
    assert_eq!(records[7]["tenant_id"], json!(r#"{"id":2,"z":3}"#));
    assert_eq!(records[10]["event_type"], "order.placed");
    assert_eq!(records[10]["actor"]["id"], "ann");
    assert_eq!(
        records[11]["details"],
        json!({"order": 2, "order.id": 1, "order.z": 3})
    );
}
