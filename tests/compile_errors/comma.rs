use tracing_audit::audit;

fn main() {
    let (a, b) = (1, 2);
    audit!("user.updated" a);
    audit!("user.updated", first = a second = b);
    audit!("user.updated", a,, b);
    audit!("user.updated"; a);
    audit!("user.updated", a "done");
}
