use tracing_audit::audit;

fn main() {
    audit!("User.Created");
    audit!("login");
    audit!("");
    audit!("auth::login");
    audit!("audit.user.created");
    audit!("order.shipped_to_a_customer_whose_name_is_far_too_long_to_be_a_part_of_the_type_of_an_event_because_it_belongs_into_one_of_its_fields_instead");
}
