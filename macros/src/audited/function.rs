//! A function, with events around its body.
//!
//! The body keeps its tokens, and so its spans. It runs as a closure or as an `async` block, of the
//! type that the function returns: `return` and `?` in it end it, and the function goes on to the
//! event of its end.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    AssocType, Attribute, Error, GenericArgument, Ident, PathArguments, PathSegment, Result,
    ReturnType, Signature, Token, Type, TypeImplTrait, TypeParamBound, TypePath, Visibility,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    visit_mut::{self, VisitMut},
};

use super::{
    events::{Events, names},
    instrumented::Instrumented,
};
use crate::{argument::own, expand::expand};

pub(super) struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    inner_attributes: Vec<Attribute>,
    body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let item = input.fork();
        let signature: Signature = input
            .parse()
            .map_err(|error| not_a_function(&item, error))?;
        if let Some(constant) = &signature.constness {
            let message = "a `const fn` cannot record events: it may run while compiling; leave \
                           out `const`, or `#[audited]`";
            return Err(Error::new_spanned(constant, message));
        }
        if input.peek(Token![;]) {
            let message =
                "there is no body to audit; write `#[audited]` on the functions that implement it";
            return Err(Error::new_spanned(&signature.ident, message));
        }
        let Ok(TokenTree::Group(body)) = input.parse::<TokenTree>() else {
            return Err(Error::new_spanned(&signature.ident, NEEDED));
        };
        if signature.asyncness.is_none() {
            let future = future_at_the_end(&body);
            if future.is_none() && is_future(&signature.output) {
                let message = "this function returns a future that runs after the function has \
                               ended, so it would be recorded as completed too early; write \
                               `async fn`, or end the body in `async move { … }` or \
                               `Box::pin(async move { … })`";
                return Err(Error::new_spanned(&signature.output, message));
            }
            if let Some(early) = future.and_then(|future| return_in(future.before)) {
                let message = "this `return` would not be recorded, because only the future at the \
                               end of the function is; write it in the `async move { … }`";
                return Err(Error::new(early.span(), message));
            }
        }
        let (inner_attributes, rest) = syn::parse::Parser::parse2(
            |input: ParseStream<'_>| {
                Ok((
                    input.call(Attribute::parse_inner)?,
                    input.parse::<TokenStream>()?,
                ))
            },
            body.stream(),
        )?;
        Ok(Self {
            attributes,
            visibility,
            signature,
            inner_attributes,
            body: regrouped(&body, rest),
        })
    }
}

const NEEDED: &str = "`#[audited]` is for functions and methods with a body";

/// The error for an item that is not a function.
fn not_a_function(item: ParseStream<'_>, error: Error) -> Error {
    let (text, start) = (item.to_string(), item.span());
    let first = text
        .split(|c: char| !c.is_alphanumeric())
        .find(|word| !matches!(*word, "unsafe" | "default" | "auto"));
    match first {
        Some("impl" | "trait") => Error::new(
            start,
            format!(
                "{NEEDED}; write it on each method of this `{}` that is to be recorded",
                first.unwrap_or_default()
            ),
        ),
        Some("struct" | "enum" | "union") => Error::new(
            start,
            format!("{NEEDED}; for a type that is an event there is `#[derive(AuditEvent)]`"),
        ),
        Some("mod" | "use" | "static" | "type" | "macro_rules" | "let") => {
            Error::new(start, NEEDED)
        }
        Some("const") if !text.contains(" fn ") => Error::new(start, NEEDED),
        _ => error,
    }
}

