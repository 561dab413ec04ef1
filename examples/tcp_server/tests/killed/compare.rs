//! What the clients know, held against the log.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    client::{Operation, entry},
    support::text,
};

/// What the clients did and what the log has are the same, but for what was cut off.
pub(crate) fn compare(operations: &[Operation], entries: &[Value]) {
    let mut by_id: HashMap<&str, Vec<String>> = HashMap::new();
    let mut counts: HashMap<Vec<String>, i64> = HashMap::new();
    for found in entries {
        by_id.insert(text(found, "/id"), entry(found));
        let own = ["audit.", "server.", "key.expired"];
        let event_type = text(found, "/event_type");
        if !own.iter().any(|own| event_type.starts_with(own)) {
            *counts.entry(entry(found)).or_default() += 1;
        }
    }
    let (answered, cut_off): (Vec<_>, Vec<_>) = operations.iter().partition(|o| o.answer.is_some());
    for operation in answered {
        if operation.changes_nothing() {
            continue;
        }
        for of in operation.entries() {
            *counts.entry(of).or_default() -= 1;
        }
        if let Some(id) = operation.id() {
            // Taken out, so that no two answers name the same entry.
            let found = by_id.remove(id);
            assert_eq!(found.as_ref(), operation.entries().last(), "{operation:?}");
        }
    }
    let lost: Vec<_> = counts.iter().filter(|(_, left)| **left < 0).collect();
    assert!(lost.is_empty(), "lost: {lost:#?}");
    for operation in cut_off {
        for of in operation.entries() {
            let left = counts.entry(of).or_default();
            *left -= i64::from(*left > 0);
        }
    }
    counts.retain(|_, left| *left > 0);
    assert!(counts.is_empty(), "nobody did: {counts:#?}");
}

/// The prior value of each entry is what the entry before it made of the key.
pub(crate) fn follow_values(entries: &[Value]) {
    let mut values: HashMap<(&str, &str), &str> = HashMap::new();
    for entry in entries {
        // A new life has a new stream, and begins without keys.
        let key = (text(entry, "/stream"), text(entry, "/resource/id"));
        let prior = text(entry, "/resource/prior_attributes/value");
        match text(entry, "/event_type") {
            "key.set" => {
                let new = text(entry, "/resource/attributes/value");
                assert_eq!(values.insert(key, new).unwrap_or_default(), prior);
            }
            "key.deleted" => assert_eq!(values.remove(&key), Some(prior)),
            "key.expired" => {
                assert_eq!(values.remove(&key), Some(prior));
                assert_eq!(text(entry, "/actor/id"), "expiry");
            }
            _ => {}
        }
    }
}
