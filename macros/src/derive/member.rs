//! One field of a type that is an event: where its value goes, and how it is written.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, Expr, GenericArgument, LitStr, PathArguments, Result, Token, Type,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    parse_quote_spanned,
    spanned::Spanned,
};

use crate::{
    check::SETTINGS,
    described::of_type,
    field::{Field, Path, Sigil, is_assignment},
    slot::canonical,
};

/// How the code of an event reaches its fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// As `self.name`.
    Struct,
    /// As `name`, a reference.
    Variant,
}

pub(super) struct Member {
    pub(super) field: Field,
    /// A type, and the trait that it needs.
    pub(super) bound: Option<(Type, TokenStream)>,
}

/// What `#[audit(…)]` on a field says.
#[derive(Default)]
struct Options {
    path: Option<Path>,
    form: Option<(Ident, Form)>,
    skip: Option<Ident>,
}

enum Form {
    Mask(Box<Expr>),
    Hashed,
    Display,
    Debug,
}

const KNOWN: &str = "where it goes, as in `#[audit(actor.id)]`, or one of `rename = \"name\"`, `mask = 5`, `hashed`, `display`, `debug` and `skip`";

impl Member {
    /// The field of the call; `None` if it is skipped.
    pub(super) fn read(
        member: &syn::Field,
        owner: Owner,
        krate: &TokenStream,
    ) -> Result<Option<Self>> {
        let Some(name) = &member.ident else {
            return Ok(None);
        };
        let mut options = Options::default();
        for attribute in member
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("audit"))
        {
            let Ok(list) = attribute.meta.require_list() else {
                return Err(Error::new_spanned(
                    attribute,
                    format!("what to do with the field is missing: {KNOWN}"),
                ));
            };
            (|input: ParseStream<'_>| options.read(input)).parse2(list.tokens.clone())?;
        }
        if let Some(skip) = &options.skip {
            return match (&options.path, &options.form) {
                (None, None) => Ok(None),
                _ => Err(Error::new_spanned(
                    skip,
                    "a field with `skip` is not recorded; leave out `skip`, or the rest",
                )),
            };
        }
        let path = options.path.unwrap_or_else(|| Path::from(name.clone()));
        let kind = if options.form.is_some() {
            "text"
        } else {
            of_type(&member.ty)
        };
        let (sigil, value, bound) = written(
            name,
            &member.ty,
            owner,
            options.form.map(|(_, form)| form),
            krate,
        );
        let field = Field {
            path,
            sigil,
            value,
            told: None,
        };
        let told = (field.path.to_string() != "description").then(|| kind.to_owned());
        let field = Field { told, ..field };
        let path = &field.path;
        let canonical = match path.only() {
            Some(name) if SETTINGS.iter().any(|setting| name == setting) => {
                let message = format!(
                    "`{path}` is fixed while compiling: write it in the attribute of the type, `#[audit(\"…\", {path} = …)]`, \
                     or make it a value of your own, `#[audit(details.{path})]`"
                );
                return Err(Error::new_spanned(path, message));
            }
            _ => canonical(&field)
                .map_err(|error| Error::new(error.span(), as_attribute(&error.to_string())))?,
        };
        let whole = matches!(
            canonical.iter().map(String::as_str).collect::<Vec<_>>()[..],
            ["actor" | "resource" | "outcome"]
        );
        Ok(Some(Self {
            field,
            bound: if whole { None } else { Some(bound) },
        }))
    }
}

