//! The examples that are shown beside schemas.

use serde_json::{Value, json};

pub(super) fn entry() -> Value {
    json!({
        "stream": "billing-7f3a9c04d1e2",
        "seq": 1042,
        "id": "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
        "timestamp": "2026-11-21T10:30:00.123456Z",
        "schema_version": "1.0",
        "event_type": "invoice.sent",
        "category": "invoice",
        "action": "sent",
        "severity": "info",
        "source": "billing",
        "tenant_id": "acme",
        "actor": {"type": "user", "id": "user-456", "name": "ann@example.com"},
        "outcome": {"type": "success"},
        "description": "Invoice 17 sent",
        "details": {"number": 17},
    })
}

pub(super) fn page() -> Value {
    json!({
        "entries": [entry()],
        "next_cursor": "v1.AAAAAAAA",
        "has_more": false,
        "complete_until": "2026-11-21T10:31:00.000000Z",
        "scanned": {
            "blocks": 1, "lines": 1042, "bytes": 255_113, "files": 1, "problems": [],
            "more_problems": 0,
        },
    })
}

pub(super) fn stats() -> Value {
    let top = |value: &str| json!({"values": [{"value": value, "count": 3}], "other": 0, "without": 0, "distinct": 1});
    json!({
        "total": 3,
        "exact": true,
        "start": "2026-11-21T00:00:00.000000Z",
        "end": "2026-11-22T00:00:00.000000Z",
        "complete_until": "2026-11-22T10:31:00.000000Z",
        "step": "day",
        "steps": [{
            "start": "2026-11-21T00:00:00.000000Z",
            "count": 3,
            "severity": {"info": 3, "warning": 0, "error": 0, "critical": 0},
            "outcome": {"success": 3, "failure": 0, "unknown": 0},
        }],
        "top": {
            "event_type": top("invoice.sent"),
            "severity": top("info"),
            "outcome": top("success"),
            "actor": top("user-456"),
            "ip_address": top("192.0.2.50"),
        },
        "scanned": {
            "blocks": 1, "lines": 1042, "bytes": 255_113, "files": 1, "problems": [],
            "more_problems": 0,
        },
    })
}

pub(super) fn event_types() -> Value {
    json!({"event_types": [{
        "event_type": "invoice.sent",
        "severities": ["info"],
        "descriptions": ["Invoice {} sent"],
        "fields": {"details.number": "integer"},
        "sources": ["billing"],
        "locations": [{"file": "src/invoice.rs", "line": 42, "module": "billing::invoice"}],
    }]})
}

pub(super) fn event_type() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "invoice.sent",
        "type": "object",
        "properties": {"event_type": {"const": "invoice.sent"}},
    })
}

pub(super) fn token() -> Value {
    json!({
        "id": "7f3a9c04",
        "name": "auditors",
        "scope": "export",
        "tenant_id": null,
        "created": "2026-11-21T10:30:00.123456Z",
        "expires": "2027-01-01T00:00:00.000000Z",
    })
}

pub(super) fn hold() -> Value {
    json!({
        "name": "case-17",
        "start": "2026-10-01T00:00:00.000000Z",
        "end": "2026-11-01T00:00:00.000000Z",
        "reason": "Acme v. Example",
        "placed": "2026-11-21T10:30:00.123456Z",
        "placed_by": {"type": "api_key", "id": "7f3a9c04", "name": "legal"},
    })
}

/// An example and the members that another has besides.
pub(super) fn with(mut example: Value, more: Value) -> Value {
    if let (Value::Object(example), Value::Object(more)) = (&mut example, more) {
        example.extend(more);
    }
    example
}

#[cfg(feature = "webhook")]
pub(super) use webhooks::*;

#[cfg(feature = "webhook")]
mod webhooks {
    use super::{Value, entry, json, with};

    pub(in super::super) fn new_webhook() -> Value {
        json!({
            "name": "siem",
            "url": "https://siem.example.com/hooks",
            "event_types": ["auth.*", "invoice.sent"],
        })
    }

    pub(in super::super) fn webhook() -> Value {
        let figures = json!({
            "format": "native",
            "format_options": {},
            "signing_secrets": [{"set": true}],
            "allow_http": false,
            "order": "best_effort",
            "declared": false,
            "state": "active",
            "status": {
                "delivered": 17, "dead_lettered": 0, "failed_attempts": 0, "failures_in_a_row": 0,
            },
            "waiting_deliveries": 0,
            "next_attempt": null,
            "dead_letters": 0,
            "oldest_waiting": null,
            "lag_seconds": 0.0,
            "unread_since": null,
            "unread_bytes": 0,
            "behind_seconds": 0.0,
        });
        with(new_webhook(), figures)
    }

    pub(in super::super) fn dispatcher() -> Value {
        json!({
            "pid": 4711,
            "host": "web-1",
            "source": "billing",
            "since": "2026-11-21T08:00:00.000000Z",
        })
    }

    pub(in super::super) fn attempt() -> Value {
        json!({
            "delivery_id": "msg_7f3a9c04d1e2",
            "ended": "2026-11-21T10:30:00.423456Z",
            "took_ms": 31,
            "attempt": 1,
            "entries": 1,
            "first_entry_id": "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11",
            "delivered": true,
            "status": 204,
            "result": "204 No Content",
        })
    }

    pub(in super::super) fn delivery() -> Value {
        json!({
            "delivery_id": "msg_7f3a9c04d1e2",
            "webhook": "siem",
            "state": "delivered",
            "entries": 1,
            "missing": 0,
            "first": "2026-11-21T10:30:00.123456Z",
            "request": {
                "url": "https://siem.example.com/hooks",
                "headers": [["content-type", "application/json"]],
                "body": entry().to_string(),
            },
            "attempts": [attempt()],
        })
    }

    pub(in super::super) fn dead_letters() -> Value {
        json!({
            "dead_letters": [{
                "delivery_id": "msg_7f3a9c04d1e2",
                "webhook": "siem",
                "given_up": "2026-11-24T14:30:00.000000Z",
                "attempts": 11,
                "reason": "11 attempts have failed",
                "places": [
                    {"stream": "billing-7f3a9c04d1e2", "first_seq": 1042, "last_seq": 1042},
                ],
                "entries": [entry()],
                "missing": 0,
            }],
            "total": 1,
            "has_more": false,
        })
    }
}
