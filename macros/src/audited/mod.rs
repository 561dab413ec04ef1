//! `#[audited]`: a function whose start and end are events.
//!
//! `options` reads what the attribute is given, `events` makes of it the events of each outcome,
//! `function` puts them around the body, inside the span that `#[tracing::instrument]` may have put
//! there (`instrumented`). Always true: the signature is the one that was
//! written; with any mistake in the attribute the function is left as it is, so that the mistake is
//! the only error.

mod events;
mod function;
mod instrumented;
mod options;

use proc_macro2::TokenStream;
use quote::quote;

pub(crate) use self::options::{crate_path, default_crate};
use self::{events::Events, function::Function, options::Options};

/// The expansion of the attribute with these options on this item.
pub(crate) fn audited(options: TokenStream, item: TokenStream) -> TokenStream {
    let function = syn::parse2::<Function>(item.clone());
    let events = syn::parse2::<Options>(options).and_then(Events::of);
    match (function, events) {
        (Ok(function), Ok(events)) => function.audited(&events),
        (Err(mut error), Err(other)) => {
            error.combine(other);
            unchanged(&error, &item)
        }
        (Err(error), _) | (_, Err(error)) => unchanged(&error, &item),
    }
}

fn unchanged(error: &syn::Error, item: &TokenStream) -> TokenStream {
    let errors = error.to_compile_error();
    quote!(#errors #item)
}
