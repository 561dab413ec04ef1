use tracing_audit::audited;

#[audited("rotation", completed(name))]
fn moved(name: String) -> usize {
    drop(name);
    1
}

fn main() {}
