use tracing_audit::audited;

#[audited("rotation", completed(a = 1), completed(b = 1))]
fn twice() {}

#[audited("rotation", completed())]
fn empty() {}

#[audited("rotation", skip_started, started(a = 1))]
fn skipped() {}

#[audited("rotation", "Rotation", completed(a = 1))]
fn after_the_message() {}

#[audited("rotation", completed("Done"))]
fn one_word() {}

#[audited("rotation", failed("Rotation.Failed"))]
fn upper_case() {}

#[audited("rotation", mode = 1, completed(mode = 2), failed(actor.email = 1, severity = warn))]
fn fields() {}

#[audited("rotation", outcome.reason = "validation", duration_ms = 7)]
fn own() {}

#[audited("rotation", completed(details = 7))]
fn details() {}

fn main() {}
