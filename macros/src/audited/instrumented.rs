//! A body around which `#[tracing::instrument]` has already put its span.
//!
//! Of two attributes the upper one expands first. Where that is `#[instrument]`, `#[audited]` finds
//! a body that begins with the span, and puts its events inside it: so they have the span's context
//! in either order. The names by which the span is known here are those of `tracing-attributes`;
//! with others, the events are recorded around the span.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The guard that enters a span in a function that is not `async`.
const GUARD: &str = "__tracing_attr_guard";
/// The future that is run in the span, in one that is.
const FUTURE: &str = "__tracing_instrument_future";

/// A body in a span.
pub(super) struct Instrumented {
    /// The statements that make and enter the span.
    before: Vec<TokenTree>,
    /// The body as it was written, more or less: statements, or the future that is run.
    pub(super) body: TokenStream,
    after: Vec<TokenTree>,
    /// The blocks around all of this, the outermost first, each with what is before it.
    around: Vec<(Vec<TokenTree>, Group)>,
}

impl Instrumented {
    /// The body in a function's braces, if a span is around it.
    pub(super) fn find(body: &Group, is_async: bool) -> Option<Self> {
        let mut around = Vec::new();
        let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        loop {
            let split = if is_async { future } else { guarded };
            if let Some((before, body, after)) = split(&tokens) {
                return Some(Self {
                    before,
                    body,
                    after,
                    around,
                });
            }
            // Or it is in a block with an attribute, at the end.
            let Some(TokenTree::Group(last)) = tokens.pop() else {
                return None;
            };
            let is_block = last.delimiter() == Delimiter::Brace;
            let has_attribute = match tokens.last() {
                Some(TokenTree::Group(attribute)) => attribute.delimiter() == Delimiter::Bracket,
                _ => false,
            };
            if !is_block || !has_attribute {
                return None;
            }
            let inner = last.stream().into_iter().collect();
            around.push((std::mem::replace(&mut tokens, inner), last));
        }
    }

    /// The same with another body.
    pub(super) fn with(&self, body: TokenStream) -> TokenStream {
        let mut tokens: TokenStream = self.before.iter().cloned().collect();
        tokens.extend(body);
        tokens.extend(self.after.iter().cloned());
        for (before, group) in self.around.iter().rev() {
            let mut outer = Group::new(Delimiter::Brace, tokens);
            outer.set_span(group.span());
            tokens = before.iter().cloned().collect();
            tokens.extend([TokenTree::Group(outer)]);
        }
        tokens
    }
}

type Split = (Vec<TokenTree>, TokenStream, Vec<TokenTree>);

/// `let guard; if … { … }`, and what comes after it.
fn guarded(tokens: &[TokenTree]) -> Option<Split> {
    let guard = tokens.iter().position(|token| is(token, GUARD))?;
    let entered = tokens.iter().skip(guard).position(
        |token| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
    )?;
    let (before, body) = tokens.split_at(guard + entered + 1);
    Some((before.to_vec(), body.iter().cloned().collect(), Vec::new()))
}

/// `let future = …;`, with what is before and after the value.
fn future(tokens: &[TokenTree]) -> Option<Split> {
    // After the name and its `=`.
    let value = tokens.iter().position(|token| is(token, FUTURE))? + 2;
    let (before, rest) = tokens.split_at_checked(value)?;
    let end = rest
        .iter()
        .position(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';'))?;
    let (future, after) = rest.split_at(end);
    Some((
        before.to_vec(),
        future.iter().cloned().collect(),
        after.to_vec(),
    ))
}

fn is(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}
