use tracing_audit::{AuditEvent, audit};

struct Plain;

#[derive(AuditEvent)]
#[audit("order.placed")]
struct Placed {
    plain: Plain,
    #[audit(display)]
    shown: Plain,
    #[audit(actor)]
    by: String,
}

#[derive(AuditEvent)]
#[audit("order.placed")]
struct Generic<T> {
    value: T,
}

fn main() {
    audit!(Generic { value: Plain });
}
