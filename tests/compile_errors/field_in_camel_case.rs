use tracing_audit::audit;

fn main() {
    audit!("user.read", tenantId = "acme", actorId = 7);
    audit!("user.read", resourceId = 7, userAgent = "curl");
    audit!("user.read", ipAddress = "192.0.2.1", requestId = "r-1");
    audit!("user.read", actorid = 7, traceid = "t");
    audit!("user.read", request_ip = 1, session_ip = 2, tenant_ip = 3, details.actorId = 4);
}
