use tracing_audit::audit;

fn main() {
    let ip = "192.0.2.1";
    audit!("user.updated", ip_address: ip);
    audit!("user.updated", ip_address == ip);
    audit!("user.updated", ip_address => ip);
    audit!("user.updated", first = second = ip);
}
