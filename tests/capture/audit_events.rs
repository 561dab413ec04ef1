//! What a value that is an event says in the log.

#![deny(warnings, clippy::pedantic)]

use std::{fmt::Display, net::IpAddr, time::Duration};

use serde::Serialize;
use serde_json::json;
use tracing_audit::{Actor, AuditEvent, Outcome, Receipt, audit, catalogue};

use crate::recorded;

/// A struct, with all that a field can say.
#[derive(AuditEvent)]
#[audit(
    "discovery.scan.completed",
    severity = warning,
    resource.type = "scan",
    secrets.per_vault = self.secrets / self.vaults.len(),
    "{} vaults scanned for {}",
    self.vaults.len(),
    self.tenant
)]
struct ScanCompleted<'a> {
    mode: &'a str,
    #[audit(actor)]
    by: Actor,
    #[audit(resource.id)]
    scan: u64,
    #[audit(tenant_id)]
    tenant: &'a str,
    #[audit(rename = "secrets.found")]
    secrets: usize,
    vaults: Vec<&'a str>,
    #[audit(debug)]
    took: Duration,
    #[audit(display, ip_address)]
    from: IpAddr,
    outcome: Outcome,
    #[audit(details.r#type)]
    r#type: char,
    #[audit(skip)]
    _cache: std::cell::Cell<*const u8>,
    note: Option<&'a str>,
}

fn scan() -> ScanCompleted<'static> {
    ScanCompleted {
        mode: "full",
        by: Actor::service("nightly"),
        scan: 789,
        tenant: "acme",
        secrets: 234,
        vaults: vec!["prod", "test"],
        took: Duration::from_millis(1500),
        from: [192, 0, 2, 50].into(),
        outcome: Outcome::success(),
        r#type: 'x',
        _cache: std::cell::Cell::new(std::ptr::null()),
        note: None,
    }
}

#[test]
fn a_struct_is_recorded_as_its_attributes_say() {
    let records = recorded(|| {
        assert!(audit!(scan()).is_recorded());
    });
    let record = &records[0];
    assert_eq!(record["event_type"], "discovery.scan.completed");
    assert_eq!(record["severity"], "warning");
    assert_eq!(record["tenant_id"], "acme");
    assert_eq!(record["actor"], json!({"type": "service", "id": "nightly"}));
    assert_eq!(record["resource"], json!({"type": "scan", "id": "789"}));
    assert_eq!(record["outcome"], json!({"type": "success"}));
    assert_eq!(record["description"], "2 vaults scanned for acme");
    assert_eq!(record["ip_address"], "192.0.2.50");
    let details = json!({
        "secrets": {"per_vault": 117, "found": 234},
        "mode": "full",
        "vaults": ["prod", "test"],
        "took": "1.5s",
        "type": "x",
    });
    assert_eq!(record["details"], details);
}

#[test]
fn a_secret_is_masked_and_a_name_hashed() {
    #[derive(AuditEvent)]
    #[audit("token.used")]
    struct Used<'a> {
        #[audit(mask = 5)]
        token: &'a str,
        #[audit(mask = 5)]
        previous: Option<String>,
        #[audit(hashed)]
        email: String,
        #[audit(hashed, actor.id)]
        user: u64,
    }
    let used = Used {
        token: "abcdefghijklmnopqrst",
        previous: None,
        email: "ann@example.com".into(),
        user: 7,
    };
    let record = recorded(|| {
        audit!(used);
    })
    .remove(0);
    assert_eq!(record["details"]["token"], "abcde…");
    assert_eq!(record["details"].get("previous"), None);
    let text = record.to_string();
    assert!(
        !text.contains("ann@") && record["details"]["email"].is_string(),
        "{text}"
    );
    assert_ne!(record["actor"]["id"], "7");
}

#[test]
fn what_is_redacted_is_not_shown_and_none_is_left_out() {
    #[derive(Serialize)]
    struct NoText(u8);
    #[derive(AuditEvent)]
    #[audit("card.added")]
    struct Added<T> {
        #[audit(redact)]
        number: &'static str,
        #[audit(redact, details.security.code)]
        code: NoText,
        #[audit(redact)]
        holder: Option<T>,
        #[audit(redact)]
        billed: Option<T>,
        #[audit(skip_if_none)]
        limit: Option<u32>,
        #[audit(skip_if_none, display, ip_address)]
        from: Option<IpAddr>,
        #[audit(skip_if_none, debug)]
        took: Option<Duration>,
        #[audit(skip_if_none, debug)]
        waited: Option<Duration>,
    }
    let record = recorded(|| {
        audit!(Added {
            number: "4111111111111111",
            code: NoText(7),
            holder: Some("Ann"),
            billed: None,
            limit: None,
            from: Some([192, 0, 2, 50].into()),
            took: Some(Duration::from_secs(45)),
            waited: None,
        });
    })
    .remove(0);
    let details = json!({
        "number": "[redacted]",
        "security": {"code": "[redacted]"},
        "holder": "[redacted]",
        "took": "45s",
    });
    assert_eq!(record["details"], details);
    assert_eq!(record["ip_address"], "192.0.2.50");
}

