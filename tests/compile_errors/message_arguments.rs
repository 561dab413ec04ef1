use tracing_audit::audit;

fn main() {
    audit!("user.updated", "{} updated");
    audit!("user.updated", "{nobody} updated");
    audit!("user.updated", "updated", 7);
    audit!("user.updated", "{ updated");
}
