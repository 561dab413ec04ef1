use tracing_audit::{Actor, audit};

fn main() {
    audit!("user.updated", actor = "ann");
    audit!("user.updated", resource = Actor::user("ann"));
    audit!("user.updated", outcome = true);
}
