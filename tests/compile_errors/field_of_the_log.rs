use tracing_audit::audit;

fn main() {
    let id = 7;
    audit!("user.updated", id, timestamp = "now");
    audit!("user.updated", context = "prod");
}
