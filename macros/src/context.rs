//! `audit_context!`: the same fields as those of a call, of which only some have a place in a
//! context.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{
    Error, Result, Token,
    parse::{ParseStream, Parser as _},
};

use crate::{
    argument::{at, borrowed, own, value_name, whole},
    call::Call,
    check::{Tree, conflict},
    expand,
    field::{Field, Sigil},
    slot::{SLOTS, list, near_miss},
};

/// The slots of an event that a context can fill, but for the parts of `context`.
const PLAIN: [&str; 8] = [
    "tenant_id",
    "actor",
    "actor.type",
    "actor.id",
    "actor.name",
    "actor.attributes",
    "ip_address",
    "user_agent",
];

/// What others call them.
const ALIASES: [(&str, &str); 10] = [
    ("client.address", "ip_address"),
    ("enduser.id", "actor.id"),
    ("env", "environment"),
    ("hostname", "host"),
    ("scheme", "protocol"),
    ("session.id", "session_id"),
    ("user", "actor"),
    ("user.id", "actor.id"),
    ("user.name", "actor.name"),
    ("user_id", "actor.id"),
];

/// What `audit_context!` expands to.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let expanded = parse.parse2(input).and_then(checked);
    expanded.unwrap_or_else(|error| expand::errors(&error))
}

fn parse(input: ParseStream<'_>) -> Result<Call> {
    let mut krate = TokenStream::new();
    while !input.peek(Token![;]) {
        krate.extend([input.parse::<TokenTree>()?]);
    }
    input.parse::<Token![;]>()?;
    let mut call = Call::new(krate);
    while !input.is_empty() {
        call.argument(input);
        if !input.is_empty() {
            call.comma(input);
        }
    }
    Ok(call)
}

fn checked(call: Call) -> Result<TokenStream> {
    let mut errors = call.errors;
    if let Some(message) = &call.message {
        errors.at(
            &message.format,
            "a context has no message; a field of it is `name = value`, such as `tenant_id = \"acme\"`",
        );
    }
    let mut fields: Vec<Field> = Vec::with_capacity(call.fields.len());
    let mut places = Vec::with_capacity(call.fields.len());
    let mut tree = Tree::Parts(Vec::new());
    for field in call.fields {
        let Some(place) = errors.keep(place(&field)) else {
            continue;
        };
        let path: Vec<String> = place.split('.').map(str::to_owned).collect();
        match tree.insert(&path, fields.len()) {
            Ok(()) => {
                fields.push(field);
                places.push(place);
            }
            Err(in_the_way) => errors.push(conflict(&field, &in_the_way, &fields)),
        }
    }
    errors.into_result(())?;
    Ok(code(&call.krate, &fields, &places))
}

/// What the field is called in a context: its path, without the word `context`.
fn place(field: &Field) -> Result<String> {
    let path = &field.path;
    let given = path.to_string();
    let name = given.strip_prefix("context.").unwrap_or(&given);
    if parts().contains(&name) || PLAIN.contains(&given.as_str()) {
        let keeps_structure = matches!(name, "actor" | "actor.attributes");
        if keeps_structure && field.sigil != Sigil::Json {
            let kind = if name == "actor" {
                "an `Actor`"
            } else {
                "a map or a struct"
            };
            let sigil = field.sigil.as_str();
            return Err(Error::new_spanned(
                path,
                format!(
                    "`{path}` takes {kind}, and `{sigil}` would turn it into text; write `{path} = …`"
                ),
            ));
        }
        return Ok(name.to_owned());
    }
    Err(Error::new_spanned(path, unknown(&given, &path.names())))
}

fn parts() -> &'static [&'static str] {
    SLOTS
        .iter()
        .find(|slot| slot.name == "context")
        .map_or(&[], |slot| slot.parts)
}

/// What to write instead of a field that a context doesn't have.
fn unknown(given: &str, names: &[String]) -> String {
    let first = names.first().map(String::as_str).unwrap_or_default();
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == given) {
        let why = if meant.starts_with("actor") {
            "the acting user is"
        } else {
            "write"
        };
        return format!("a context has no `{given}`; {why} `{meant} = …`");
    }
    if first == "actor" && names.get(1).is_some_and(|part| part == "attributes") {
        return "a context takes the attributes of an actor as a whole; write \
                `actor.attributes = …` with a map or a struct"
            .to_owned();
    }
    let of_event = SLOTS.iter().any(|slot| slot.name == first) && first != "actor";
    if of_event && first != "context" || ["severity", "category", "action"].contains(&first) {
        return format!(
            "`{first}` belongs to one event, not to a context; give it to `audit!`, `{given} = …`"
        );
    }
    let all: Vec<&str> = PLAIN.iter().chain(parts()).copied().collect();
    let meant = near_miss(names).filter(|meant| {
        let name = meant.strip_prefix("context.").unwrap_or(meant);
        all.contains(&name)
    });
    match meant {
        Some(meant) => format!("a context has no `{given}`; write `{meant} = …`"),
        None => format!(
            "a context has no `{given}`, only {}; a value of your own is for the details of an \
             event, `audit!(…, {given} = …)`",
            list(&all)
        ),
    }
}

