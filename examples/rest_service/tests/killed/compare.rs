//! What the clients know, held against the log.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{client::Operation, support::text};

/// What the clients did and what the log has are the same, but for what was cut off.
pub(crate) fn compare(operations: &[Operation], entries: &[Value], last_life: u64) {
    let mut by_request: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for entry in entries {
        let event_type = text(entry, "/event_type");
        let system = text(entry, "/actor/type") == "system";
        if !event_type.starts_with("audit.") && !system {
            let id = text(entry, "/context/request_id");
            by_request.entry(id).or_default().push(entry);
        }
    }
    for operation in operations {
        let mut found = by_request
            .remove(operation.request_id.as_str())
            .unwrap_or_default();
        let before = found.len();
        found.retain(|entry| entry["event_type"] != "export.completed");
        let jobs = before - found.len();
        let types: Vec<_> = found.iter().map(|e| text(e, "/event_type")).collect();
        if operation.answer.is_some() {
            assert_eq!(types, operation.entries, "{operation:?}");
        } else {
            assert!(
                operation.entries.starts_with(&types),
                "{operation:?}: {types:?}"
            );
        }
        let is_export = types == ["export.requested"];
        assert!(jobs <= usize::from(is_export), "{operation:?}");
        // A job of an orderly life comes to its end.
        assert!(
            jobs == 1 || !is_export || operation.life < last_life,
            "{operation:?}"
        );
        for entry in found {
            says_what_was_done(operation, entry);
        }
    }
    assert!(by_request.is_empty(), "nobody did: {by_request:#?}");
}

pub(crate) fn says_what_was_done(operation: &Operation, entry: &Value) {
    assert_eq!(text(entry, "/ip_address"), operation.address, "{entry}");
    let anonymous = ["auth.login.failed", "auth.token.rejected"];
    let event_type = text(entry, "/event_type");
    let who = (text(entry, "/actor/type"), text(entry, "/actor/name"));
    match event_type {
        "auth.token.rejected" => assert_eq!(who, ("anonymous", ""), "{entry}"),
        _ if anonymous.contains(&event_type) => assert_eq!(who, ("anonymous", operation.user)),
        _ => assert_eq!(who, ("user", operation.user), "{entry}"),
    }
    if event_type.starts_with("note.") || event_type == "access.denied" {
        let resource = text(entry, "/resource/id");
        // The start of a note's creation does not know its id, nor does a client that was cut off.
        let unknown = event_type.starts_with("note.create");
        assert!(resource == operation.resource || unknown, "{entry}");
    }
    let new = text(entry, "/resource/attributes/text");
    assert!(
        !event_type.starts_with("note.") || new == operation.text,
        "{entry}"
    );
    let role = text(entry, "/resource/attributes/role");
    assert!(
        !event_type.starts_with("user.") || role == operation.text,
        "{entry}"
    );
    if let Some(email) = entry.pointer("/details/email") {
        let clear = format!("{}@example.com", operation.resource);
        assert_eq!(email, &format!("{}…", &clear[..3]));
        assert!(!entry.to_string().contains(&clear), "{entry}");
    }
}
