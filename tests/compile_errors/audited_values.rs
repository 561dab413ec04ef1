use tracing_audit::audited;

struct Plain;

#[audited("rotation", plain)]
fn no_value(plain: Plain) {}

#[audited("rotation", nobody)]
fn unknown_name() {}

#[audited("rotation", completed(code = error.code()))]
fn error_of_a_success() -> Result<u8, Plain> {
    Ok(1)
}

#[audited("rotation", failed(code = error.code()))]
fn error_without_a_result() -> u8 {
    1
}

fn main() {}
