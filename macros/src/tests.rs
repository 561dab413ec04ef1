//! Every designed message, with what it points at.
//!
//! A case is the arguments of a call, and for each error the text that it points at and what it
//! says.

use proc_macro2::TokenStream;

use crate::{
    call::Input,
    check::{Event, check},
};

fn event(arguments: &str) -> syn::Result<Event> {
    let tokens: TokenStream = format!("tracing_audit; {arguments}")
        .parse()
        .expect("tokens");
    match syn::parse2(tokens)? {
        Input::Call(call) => check(call),
        Input::Value { value, .. } => Err(syn::Error::new_spanned(value, "an event")),
    }
}

fn errors(arguments: &str) -> Vec<(String, String)> {
    let Err(all) = event(arguments) else {
        return Vec::new();
    };
    all.into_iter()
        .map(|error| {
            (
                error.span().source_text().unwrap_or_default(),
                error.to_string(),
            )
        })
        .collect()
}

#[track_caller]
fn refused(arguments: &str, pointed: &str, message: &str) {
    assert_eq!(
        errors(arguments),
        [(pointed.to_owned(), message.to_owned())],
        "{arguments}"
    );
}

#[test]
fn the_event_type() {
    const FIRST: &str = r#"the event type comes first, a string literal such as "user.updated""#;
    const WHY: &str = "it is checked while compiling, and the catalogue lists it without running \
                       the program; an event type that is only known at run time is written `dyn …`";
    refused("", "", FIRST);
    refused("actor.id = 1", "actor.id = 1", FIRST);
    refused("%ip, x = 1", "%ip", FIRST);
    refused("KIND, x = 1", "KIND", &format!("{FIRST}: {WHY}"));
    refused(
        r#"concat!("a", ".b")"#,
        r#"concat!("a", ".b")"#,
        &format!("{FIRST}: {WHY}"),
    );
    refused("12", "12", &format!("{FIRST}: {WHY}"));
    refused(
        "dyn, x = 1",
        "dyn",
        "the event type is missing after `dyn`; write an expression whose value is text, such as `dyn kind.as_str()`",
    );
    refused(
        r#"dyn "a.b", x = 1"#,
        r#""a.b""#,
        "this event type is known while compiling; write it without `dyn`",
    );
    refused(
        r#""User.Created""#,
        r#""User.Created""#,
        r#"an event type is two or more segments of `a-z`, `0-9` and `_`, joined by dots; write "user.created""#,
    );
    refused(
        r#""login", actor.id = 1"#,
        r#""login""#,
        r#"an event type has two or more segments, a subject and what happened to it, such as "user.updated""#,
    );
}

