use std::collections::HashMap;

use tracing_audit::{Actor, AuditEvent};

type Map = HashMap<String, u64>;

#[derive(AuditEvent)]
#[audit("order.placed")]
struct Placed {
    #[audit(flatten, mask = 5)]
    masked: String,
    #[audit(hashed, flatten)]
    hashed: String,
    #[audit(flatten, redact)]
    redacted: Map,
    #[audit(flatten, display)]
    shown: String,
    #[audit(flatten, rename = "totals")]
    renamed: Map,
    #[audit(actor, flatten)]
    by: Actor,
    #[audit(flatten, skip)]
    skipped: Map,
    #[audit(flatten, skip_if_none)]
    no_option: Map,
    #[audit(flatten = true)]
    assigned: Map,
    #[audit(flattened)]
    misspelt: Map,
    #[audit(details.twice)]
    other: u64,
    #[audit(flatten)]
    twice: Map,
}

#[derive(AuditEvent)]
#[audit("order.placed", details = self.rest)]
struct Whole {
    #[audit(skip)]
    rest: Map,
    #[audit(flatten)]
    more: Map,
}

fn main() {}
