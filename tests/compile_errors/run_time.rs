use tracing_audit::{AuditEvent, audit};

#[derive(AuditEvent)]
#[audit("alarm.raised")]
struct Alarm {
    severity: String,
}

#[derive(AuditEvent)]
#[audit("alarm.ended")]
struct Ended {
    #[audit(severity)]
    level: u8,
}

fn unit() {
    match 1 {
        1 => audit!("user.updated"),
        _ => {}
    }
}

fn main() {
    let kind = "user.updated";
    audit!(kind, id = 1);
    audit!(dyn 7_u8);
    audit!(dyn);
    audit!("user.updated", severity = if true { warning });
    audit!("user.updated", severity = if true { waring } else { info });
    audit!("user.updated", severity = kind);
    audit!("user.updated", severity = match kind { "" => "error", _ => info });
    unit();
}
