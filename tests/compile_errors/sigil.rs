use tracing_audit::audit;

fn main() {
    let (ip, tags, actor) = ("192.0.2.1", ["a"], "ann");
    audit!("user.updated", %ip = ip);
    audit!("user.updated", tags = ?tags);
    audit!("user.updated", actor = %actor);
    audit!("user.updated", ip = %%ip);
    audit!("user.updated", ip = #ip);
    audit!("user.updated", ip = ip%);
}
