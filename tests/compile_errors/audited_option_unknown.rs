use tracing_audit::audited;

#[audited("rotation", success(count = 1))]
fn success() {}

#[audited("rotation", done(count = 1), cleanup(count = 1))]
fn done() {}

#[audited("rotation", skip(name))]
fn skip(_name: &str) {}

#[audited("rotation", skip_all, fields(mode = 1))]
fn skip_all() {}

#[audited("rotation", ret, err(count = 1))]
fn ret() {}

#[audited("rotation", skip_started = true)]
fn skip_started() {}

#[audited("rotation", crate = "renamed")]
fn renamed() {}

#[audited("rotation", started = 1 + )]
fn cut_short() {}

fn main() {}
