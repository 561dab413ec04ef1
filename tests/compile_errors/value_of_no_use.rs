use tracing_audit::{audit, redact::Secret};

struct Plain;

fn main() {
    audit!("user.updated", plain = Plain);
    audit!("user.updated", plain = %Plain);
    audit!("user.updated", plain = ?Plain);
    audit!("user.updated", given = Secret::new("hunter2"));
}
