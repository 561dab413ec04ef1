//! A value of the caller's in the expansion: what it is called there, where it is, and how it is
//! passed on.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::{Expr, ExprReference, spanned::Spanned};

use crate::{
    denied::is_denied,
    field::{Field, Sigil},
};

/// An actor, a resource or an outcome, or an error that says what else there is to write.
pub(crate) fn whole(
    slot: &str,
    field: &Field,
    private: &TokenStream,
    value: &Ident,
) -> TokenStream {
    let function = format_ident!("whole_{slot}", span = Span::mixed_site());
    quote_spanned!(at(&field.value)=> #private::#function(#value))
}

/// The argument for a value that is not shown for the sake of its name, if it is one.
pub(crate) fn denied(field: &Field, private: &TokenStream, value: &Ident) -> Option<TokenStream> {
    let clear = match field.sigil {
        Sigil::Json => "ClearJson",
        Sigil::Display => "ClearDisplay",
        Sigil::Debug => "ClearDebug",
        // A captured value was checked when it was captured; flattened members have their own
        // names.
        Sigil::Captured | Sigil::Flatten => return None,
    };
    let (clear, path) = (own(clear), field.path.to_string());
    is_denied(field).then(|| {
        quote_spanned!(Span::mixed_site()=> {
            use #private::{#clear as _, Hidden as _, Shown as _};
            (&&&#private::Denied(#path, #value)).denied()
        })
    })
}

/// A name of ours, which no code of the caller's can see.
pub(crate) fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The name of a field's value in the expansion. It has the span of the value, so that an
/// error about its type points there; with that, the name is subject to the lints of the call
/// (names of one length are not too similar).
pub(crate) fn value_name(place: usize, field: &Field) -> Ident {
    Ident::new(&format!("value{place:03}"), field.value.span())
}

/// Where a value is, with the names of the expansion: so that an error in a value is
/// reported there, and once.
pub(crate) fn at(value: &Expr) -> Span {
    Span::mixed_site().located_at(value.span())
}

/// A function of the library to call with a value, located where the value is: so that an error
/// about the call points there, too.
pub(crate) fn function_at(private: &TokenStream, name: &str, value: &Expr) -> TokenStream {
    let place = value.span();
    let located = private.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    let mut path: TokenStream = located.collect();
    let function = Ident::new(name, at(value));
    path.extend(quote_spanned!(at(value)=> ::#function));
    path
}

/// `&value`, in parentheses where it needs them.
pub(crate) fn borrowed(value: &Expr) -> ExprReference {
    ExprReference {
        attrs: Vec::new(),
        and_token: syn::Token![&](at(value)),
        mutability: None,
        expr: Box::new(value.clone()),
    }
}
