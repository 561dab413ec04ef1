use tracing_audit::audit;

const KIND: &str = "user.created";

fn main() {
    let ip = "192.0.2.1";
    audit!();
    audit!(actor.id = 1, "Created");
    audit!(%ip, mode = "full");
    audit!(KIND, mode = "full");
    audit!(concat!("user.", "created"));
}
