use tracing_audit::audit;

fn main() {
    let host = "web-1";
    audit!("job.ended", environment = "prod", %host);
    audit!("job.ended", protocol = "https", context.host = host);
    audit!("job.ended", details.environment = "prod", context.environment = "prod", host.name = host);
}