impl Function {
    pub(super) fn audited(&self, events: &Events) -> TokenStream {
        let Self {
            attributes,
            visibility,
            signature,
            inner_attributes,
            body,
        } = self;
        let is_async = signature.asyncness.is_some();
        let audited = match (future_at_the_end(body), Instrumented::find(body, is_async)) {
            (_, Some(instrumented)) if is_async => {
                let future = &instrumented.body;
                let run = regrouped(body, quote_spanned!(Span::mixed_site()=> #future.await));
                let awaited = self.awaited(events, &run, returned(&signature.output));
                let around = self.around(events, &awaited);
                instrumented.with(quote!(async move { #around }))
            }
            (_, None) if is_async => self.around(
                events,
                &self.awaited(events, body, returned(&signature.output)),
            ),
            (Some(future), _) => {
                let awaited = self.awaited(events, &future.body, output(&signature.output));
                let body = Group::new(Delimiter::Brace, self.around(events, &awaited));
                future.with(body)
            }
            (None, Some(instrumented)) => {
                let body = regrouped(body, instrumented.body.clone());
                instrumented.with(self.called(events, &body))
            }
            (None, None) => self.called(events, body),
        };
        let audited = regrouped(body, quote!(#(#inner_attributes)* #audited));
        quote!(#(#attributes)* #visibility #signature #audited)
    }

    /// The events around the body as a closure, called.
    fn called(&self, events: &Events, body: &Group) -> TokenStream {
        let private = private(events);
        let output = returned(&self.signature.output).map(|output| quote!(-> #output));
        let by_move = by_move(events);
        let run =
            quote_spanned!(Span::mixed_site()=> #private::call_once(#by_move || #output #body));
        self.around(events, &run)
    }

    /// The events around an expression that runs the body.
    fn around(&self, events: &Events, run: &TokenStream) -> TokenStream {
        let private = private(events);
        let Events {
            captures,
            started,
            completed,
            failed,
            broken,
            ..
        } = events;
        let [ending, value, milliseconds, reason, text, taken] = [
            "ending",
            "returned",
            names::MILLISECONDS,
            names::REASON,
            names::ERROR,
            "taken",
        ]
        .map(own);
        // The caller's fields may use these two names.
        let [result, error] = ["result", "error"].map(|name| Ident::new(name, Span::call_site()));
        let started = started.as_ref().map(expand).map(|event| quote!(#event;));
        let [completed, failed, broken] = [completed, failed, broken].map(expand);
        let begin = quote_spanned! {Span::mixed_site()=>
            #captures
            #started
            #[allow(unused_mut)]
            let mut #ending = #private::Ending::begin(|
                #reason: &'static ::core::primitive::str,
                #milliseconds: ::core::primitive::u64,
            | {
                #broken;
            });
        };
        if let ReturnType::Type(_, output) = &self.signature.output
            && matches!(**output, Type::Never(_))
        {
            return quote_spanned! {Span::mixed_site()=> #begin let _ = &#ending; #run };
        }
        quote_spanned! {Span::mixed_site()=>
            #begin
            let #value = #run;
            let #milliseconds = #ending.returned();
            match {
                use #private::Whole as _;
                #private::Returned(&#value).split()
            } {
                ::core::result::Result::Ok(#taken) => {
                    #[allow(unused_variables)]
                    let #result = #taken;
                    #completed;
                }
                ::core::result::Result::Err(#taken) => {
                    #[allow(unused_variables)]
                    let #text = {
                        use #private::{
                            NoText as _, TextOfDebug as _, TextOfDisplay as _, TextOfError as _,
                            TextOfHeldError as _,
                        };
                        (&&&&&#private::ErrorText(#taken)).text()
                    };
                    #[allow(unused_variables)]
                    let #error = #taken;
                    #failed;
                }
            }
            #ending.recorded();
            #value
        }
    }

    /// The body as a future, awaited.
    fn awaited(&self, events: &Events, body: &Group, output: Option<Type>) -> TokenStream {
        let private = private(events);
        let by_move = by_move(events);
        let typed = output.map(|output| {
            quote_spanned! {Span::mixed_site()=>
                if false { return #private::never::<#output>(); }
            }
        });
        // In braces of its own, items in it stand first; around a body of one expression they would
        // be a warning.
        let statements = if is_one_expression(body) {
            body.stream()
        } else {
            body.to_token_stream()
        };
        let block = regrouped(body, quote!(#typed #statements));
        quote_spanned!(Span::mixed_site()=> async #by_move #block.await)
    }
}

/// Whether nothing in the body is a statement or an item.
fn is_one_expression(body: &Group) -> bool {
    const ITEMS: [&str; 12] = [
        "use",
        "fn",
        "struct",
        "enum",
        "union",
        "const",
        "static",
        "impl",
        "trait",
        "mod",
        "type",
        "macro_rules",
    ];
    let mut tokens = body.stream().into_iter().peekable();
    let begins_with_item = match tokens.peek() {
        Some(TokenTree::Ident(word)) => ITEMS.iter().any(|item| word == item),
        Some(TokenTree::Punct(punct)) => punct.as_char() == '#',
        _ => false,
    };
    !begins_with_item
        && !tokens.any(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';'))
}

/// The body takes the arguments, unless an end needs them. One that only borrowed them could not
/// return what it finds in them by a pattern, and as a future would be `Send` only if they are
/// `Sync`.
fn by_move(events: &Events) -> Option<TokenStream> {
    (!events.ends_use_arguments).then(|| quote!(move))
}

fn private(events: &Events) -> TokenStream {
    let krate = &events.krate;
    quote!(#krate::__private)
}

/// The type that the body has, with `_` for what has no name.
fn returned(output: &ReturnType) -> Option<Type> {
    struct Unnamed;
    impl VisitMut for Unnamed {
        fn visit_type_mut(&mut self, node: &mut Type) {
            if matches!(node, Type::ImplTrait(_)) {
                *node = syn::parse_quote!(_);
            }
            visit_mut::visit_type_mut(self, node);
        }
    }
    let mut output = match output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    Unnamed.visit_type_mut(&mut output);
    Some(output)
}

/// The output of a future that is returned, if the type says it: `T` of `Future<Output = T>`, and
/// of what is called a `BoxFuture`, its own.
fn output(output: &ReturnType) -> Option<Type> {
    #[derive(Default)]
    struct Find {
        said: Option<Type>,
        unnamed: bool,
    }
    impl VisitMut for Find {
        fn visit_assoc_type_mut(&mut self, node: &mut AssocType) {
            if node.ident == "Output" && self.said.is_none() {
                self.said = Some(node.ty.clone());
            }
            visit_mut::visit_assoc_type_mut(self, node);
        }

        fn visit_type_impl_trait_mut(&mut self, node: &mut TypeImplTrait) {
            self.unnamed = true;
            visit_mut::visit_type_impl_trait_mut(self, node);
        }
    }
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let mut find = Find::default();
    find.visit_type_mut(&mut ty.clone());
    if let Some(said) = find.said {
        return returned(&ReturnType::Type(syn::parse_quote!(->), Box::new(said)));
    }
    // An alias of the application's may have other parameters than its output.
    (is_future(output) && !find.unnamed)
        .then(|| syn::parse_quote!(<#ty as ::core::future::Future>::Output))
}

fn is_called(segment: Option<&PathSegment>, names: &[&str]) -> bool {
    segment.is_some_and(|segment| names.iter().any(|name| segment.ident == name))
}

/// Whether the return type is a future, as far as its name tells: `impl Future`,
/// `Pin<Box<dyn Future>>`, `BoxFuture`.
fn is_future(output: &ReturnType) -> bool {
    let of_bounds = |bounds: &Punctuated<TypeParamBound, Token![+]>| {
        let traits = |bound: &TypeParamBound| match bound {
            TypeParamBound::Trait(bound) => is_called(bound.path.segments.last(), &["Future"]),
            _ => false,
        };
        bounds.iter().any(traits)
    };
    fn pointee(path: &TypePath) -> Option<&Type> {
        let last = path
            .path
            .segments
            .last()
            .filter(|last| last.ident == "Pin" || last.ident == "Box")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| {
            if let GenericArgument::Type(ty) = argument {
                Some(ty)
            } else {
                None
            }
        })
    }
    let ReturnType::Type(_, output) = output else {
        return false;
    };
    let mut ty = &**output;
    loop {
        match ty {
            Type::ImplTrait(ty) => return of_bounds(&ty.bounds),
            Type::TraitObject(ty) => return of_bounds(&ty.bounds),
            Type::Path(path) => match pointee(path) {
                Some(inner) => ty = inner,
                None => {
                    return is_called(path.path.segments.last(), &["BoxFuture", "LocalBoxFuture"]);
                }
            },
            Type::Paren(inner) => ty = &inner.elem,
            Type::Group(inner) => ty = &inner.elem,
            _ => return false,
        }
    }
}

/// An `async move { … }` at the end of a body: alone, as in `Box::pin(async move { … })`, which is
/// what `async_trait` makes of an `async fn`, or as in `async move { … }.boxed()`.
struct Future {
    /// All up to and with `async move`, or up to `pin`.
    before: Vec<TokenTree>,
    /// The parentheses after `pin`, with what is in them before the body.
    pinned: Option<(Group, Vec<TokenTree>)>,
    body: Group,
    /// `.boxed()`, or nothing.
    after: Vec<TokenTree>,
}

fn future_at_the_end(body: &Group) -> Option<Future> {
    let mut before: Vec<TokenTree> = body.stream().into_iter().collect();
    let after = match &before[..] {
        [
            ..,
            TokenTree::Group(_),
            TokenTree::Punct(dot),
            TokenTree::Ident(method),
            TokenTree::Group(arguments),
        ] if dot.as_char() == '.'
            && (method == "boxed" || method == "boxed_local")
            && arguments.stream().is_empty() =>
        {
            before.split_off(before.len() - 3)
        }
        _ => Vec::new(),
    };
    let TokenTree::Group(last) = before.pop()? else {
        return None;
    };
    match last.delimiter() {
        Delimiter::Brace if ends_with_async(&before) => Some(Future {
            before,
            pinned: None,
            body: last,
            after,
        }),
        Delimiter::Parenthesis if ends_with_word(&before, "pin") => {
            let mut inside: Vec<TokenTree> = last.stream().into_iter().collect();
            let TokenTree::Group(body) = inside.pop()? else {
                return None;
            };
            let future = body.delimiter() == Delimiter::Brace && ends_with_async(&inside);
            future.then(|| Future {
                before,
                pinned: Some((last, inside)),
                body,
                after,
            })
        }
        _ => None,
    }
}

/// A `return` among these tokens.
fn return_in(tokens: Vec<TokenTree>) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(word) => (word == "return").then_some(word),
        TokenTree::Group(group) => return_in(group.stream().into_iter().collect()),
        _ => None,
    })
}

fn ends_with_async(tokens: &[TokenTree]) -> bool {
    let rest = if ends_with_word(tokens, "move") {
        &tokens[..tokens.len() - 1]
    } else {
        tokens
    };
    ends_with_word(rest, "async")
}

fn ends_with_word(tokens: &[TokenTree], word: &str) -> bool {
    matches!(tokens.last(), Some(TokenTree::Ident(last)) if last == word)
}

impl Future {
    fn with(self, body: Group) -> TokenStream {
        let Self {
            before,
            pinned,
            body: replaced,
            after,
        } = self;
        let body = regrouped(&replaced, body.stream());
        let end = match pinned {
            Some((parentheses, inside)) => regrouped(&parentheses, quote!(#(#inside)* #body)),
            None => body,
        };
        quote!(#(#before)* #end #(#after)*)
    }
}

/// Other tokens between the same delimiters, at the same place.
fn regrouped(group: &Group, stream: TokenStream) -> Group {
    let mut regrouped = Group::new(group.delimiter(), stream.into_token_stream());
    regrouped.set_span(group.span());
    regrouped
}
