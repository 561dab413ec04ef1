use tracing_audit::audit;

fn main() {
    audit!("user.updated", actor.email = "ann@example.com");
    audit!("user.updated", resource.owner.id = 7);
    audit!("user.updated", outcome.code = 404);
    audit!("user.updated", context.region = "eu");
    audit!("user.updated", actor.id.number = 7);
    audit!("user.updated", tags.first = "a");
    audit!("user.updated", outcome.type = "failed");
    audit!("user.updated", ressource.id = 7);
    audit!("user.updated", acter.name = "Ann");
    audit!("user.updated", actor_id = 7, tenant = "acme");
    let ip_adress = "192.0.2.50";
    audit!("user.updated", ip_adress, severty = warning);
    audit!("user.updated", resource_attributes.size = 7);
}
