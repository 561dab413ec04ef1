//! What a call of `audit!` expands to compiles in demanding surroundings, and does the right calls
//! in the right order.
//!
//! The runtime here only writes the calls down; what they put into the log is tested in
//! `tracing-audit` itself.

#![forbid(unsafe_code)]
#![deny(warnings, clippy::pedantic, clippy::unwrap_used)]

#[allow(clippy::pedantic, clippy::unwrap_used)]
mod runtime;

pub(crate) mod __private {
    pub(crate) use tracing_audit_macros::audit_impl;

    pub(crate) use crate::runtime::*;

    /// What the linker gathers is tested in `tracing-audit`.
    macro_rules! register {
        ($entry:ident = $site:ident) => {
            #[expect(dead_code)]
            static $entry: &$crate::runtime::Site = &$site;
        };
    }
    pub(crate) use register;
}

/// As in `tracing-audit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

macro_rules! audit {
    ($($arguments:tt)*) => { $crate::__private::audit_impl!($crate; $($arguments)*) };
}

use runtime::{Actor, Head, Receipt, last, last_site};

#[test]
fn the_least_call_records_nothing_but_its_type() {
    assert_eq!(audit!("user.updated"), Receipt);
    assert_eq!(last(), "");
    audit!("user.updated", "Done");
    assert_eq!(last(), "| =,\"description\":\"Done\"");
}

#[test]
fn slots_are_written_in_the_order_of_the_record_whatever_the_order_of_the_call() {
    audit!(
        "user.updated",
        mode = "full",
        span_id = 9,
        context.environment = "prod",
        user_agent = "curl",
        ip_address = %std::net::Ipv4Addr::LOCALHOST,
        tags = ["a"],
        outcome.error = ?Some(1),
        outcome.type = "failure",
        resource.prior_attributes.role = "user",
        resource.attributes = [1],
        resource.type = "user",
        actor.attributes.r#in = 1,
        actor.attributes.b.c = 2,
        actor.name = "Ann",
        actor.id = 7,
        tenant_id = "acme",
        severity = warning,
        "Role of {} changed",
        "Ann",
    );
    assert_eq!(
        last(),
        "=,\"tenant_id\":\"acme\" actor_parts[ id(=7) name(=\"Ann\") attribute_fields[ =,\"attributes\":{\"in\":1,\"b\":{\"c\":2}} ] ] \
         +resource =,\"resource\":{\"type\":\"user\" attributes:[1] \
         +outcome =,\"prior_attributes\":{\"role\":\"user\"}},\"outcome\":{\"type\":\"failure\" error:text ?Some(1) \
         =} description:text %Role of Ann changed \
         +details =,\"details\":{\"mode\":\"full\"} \
         tags:[\"a\"] ip_address(%127.0.0.1) user_agent(=\"curl\") context[ environment:=\"prod\" span_id:=9 ]"
    );
}

#[test]
fn dotted_names_nest_in_details() {
    let [one, two, three, four] = [1, 2, 3, 4];
    audit!("order.placed", order.id = one, currency = %"EUR", order.total.net = two, details.order.total.gross = three, details.id = four);
    assert_eq!(
        last(),
        "| details[ order[ id:1 total[ net:2 gross:3 ]total ]order currency:%EUR id:4 ]details"
    );
}

#[test]
fn what_is_known_while_compiling_is_one_text() {
    let name = "Ann";
    audit!(
        "order.placed",
        order.id = 1,
        currency = "EUR",
        order.total.net = -2,
        name,
        order.total.by = name,
        tip = '"',
        paid = true
    );
    assert_eq!(
        last(),
        "| details[ =,\"order\":{\"id\":1,\"total\":{\"net\":-2 by:\"Ann\" =}},\"currency\":\"EUR\" name:\"Ann\" \
         =,\"tip\":\"\\\"\",\"paid\":true ]details"
    );
    audit!(
        "order.placed",
        a.b.c = 1,
        a.b.d = "x",
        a.e = false,
        f = 0xffu8,
        "It's \"done\""
    );
    assert_eq!(
        last(),
        "| +details =,\"description\":\"It's \\\"done\\\"\",\"details\":{\"a\":{\"b\":{\"c\":1,\"d\":\"x\"},\"e\":false},\"f\":255}"
    );
}

#[test]
fn what_needs_its_type_or_a_format_is_left_to_the_runtime() {
    audit!(
        "order.placed",
        a = 1.50,
        b = b"x",
        c = i64::MAX,
        d = 18_446_744_073_709_551_615_u64,
        e = { 1 },
        f = 1usize,
        "{{}}"
    );
    assert_eq!(
        last(),
        "| description:text %{} details[ a:1.5 b:[120] c:9223372036854775807 d:18446744073709551615 e:1 f:1 ]details"
    );
}

#[test]
fn wholes_variables_and_computed_descriptions() {
    let (actor, user_id, port, tags) = (Actor("Ann"), 7, "::1", ["a"]);
    audit!("user.updated", actor, user_id, %port, description = format!("{}", 1), details.r#type = 2);
    assert_eq!(
        last(),
        "actor(Ann) description:text \"1\" details[ user_id:7 port:%::1 =,\"type\":2 ]details"
    );
    audit!(
        "user.updated",
        tags,
        details = [1],
        outcome.reason = "x",
        resource.prior_attributes = [2]
    );
    assert_eq!(
        last(),
        "| resource[ prior_attributes:[2] ]resource +outcome =,\"outcome\":{\"reason\":\"x\"} details_whole([1]) tags:[\"a\"]"
    );
}

#[test]
fn arguments_are_evaluated_once_in_source_order_and_not_moved() {
    let order = std::cell::RefCell::new(Vec::new());
    let note = |name: &'static str| {
        order.borrow_mut().push(name);
        name
    };
    let owned = String::from("kept");
    audit!(
        "a.b",
        mode = note("first"),
        tenant_id = note("second"),
        owned,
        name = owned,
        "{} {owned}",
        note("third")
    );
    assert_eq!(*order.borrow(), ["first", "second", "third"]);
    assert_eq!(owned, "kept");
    assert_eq!(
        last(),
        "tenant_id(\"second\") | description:text %third kept details[ mode:\"first\" owned:\"kept\" name:\"kept\" ]details"
    );
}

