//! From a checked event to code.
//!
//! What always holds of it: every argument is evaluated once, in source order, and borrowed, not moved; the parts are written in the
//! record's order; no name of ours is in scope where an argument is evaluated; every temporary is gone at the end of the expansion, so
//! that a receipt may be awaited in a future that is `Send`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, ExprReference, spanned::Spanned};

use crate::{
    check::{Event, Severity},
    denied::is_denied,
    described,
    field::{Field, Sigil},
    literal::{json_of, json_string, message_of},
    writing::Writing,
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
    let calls = Writing { private: &private, event }.code(&writer);
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

/// A name of ours, which no code of the caller's can see.
pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// What the value of a field is called in the expansion. It has the span of the value, so that an error about its type points there; with that, the
/// name is subject to the lints of the call (names of one length are not too similar).
pub(crate) fn value_name(place: usize, field: &Field) -> Ident {
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
pub(crate) fn key_of(key: &str) -> String {
    json_string(key) + ":"
}
