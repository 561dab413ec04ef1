//! From a checked event to code.
//!
//! What always holds of it: every argument is evaluated once, in source order, and borrowed, not moved; the parts are written in the
//! record's order; no name of ours is in scope where an argument is evaluated; every temporary is gone at the end of the expansion, so
//! that a receipt may be awaited in a future that is `Send`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, ExprReference, spanned::Spanned};

use crate::{
    check::{Event, Severity, Tree},
    denied::is_denied,
    described,
    field::{Field, Sigil},
    literal::{json_of, json_string, message_of},
    slot::{SLOTS, Slot},
};

/// The version of the record's schema.
const SCHEMA_VERSION: &str = "1.0";

pub(crate) fn expand(event: &Event) -> TokenStream {
    let krate = &event.krate;
    let private = quote!(#krate::__private);
    let head = head(event);
    let event_type = event.event_type.as_str();
    let severity = match event.severity {
        Severity::Info => quote!(Info),
        Severity::Warning => quote!(Warning),
        Severity::Error => quote!(Error),
        Severity::Critical => quote!(Critical),
    };
    let bound: Vec<(usize, &Field)> = event.fields.iter().enumerate().filter(|(_, field)| json_of(field).is_none()).collect();
    let values = bound.iter().map(|(_, field)| borrowed(&field.value));
    let names = bound.iter().map(|(place, field)| value_name(*place, field));
    let computed = event.message.as_ref().filter(|message| message_of(message).is_none());
    let message = computed.map(|message| {
        let (format, arguments) = (&message.format, &message.arguments);
        quote!(::core::format_args!(#format #arguments),)
    });
    let message_name = computed.map(|_| own("message"));
    let message_name = message_name.into_iter();
    let [writer, receipt, site, entry] = ["writer", "receipt", "SITE", "ENTRY"].map(own);
    let (fields, description) = (described::fields(event), described::description(event));
    let calls = Writing { private: &private, event }.event(&writer);
    let writer = if calls.is_empty() { quote!(_) } else { quote!(#writer) };
    // The static is inside the arm, where no code of the caller's is: statics are not hygienic.
    quote_spanned! {Span::mixed_site()=> {
        let #receipt = match (#(#values,)* #message) {
            (#(#names,)* #(#message_name,)*) => {
                static #site: #private::Site = #private::Site::new(
                    #head,
                    #event_type,
                    #krate::Severity::#severity,
                    (#fields, #description),
                    (::core::file!(), ::core::line!(), ::core::module_path!()),
                    &#site,
                );
                #private::register!(#entry = #site);
                #private::record(&#site, &|#writer: &mut #private::Writer<'_>| { #calls })
            }
        };
        #receipt
    }}
}

/// An event that is a value.
pub(crate) fn value(krate: &TokenStream, value: &Expr) -> TokenStream {
    let receipt = own("receipt");
    let borrowed = borrowed(value);
    // The span of the value, so that an error about its type points there.
    let record = quote_spanned!(value.span()=> #krate::AuditEvent::record);
    quote_spanned! {Span::mixed_site()=> {
        let #receipt = #record(#borrowed);
        #receipt
    }}
}

/// All errors, as an expression.
pub(crate) fn errors(error: &Error) -> TokenStream {
    let errors = error.to_compile_error();
    quote!({ #errors })
}

/// The part of the record that is known while compiling, as JSON without its braces.
fn head(event: &Event) -> String {
    let pairs = [
        ("schema_version", SCHEMA_VERSION),
        ("event_type", event.event_type.as_str()),
        ("category", &event.category),
        ("action", &event.action),
        ("severity", event.severity.as_str()),
    ];
    pairs.map(|(key, value)| key_of(key) + &json_string(value)).join(",")
}

/// The code that writes an event's values.
struct Writing<'a> {
    private: &'a TokenStream,
    event: &'a Event,
}

impl Writing<'_> {
    fn event(&self, writer: &Ident) -> TokenStream {
        SLOTS.iter().map(|slot| self.slot(slot, writer)).collect()
    }

    fn slot(&self, slot: &Slot, writer: &Ident) -> TokenStream {
        if slot.name == "description"
            && let Some(message) = &self.event.message
        {
            let private = self.private;
            return match message_of(message) {
                Some(json) => quote!(#writer.description(&#private::literal(#json));),
                None => {
                    let message = own("message");
                    quote!(#writer.description(&#private::display(&#message));)
                }
            };
        }
        let Some(tree) = self.event.tree.get(slot.name) else { return TokenStream::new() };
        let method = own(slot.name);
        let parts = match tree {
            Tree::Value(field) => {
                let value = match slot.name {
                    "actor" | "resource" | "outcome" => self.whole(slot.name, *field),
                    _ => self.rendered(*field),
                };
                let method = if slot.name == "details" { own("details_whole") } else { method };
                return quote!(#writer.#method(#value););
            }
            Tree::Parts(parts) => parts,
        };
        let scope = own("parts");
        match slot.name {
            "details" => {
                let fields = self.object(parts, &scope);
                quote!(#writer.details(|#scope| { #fields });)
            }
            "context" => {
                let fields: TokenStream = slot.parts.iter().filter_map(|part| Some(self.context(part, tree.get(part)?, &scope))).collect();
                quote!(#writer.context(|#scope| { #fields });)
            }
            _ => {
                let method = format_ident!("{method}_parts", span = Span::mixed_site());
                let calls: TokenStream = slot.parts.iter().filter_map(|part| Some(self.part(part, tree.get(part)?, &scope))).collect();
                quote!(#writer.#method(|#scope| { #calls });)
            }
        }
    }

    /// A part of an actor, a resource or an outcome.
    fn part(&self, part: &str, tree: &Tree, scope: &Ident) -> TokenStream {
        match tree {
            Tree::Value(field) => {
                // `type` is a keyword.
                let method = own(if part == "type" { "kind" } else { part });
                let value = self.rendered(*field);
                quote!(#scope.#method(#value);)
            }
            Tree::Parts(entries) => {
                let method = format_ident!("{}_fields", part.strip_suffix('s').unwrap_or(part), span = Span::mixed_site());
                let fields = self.object(entries, scope);
                quote!(#scope.#method(|#scope| { #fields });)
            }
        }
    }

    /// A field of the context.
    fn context(&self, part: &str, tree: &Tree, scope: &Ident) -> TokenStream {
        let Tree::Value(field) = tree else { return TokenStream::new() };
        let (key, value) = (format!(",{}", key_of(part)), self.rendered(*field));
        quote!(#scope.field(#key, #value);)
    }

    /// The members of an object; neighbours that are known while compiling are one piece of text.
    fn object(&self, parts: &[(String, Tree)], scope: &Ident) -> TokenStream {
        let (mut code, mut known) = (TokenStream::new(), String::new());
        for (key, tree) in parts {
            if let Some(member) = self.known_member(key, tree) {
                known += &member;
                continue;
            }
            code.extend(literal_fields(&mut known, scope));
            code.extend(self.member(key, tree, scope));
        }
        code.extend(literal_fields(&mut known, scope));
        code
    }

    /// `,"key":value`, if all of it is known while compiling.
    fn known_member(&self, key: &str, tree: &Tree) -> Option<String> {
        let value = match tree {
            Tree::Value(field) => json_of(self.event.fields.get(*field)?)?,
            Tree::Parts(parts) => {
                let members: Option<String> = parts.iter().map(|(key, tree)| self.known_member(key, tree)).collect();
                format!("{{{}}}", members?.strip_prefix(',')?)
            }
        };
        Some(format!(",{}{value}", key_of(key)))
    }

    fn member(&self, key: &str, tree: &Tree, scope: &Ident) -> TokenStream {
        let key = format!(",{}", key_of(key));
        match tree {
            Tree::Value(field) => {
                let value = self.rendered(*field);
                quote!(#scope.field(#key, #value);)
            }
            Tree::Parts(parts) => {
                let fields = self.object(parts, scope);
                quote!(#scope.nested(#key, |#scope| { #fields });)
            }
        }
    }

    /// A field's value as its sigil says.
    fn rendered(&self, place: usize) -> TokenStream {
        let Some(field) = self.event.fields.get(place) else { return TokenStream::new() };
        let private = self.private;
        if let Some(json) = json_of(field) {
            return quote!(&#private::literal(#json));
        }
        let (function, value) = (own(field.sigil.function()), value_name(place, field));
        match denied(field, private, &value) {
            Some(denied) => quote!(&#denied),
            None => quote_spanned!(at(&field.value)=> &#private::#function(#value)),
        }
    }

    /// A field's value as it is: an actor, a resource or an outcome.
    fn whole(&self, slot: &str, place: usize) -> TokenStream {
        let Some(field) = self.event.fields.get(place) else { return TokenStream::new() };
        whole(slot, field, self.private, &value_name(place, field))
    }
}

/// An actor, a resource or an outcome, or an error that says what else there is to write.
pub(crate) fn whole(slot: &str, field: &Field, private: &TokenStream, value: &Ident) -> TokenStream {
    let function = format_ident!("whole_{slot}", span = Span::mixed_site());
    quote_spanned!(at(&field.value)=> #private::#function(#value))
}

/// The argument for a value that is not shown for the sake of its name, if it is one.
pub(crate) fn denied(field: &Field, private: &TokenStream, value: &Ident) -> Option<TokenStream> {
    // What was captured was denied then.
    let denied = field.sigil != Sigil::Captured && is_denied(field);
    denied.then(|| {
        quote_spanned!(Span::mixed_site()=> {
            use #private::{Hidden as _, Shown as _};
            (&#private::Denied(#value)).denied()
        })
    })
}

/// The call that writes the members gathered in `known`, if there are any.
fn literal_fields(known: &mut String, scope: &Ident) -> Option<TokenStream> {
    if known.is_empty() {
        return None;
    }
    let fields = std::mem::take(known);
    Some(quote!(#scope.literal(#fields);))
}

/// A name of ours, which no code of the caller's can see.
pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// What the value of a field is called in the expansion. It has the span of the value, so that an error about its type points there; with that, the
/// name is subject to the lints of the call (names of one length are not too similar).
fn value_name(place: usize, field: &Field) -> Ident {
    Ident::new(&format!("value{place:03}"), field.value.span())
}

/// Where a value is, with the names of the expansion: so that all that is wrong with a value is told there, and once.
pub(crate) fn at(value: &Expr) -> Span {
    Span::mixed_site().located_at(value.span())
}

/// `&value`, in parentheses where it needs them.
pub(crate) fn borrowed(value: &Expr) -> ExprReference {
    ExprReference { attrs: Vec::new(), and_token: syn::Token![&](at(value)), mutability: None, expr: Box::new(value.clone()) }
}

/// `"key":`
fn key_of(key: &str) -> String {
    json_string(key) + ":"
}
