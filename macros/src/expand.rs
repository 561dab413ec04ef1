//! From a checked event to code.
//!
//! Always true of it: every argument is evaluated once, in source order, and borrowed, not
//! moved; the parts are written in the entry's order; no name of ours is in scope where an
//! argument is evaluated; every temporary is gone at the end of the expansion, so that a receipt
//! may be awaited in a future that is `Send`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, spanned::Spanned};
use tracing_audit_schema::{SCHEMA_VERSION, fields, severity::Severity};

use crate::{
    argument::{at, borrowed, own, value_name},
    check::{Event, Grade, Kind},
    described,
    field::Field,
    literal::{json_of, json_string, key_of, message_of},
    severity::variant,
    writing::Writing,
};

pub(crate) fn expand(event: &Event) -> TokenStream {
    let krate = &event.krate;
    let private = quote!(#krate::__private);
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
        let format = &message.format;
        let arguments = &message.arguments;
        quote!(::core::format_args!(#format #arguments),)
    });
    let message_name = computed.map(|_| own("message"));
    let message_name = message_name.into_iter();
    let [writer, receipt] = ["writer", "receipt"].map(own);
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
    let (statics, site) = sites(event, &private);
    let write = quote!(&|#writer: &mut #private::Writer<'_>| { #calls });
    let record = match &event.kind {
        Kind::Fixed { .. } => quote!(#private::record(#site, #write)),
        Kind::Dynamic { field, .. } => {
            let event_type = given(event, *field, "event_type", &private);
            quote!(#private::record_dynamic(#site, #event_type, #write))
        }
    };
    // The statics are inside the arm, where no code of the caller's is: statics are not hygienic.
    quote_spanned! {Span::mixed_site()=> {
        let #receipt = match (#(#values,)* #message) {
            (#(#names,)* #(#message_name,)*) => { #statics #record }
        };
        #receipt
    }}
}

/// The statics of a call, one for each severity that it can have, and the expression for the one
/// that holds now.
fn sites(event: &Event, private: &TokenStream) -> (TokenStream, TokenStream) {
    let (possible, computed) = match &event.severity {
        Grade::Fixed(severity) => (std::slice::from_ref(severity), None),
        Grade::Computed { field, possible } => (possible.as_slice(), Some(*field)),
    };
    let name = |what: &str, severity: Severity| {
        own(&match computed {
            None => what.to_owned(),
            Some(_) => format!("{what}_{}", severity.as_str().to_ascii_uppercase()),
        })
    };
    let krate = &event.krate;
    let fields = described::fields(event);
    let description = described::description(event);
    let mut statics = TokenStream::new();
    let mut names = Vec::new();
    for severity in possible.iter().copied() {
        let [site, entry] = ["SITE", "ENTRY"].map(|what| name(what, severity));
        let (kind, head) = head(event, severity);
        let variant = variant(severity);
        statics.extend(quote! {
            static #site: #private::Site = #private::Site::#kind(
                #head,
                #krate::Severity::#variant,
                (#fields, #description),
                (::core::file!(), ::core::line!(), ::core::module_path!()),
                &#site,
            );
            #private::register!(#entry = #site);
        });
        names.push(site);
    }
    let site = match computed {
        None => quote!(#(&#names)*),
        Some(field) => {
            let severity = given(event, field, "severity", private);
            quote!(#private::site_of(&[#(&#names),*], #severity))
        }
    };
    (statics, site)
}

/// A value that is asked for by a function of this name, so that an error about its type says what
/// is needed.
fn given(event: &Event, place: usize, function: &str, private: &TokenStream) -> TokenStream {
    let Some(field) = event.fields.get(place) else {
        return TokenStream::new();
    };
    let function = format_ident!("given_{function}", span = Span::mixed_site());
    let value = value_name(place, field);
    quote_spanned!(at(&field.value)=> #private::#function(#value))
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

/// The statement that makes the site of such an event, and the head of the entry, which is known
/// while compiling.
fn head(event: &Event, severity: Severity) -> (Ident, TokenStream) {
    match &event.kind {
        Kind::Fixed {
            event_type,
            category,
            action,
        } => {
            let event_type = event_type.as_str();
            // As JSON, without its braces.
            let json = [
                (fields::SCHEMA_VERSION, SCHEMA_VERSION),
                (fields::EVENT_TYPE, event_type),
                (fields::CATEGORY, category),
                (fields::ACTION, action),
                (fields::SEVERITY, severity.as_str()),
            ]
            .map(|(field, value)| key_of(field.name) + &json_string(value))
            .join(",");
            (own("fixed"), quote!((#event_type, #json)))
        }
        Kind::Dynamic {
            category, action, ..
        } => {
            let [category, action] = [category, action].map(|word| match word {
                Some(word) => quote!(::core::option::Option::Some(#word)),
                None => quote!(::core::option::Option::None),
            });
            (own("dynamic"), quote!((#category, #action)))
        }
    }
}
