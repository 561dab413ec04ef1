//! `audit_context!`: the same fields as those of a call, of which only some have a place in a
//! context.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{
    Error, Result, Token,
    parse::{ParseStream, Parser as _},
};
use tracing_audit_schema::{Slot, alias, fields};

use crate::{
    argument::{at, borrowed, own, value_name, whole},
    call::Call,
    check::{SETTINGS, Tree, conflict},
    expand,
    field::{Field, Sigil},
    slot::{list, near_miss},
};

/// A field of a context.
#[derive(Clone, Copy)]
enum Place {
    Slot(Slot),
    /// All of the actor.
    Actor,
}

impl Place {
    fn named(name: &str) -> Option<Self> {
        if name == fields::ACTOR.path {
            return Some(Self::Actor);
        }
        Slot::named(name).map(Self::Slot)
    }

    /// All of them, in the order of the entry.
    fn all() -> impl Iterator<Item = Self> {
        let actor = |slot: &Slot| (*slot == Slot::ActorType).then_some(Self::Actor);
        let slots = Slot::ALL.into_iter();
        slots.flat_map(move |slot| actor(&slot).into_iter().chain([Self::Slot(slot)]))
    }

    /// Its name in a context: its path, without the word `context`.
    fn name(self) -> &'static str {
        match self {
            Self::Slot(slot) => slot.name(),
            Self::Actor => fields::ACTOR.path,
        }
    }
}

/// The expansion of `audit_context!`.
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
            "a context has no message; a field of it is `name = value`, such as \
             `tenant_id = \"acme\"`",
        );
    }
    let mut fields: Vec<Field> = Vec::with_capacity(call.fields.len());
    let mut places = Vec::with_capacity(call.fields.len());
    let mut tree = Tree::Parts(Vec::new());
    for field in call.fields {
        let Some(place) = errors.keep(place(&field)) else {
            continue;
        };
        let path: Vec<String> = place.name().split('.').map(str::to_owned).collect();
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

/// Where the field goes.
fn place(field: &Field) -> Result<Place> {
    let path = &field.path;
    let given = path.to_string();
    let Some(place) = Place::named(&given) else {
        return Err(Error::new_spanned(path, unknown(&given, &path.names())));
    };
    let kind = match place {
        Place::Slot(slot) if slot.is_text() => return Ok(place),
        Place::Slot(_) => "a map or a struct",
        Place::Actor => "an `Actor`",
    };
    if field.sigil == Sigil::Json {
        return Ok(place);
    }
    let sigil = field.sigil.as_str();
    Err(Error::new_spanned(
        path,
        format!("`{path}` takes {kind}, and `{sigil}` would turn it into text; write `{path} = …`"),
    ))
}

/// The error for a field that a context doesn't have.
fn unknown(given: &str, names: &[String]) -> String {
    let first = names.first().map(String::as_str).unwrap_or_default();
    if let Some((_, meant)) = alias::OF_CONTEXT.iter().find(|(alias, _)| *alias == given) {
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
    let of_event = fields::of_event().any(|field| field.name == first && !Slot::fills(field));
    if of_event || SETTINGS.contains(&first) {
        return format!(
            "`{first}` belongs to one event, not to a context; give it to `audit!`, `{given} = …`"
        );
    }
    match near_miss(names).filter(|meant| Place::named(meant).is_some()) {
        Some(meant) => format!("a context has no `{given}`; write `{meant} = …`"),
        None => format!(
            "a context has no `{given}`, only {}; a value of your own is for the details of an \
             event, `audit!(…, {given} = …)`",
            list(&Place::all().map(Place::name).collect::<Vec<_>>())
        ),
    }
}

fn code(krate: &TokenStream, fields: &[Field], places: &[Place]) -> TokenStream {
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
            let Place::Slot(slot) = place else {
                let actor = whole("actor", field, &private, &value);
                return quote!(#context = #krate::AuditContext::actor(#context, #actor););
            };
            let slot = own(&format!("{slot:?}"));
            let function = own(field.sigil.function());
            let argument = quote_spanned!(at(&field.value)=> &#private::#function(#value));
            quote! {
                #krate::AuditContext::set(
                    &mut #context,
                    #private::Slot::#slot,
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

    /// The errors of a context, each with the text that it points at.
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
        for name in Place::all().map(Place::name) {
            assert_eq!(errors(&format!("{name} = value")), [], "{name}");
        }
        for part in fields::CONTEXT.parts_of_event() {
            assert_eq!(
                errors(&format!("{} = value,", part.path)),
                [],
                "{}",
                part.path
            );
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
                "`resource` belongs to one event, not to a context; give it to `audit!`, \
                 `resource.id = …`",
            ),
            (
                "severity = warning",
                "severity",
                "`severity` belongs to one event, not to a context; give it to `audit!`, \
                 `severity = …`",
            ),
            (
                "order_id = 7",
                "order_id",
                "a context has no `order_id`, only `tenant_id`, `actor`, `actor.type`, `actor.id`, \
                 `actor.name`, `actor.attributes`, `ip_address`, `user_agent`, `environment`, \
                 `session_id`, `request_id`, `protocol`, `host`, `trace_id` and `span_id`; a value \
                 of your own is for the details of an event, `audit!(…, order_id = …)`",
            ),
            (
                "actor.attributes.role = 7",
                "actor.attributes.role",
                "a context takes the attributes of an actor as a whole; write \
                 `actor.attributes = …` with a map or a struct",
            ),
            (
                "actor = %user",
                "actor",
                "`actor` takes an `Actor`, and `%` would turn it into text; write `actor = …`",
            ),
            (
                "session_id = 1, context.session_id = 2",
                "context.session_id",
                "`context.session_id` is already given above as `session_id`; leave one of them \
                 out",
            ),
            (
                "actor = a, actor.id = 2",
                "actor.id",
                "`actor.id` is a part of `actor`, given above as a whole; put it into `actor`",
            ),
            (
                "actor.id = 2, actor = a",
                "actor",
                "`actor.id` above is a part of `actor`; give either the whole or its parts",
            ),
            (
                "tenant_id = 1 session_id = 2",
                "session_id",
                "a comma is missing before `session_id`",
            ),
            (
                "\"a message\"",
                "\"a message\"",
                "a context has no message; a field of it is `name = value`, such as \
                 `tenant_id = \"acme\"`",
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
