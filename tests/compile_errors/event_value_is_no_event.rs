use tracing_audit::audit;

const KIND: &str = "user.created";

struct Created {
    name: String,
}

fn main() {
    audit!(KIND);
    audit!(Created { name: "Ann".to_owned() });
}
