use tracing_audit::audit;

struct User {
    id: u64,
    ips: Vec<u64>,
}

impl User {
    fn id(&self) -> u64 {
        audit!("user.updated", self);
        self.id
    }
}

fn main() {
    let user = User { id: 7, ips: vec![1] };
    audit!("user.updated", user.id);
    audit!("user.updated", user.id());
    audit!("user.updated", user.ips[0]);
    audit!("user.updated", 7);
    audit!("user.updated", "user.id" = 7);
    audit!("user.updated", user[0] = 7);
    audit!("user.updated", user.0 = 7);
}
