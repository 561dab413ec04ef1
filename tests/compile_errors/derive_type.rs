use tracing_audit::AuditEvent;

#[derive(AuditEvent)]
struct NoEventType {
    name: String,
}

#[derive(AuditEvent)]
#[audit("order.placed")]
struct Tuple(u64, String);

#[derive(AuditEvent)]
#[audit(severity = info)]
struct Settings {
    name: String,
}

#[derive(AuditEvent)]
#[audit("order.placed")]
union Either {
    a: u8,
    b: i8,
}

#[derive(AuditEvent)]
#[audit("session.changed")]
enum Session {
    #[audit("session.opened")]
    Opened,
    Closed,
    #[audit("session.renamed")]
    Renamed(String),
}

#[derive(AuditEvent)]
#[audit("Order.Placed", severity = warn, actor.email = 7)]
#[audit(severity = info)]
struct Wrong {
    name: String,
}

fn main() {}
