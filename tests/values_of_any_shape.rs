//! Whatever a value is like, its event is recorded, as a line that readers can parse, and at once.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

mod support;

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

fn recorded(act: impl FnOnce()) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("values").open().unwrap();
    tracing::dispatcher::with_default(&tracing_subscriber::registry().with(log.layer()).into(), act);
    log.close().unwrap();
    support::records(dir.path())
}

/// A value inside so many lists.
fn nested(value: Value, depth: u32) -> Value {
    (0..depth).fold(value, |value, _| json!([value]))
}

#[test]
fn what_nests_deeper_than_readers_parse_ends_where_it_is_too_deep() {
    let (deep, deep_and_long) = (nested(json!(1), 126), json!([nested(json!(1), 126), "x".repeat(100_000)]));
    let records = recorded(|| {
        audit!("body.received", body = deep, actor.id = "ann");
        audit!("body.received", body = deep_and_long, actor.id = "ann", size = 100_000);
        audit!("body.received", body = nested(json!(1), 99), actor.id = "ann");
    });
    assert!(records.iter().all(|record| record["actor"]["id"] == "ann"));
    let text = |at: usize| records[at]["details"]["body"].to_string();
    assert_eq!(text(0), format!("{}\"(nested too deeply)\"{}", "[".repeat(100), "]".repeat(100)));
    assert_eq!((&records[1]["details"]["size"], &records[1]["truncated"]), (&json!(100_000), &json!(["details.body.1"])));
    assert_eq!(text(2), format!("{}1{}", "[".repeat(99), "]".repeat(99)), "what can be parsed stays as it is");
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
        1 => Tree::Named { below: Box::new(tree) },
        _ => Tree::Pair(Box::new(tree), 1),
    });
    let records = recorded(|| _ = audit!("tree.grown", tree));
    assert!(records[0]["details"]["tree"].to_string().contains("(nested too deeply)"));
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
        audit!("file.uploaded", size = bytes.len(), bytes, name = "a.bin", tags = ["x", "y"]);
        audit!("file.uploaded", text = %Pieces(3_000_000), name = "a.txt");
    });
    // Cut again and again, it took a minute.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let details = &records[0]["details"];
    assert_eq!((&details["size"], &details["name"], &records[0]["tags"]), (&json!(3_000_000), &json!("a.bin"), &json!(["x", "y"])));
    assert_eq!((details["bytes"][0].as_u64(), records[0]["truncated"].clone()), (Some(200), json!(["details.bytes"])));
    assert_eq!(details["bytes"].as_array().unwrap().last(), Some(&json!("…")));
    assert_eq!((&records[1]["details"]["name"], &records[1]["truncated"]), (&json!("a.txt"), &json!(["details.text"])));
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
    let tags: Vec<_> = records.iter().map(|record| record["tags"].clone()).collect();
    assert_eq!(tags, [json!(["nightly"]), json!(["nightly"]), json!(["a", "b"]), Value::Null]);
}
