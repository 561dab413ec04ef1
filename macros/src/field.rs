//! One field of a call as it is written: `path = %value`, or a variable's name alone.
//!
//! The meaning of the path is found in `slot`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Error, Expr, ExprPath, Ident, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

/// A dotted name, such as `resource.type`. Keywords and raw identifiers are names like any other.
#[derive(Clone)]
pub(crate) struct Path {
    segments: Punctuated<Ident, Token![.]>,
}

impl Path {
    /// The path of these names, each of which is an identifier or a keyword.
    pub(crate) fn of(names: &[&str], span: Span) -> Self {
        Self {
            segments: names.iter().map(|name| Ident::new(name, span)).collect(),
        }
    }

    /// `details.name`.
    pub(crate) fn below_details(name: Ident) -> Self {
        let details = Ident::new("details", name.span());
        Self {
            segments: [details, name].into_iter().collect(),
        }
    }

    /// The names without `r#`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.segments
            .iter()
            .map(|segment| segment.unraw().to_string())
            .collect()
    }

    /// The only segment, if it is the only one.
    pub(crate) fn only(&self) -> Option<&Ident> {
        if self.segments.len() == 1 {
            self.segments.first()
        } else {
            None
        }
    }

    /// The last segment, which is what a value would be called by itself.
    fn last(&self) -> String {
        self.names().pop().unwrap_or_default()
    }
}

impl From<Ident> for Path {
    fn from(name: Ident) -> Self {
        Self {
            segments: std::iter::once(name).collect(),
        }
    }
}

impl Parse for Path {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut segments = Punctuated::new();
        segments.push_value(Ident::parse_any(input)?);
        while input.peek(Token![.]) && !input.peek(Token![..]) {
            segments.push_punct(input.parse()?);
            if !input.peek(Ident::peek_any) {
                let so_far = Self { segments };
                return Err(input.error(format!(
                    "a name is missing after `{so_far}`; each part of a field's name is an \
                     identifier"
                )));
            }
            segments.push_value(Ident::parse_any(input)?);
        }
        Ok(Self { segments })
    }
}

impl ToTokens for Path {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.segments.to_tokens(tokens);
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names().join("."))?;
        f.write_str(if self.segments.trailing_punct() {
            "."
        } else {
            ""
        })
    }
}

/// How a value becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sigil {
    /// None: as JSON, through `Serialize`.
    Json,
    /// `%`: through `Display`.
    Display,
    /// `?`: through `Debug`.
    Debug,
    /// Nowhere in the source: the value was rendered before, as its own sigil said.
    Captured,
    /// Nowhere in the source: the members of an object stand in its place.
    Flatten,
}

impl Sigil {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json | Self::Captured | Self::Flatten => "",
            Self::Display => "%",
            Self::Debug => "?",
        }
    }
}

impl Sigil {
    /// The runtime's function that makes an argument of the value.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Json | Self::Flatten => "json",
            Self::Display => "display",
            Self::Debug => "debug",
            Self::Captured => "captured",
        }
    }
}

impl Parse for Sigil {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.parse::<Option<Token![%]>>()?.is_some() {
            Ok(Self::Display)
        } else if input.parse::<Option<Token![?]>>()?.is_some() {
            Ok(Self::Debug)
        } else {
            Ok(Self::Json)
        }
    }
}

/// A name, its value, and how to write the value down.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) path: Path,
    pub(crate) sigil: Sigil,
    pub(crate) value: Expr,
    /// The catalogue's word for the value where the expression doesn't show it: its kind, or of a
    /// description the text.
    pub(crate) told: Option<String>,
}

