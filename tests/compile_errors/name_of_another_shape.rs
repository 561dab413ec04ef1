use tracing_audit::audit;

fn main() {
    let kind = "text/html";
    audit!("user.updated", "content-type" = kind);
    audit!("user.updated", content-type = kind);
    audit!("user.updated", content-kind = kind);
    audit!("user.updated", #[cfg(unix)] kind);
}
