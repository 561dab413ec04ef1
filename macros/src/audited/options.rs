//! The options of `#[audited]`: the beginning of the event types, fields for all events, and groups
//! of fields for the start and each end.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{
    Error, LitStr, Result, Token,
    parse::{Parse, ParseStream},
};

use crate::call::{Call, tokens_to_comma};

/// The groups, in the order of `Options`.
pub(super) const GROUPS: [&str; 3] = ["started", "completed", "failed"];

pub(super) struct Options {
    pub(super) stem: LitStr,
    /// Fields and message of all events, and the path of the crate.
    pub(super) base: Call,
    pub(super) groups: [Group; 3],
    pub(super) skip_started: bool,
}

/// The fields of one of the events besides those of all.
pub(super) struct Group {
    pub(super) event_type: Option<LitStr>,
    pub(super) call: Call,
    given: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !input.peek(LitStr) {
            let message = "the event type comes first, a string literal such as \
                           `#[audited(\"secret.rotation\")]`; `.started`, `.completed` and \
                           `.failed` are added to it";
            return Err(if input.is_empty() {
                Error::new(Span::call_site(), message)
            } else {
                input.error(message)
            });
        }
        let krate = default_crate();
        let group = || Group::new(Call::new(krate.clone()));
        let mut base = Call::new(krate.clone());
        base.groups = &GROUPS;
        let mut options = Self {
            stem: input.parse()?,
            base,
            groups: [group(), group(), group()],
            skip_started: false,
        };
        while !input.is_empty() {
            options.base.comma(input);
            if !input.is_empty() {
                options.option(input);
            }
        }
        Ok(options)
    }
}

impl Options {
    fn option(&mut self, input: ParseStream<'_>) {
        let word = input.cursor().ident().map(|(word, _)| word);
        let alone = input.peek2(Token![,]) || is_last(input);
        match word {
            Some(word) if word == "crate" => {
                if let Some(krate) = self.base.errors.keep(crate_path(input)) {
                    self.base.krate = krate;
                } else {
                    tokens_to_comma(input);
                }
            }
            Some(_) if self.base.at_group(input) => self.group(input),
            Some(word) if input.peek2(syn::token::Paren) => {
                self.base.errors.at(&word, unknown_group(&word));
                tokens_to_comma(input);
            }
            Some(word) if word == "skip_started" => {
                if !alone {
                    self.base.errors.at(
                        &word,
                        "write `skip_started` alone: the start is then not recorded",
                    );
                }
                self.skip_started = true;
                tokens_to_comma(input);
            }
            Some(word) if alone && unknown_word(&word).is_some() => {
                self.base
                    .errors
                    .at(&word, unknown_word(&word).unwrap_or_default());
                tokens_to_comma(input);
            }
            _ => self.base.argument(input),
        }
    }

    fn group(&mut self, input: ParseStream<'_>) {
        let Ok(name) = input.parse::<Ident>() else {
            return;
        };
        let place = GROUPS
            .iter()
            .position(|group| name == group)
            .unwrap_or_default();
        let Some(group) = self.groups.get_mut(place) else {
            return;
        };
        if std::mem::replace(&mut group.given, true) {
            self.base.errors.at(
                &name,
                format!("`{name}(…)` is already given above; put all of it into one"),
            );
        }
        let parsed = (|| {
            let content;
            syn::parenthesized!(content in input);
            if content.is_empty() {
                return Err(Error::new_spanned(
                    &name,
                    format!("`{name}()` is empty; leave it out"),
                ));
            }
            group.read(&content);
            Ok(())
        })();
        self.base.errors.keep(parsed);
        self.base
            .errors
            .extend(std::mem::take(&mut group.call.errors));
        if self.skip_started && place == 0 {
            self.base.errors.at(
                &name,
                "with `skip_started` there is no start to describe; leave one of them out",
            );
        }
    }
}

impl Group {
    pub(super) fn new(call: Call) -> Self {
        Self {
            event_type: None,
            call,
            given: false,
        }
    }

    fn read(&mut self, content: ParseStream<'_>) {
        let event_type =
            content.peek(LitStr) && !content.peek2(Token![=]) && is_event_type(content);
        if event_type {
            self.event_type = self.call.errors.keep(content.parse());
        }
        let mut first = !event_type;
        while !content.is_empty() {
            if !std::mem::take(&mut first) {
                self.call.comma(content);
            }
            if !content.is_empty() {
                self.call.argument(content);
            }
        }
    }
}

/// Whether the literal here is an event type rather than a message: one word, dotted or not,
/// without spaces and without anything to fill in.
fn is_event_type(content: ParseStream<'_>) -> bool {
    content
        .fork()
        .parse::<LitStr>()
        .is_ok_and(|literal| !literal.value().contains([' ', '{', '\n']))
}

/// Whether nothing follows the next token.
fn is_last(input: ParseStream<'_>) -> bool {
    input
        .cursor()
        .token_tree()
        .is_some_and(|(_, rest)| rest.eof())
}

fn unknown_group(word: &Ident) -> String {
    match word.to_string().as_str() {
        "fields" => "write the fields without `fields(…)`: `name = value`".to_owned(),
        "skip" => "no argument is recorded unless it is named; leave `skip(…)` out".to_owned(),
        _ => format!(
            "`{word}(…)` is not a group of `#[audited]`; write `started(…)`, `completed(…)` or \
             `failed(…)`"
        ),
    }
}

/// Options of other attributes, which people are used to.
fn unknown_word(word: &Ident) -> Option<&'static str> {
    match word.to_string().as_str() {
        "skip_all" => Some("no argument is recorded unless it is named; leave `skip_all` out"),
        "skip_completed" | "skip_failed" => {
            Some("the end is always recorded; only the start can be left out, with `skip_started`")
        }
        "ret" => Some(
            "write what to record of the value that is returned: `completed(name = result.name)`",
        ),
        _ => None,
    }
}

/// The crate, as those see it who did not rename it.
pub(crate) fn default_crate() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::tracing_audit)
}

/// `crate = path`.
pub(crate) fn crate_path(input: ParseStream<'_>) -> Result<TokenStream> {
    const HOW: &str =
        "the name of the crate, if it is renamed, is a path without quotes: `crate = renamed`";
    let keyword: Token![crate] = input.parse()?;
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(keyword, HOW));
    }
    input.parse::<Token![=]>()?;
    if input.peek(syn::Lit) || input.is_empty() {
        return Err(if input.is_empty() {
            Error::new_spanned(keyword, HOW)
        } else {
            input.error(HOW)
        });
    }
    Ok(syn::Path::parse_mod_style(input)?.into_token_stream())
}
