use tracing_audit::{Actor, audit_context};

fn main() {
    let _ = audit_context! { tenant_id: "acme" };
    let _ = audit_context! { "tenant_id" = "acme" };
    let _ = audit_context! { tenant_id = "acme"; session_id = 7 };
    let _ = audit_context! { actor.id };
    let _ = audit_context! { tenant_id = "acme", user.id = 7, ip = "192.0.2.50" };
    let _ = audit_context! { actor = Actor::user("ann"), actor.name = "Ann" };
    let _ = audit_context! {
        actor = "ann",
        tenant_id = std::thread::current(),
    };
    let _: Option<Actor> = None;
}