#[test]
fn each_variant_of_an_enum_is_its_own_event() {
    #[derive(AuditEvent)]
    enum Session<'a> {
        #[audit("session.opened", method = "password", "{user} came from {}", address)]
        Opened {
            #[audit(actor.id)]
            user: &'a str,
            #[audit(ip_address, display)]
            address: IpAddr,
            #[audit(skip)]
            _password: &'a str,
        },
        #[audit("session.expired", severity = error)]
        Expired,
        #[audit("session.closed", crowd = *idle > 1)]
        Closed {
            idle: u64,
            #[audit(mask = 5)]
            token: Option<&'a str>,
        },
    }
    let records = recorded(|| {
        audit!(Session::Opened {
            user: "ann",
            address: [192, 0, 2, 50].into(),
            _password: "hunter2"
        });
        audit!(Session::Expired);
        audit!(Session::Closed {
            idle: 2,
            token: Some("abcdefghijklmnopqrst")
        });
    });
    assert_eq!(
        (&records[0]["actor"]["id"], &records[0]["ip_address"]),
        (&json!("ann"), &json!("192.0.2.50"))
    );
    assert_eq!(records[0]["description"], "ann came from 192.0.2.50");
    assert_eq!(records[0]["details"], json!({"method": "password"}));
    assert_eq!(
        (&records[1]["event_type"], &records[1]["severity"]),
        (&json!("session.expired"), &json!("error"))
    );
    assert_eq!(
        records[2]["details"],
        json!({"crowd": true, "idle": 2, "token": "abcde…"})
    );
}

#[test]
fn generic_events_demand_of_their_parameters_what_they_need() {
    #[derive(AuditEvent)]
    #[audit("value.changed")]
    struct Changed<'a, T, D: ?Sized, const N: usize>
    where
        T: Clone,
    {
        values: [Option<T>; 2],
        #[audit(display)]
        name: &'a D,
        #[audit(skip)]
        _rest: std::marker::PhantomData<[u8; N]>,
    }
    fn change<T: Serialize + Clone>(value: T, name: &(impl Display + ?Sized)) -> Receipt {
        audit!(Changed {
            values: [Some(value), None],
            name,
            _rest: std::marker::PhantomData::<[u8; 3]>
        })
    }
    let records = recorded(|| {
        change(7, "seven");
        change("x", &8);
    });
    assert_eq!(
        records[0]["details"],
        json!({"values": [7, null], "name": "seven"})
    );
    assert_eq!(
        records[1]["details"],
        json!({"values": ["x", null], "name": "8"})
    );
}

#[test]
fn events_are_recorded_by_value_by_reference_and_as_objects() {
    struct Transfer(u64);
    impl AuditEvent for Transfer {
        fn record(&self) -> Receipt {
            if self.0 > 100 {
                return audit!("transfer.held", cents = self.0, severity = warning);
            }
            audit!("transfer.sent", cents = self.0)
        }
    }
    let records = recorded(|| {
        audit!(Transfer(1));
        let (transfer, scan) = (Transfer(200), scan());
        audit!(transfer);
        audit!(&transfer,);
        let events: [Box<dyn AuditEvent>; 1] = [Box::new(Transfer(3))];
        audit!(events[0]);
        let event: &dyn AuditEvent = &scan;
        audit!(event);
        assert_eq!(transfer.0 + scan.scan, 989);
    });
    let types: Vec<_> = records
        .iter()
        .map(|record| record["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "transfer.sent",
            "transfer.held",
            "transfer.held",
            "transfer.sent",
            "discovery.scan.completed"
        ]
    );
}

#[test]
fn the_receipt_of_an_event_is_awaited_in_a_future_that_is_send() {
    #[derive(AuditEvent)]
    #[audit("cell.read")]
    struct Read {
        // Not `Sync`: it must not live until the receipt is durable.
        cell: std::cell::Cell<u8>,
    }
    fn assert_send(_: &(impl Future<Output = ()> + Send)) {}
    let future = async {
        let _ = audit!(Read {
            cell: std::cell::Cell::new(1)
        })
        .durable()
        .await;
    };
    assert_send(&future);
}

#[test]
fn the_catalogue_knows_the_kinds_of_an_events_fields_by_their_types() {
    let catalogue = catalogue();
    let scan = serde_json::to_value(catalogue.get("discovery.scan.completed").unwrap()).unwrap();
    let fields = json!({
        "actor": "object",
        "details.mode": "text",
        "details.note": "text",
        "details.secrets.found": "integer",
        "details.secrets.per_vault": "any",
        "details.took": "text",
        "details.type": "text",
        "details.vaults": "list",
        "ip_address": "text",
        "outcome": "object",
        "resource.id": "text",
        "resource.type": "text",
        "tenant_id": "text",
    });
    assert_eq!(scan["fields"], fields);
    assert_eq!(scan["descriptions"], json!(["{} vaults scanned for {}"]));
}
