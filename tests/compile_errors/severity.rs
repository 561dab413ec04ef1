use tracing_audit::audit;

fn main() {
    audit!("user.updated", severity = warn);
    audit!("user.updated", severity = "warning");
    audit!("user.updated", severity = waring);
    audit!("user.updated", severity = Severity::Error);
    audit!("user.updated", severity = if true { 1 } else { 2 });
    audit!("user.updated", severity = %info);
    audit!("user.updated", severity = 3);
    audit!("user.updated", category = user, action = "");
}