#[test]
fn the_site_holds_what_is_known_while_compiling() {
    let here = line!() + 1;
    audit!("user.updated", severity = critical, category = "a \"b\"");
    let site = last_site();
    assert_eq!(
        site.head,
        Head::Fixed {
            event_type: "user.updated",
            json: r#""schema_version":"1.0","event_type":"user.updated","category":"a \"b\"","action":"updated","severity":"critical""#
        }
    );
    assert_eq!(site.severity, Severity::Critical);
    assert_eq!(site.place, (file!(), here, module_path!()));
    assert!(std::ptr::eq(site, site.itself));
}

#[test]
fn a_computed_severity_has_a_site_for_each_that_is_possible() {
    for grave in [false, true] {
        audit!(
            "user.updated",
            severity = if grave { error } else { info },
            grave
        );
        assert_eq!(last(), format!("| details[ grave:{grave} ]details"));
        let site = last_site();
        let (severity, text) = if grave {
            (Severity::Error, "error")
        } else {
            (Severity::Info, "info")
        };
        assert_eq!(site.severity, severity);
        assert!(
            matches!(site.head, Head::Fixed { json, .. } if json.ends_with(&format!("\"severity\":\"{text}\"")))
        );
        assert!(std::ptr::eq(site, site.itself));
    }
    audit!("user.updated", severity = Severity::Critical);
    assert_eq!(last_site().severity, Severity::Critical);
}

#[test]
fn an_event_type_after_dyn_is_evaluated_first_and_given_at_run_time() {
    let order = std::cell::RefCell::new(Vec::new());
    let say = |what: &'static str| {
        order.borrow_mut().push(what);
        what
    };
    audit!(dyn say("a.b"), x = say("x"), category = "c", "Done");
    assert_eq!(*order.borrow(), ["a.b", "x"]);
    assert_eq!(
        last(),
        "<a.b> | =,\"description\":\"Done\" details[ x:\"x\" ]details"
    );
    assert_eq!(
        last_site().head,
        Head::Dynamic {
            category: Some("c"),
            action: None
        }
    );
}

#[test]
fn the_site_describes_its_fields_for_the_catalogue() {
    let (name, list) = (String::from("x"), [1]);
    audit!(
        "user.updated",
        tenant_id = name,
        resource.attributes.size = 1.5,
        n = -7,
        len = name.len(),
        shown = %name,
        list = &list,
        "Changed {name}"
    );
    let (fields, description) = last_site().described;
    assert_eq!(description, "Changed {name}");
    let expected = [
        "tenant_id text",
        "resource.attributes.size number",
        "details.n integer",
        "details.len integer",
        "details.shown text",
        "details.list any",
    ];
    assert_eq!(fields.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_names_of_the_expansion_are_not_those_of_the_caller() {
    const SITE: u8 = 1;
    let (value000, message, writer, mirror, parts, receipt) = (2, 3, 4, 5, 6, 7);
    audit!(
        "a.b",
        SITE,
        value000,
        message,
        writer,
        mirror,
        parts,
        r = receipt,
        "{SITE} {value000} {message} {writer} {mirror} {parts} {receipt}"
    );
    assert!(last().starts_with("| description:text %1 2 3 4 5 6 7 details[ SITE:1 value000:2 "));
}

#[test]
fn a_call_may_stand_in_an_argument_of_another() {
    audit!(
        "outer.done",
        inner = format!("{:?}", audit!("inner.done", x = 1)),
        "outer"
    );
    assert_eq!(
        last(),
        "| =,\"description\":\"outer\" details[ inner:\"Receipt\" ]details"
    );
}

#[test]
fn a_receipt_is_awaited_in_a_future_that_is_send() {
    fn assert_send(future: impl Future<Output = ()> + Send) {
        drop(future);
    }
    let name = String::from("Ann");
    assert_send(async move {
        audit!("user.updated", name, "Hello {}", name.len())
            .durable()
            .await;
        let receipt = audit!("user.updated", later = async { 1 }.await, "again");
        receipt.durable().await;
    });
}

#[test]
fn sigils_bind_weaker_than_every_operator() {
    let (a, b) = (7, 4);
    audit!("a.b", sum = %a + b, rest = a % b, range = ?a..b, negative = -a, choice = if a > b { 1 } else { 2 });
    assert_eq!(
        last(),
        "| details[ sum:%11 rest:3 range:?7..4 negative:-7 choice:1 ]details"
    );
}

/// Nothing of the expansion leans on the prelude or on the names of the caller's module.
mod no_prelude {
    #![no_implicit_prelude]
    #![allow(dead_code)]

    mod core {}
    mod std {}
    mod tracing {}

    pub(super) fn call(id: u8) {
        audit!("user.updated", actor.id = id, order.id = %id, severity = error, "{}", id);
    }
}

#[test]
fn no_prelude_is_needed() {
    no_prelude::call(3);
    assert_eq!(
        last(),
        "actor_parts[ id(3) ] description:text %3 details[ order[ id:%3 ]order ]details"
    );
}
