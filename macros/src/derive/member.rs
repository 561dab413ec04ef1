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
use tracing_audit_schema::fields;

use crate::{
    check::SETTINGS,
    described::of_type,
    field::{Field, Path, Sigil, is_assignment},
    slot::{canonical, is_field_of_one_word, type_of},
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

/// The options of `#[audit(…)]` on a field.
#[derive(Default)]
struct Options {
    path: Option<Path>,
    form: Option<(Ident, Form)>,
    skip: Option<Ident>,
    skip_if_none: Option<Ident>,
    flatten: Option<Ident>,
}

enum Form {
    Mask(Box<Expr>),
    Hashed,
    Redact,
    Unredacted,
    Display,
    Debug,
}

const KNOWN: &str = "the field's place, as in `#[audit(actor.id)]`, or one of `rename = \"name\"`, \
                     `mask = 5`, `hashed`, `redact`, `unredacted`, `display`, `debug`, `flatten`, \
                     `skip_if_none` and `skip`";

/// The options that are a word alone.
const PLAIN: [&str; 8] = [
    "hashed",
    "redact",
    "unredacted",
    "display",
    "debug",
    "flatten",
    "skip_if_none",
    "skip",
];

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
                    format!("`#[audit(…)]` on a field needs an option: {KNOWN}"),
                ));
            };
            (|input: ParseStream<'_>| options.read(input)).parse2(list.tokens.clone())?;
        }
        if let Some(skip) = &options.skip {
            let rest = (&options.path, &options.form, &options.skip_if_none);
            return match (rest, &options.flatten) {
                ((None, None, None), None) => Ok(None),
                _ => Err(Error::new_spanned(
                    skip,
                    "a field with `skip` is not recorded; leave out `skip`, or the rest",
                )),
            };
        }
        if let Some(word) = &options.skip_if_none
            && held_in_option(&member.ty).is_none()
        {
            return Err(Error::new_spanned(
                word,
                "`skip_if_none` is for a field whose type is an `Option`; leave it out",
            ));
        }
        if let Some(word) = &options.flatten {
            options.check_flatten(word)?;
            return Ok(Some(Self::flattened(name, &member.ty, owner, krate)));
        }
        let path = options.path.unwrap_or_else(|| Path::from(name.clone()));
        let kind = match &options.form {
            None | Some((_, Form::Unredacted)) => of_type(&member.ty),
            Some(_) => "text",
        };
        let (sigil, value, bound) = written(
            name,
            &member.ty,
            owner,
            options.form.map(|(_, form)| form),
            options.skip_if_none.is_some(),
            krate,
        );
        let field = Field {
            path,
            sigil,
            value,
            told: None,
        };
        let told = (field.path.to_string() != "description").then(|| kind.to_owned());
        let mut field = Field { told, ..field };
        let path = field.path.clone();
        let path = &path;
        let canonical = match path.only() {
            Some(name) if name == "severity" => {
                if field.sigil != Sigil::Json || kind == "text" {
                    let message = "`severity` is for a field whose type is `Severity`; \
                                   make this one a value of your own, `#[audit(details.severity)]`";
                    return Err(Error::new_spanned(path, message));
                }
                if owner == Owner::Variant {
                    // A variable by itself would be taken for one of the words.
                    let value = &field.value;
                    field.value = parse_quote_spanned!(value.span()=> *#value);
                }
                vec!["severity".to_owned()]
            }
            Some(name) if SETTINGS.iter().any(|setting| name == setting) => {
                let message = format!(
                    "`{path}` is fixed while compiling: write it in the attribute of the type, \
                     `#[audit(\"…\", {path} = …)]`, or make it a value of your own, \
                     `#[audit(details.{path})]`"
                );
                return Err(Error::new_spanned(path, message));
            }
            _ => canonical(&field)
                .map_err(|error| Error::new(error.span(), as_attribute(&error.to_string())))?,
        };
        let whole = canonical.join(".");
        let whole = whole == fields::SEVERITY.path || type_of(&whole).is_some();
        Ok(Some(Self {
            field,
            bound: if whole { None } else { Some(bound) },
        }))
    }

    /// A field whose members are details. A value without members is a detail of the field's name.
    fn flattened(name: &Ident, ty: &Type, owner: Owner, krate: &TokenStream) -> Self {
        let (_, value, bound) = written(name, ty, owner, None, false, krate);
        let field = Field {
            path: Path::below_details(name.clone()),
            sigil: Sigil::Flatten,
            value,
            told: None,
        };
        Self {
            field,
            bound: Some(bound),
        }
    }
}

