use tracing_audit::audit_context;

fn main() {
    let _ = audit_context! { tenant_id: "acme" };
    let _ = audit_context! { "tenant_id" = "acme" };
    let _ = audit_context! { tenant_id = "acme"; session_id = 7 };
    let _ = audit_context! { actor.id };
}
