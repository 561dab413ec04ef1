use tracing_audit::audit;

fn main() {
    let (mode, order) = ("full", 1);
    audit!("order.placed", actor.id = 1, actor.id = 2);
    audit!("order.placed", mode, details.mode = 2);
    audit!("order.placed", session_id = 1, context.session_id = 2);
    audit!("order.placed", actor = tracing_audit::Actor::user("ann"), actor.name = "Ann");
    audit!("order.placed", order.id = 1, order);
    audit!("order.placed", severity = info, severity = error);
    audit!("order.placed", description = "Placed", "Placed");
}