impl Field {
    /// A value that the entry has in another place than the fields.
    pub(crate) fn computed(name: &str, value: Expr) -> Self {
        Self {
            path: Path::of(&[name], value.span()),
            // Whatever it is, its JSON isn't known while compiling.
            sigil: Sigil::Captured,
            value,
            told: None,
        }
    }
}

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let sigil: Sigil = input.parse()?;
        if sigil != Sigil::Json {
            return variable_with_sigil(input, sigil);
        }
        if !input.peek(Ident::peek_any) {
            let value: Expr = input.parse()?;
            return Err(Error::new_spanned(value, nameless(sigil)));
        }
        let ahead = input.fork();
        let path = match ahead.parse::<Path>() {
            Ok(_) if !starts_operator(&ahead) => input.parse()?,
            // A path that ends in a call or the like is an expression; one that ends in nothing is
            // a mistake.
            outcome => {
                const NAME: &str =
                    "a field's name is identifiers joined by dots, such as `order.id`";
                let (start, rest) = (input.span(), input.fork());
                return Err(match input.parse::<Expr>() {
                    Ok(Expr::Assign(assign)) => outcome
                        .err()
                        .unwrap_or_else(|| Error::new_spanned(assign.left, NAME)),
                    Ok(value @ Expr::Macro(_)) => Error::new_spanned(
                        value,
                        format!(
                            "{}; a computed message is `description = …`",
                            nameless(sigil)
                        ),
                    ),
                    Ok(value) => Error::new_spanned(value, nameless(sigil)),
                    // As of `content-type = …`, where a keyword ends the expression.
                    Err(error) => outcome.err().unwrap_or(if assigns(&rest) {
                        Error::new(start, NAME)
                    } else {
                        error
                    }),
                });
            }
        };
        if !is_assignment(input) {
            return no_assignment(input, path);
        }
        input.parse::<Token![=]>()?;
        let sigil: Sigil = input.parse()?;
        if at_end(input) {
            return Err(Error::new_spanned(
                &path,
                format!("`{path}` has no value; write `{path} = …`"),
            ));
        }
        if input.peek(Token![%])
            || input.peek(Token![?])
            || (input.peek(Token![#]) && !input.peek2(syn::token::Bracket))
        {
            return Err(input.error(format!(
                "a value has at most one sigil, `%` for its `Display` or `?` for its `Debug`: \
                 `{path} = %…`"
            )));
        }
        let value = input.parse().map(ungrouped).map_err(|error| {
            let cut_short = input.is_empty();
            if cut_short {
                Error::new_spanned(
                    &path,
                    format!("the value of `{path}` is cut short; write `{path} = …`"),
                )
            } else {
                error
            }
        })?;
        if let Expr::Assign(assign) = &value {
            let message = format!(
                "a field has one `=`: `{path} = …`; put a comma between two fields, or write `==` \
                 to compare"
            );
            return Err(Error::new_spanned(assign.eq_token, message));
        }
        Ok(Self {
            path,
            sigil,
            value,
            told: None,
        })
    }
}

/// Whether there is a `=` in the current argument.
fn assigns(rest: ParseStream<'_>) -> bool {
    while !rest.is_empty() && !rest.peek(Token![,]) {
        if is_assignment(rest) {
            return true;
        }
        if rest.parse::<TokenTree>().is_err() {
            break;
        }
    }
    false
}

/// Reads what follows a sigil that opens a field: one variable, which names the field.
fn variable_with_sigil(input: ParseStream<'_>, sigil: Sigil) -> Result<Field> {
    let ahead = input.fork();
    match ahead.parse::<Path>() {
        Ok(_) if is_assignment(&ahead) => {
            let path: Path = input.parse()?;
            let (name, sigil) = (path.to_string(), sigil.as_str());
            Err(Error::new_spanned(
                path,
                format!("the sigil goes before the value: write `{name} = {sigil}…`"),
            ))
        }
        Ok(_) if !starts_operator(&ahead) => shorthand(input.parse()?, sigil),
        _ => {
            let value: Expr = input.parse()?;
            Err(Error::new_spanned(value, nameless(sigil)))
        }
    }
}

/// Reads what follows a path without a `=`: nothing (then it names itself), or a known mistake.
fn no_assignment(input: ParseStream<'_>, path: Path) -> Result<Field> {
    let instead = if input.peek(Token![:]) {
        Some((input.parse::<Token![:]>()?.into_token_stream(), ":"))
    } else if input.peek(Token![==]) {
        Some((input.parse::<Token![==]>()?.into_token_stream(), "=="))
    } else if input.peek(Token![=>]) {
        Some((input.parse::<Token![=>]>()?.into_token_stream(), "=>"))
    } else {
        None
    };
    if let Some((found, text)) = instead {
        return Err(Error::new_spanned(
            found,
            format!("write `=` instead of `{text}`: `{path} = …`"),
        ));
    }
    shorthand(path, Sigil::Json)
}

/// `user_id`, `%ip`, `?state`: the variable names the field.
fn shorthand(path: Path, sigil: Sigil) -> Result<Field> {
    let sigil_text = sigil.as_str();
    match path.only().cloned() {
        Some(name) if name == "self" => Err(Error::new_spanned(
            path,
            "`self` is not a name for a field; write `name = self`",
        )),
        Some(name) => {
            let Ok(variable) = syn::parse2::<ExprPath>(quote!(#name)) else {
                let message = format!(
                    "`{name}` is a keyword, not a variable; write `{name} = {sigil_text}…`"
                );
                return Err(Error::new_spanned(path, message));
            };
            Ok(Field {
                path,
                sigil,
                value: Expr::Path(variable),
                told: None,
            })
        }
        None => {
            let message = format!(
                "only a variable can stand alone; write `{} = {sigil_text}{path}`",
                path.last()
            );
            Err(Error::new_spanned(path, message))
        }
    }
}

fn nameless(sigil: Sigil) -> String {
    format!("a value needs a name; write `name = {}…`", sigil.as_str())
}

/// A literal or a name that a macro has matched, without the group in which it arrives.
fn ungrouped(value: Expr) -> Expr {
    match value {
        Expr::Group(group)
            if matches!(*group.expr, Expr::Lit(_) | Expr::Path(_) | Expr::Group(_)) =>
        {
            ungrouped(*group.expr)
        }
        value => value,
    }
}

pub(crate) fn at_end(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// At `=`, but not at `==` or `=>`.
pub(crate) fn is_assignment(input: ParseStream<'_>) -> bool {
    input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>])
}

/// Whether what stands here makes an expression of the path before it: `f(x)`, `a::b`, `a[0]`,
/// `a!()`, `a?`, `a + b`.
fn starts_operator(input: ParseStream<'_>) -> bool {
    let joins = input.peek(Token![::])
        || input.peek(Token![!])
        || input.peek(Token![?])
        || input.peek(syn::token::Bracket);
    let computes = input.peek(Token![+])
        || input.peek(Token![-])
        || input.peek(Token![*])
        || input.peek(Token![/]);
    joins
        || computes
        || input.peek(syn::token::Paren)
        || input.peek(syn::token::Brace)
        || input.peek(Token![as])
}
