use tracing_audit::audit;

fn main() {
    let b = 2;
    audit!("user.updated", a = );
    audit!("user.updated", a = , b);
    audit!("user.updated", a = %, b);
    audit!("user.updated", actor.id, b);
    audit!("user.updated", type);
}