/// The sigil, the expression and what it needs, for a field in this form.
fn written(
    name: &Ident,
    ty: &Type,
    owner: Owner,
    form: Option<Form>,
    skip_if_none: bool,
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
    // Of an `Option` what is in it, so that `None` is left out.
    let of_each = |function: TokenStream, arguments: TokenStream, bound: TokenStream| {
        let Some(held) = held_in_option(ty) else {
            let value = parse_quote_spanned!(span=> #function(#reference #arguments));
            return (Sigil::Json, value, (ty.clone(), bound));
        };
        let value = Ident::new("value", Span::mixed_site());
        let each = quote_spanned!(span=> |#value| #function(#value #arguments));
        let mapped = parse_quote_spanned! {span=>
            ::core::option::Option::map(::core::option::Option::as_ref(#reference), #each)
        };
        (Sigil::Json, mapped, (held.clone(), bound))
    };
    let plain = |sigil: Sigil, bound: TokenStream| {
        (
            sigil,
            parse_quote_spanned!(span=> #value),
            (ty.clone(), bound),
        )
    };
    let text = |sigil: Sigil, wrapper: &str, bound: TokenStream| {
        if !skip_if_none {
            return plain(sigil, bound);
        }
        let wrapper = Ident::new(wrapper, span);
        of_each(
            quote!(#krate::__private::#wrapper),
            TokenStream::new(),
            bound,
        )
    };
    let ours = |function: &str| {
        let function = Ident::new(function, span);
        quote!(#krate::#function)
    };
    let redactable = quote!(#krate::Redactable);
    match form {
        None => plain(Sigil::Json, quote!(#krate::Recordable)),
        Some(Form::Display) => text(Sigil::Display, "AsDisplay", quote!(::core::fmt::Display)),
        Some(Form::Debug) => text(Sigil::Debug, "AsDebug", quote!(::core::fmt::Debug)),
        Some(Form::Mask(shown)) => of_each(ours("mask"), quote!(, #shown), redactable),
        Some(Form::Hashed) => of_each(ours("hashed"), TokenStream::new(), redactable),
        Some(Form::Unredacted) => {
            let recordable = quote!(#krate::Recordable);
            of_each(ours("unredacted"), TokenStream::new(), recordable)
        }
        Some(Form::Redact) => {
            let redact = quote!(#krate::__private::redact);
            of_each(redact, TokenStream::new(), quote!(::core::marker::Sized))
        }
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

/// The error for a word that is neither an option nor a field of the log.
fn unknown(word: &str) -> String {
    format!("there is no option `{word}`; give {KNOWN}")
}

impl Options {
    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.is_empty() {
            return Err(input.error(format!("`#[audit(…)]` on a field needs an option: {KNOWN}")));
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
            let message = "the name of a field in the entry is `rename = \"name\"`; a place in it \
                           is written without quotes";
            return Err(input.error(message));
        }
        if input.peek(Token![%]) || input.peek(Token![?]) {
            let word = if input.peek(Token![%]) {
                "display"
            } else {
                "debug"
            };
            return Err(input.error(format!(
                "on a field, write the word alone: `#[audit({word})]`"
            )));
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
            return self.assigned(input, first, &path, start);
        }
        match word.as_str() {
            "mask" => Err(Error::new(
                start,
                "`mask` needs the number of characters to show; write `mask = 5`",
            )),
            "rename" => Err(Error::new(
                start,
                "the name is missing; write `rename = \"name\"`",
            )),
            "hashed" => self.form(first, Form::Hashed),
            "redact" => self.form(first, Form::Redact),
            "unredacted" => self.form(first, Form::Unredacted),
            "display" => self.form(first, Form::Display),
            "debug" => self.form(first, Form::Debug),
            "skip" => {
                self.skip = Some(first);
                Ok(())
            }
            "skip_if_none" => {
                self.skip_if_none = Some(first);
                Ok(())
            }
            "flatten" => {
                self.flatten = Some(first);
                Ok(())
            }
            // A word by itself that is neither would silently be another name for the field.
            _ if path.only().is_some() && word != "severity" && !is_field_of_one_word(&word) => {
                Err(Error::new(start, unknown(&word)))
            }
            _ => self.place(path, start),
        }
    }

    /// Reads `= …` after a word and what it sets.
    fn assigned(
        &mut self,
        input: ParseStream<'_>,
        word: Ident,
        path: &Path,
        start: Span,
    ) -> Result<()> {
        input.parse::<Token![=]>()?;
        let name = path
            .only()
            .map(|word| word.unraw().to_string())
            .unwrap_or_default();
        match name.as_str() {
            "rename" => {
                let name: LitStr = input.parse().map_err(|error| {
                    let message = "the name is a string literal: `rename = \"name\"`";
                    Error::new(error.span(), message)
                })?;
                let renamed = name.parse::<Path>().map_err(|_| {
                    let message = "the name of a field is identifiers, joined by dots where they \
                                   nest: `rename = \"order.id\"`";
                    Error::new(name.span(), message)
                })?;
                self.place(renamed, start)
            }
            "mask" => {
                let shown = input.parse()?;
                self.form(word, Form::Mask(Box::new(shown)))
            }
            _ => {
                let value: Expr = input.parse()?;
                let message = if PLAIN.contains(&name.as_str()) {
                    format!("`{name}` takes no value; write `#[audit({name})]`")
                } else {
                    format!(
                        "`{path} = …` belongs to the attribute of the type; on a field, give \
                         {KNOWN}"
                    )
                };
                let span = path.span().join(value.span()).unwrap_or(start);
                Err(Error::new(span, message))
            }
        }
    }

    /// Refuses what has no meaning beside `flatten`.
    fn check_flatten(&self, flatten: &Ident) -> Result<()> {
        let message = match (&self.path, &self.form) {
            (None, None) => return Ok(()),
            (Some(path), _) => format!(
                "with `flatten` the members of the field are details under their own names; leave \
                 out `{path}`, or leave out `flatten` to record the field there as a whole"
            ),
            (None, Some((word, Form::Display | Form::Debug))) => {
                format!("a text has no members; leave out `flatten`, or leave out `{word}`")
            }
            (None, Some((word, form))) => {
                let form = match form {
                    Form::Mask(_) => "mask = 5".to_owned(),
                    _ => word.to_string(),
                };
                format!(
                    "`{word}` is for a single value, and `flatten` for the members of an object; \
                     leave out `flatten`, or make the member that is meant a field of the event, \
                     with `#[audit({form})]`"
                )
            }
        };
        Err(Error::new_spanned(flatten, message))
    }

    fn place(&mut self, path: Path, span: Span) -> Result<()> {
        match self.path.replace(path) {
            None => Ok(()),
            Some(first) => Err(Error::new(
                span,
                format!("the field's place is already given as `{first}`; leave one of them out"),
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

/// A message about a field of a call, turned into one about a field of a type: `` `a.b = …` `` is
/// `` `#[audit(a.b)]` `` there.
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
