//! From a checked event to code.
//!
//! What always holds of it: every argument is evaluated once, in source order, and borrowed, not moved; the parts are written in the
//! record's order; no name of ours is in scope where an argument is evaluated; every temporary is gone at the end of the expansion, so
//! that a receipt may be awaited in a future that is `Send`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Error, Expr, ExprReference, spanned::Spanned};

use crate::{
    check::{Event, Severity, Tree},
    field::Sigil,
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
    let level = match event.severity {
        Severity::Info => quote!(INFO),
        Severity::Warning => quote!(WARN),
        Severity::Error | Severity::Critical => quote!(ERROR),
    };
    let values = event.fields.iter().map(|field| borrowed(&field.value));
    let names = (0..event.fields.len()).map(value_name);
    let message = event.message.as_ref().map(|message| {
        let (format, arguments) = (&message.format, &message.arguments);
        quote!(::core::format_args!(#format #arguments),)
    });
    let message_name = event.message.as_ref().map(|_| own("message"));
    let message_name = message_name.into_iter();
    let [writer, mirror, receipt, site] = ["writer", "mirror", "receipt", "SITE"].map(own);
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
                );
                #private::record(
                    &#site,
                    |#writer: &mut #private::Writer<'_>| { #calls },
                    |#mirror: &#private::Mirror<'_>| {
                        #private::tracing::event!(
                            name: "audit!",
                            target: "audit",
                            #private::tracing::Level::#level,
                            event_type = #mirror.event_type(),
                            id = #mirror.id(),
                            actor = #mirror.actor(),
                            resource = #mirror.resource(),
                            outcome = #mirror.outcome(),
                            details = #mirror.details(),
                            "{}",
                            #mirror.description()
                        );
                    },
                )
            }
        };
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
        if slot.name == "description" && self.event.message.is_some() {
            let (private, message) = (self.private, own("message"));
            return quote!(#writer.description(#private::display(&#message)););
        }
        let Some(tree) = self.event.tree.get(slot.name) else { return TokenStream::new() };
        let method = own(slot.name);
        let parts = match tree {
            Tree::Value(field) => {
                let value = match slot.name {
                    "actor" | "resource" | "outcome" => value_name(*field).into_token_stream(),
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
                let fields: TokenStream = slot.parts.iter().filter_map(|part| Some(self.member(part, tree.get(part)?, &scope))).collect();
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

    fn object(&self, parts: &[(String, Tree)], scope: &Ident) -> TokenStream {
        parts.iter().map(|(key, tree)| self.member(key, tree, scope)).collect()
    }

    fn member(&self, key: &str, tree: &Tree, scope: &Ident) -> TokenStream {
        let key = key_of(key);
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

    /// A field's value as its sigil says. An error about its type points at the value.
    fn rendered(&self, field: usize) -> TokenStream {
        let Some(given) = self.event.fields.get(field) else { return TokenStream::new() };
        let function = match given.sigil {
            Sigil::Json => "json",
            Sigil::Display => "display",
            Sigil::Debug => "debug",
        };
        let function = Ident::new(function, Span::mixed_site());
        let private = self.private;
        let value = Ident::new(&value_name(field).to_string(), Span::mixed_site().located_at(given.value.span()));
        quote!(#private::#function(#value))
    }
}

/// A name of ours, which no code of the caller's can see.
fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn value_name(field: usize) -> Ident {
    own(&format!("value{field}"))
}

/// `&value`, in parentheses where it needs them.
fn borrowed(value: &Expr) -> ExprReference {
    ExprReference { attrs: Vec::new(), and_token: syn::Token![&](Span::mixed_site()), mutability: None, expr: Box::new(value.clone()) }
}

/// `"key":`
fn key_of(key: &str) -> String {
    json_string(key) + ":"
}

/// A JSON string, quotes included.
fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
