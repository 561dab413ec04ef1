use tracing_audit::audited;

struct Refused;

#[audited("rotation")]
fn wrong_type(name: &str) -> usize {
    name
}

#[audited("rotation")]
async fn wrong_type_later(name: &str) -> Result<usize, Refused> {
    if name.is_empty() {
        return 7;
    }
    Ok(name)
}

#[audited("rotation")]
fn nothing_returned(name: &str) -> usize {
    name.len();
}

#[audited("rotation")]
fn unknown_name() {
    nobody.len()
}

#[audited("rotation")]
fn wrong_error(name: &str) -> Result<u8, Refused> {
    Ok(name.parse::<u8>()?)
}

fn main() {}
