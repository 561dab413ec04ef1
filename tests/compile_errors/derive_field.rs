use tracing_audit::{Actor, AuditEvent, Severity};

#[derive(AuditEvent)]
#[audit("order.placed")]
struct Placed {
    id: u64,
    severity: Severity,
    #[audit(actor.email)]
    email: String,
    #[audit(actor, display)]
    actor: Actor,
    #[audit(mask)]
    token: String,
    #[audit(hash)]
    name: String,
    #[audit(rename = number)]
    number: u64,
    #[audit(rename = "no number")]
    no_number: u64,
    #[audit("resource.id")]
    quoted: u64,
    #[audit(%)]
    sigil: u64,
    #[audit(default = 7)]
    unknown: u64,
    #[audit(display, debug)]
    two_forms: u64,
    #[audit(resource.id, rename = "number")]
    two_places: u64,
    #[audit(skip, display)]
    skipped: u64,
    #[audit]
    nothing: u64,
    #[audit(redacted)]
    password: String,
    #[audit(sensitive)]
    card: String,
    #[audit(order_number)]
    named: u64,
    #[audit(actor.id, hash)]
    by: String,
    #[audit(skip_if_none)]
    no_option: u64,
    #[audit(skip, skip_if_none)]
    skipped_twice: Option<u64>,
}

#[derive(AuditEvent)]
#[audit("order.placed", mode = mode, total = 7)]
struct Scope {
    mode: u64,
    #[audit(details.total)]
    sum: u64,
}

#[derive(AuditEvent)]
enum Order {
    #[audit("order.shipped", twice = self.count * 2)]
    Shipped { count: u64 },
}

fn main() {}