fn code(krate: &TokenStream, fields: &[Field], places: &[String]) -> TokenStream {
    let private = quote!(#krate::__private);
    let context = own("context");
    let values = fields.iter().map(|field| borrowed(&field.value));
    let names = fields
        .iter()
        .enumerate()
        .map(|(at, field)| value_name(at, field));
    let sets = fields
        .iter()
        .zip(places)
        .enumerate()
        .map(|(n, (field, place))| {
            let value = value_name(n, field);
            if place == "actor" {
                let actor = whole("actor", field, &private, &value);
                return quote!(#context = #krate::AuditContext::actor(#context, #actor););
            }
            let function = own(field.sigil.function());
            let argument = quote_spanned!(at(&field.value)=> &#private::#function(#value));
            quote! {
                #krate::AuditContext::set(
                    &mut #context,
                    const { #private::context_slot(#place) },
                    #argument,
                );
            }
        });
    // All temporaries are gone at its end, so that a future in the context may be `Send`.
    quote_spanned! {Span::mixed_site()=> {
        let #context = match (#(#values,)*) {
            (#(#names,)*) => {
                #[allow(unused_mut)]
                let mut #context = #krate::AuditContext::new();
                #(#sets)*
                #context
            }
        };
        #context
    }}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a context, and where.
    fn errors(fields: &str) -> Vec<(String, String)> {
        let tokens: TokenStream = format!("tracing_audit; {fields}").parse().expect("tokens");
        let Err(all) = parse.parse2(tokens).and_then(checked) else {
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

    #[test]
    fn every_slot_of_a_context_has_a_place() {
        for name in PLAIN.iter().chain(parts()) {
            assert_eq!(errors(&format!("{name} = value")), [], "{name}");
        }
        for name in parts() {
            assert_eq!(errors(&format!("context.{name} = value,")), [], "{name}");
        }
        assert_eq!(errors(""), []);
        assert_eq!(
            errors("%ip_address, tenant_id, environment = env!(\"E\"), actor.type = ?kind"),
            []
        );
    }

    #[test]
    fn errors_point_at_the_field_and_say_what_to_write() {
        for (fields, pointed, message) in [
            (
                "tenant_id = 1, user.id = 7",
                "user.id",
                "a context has no `user.id`; the acting user is `actor.id = …`",
            ),
            (
                "tenant = 7",
                "tenant",
                "a context has no `tenant`; write `tenant_id = …`",
            ),
            (
                "actor_id = 7",
                "actor_id",
                "a context has no `actor_id`; write `actor.id = …`",
            ),
            (
                "contxt.host = 7",
                "contxt.host",
                "a context has no `contxt.host`; write `context.host = …`",
            ),
            (
                "env = 7",
                "env",
                "a context has no `env`; write `environment = …`",
            ),
            (
                "resource.id = 7",
                "resource.id",
                "`resource` belongs to one event, not to a context; give it to `audit!`, `resource.id = …`",
            ),
            (
                "severity = warning",
                "severity",
                "`severity` belongs to one event, not to a context; give it to `audit!`, `severity = …`",
            ),
            (
                "order_id = 7",
                "order_id",
                "a context has no `order_id`, only `tenant_id`, `actor`, `actor.type`, `actor.id`, `actor.name`, `actor.attributes`, `ip_address`, `user_agent`, `environment`, `session_id`, `request_id`, `protocol`, `host`, `trace_id` and `span_id`; a value of your own is for the details of an event, `audit!(…, order_id = …)`",
            ),
            (
                "actor.attributes.role = 7",
                "actor.attributes.role",
                "a context takes the attributes of an actor as a whole; write `actor.attributes = …` with a map or a struct",
            ),
            (
                "actor = %user",
                "actor",
                "`actor` takes an `Actor`, and `%` would turn it into text; write `actor = …`",
            ),
            (
                "session_id = 1, context.session_id = 2",
                "context.session_id",
                "`context.session_id` is already given above as `session_id`; leave one of them out",
            ),
            (
                "actor = a, actor.id = 2",
                "actor.id",
                "`actor.id` is a part of `actor`, given above as a whole; put it into `actor`",
            ),
            (
                "actor.id = 2, actor = a",
                "actor",
                "`actor` is the whole of what `actor.id` above is a part of; give either the whole or its parts",
            ),
            (
                "tenant_id = 1 session_id = 2",
                "session_id",
                "a comma is missing before `session_id`",
            ),
            (
                "\"a message\"",
                "\"a message\"",
                "a context has no message; a field of it is `name = value`, such as `tenant_id = \"acme\"`",
            ),
        ] {
            assert_eq!(
                errors(fields),
                [(pointed.to_owned(), message.to_owned())],
                "{fields}"
            );
        }
    }

    #[test]
    fn all_errors_of_a_context_are_reported_at_once() {
        assert_eq!(errors("user = 1, tenant_id: 2, outcome = 3").len(), 3);
    }
}
