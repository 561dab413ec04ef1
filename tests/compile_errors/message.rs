use tracing_audit::audit;

fn main() {
    let name = "Ann";
    audit!("user.updated", format!("{name} updated"));
    audit!("user.updated", "updated", actor.id = 7);
    audit!("user.updated", "{name} updated", plan = "acme");
    audit!("user.updated", "updated" name);
    audit!("user.updated", b"updated");
    audit!("user.updated", &name);
}
