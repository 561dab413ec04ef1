use tracing_audit::{Secret, audit};

struct Plain;

fn main() {
    audit!("user.updated", plain = Plain);
    audit!("user.updated", plain = %Plain);
    audit!("user.updated", plain = ?Plain);
    audit!("user.updated", given = Secret::new("hunter2"));
}
