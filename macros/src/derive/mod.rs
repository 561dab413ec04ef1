//! `#[derive(AuditEvent)]`: a type that is an event, by way of the call that `audit!` would be
//! given.
//!
//! A struct is one event, an enum one for each variant. The arguments of the type's attribute come
//! first in the call, then the fields in their order.

mod member;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Generics, LitStr, Result, Token,
    parse::{ParseStream, Parser},
    parse_quote,
};

use self::member::{Member, Owner};
use crate::{
    audited::{crate_path, default_crate},
    call::{Call, Errors, Named},
    check::check,
    expand::expand,
};

/// The implementation for this type.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut krate = default_crate();
    let mut generics = input.generics.clone();
    let body = match body(input, &mut krate, &mut generics) {
        Ok(body) => body,
        // The type gets an implementation too, so that calls which record it have no second error.
        Err(error) => {
            let errors = error.to_compile_error();
            quote!(#errors ::core::unreachable!())
        }
    };
    let name = &input.ident;
    let (parameters, arguments, bounds) = generics.split_for_impl();
    // The span of the caller's, for `self` to be the one that the attributes mean.
    let this = Ident::new("self", Span::call_site());
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        impl #parameters #krate::AuditEvent for #name #arguments #bounds {
            fn record(&#this) -> #krate::Receipt {
                #body
            }
        }
    }
}

