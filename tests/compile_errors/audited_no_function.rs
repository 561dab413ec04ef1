use tracing_audit::audited;

#[audited("rotation")]
const fn constant() {}

#[audited("rotation")]
struct Secret;

#[audited("rotation")]
impl Secret {
    fn rotate(&self) {}
}

trait Rotate {
    #[audited("rotation")]
    fn rotate(&self);
}

#[audited("rotation")]
mod rotation {}

#[audited("rotation")]
const NAME: &str = "rotation";

fn main() {
    constant();
    Secret.rotate();
}
