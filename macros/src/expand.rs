//! From a checked event to code.
//!
//! What always holds of it: every argument is evaluated once, in source order, and borrowed, not
//! moved; the parts are written in the record's order; no name of ours is in scope where an
//! argument is evaluated; every temporary is gone at the end of the expansion, so that a receipt
//! may be awaited in a future that is `Send`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Expr, spanned::Spanned};

use crate::{
    argument::{borrowed, own, value_name},
    check::{Event, Severity},
    described,
    field::Field,
    literal::{json_of, json_string, key_of, message_of},
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
    let bound: Vec<(usize, &Field)> = event
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| json_of(field).is_none())
        .collect();
    let values = bound.iter().map(|(_, field)| borrowed(&field.value));
    let names = bound.iter().map(|(place, field)| value_name(*place, field));
    let computed = event
        .message
        .as_ref()
        .filter(|message| message_of(message).is_none());
    let message = computed.map(|message| {
        let (format, arguments) = (&message.format, &message.arguments);
        quote!(::core::format_args!(#format #arguments),)
    });
    let message_name = computed.map(|_| own("message"));
    let message_name = message_name.into_iter();
    let [writer, receipt, site, entry] = ["writer", "receipt", "SITE", "ENTRY"].map(own);
    let (fields, description) = (described::fields(event), described::description(event));
    let calls = Writing {
        private: &private,
        event,
    }
    .code(&writer);
    let writer = if calls.is_empty() {
        quote!(_)
    } else {
        quote!(#writer)
    };
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
    pairs
        .map(|(key, value)| key_of(key) + &json_string(value))
        .join(",")
}