fn body(
    input: &DeriveInput,
    krate: &mut TokenStream,
    generics: &mut Generics,
) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let container = Container::read(&input.attrs, krate, &mut errors);
    let body = match &input.data {
        Data::Struct(data) => {
            let event = one_event(
                &input.ident,
                container,
                &data.fields,
                Owner::Struct,
                krate,
                generics,
                &mut errors,
            );
            event.map(ToTokens::into_token_stream)
        }
        Data::Enum(data) => {
            if let Some(given) = container.first_token() {
                errors.at(
                    given,
                    "each variant of an enum is an event of its own; write \
                     `#[audit(\"thing.happened\", …)]` on the variants",
                );
            }
            let mut arms = TokenStream::new();
            for variant in &data.variants {
                let name = &variant.ident;
                let container = Container::read(&variant.attrs, &mut krate.clone(), &mut errors);
                let event = one_event(
                    name,
                    container,
                    &variant.fields,
                    Owner::Variant,
                    krate,
                    generics,
                    &mut errors,
                );
                let fields = variant
                    .fields
                    .iter()
                    .filter_map(|field| field.ident.as_ref());
                arms.extend(quote_spanned! {Span::mixed_site()=>
                    #[allow(unused_variables)]
                    Self::#name { #(#fields,)* } => #event,
                });
            }
            let this = Ident::new("self", Span::call_site());
            let matched = if data.variants.is_empty() {
                quote!(*#this)
            } else {
                quote!(#this)
            };
            Some(quote_spanned!(Span::mixed_site()=> match #matched { #arms }))
        }
        Data::Union(data) => {
            errors.at(
                data.union_token,
                "a union can't be an event, because its valid field is unknown; use a struct or an \
                 enum",
            );
            None
        }
    };
    errors.into_result(body.unwrap_or_default())
}

/// The code that records a struct or a variant.
fn one_event(
    name: &Ident,
    container: Container,
    fields: &Fields,
    owner: Owner,
    krate: &TokenStream,
    generics: &mut Generics,
    errors: &mut Errors,
) -> Option<TokenStream> {
    if let Fields::Unnamed(unnamed) = fields {
        let example = unnamed
            .unnamed
            .first()
            .map(|field| field.ty.to_token_stream().to_string().replace(' ', ""))
            .unwrap_or_default();
        let keyword = if owner == Owner::Struct {
            "struct "
        } else {
            ""
        };
        let message = format!(
            "the fields of an event have names; write `{keyword}{name} {{ name: {example}, … }}`"
        );
        errors.at(fields, message);
        return None;
    }
    let Some(event_type) = container.event_type else {
        errors.at(
            name,
            format!("`{name}` has no event type; write `#[audit(\"thing.happened\")]` above it"),
        );
        return None;
    };
    let mut call = container.call;
    call.krate.clone_from(krate);
    call.event_type = Some(Named::Literal(event_type));
    for field in &call.fields {
        errors.keep(not_of_this_scope(&field.value, fields, owner));
    }
    for field in fields {
        let Some(member) = errors.keep(Member::read(field, owner, krate)).flatten() else {
            continue;
        };
        if let Some((ty, needed)) = &member.bound {
            bound(generics, ty, needed);
        }
        call.fields.push(member.field);
    }
    errors.keep(check(call).map(|event| expand(&event)))
}

/// Demands of a generic field's type what recording it takes.
fn bound(generics: &mut Generics, ty: &syn::Type, needed: &TokenStream) {
    let mentioned = |tokens: TokenStream| {
        let text = tokens.to_string();
        generics.type_params().any(|parameter| {
            let name = parameter.ident.to_string();
            text.split(|character: char| !character.is_alphanumeric() && character != '_')
                .any(|word| word == name)
        })
    };
    if mentioned(ty.to_token_stream()) {
        generics
            .make_where_clause()
            .predicates
            .push(parse_quote!(#ty: #needed));
    }
}

/// A value in the attribute of a type names a field as the other kind of type would.
fn not_of_this_scope(value: &Expr, fields: &Fields, owner: Owner) -> Result<()> {
    let text = value.to_token_stream().to_string().replace(' ', "");
    for name in fields.iter().filter_map(|field| field.ident.as_ref()) {
        if owner == Owner::Struct && *name == text {
            return Err(Error::new_spanned(
                value,
                format!("in the attribute of a struct a field is `self.{name}`"),
            ));
        }
        if owner == Owner::Variant && text.contains(&format!("self.{name}")) {
            return Err(Error::new_spanned(
                value,
                format!("in the attribute of a variant a field is `{name}`, without `self.`"),
            ));
        }
    }
    Ok(())
}

/// The options of `#[audit(…)]` on a type or a variant.
struct Container {
    event_type: Option<LitStr>,
    call: Call,
}

impl Container {
    fn read(attributes: &[Attribute], krate: &mut TokenStream, errors: &mut Errors) -> Self {
        let mut container = Self {
            event_type: None,
            call: Call::new(TokenStream::new()),
        };
        for (place, attribute) in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("audit"))
            .enumerate()
        {
            if place > 0 {
                errors.at(
                    attribute.path(),
                    "there already is an `#[audit(…)]` above; put all options into that one",
                );
                continue;
            }
            let tokens = match attribute.meta.require_list() {
                Ok(list) => list.tokens.clone(),
                Err(_) => {
                    errors.at(
                        attribute,
                        "write which event it is: `#[audit(\"thing.happened\")]`",
                    );
                    continue;
                }
            };
            errors
                .keep((|input: ParseStream<'_>| container.arguments(input, krate)).parse2(tokens));
        }
        errors.extend(std::mem::take(&mut container.call.errors));
        container
    }

    fn arguments(&mut self, input: ParseStream<'_>, krate: &mut TokenStream) -> Result<()> {
        let mut first = true;
        while !input.is_empty() {
            if !std::mem::take(&mut first) {
                self.call.comma(input);
            } else if input.peek(LitStr) {
                self.event_type = Some(input.parse()?);
                continue;
            }
            if input.is_empty() {
                break;
            }
            if input.peek(Token![crate]) && input.peek2(Token![=]) {
                *krate = crate_path(input)?;
            } else if self.event_type.is_none() {
                return Err(input.error(
                    "the event type comes first, a string literal such as \
                     `#[audit(\"user.updated\", …)]`",
                ));
            } else {
                self.call.argument(input);
            }
        }
        Ok(())
    }

    /// Anything given but the crate.
    fn first_token(&self) -> Option<TokenStream> {
        self.event_type.as_ref().map(ToTokens::to_token_stream)
    }
}
