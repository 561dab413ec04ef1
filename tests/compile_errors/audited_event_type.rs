use tracing_audit::audited;

const KIND: &str = "rotation";

#[audited]
fn nothing() {}

#[audited(KIND)]
fn computed() {}

#[audited(actor.id = 7)]
fn forgotten() {}

#[audited("rotation.completed")]
fn complete() {}

#[audited("Secret.Rotation")]
fn upper_case() {}

#[audited("audit.rotation")]
fn reserved() {}

fn main() {}
