//! A call of `audit!` as it is written: `$crate; "event.type", fields…, "message {}", arguments…`.
//! Instead of the literal there may be `dyn expression`.
//!
//! Each mistake in one argument is noted and the next argument is read all the same, so that the
//! author sees all of them at once.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Error, Expr, Ident, LitStr, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
};

use crate::field::{Field, Path, Sigil, at_end, is_assignment};

/// A call as it was read, with its errors.
pub(crate) struct Call {
    /// The path of the `tracing-audit` crate, as seen from the call.
    pub(crate) krate: TokenStream,
    pub(crate) event_type: Option<Named>,
    /// In source order.
    pub(crate) fields: Vec<Field>,
    pub(crate) message: Option<Message>,
    /// The names that open a group here, as in `name(…)`; `audit!` has none.
    pub(crate) groups: &'static [&'static str],
    pub(crate) errors: Errors,
}

/// Where the event type of a call comes from.
pub(crate) enum Named {
    /// Checked while compiling.
    Literal(LitStr),
    /// `dyn kind`: it is checked at run time.
    Dynamic(Box<Expr>),
}

/// The arguments of `format_args!`.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) format: LitStr,
    /// Each with its comma before it.
    pub(crate) arguments: TokenStream,
}

/// All that is wrong with one call.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Notes the error, if it is one.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Notes all of these as well.
    pub(crate) fn extend(&mut self, others: Self) {
        if let Some(error) = others.0 {
            self.push(error);
        }
    }

    pub(crate) fn into_result<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}

/// The arguments of `audit!` after the crate: an event written out, or a value that is one.
pub(crate) enum Input {
    Call(Call),
    Value {
        krate: TokenStream,
        value: Box<Expr>,
    },
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut krate = TokenStream::new();
        while !input.peek(Token![;]) {
            krate.extend([input.parse::<TokenTree>()?]);
        }
        input.parse::<Token![;]>()?;
        if let Some(value) = only_value(&input.fork()) {
            input.step(|cursor| {
                let mut rest = *cursor;
                while let Some((_, next)) = rest.token_tree() {
                    rest = next;
                }
                Ok(((), rest))
            })?;
            return Ok(Self::Value {
                krate,
                value: Box::new(value),
            });
        }
        let mut call = Call::new(krate);
        call.event_type(input);
        while !input.is_empty() {
            call.comma(input);
            if !input.is_empty() {
                call.argument(input);
            }
        }
        Ok(Self::Call(call))
    }
}

impl Call {
    /// A call that says nothing yet.
    pub(crate) fn new(krate: TokenStream) -> Self {
        Self {
            krate,
            event_type: None,
            fields: Vec::new(),
            message: None,
            groups: &[],
            errors: Errors::default(),
        }
    }

    fn event_type(&mut self, input: ParseStream<'_>) {
        const NEEDED: &str =
            "the event type comes first, a string literal such as \"user.updated\"";
        if input.is_empty() {
            self.errors.push(Error::new(input.span(), NEEDED));
        } else if input.peek(LitStr) {
            let literal = self.errors.keep(input.parse());
            self.event_type = literal.map(Named::Literal);
        } else if input.peek(Token![dyn]) {
            self.dynamic_event_type(input);
        } else {
            let mistake = tokens_to_comma(input);
            let why = "it is checked while compiling, and the catalogue lists it without running \
                       the program; an event type that is only known at run time is written \
                       `dyn …`";
            let computed = !is_field(&mistake);
            self.errors.at(
                mistake,
                if computed {
                    format!("{NEEDED}: {why}")
                } else {
                    NEEDED.to_owned()
                },
            );
        }
    }

    /// `dyn kind`.
    fn dynamic_event_type(&mut self, input: ParseStream<'_>) {
        let Some(word) = self.errors.keep(input.parse::<Token![dyn]>()) else {
            return;
        };
        if at_end(input) {
            let message = "the event type is missing after `dyn`; write an expression whose value \
                           is text, such as `dyn kind.as_str()`";
            self.errors.at(word, message);
            return;
        }
        match input.parse::<Expr>() {
            Ok(Expr::Lit(literal)) => self.errors.at(
                literal,
                "this event type is known while compiling; write it without `dyn`",
            ),
            Ok(value) => self.event_type = Some(Named::Dynamic(Box::new(value))),
            Err(error) => {
                self.errors.push(error);
                tokens_to_comma(input);
            }
        }
    }

    /// A field, or the message with all that comes after it.
    pub(crate) fn argument(&mut self, input: ParseStream<'_>) {
        if input.peek(LitStr) && !input.peek2(Token![=]) {
            self.message(input);
        } else {
            self.field(input);
        }
    }

    /// The comma between two arguments.
    pub(crate) fn comma(&mut self, input: ParseStream<'_>) {
        if input.peek(Token![,]) {
            self.errors.keep(input.parse::<Token![,]>());
            while input.peek(Token![,]) {
                self.errors.push(
                    input.error("an argument is missing between the two commas; remove one comma"),
                );
                self.errors.keep(input.parse::<Token![,]>());
            }
        } else if input.peek(Token![;]) {
            self.errors
                .push(input.error("write a comma instead of `;`"));
            self.errors.keep(input.parse::<Token![;]>());
        } else if let Some(next) = input.cursor().token_tree().map(|(token, _)| token) {
            self.errors.push(input.error(format!(
                "a comma is missing before `{}`",
                abbreviated(&next)
            )));
        }
    }