#[test]
fn names_and_values() {
    let call = |arguments: &str| format!(r#""a.b", {arguments}"#);
    for (arguments, pointed, message) in [
        // Without a name.
        (
            "ctx.user",
            "ctx.user",
            "only a variable can stand alone; write `user = ctx.user`",
        ),
        (
            "%ctx.ip",
            "ctx.ip",
            "only a variable can stand alone; write `ip = %ctx.ip`",
        ),
        (
            "self",
            "self",
            "`self` is not a name for a field; write `name = self`",
        ),
        (
            "type",
            "type",
            "`type` is a keyword, not a variable; write `type = …`",
        ),
        (
            "?type",
            "type",
            "`type` is a keyword, not a variable; write `type = ?…`",
        ),
        (
            "user.id()",
            "user.id()",
            "a value needs a name; write `name = …`",
        ),
        (
            "Actor::user(1)",
            "Actor::user(1)",
            "a value needs a name; write `name = …`",
        ),
        ("&user", "&user", "a value needs a name; write `name = …`"),
        ("a + b", "a + b", "a value needs a name; write `name = …`"),
        ("%*ip", "*ip", "a value needs a name; write `name = %…`"),
        ("%a::b", "a::b", "a value needs a name; write `name = %…`"),
        (
            "12",
            "12",
            "a value needs a name; write `name = …` (the message is a string literal)",
        ),
        (
            r#"b"x""#,
            r#"b"x""#,
            "a value needs a name; write `name = …` (the message is a string literal)",
        ),
        (
            r#"format!("x")"#,
            r#"format!("x")"#,
            "a value needs a name; write `name = …`; a computed message is `description = …`",
        ),
        // A name that is none.
        (
            "user.0 = 1",
            "0",
            "a name is missing after `user.`; each part of a field's name is an identifier",
        ),
        (
            "a[0] = 1",
            "a[0]",
            "a field's name is identifiers joined by dots, such as `order.id`",
        ),
        (
            r#""http.status" = 200"#,
            r#""http.status""#,
            "the name of a field is not quoted; write `http.status = …`",
        ),
        // Between name and value.
        (
            "actor.id: 1",
            ":",
            "write `=` instead of `:`: `actor.id = …`",
        ),
        ("mode == 1", "==", "write `=` instead of `==`: `mode = …`"),
        ("mode => 1", "=>", "write `=` instead of `=>`: `mode = …`"),
        (
            "%ip = ip",
            "ip",
            "the sigil goes before the value: write `ip = %…`",
        ),
        (
            "a = b = c",
            "=",
            "a field has one `=`: `a = …`; put a comma between two fields, or write `==` to compare",
        ),
        // No value.
        (
            "actor.id = ",
            "actor.id",
            "`actor.id` has no value; write `actor.id = …`",
        ),
        (
            "actor.id = , b = 1",
            "actor.id",
            "`actor.id` has no value; write `actor.id = …`",
        ),
        (
            "actor.id = %, b = 1",
            "actor.id",
            "`actor.id` has no value; write `actor.id = …`",
        ),
        // Between fields.
        ("a = 1 b = 2", "b", "a comma is missing before `b`"),
        (
            r#"user_id "text""#,
            r#""text""#,
            r#"a comma is missing before `"text"`"#,
        ),
        ("a = 1; b = 2", ";", "write a comma instead of `;`"),
        (
            "a = 1,, b = 2",
            ",",
            "an argument is missing between the two commas; remove one comma",
        ),
    ] {
        refused(&call(arguments), pointed, message);
    }
    refused(r#""a.b" a = 1"#, "a", "a comma is missing before `a`");
}

#[test]
fn the_message() {
    for (arguments, pointed, message) in [
        (
            r#""m", actor.id = 1"#,
            "actor.id",
            "the message and its arguments come last; move `actor.id` before the message",
        ),
        (
            r#""m {}", x, tags = y"#,
            "tags",
            "the message and its arguments come last; move `tags` before the message",
        ),
        (
            r#""m {}", x, %to"#,
            "to",
            "the message and its arguments come last; move `to` before the message",
        ),
        (r#""m {}" x"#, "x", "a comma is missing before `x`"),
        (
            r#"description = d, "m""#,
            r#""m""#,
            "the message is the description, which is already given as `description = …`; leave one of them out",
        ),
    ] {
        refused(&format!(r#""a.b", {arguments}"#), pointed, message);
    }
    for accepted in [
        r#""a.b", "{} {x} {y:?} {:w$.p$} {z}", 1, x = 2, y = 3, 4.0, w = 5, p = 6"#,
        r#""a.b", "{0:>width$} {a}", a == b, width = 1, a = 3,"#,
        r#""a.b", "a", "b""#,
        r#""a.b", actor.attributes.a.b = 1, actor.attributes.a.c = 2"#,
    ] {
        assert_eq!(errors(accepted), [], "{accepted}");
    }
}

#[test]
fn slots() {
    let call = |arguments: &str| format!(r#""a.b", {arguments}"#);
    for (arguments, pointed, message) in [
        // Twice.
        (
            "actor.id = 1, actor.id = 2",
            "actor.id",
            "`actor.id` is already given above; leave one of them out",
        ),
        (
            "mode, mode = 2",
            "mode",
            "`mode` is already given above; leave one of them out",
        ),
        (
            "mode, details.mode = 2",
            "details.mode",
            "`details.mode` is already given above as `mode`; leave one of them out",
        ),
        (
            "session_id = 1, context.session_id = 2",
            "context.session_id",
            "`context.session_id` is already given above as `session_id`; leave one of them out",
        ),
        (
            "severity = info, severity = error",
            "severity",
            "`severity` is already given above; leave one of them out",
        ),
        // Whole and part.
        (
            "actor = a, actor.id = 1",
            "actor.id",
            "`actor.id` is a part of `actor`, given above as a whole; put it into `actor`",
        ),
        (
            "actor.id = 1, actor = a",
            "actor",
            "`actor.id` above is a part of `actor`; give either the whole or its parts",
        ),
        (
            "order = o, order.id = 1",
            "order.id",
            "`order.id` is a part of `order`, given above as a whole; put it into `order`",
        ),
        (
            "order.id = 1, order",
            "order",
            "`order.id` above is a part of `order`; give either the whole or its parts",
        ),
        (
            "details = d, mode = 1",
            "mode",
            "`mode` is a part of `details`, given above as a whole; put it into `details`",
        ),
        // Parts that are none.
        (
            "actor.email = 1",
            "actor.email",
            "`actor` has no part `email`, only `type`, `id`, `name` and `attributes`; for a value of your own write `actor.attributes.email = …`",
        ),
        (
            "resource.owner.id = 1",
            "resource.owner.id",
            "`resource` has no part `owner`, only `type`, `id`, `name`, `attributes` and `prior_attributes`; for a value of your own write `resource.attributes.owner.id = …`",
        ),
        (
            "outcome.code = 1",
            "outcome.code",
            "`outcome` has no part `code`, only `type`, `reason` and `error`; for a value of your own write `outcome_code = …`",
        ),
        (
            "context.region = 1",
            "context.region",
            "`context` has no part `region`, only `environment`, `session_id`, `request_id`, `protocol`, `host`, `trace_id` and `span_id`; for a value of your own write `context_region = …`",
        ),
        (
            "actor.id.x = 1",
            "actor.id.x",
            "`actor.id` has no parts; write `actor.id = …`",
        ),
        (
            "tags.a = 1",
            "tags.a",
            "`tags` has no parts; write `tags = …`, or `details.tags.a = …` for a value of your own",
        ),
        (
            "severity.a = 1",
            "severity.a",
            "`severity` has no parts; write `details.severity.a = …` for a value of your own",
        ),
        // Wholes that are none.
        (
            "context = c",
            "context",
            "`context` is given part by part; write `context.session_id = …` (`environment`, `session_id`, `request_id`, `protocol`, `host`, `trace_id` and `span_id`)",
        ),
        (
            "actor = %a",
            "actor",
            "`actor` takes an `Actor`, and `%` would turn it into text; write `actor = …`, or `actor.id = %…`",
        ),
        (
            "tags = ?t",
            "tags",
            "`tags` takes a list, and `?` would turn it into text; write `tags = …`",
        ),
        (
            "?details",
            "details",
            "`details` takes a map or a struct, and `?` would turn it into text; write `details = …`",
        ),
        (
            "resource.attributes = ?t",
            "resource.attributes",
            "`resource.attributes` takes a map or a struct, and `?` would turn it into text; write `resource.attributes = …`",
        ),
        // What the log sets.
        (
            "timestamp = now",
            "timestamp",
            "`timestamp` is set by the log; write `details.timestamp = …` for a value of your own",
        ),
        (
            "id",
            "id",
            "`id` is set by the log; write `details.id = …` for a value of your own",
        ),
        (
            r#"outcome.type = "failed""#,
            "outcome.type",
            "the type of an outcome is one of `success`, `failure` and `unknown`, not `failed`; the kind of a failure is `outcome.reason = …`",
        ),
    ] {
        refused(&call(arguments), pointed, message);
    }
    for own in [
        "id",
        "timestamp",
        "stream",
        "seq",
        "schema_version",
        "event_type",
        "source",
    ] {
        assert_eq!(errors(&call(&format!("{own} = 1"))).len(), 1, "{own}");
        assert_eq!(
            errors(&call(&format!("details.{own} = 1, {own}.part = 2"))).len(),
            1,
            "whole and part of {own}"
        );
        assert_eq!(errors(&call(&format!("details.{own} = 1"))), [], "{own}");
    }
}

#[test]
fn settings() {
    const ALL: &str = "`info`, `warning`, `error` and `critical`";
    for (arguments, pointed, message) in [
        ("severity = warn", "warn", format!("`severity` is one of {ALL}; write `severity = warning`")),
        ("severity = 3", "3", format!("`severity` is one of {ALL}")),
        ("severity = if x { warn } else { info }", "warn", format!("`severity` is one of {ALL}; write `severity = warning`")),
        ("severity = if x { warning }", "if", "`severity` needs an `else`, such as `else { info }`".to_owned()),
        (
            r#"severity = match x { 1 => "error", _ => info }"#,
            r#""error""#,
            "`severity` is written without quotes: `severity = error`".to_owned(),
        ),
        ("severity = { f(); }", "{ f(); }", format!("`severity` is one of {ALL}; this block gives none")),
        (r#"severity = "warning""#, r#""warning""#, "`severity` is written without quotes: `severity = warning`".to_owned()),
        (r#"severity = "grave""#, r#""grave""#, format!("`severity` is one of {ALL}, without quotes")),
        ("severity = %info", "info", format!("`severity` is one of {ALL}; write it without `%`")),
        (
            "category = user",
            "user",
            "`category` is fixed while compiling; write a string literal, such as `category = \"user\"`".to_owned(),
        ),
        ("action = \"\"", "\"\"", "`action` is empty; leave it out, and it is taken from the event type".to_owned()),
        ("action = ?x", "x", "`action` is a string literal; write it without `?`".to_owned()),
        (
            "action = f(x)",
            "f(x)",
            "`action` is fixed while compiling; write a string literal, or `details.action = …` for a value of your own".to_owned(),
        ),
    ] {
        refused(&format!(r#""a.b", {arguments}"#), pointed, &message);
    }
}

#[test]
fn all_errors_of_a_call_are_reported_at_once() {
    let messages = errors(
        r#""Login", ctx.user, actor.id: 1, severity = warn, a = 1 a = 2, "m", tenant_id = %t"#,
    );
    let pointed: Vec<&str> = messages
        .iter()
        .map(|(pointed, _)| pointed.as_str())
        .collect();
    assert_eq!(
        pointed,
        ["ctx.user", ":", "a", "tenant_id", "\"Login\"", "warn", "a"]
    );
}

#[test]
fn errors_expand_to_an_expression() {
    let tokens = crate::audit(
        "tracing_audit; \"a.b\", ctx.user, ctx.id"
            .parse()
            .expect("tokens"),
    );
    let block: syn::ExprBlock = syn::parse2(tokens).expect("a block");
    assert_eq!(block.block.stmts.len(), 2);
}

#[test]
fn a_call_expands_to_an_expression_with_the_crate_as_it_was_passed() {
    let tokens = crate::audit("renamed; \"a.b\", actor.id = 1".parse().expect("tokens"));
    syn::parse2::<syn::ExprBlock>(tokens.clone()).expect("a block");
    let text = tokens.to_string();
    assert!(
        text.contains("renamed :: __private :: record") && !text.contains("tracing_audit"),
        "{text}"
    );
}