/// The sigil, the expression and what it needs, for a field in this form.
fn written(
    name: &Ident,
    ty: &Type,
    owner: Owner,
    form: Option<Form>,
    krate: &TokenStream,
) -> (Sigil, Expr, (Type, TokenStream)) {
    // Where the field is, with the names of the function that is derived.
    let span = Span::call_site().located_at(name.span());
    let (value, reference) = match owner {
        Owner::Struct => {
            let this = Ident::new("self", span);
            let value = quote_spanned!(span=> #this.#name);
            (value.clone(), quote_spanned!(span=> &#value))
        }
        Owner::Variant => (quote!(#name), quote!(#name)),
    };
    let redacted = |function: &str, arguments: TokenStream| -> (Sigil, Expr, (Type, TokenStream)) {
        let function = Ident::new(function, span);
        let redactable = quote!(#krate::Redactable);
        let Some(held) = held_in_option(ty) else {
            return (
                Sigil::Json,
                parse_quote_spanned!(span=> #krate::#function(#reference #arguments)),
                (ty.clone(), redactable),
            );
        };
        let value = Ident::new("value", Span::mixed_site());
        let each = quote_spanned!(span=> |#value| #krate::#function(#value #arguments));
        let mapped = parse_quote_spanned!(span=> ::core::option::Option::map(::core::option::Option::as_ref(#reference), #each));
        (Sigil::Json, mapped, (held.clone(), redactable))
    };
    let plain = |sigil: Sigil, bound: TokenStream| {
        (
            sigil,
            parse_quote_spanned!(span=> #value),
            (ty.clone(), bound),
        )
    };
    match form {
        None => plain(Sigil::Json, quote!(#krate::__private::Recordable)),
        Some(Form::Display) => plain(Sigil::Display, quote!(::core::fmt::Display)),
        Some(Form::Debug) => plain(Sigil::Debug, quote!(::core::fmt::Debug)),
        Some(Form::Mask(shown)) => redacted("mask", quote!(, #shown)),
        Some(Form::Hashed) => redacted("hashed", TokenStream::new()),
    }
}

/// The `T` of an `Option<T>`.
fn held_in_option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(held) => Some(held),
        _ => None,
    }
}
impl Options {
    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.is_empty() {
            return Err(input.error(format!("what to do with the field is missing: {KNOWN}")));
        }
        while !input.is_empty() {
            self.option(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn option(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.peek(LitStr) {
            let message = "the name that a field has in the record is `rename = \"name\"`; a place in it is written without quotes";
            return Err(input.error(message));
        }
        if input.peek(Token![%]) || input.peek(Token![?]) {
            let word = if input.peek(Token![%]) {
                "display"
            } else {
                "debug"
            };
            return Err(input.error(format!("on a field it is a word: `#[audit({word})]`")));
        }
        let start = input.span();
        let path: Path = input
            .parse()
            .map_err(|_| Error::new(start, format!("a field's attribute says {KNOWN}")))?;
        let word = path
            .only()
            .map(|word| word.unraw().to_string())
            .unwrap_or_default();
        let first = path
            .only()
            .cloned()
            .unwrap_or_else(|| Ident::new("path", start));
        if is_assignment(input) {
            input.parse::<Token![=]>()?;
            return match word.as_str() {
                "rename" => {
                    let name: LitStr = input.parse().map_err(|error| {
                        Error::new(
                            error.span(),
                            "the name is a string literal: `rename = \"name\"`",
                        )
                    })?;
                    let renamed = name.parse::<Path>().map_err(|_| {
                        Error::new(
                            name.span(),
                            "the name of a field is identifiers, joined by dots where they nest: `rename = \"order.id\"`",
                        )
                    })?;
                    self.place(renamed, start)
                }
                "mask" => {
                    let shown = input.parse()?;
                    self.form(first, Form::Mask(Box::new(shown)))
                }
                _ => {
                    let value: Expr = input.parse()?;
                    let message = format!(
                        "`{path} = …` belongs to the attribute of the type; a field's says {KNOWN}"
                    );
                    Err(Error::new(
                        path.span().join(value.span()).unwrap_or(start),
                        message,
                    ))
                }
            };
        }
        match word.as_str() {
            "mask" => Err(Error::new(
                start,
                "how many characters to show is missing; write `mask = 5`",
            )),
            "rename" => Err(Error::new(
                start,
                "the name is missing; write `rename = \"name\"`",
            )),
            "hashed" => self.form(first, Form::Hashed),
            "display" => self.form(first, Form::Display),
            "debug" => self.form(first, Form::Debug),
            "skip" => {
                self.skip = Some(first);
                Ok(())
            }
            "hash" => Err(Error::new(start, "write `hashed`")),
            "masked" => Err(Error::new(
                start,
                "write `mask = 5`, with the number of characters to show",
            )),
            "ignore" | "skip_serializing" => Err(Error::new(start, "write `skip`")),
            _ => self.place(path, start),
        }
    }

    fn place(&mut self, path: Path, span: Span) -> Result<()> {
        match self.path.replace(path) {
            None => Ok(()),
            Some(first) => Err(Error::new(
                span,
                format!(
                    "where the field goes is already given as `{first}`; leave one of them out"
                ),
            )),
        }
    }

    fn form(&mut self, word: Ident, form: Form) -> Result<()> {
        let message = self.form.as_ref().map(|(first, _)| {
            format!("`{word}` and `{first}` are two ways to write one value; leave one of them out")
        });
        match message {
            None => {
                self.form = Some((word, form));
                Ok(())
            }
            Some(message) => Err(Error::new(word.span(), message)),
        }
    }
}

/// A message about a field of a call, told of a field of a type: `` `a.b = …` `` is ``
/// `#[audit(a.b)]` `` there.
fn as_attribute(message: &str) -> String {
    let pieces =
        message
            .split('`')
            .enumerate()
            .map(|(place, piece)| match piece.split_once(" = ") {
                Some((path, "…")) if place % 2 == 1 => format!("#[audit({path})]"),
                Some((path, "%…")) if place % 2 == 1 => format!("#[audit({path}, display)]"),
                Some((path, "?…")) if place % 2 == 1 => format!("#[audit({path}, debug)]"),
                _ => piece.to_owned(),
            });
    pieces.collect::<Vec<_>>().join("`")
}