    fn field(&mut self, input: ParseStream<'_>) {
        if input.peek(LitStr) {
            let quoted = input
                .cursor()
                .literal()
                .map(|(literal, _)| literal.to_string())
                .unwrap_or_default();
            let name = quoted
                .trim_matches('"')
                .replace(|c: char| !c.is_alphanumeric() && c != '.', "_");
            self.errors.push(input.error(format!(
                "the name of a field is not quoted; write `{name} = …`"
            )));
            tokens_to_comma(input);
            return;
        }
        if input.peek(Token![#]) {
            let attribute = tokens_to_comma(input);
            let message = "a field can't have attributes; for a field that exists only in some \
                           builds, write the call twice, each with its `#[cfg(…)]`";
            self.errors.at(attribute, message);
            return;
        }
        if input.peek(syn::Lit) && !input.peek2(Token![=]) {
            let value = tokens_to_comma(input);
            self.errors.at(
                value,
                "a value needs a name; write `name = …` (the message is a string literal)",
            );
            return;
        }
        match input.parse::<Field>() {
            Ok(field) => self.fields.push(field),
            Err(error) => {
                self.errors.push(error);
                tokens_to_comma(input);
            }
        }
    }

    /// The message, and all that comes after it.
    fn message(&mut self, input: ParseStream<'_>) {
        let Some(format) = self.errors.keep(input.parse::<LitStr>()) else {
            return;
        };
        let mut arguments = TokenStream::new();
        while !input.is_empty() {
            self.comma(input);
            if input.is_empty() {
                break;
            }
            if self.at_group(input) {
                let name = input
                    .cursor()
                    .ident()
                    .map(|(name, _)| name.to_string())
                    .unwrap_or_default();
                self.errors.push(input.error(format!(
                    "the message and its arguments come last; move `{name}(…)` before the message"
                )));
                tokens_to_comma(input);
                continue;
            }
            if field_after_message(input, &format) {
                let start = input.cursor();
                let known = self.fields.len();
                self.field(input);
                if let Some(field) = self.fields.get(known) {
                    let path = &field.path;
                    self.errors.at(
                        path,
                        format!(
                            "the message and its arguments come last; move `{path}` before the \
                             message"
                        ),
                    );
                } else if start == input.cursor() {
                    tokens_to_comma(input);
                }
                continue;
            }
            let name = if input.peek(Ident) && input.peek2(Token![=]) && !input.peek2(Token![==]) {
                let name = input.parse::<Ident>();
                let equals = input.parse::<Token![=]>();
                name.and_then(|name| equals.map(|equals| quote!(#name #equals)))
                    .unwrap_or_default()
            } else {
                TokenStream::new()
            };
            match input.parse::<Expr>() {
                Ok(value) => arguments.extend(quote!(, #name #value)),
                Err(error) => {
                    self.errors.push(error);
                    tokens_to_comma(input);
                }
            }
        }
        self.message = Some(Message { format, arguments });
    }
}

/// The value that stands alone where an event type could, if one does.
fn only_value(ahead: ParseStream<'_>) -> Option<Expr> {
    if ahead.peek(syn::Lit) {
        return None;
    }
    let value: Expr = ahead.parse().ok()?;
    ahead.parse::<Option<Token![,]>>().ok()?;
    let event = !matches!(value, Expr::Assign(_) | Expr::Lit(_) | Expr::Macro(_));
    (event && ahead.is_empty()).then_some(value)
}

/// Whether a field stands where an argument of the message should: it has a sigil or a dotted name,
/// or a name that the message does not use.
fn field_after_message(input: ParseStream<'_>, format: &LitStr) -> bool {
    if input.peek(Token![%]) || input.peek(Token![?]) {
        return true;
    }
    let ahead = input.fork();
    let Ok(path) = ahead.parse::<Path>() else {
        return false;
    };
    if !is_assignment(&ahead) {
        return false;
    }
    path.only()
        .is_none_or(|name| !uses(&format.value(), &name.unraw().to_string()))
}

impl Call {
    /// Whether a group opens here.
    pub(crate) fn at_group(&self, input: ParseStream<'_>) -> bool {
        input.peek2(syn::token::Paren)
            && input
                .cursor()
                .ident()
                .is_some_and(|(name, _)| self.groups.iter().any(|group| name == group))
    }
}

/// Whether a format string refers to an argument by name: `{name}`, `{name:…}`, or as a width or
/// precision, `name$`.
fn uses(format: &str, name: &str) -> bool {
    format.match_indices(name).any(|(start, _)| {
        let before = format[..start].chars().next_back();
        let after = format[start + name.len()..].trim_start().chars().next();
        let opens = matches!(before, Some('{' | ':' | '.' | ' '))
            || before.is_some_and(|c| "<^>+-#0".contains(c));
        opens && matches!(after, Some('}' | ':' | '$'))
    })
}

/// Whether these tokens are a field, so that the event type before it was forgotten. A variable
/// alone was rather meant to be the event type.
fn is_field(tokens: &TokenStream) -> bool {
    syn::parse2::<Field>(tokens.clone()).is_ok_and(|field| {
        field.sigil != Sigil::Json
            || field.path.to_string() != field.value.to_token_stream().to_string()
    })
}

/// Takes what is left of the current argument.
pub(crate) fn tokens_to_comma(input: ParseStream<'_>) -> TokenStream {
    let mut taken = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => taken.extend([token]),
            Err(_) => break,
        }
    }
    taken
}

/// A token as it is shown in an error: a group only by its opening.
fn abbreviated(token: &TokenTree) -> String {
    match token {
        TokenTree::Group(_) => "(…)".to_owned(),
        other => other.to_string(),
    }
}
