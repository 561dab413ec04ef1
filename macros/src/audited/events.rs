//! From the options to the events of each outcome.
//!
//! The values of the base are rendered once, before the body, which may move what they were made
//! of; the events refer to what was rendered. Values that are literals are left where they are. So
//! what `Events` holds can be expanded anywhere in the function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Expr, LitStr, Result, parse_quote_spanned, spanned::Spanned};
use tracing_audit_schema::severity::Severity;

use super::options::{GROUPS, Group, Options};
use crate::{
    argument::{at, borrowed, denied, function_at, own, whole},
    call::{Call, Errors, Named},
    check::{Event, Grade, SETTINGS, check},
    described,
    event_type::EventType,
    field::{Field, Path, Sigil},
    literal::json_of,
    severity,
};

/// The events of a function, and what they need.
pub(super) struct Events {
    pub(super) krate: TokenStream,
    /// Statements that render the values of the base.
    pub(super) captures: TokenStream,
    pub(super) started: Option<Event>,
    /// Refers to `result` and [`names::MILLISECONDS`].
    pub(super) completed: Event,
    /// Refers to `error`, [`names::ERROR`] and [`names::MILLISECONDS`].
    pub(super) failed: Event,
    /// The end by a panic or by being dropped. Refers to [`names::REASON`] and
    /// [`names::MILLISECONDS`].
    pub(super) broken: Event,
    /// Whether an end has values of its own, which may be made of the function's arguments.
    pub(super) ends_use_arguments: bool,
}

/// Variables of the expansion.
pub(super) mod names {
    pub(in super::super) const MILLISECONDS: &str = "milliseconds";
    pub(in super::super) const ERROR: &str = "error_text";
    pub(super) const MESSAGE: &str = "captured_message";
    pub(in super::super) const REASON: &str = "reason";
}

impl Events {
    pub(super) fn of(options: Options) -> Result<Self> {
        let Options {
            stem,
            mut base,
            groups,
            skip_started,
        } = options;
        let mut errors = std::mem::take(&mut base.errors);
        errors.keep(EventType::check_stem(&stem));
        for field in &base.fields {
            errors.keep(taken(field, true));
        }
        for (name, group) in GROUPS.iter().zip(&groups) {
            errors.keep(
                group
                    .event_type
                    .as_ref()
                    .map_or(Ok(()), |literal| group_type(literal, name)),
            );
            for field in group.call.fields.iter().filter(|_| *name != "started") {
                errors.keep(taken(field, false));
            }
        }
        // The base by itself first: what is wrong with it would be wrong with each of the events.
        let alone = event(
            &base,
            &base.fields,
            &Group::none(),
            "stem.completed",
            stem.span(),
            Vec::new(),
        );
        errors.keep(alone.map(drop));
        for field in base
            .fields
            .iter()
            .filter(|field| is_computed_severity(field))
        {
            let message = "the severity of all events of a function is fixed while compiling; one \
                           that is computed is `completed(severity = …)` or `failed(severity = …)`";
            errors.at(&field.path, message);
        }
        errors.into_result(())?;

        let (captures, fields) = capture(&base);
        let [started, completed, failed] = &groups;
        let mut errors = Errors::default();
        let mut outcome = |group: &Group, name: &str, extra: Vec<Field>| {
            let event_type = format!("{}.{name}", stem.value());
            let (event_type, span) = match &group.event_type {
                Some(literal) => (literal.value(), literal.span()),
                None => (event_type, stem.span()),
            };
            errors.keep(event(&base, &fields, group, &event_type, span, extra))
        };
        let started = if skip_started {
            None
        } else {
            outcome(started, GROUPS[0], Vec::new())
        };
        let milliseconds = || field(&["details", "duration_ms"], variable(names::MILLISECONDS));
        let mut success = vec![milliseconds()];
        if !completed.gives("outcome") {
            success.extend(unless_given(completed, "type", text("success")));
        }
        let mut failure = vec![milliseconds()];
        if !failed.gives("outcome") {
            for (part, value) in [
                ("type", text("failure")),
                ("reason", text("unknown")),
                ("error", variable(names::ERROR)),
            ] {
                failure.extend(unless_given(failed, part, value));
            }
        }
        let broken = vec![
            milliseconds(),
            field(&["outcome", "type"], text("failure")),
            field(&["outcome", "reason"], variable(names::REASON)),
        ];
        let ends_use_arguments = completed.has_values() || failed.has_values();
        let without_values = failed.settings();
        let events = (
            outcome(completed, GROUPS[1], success),
            outcome(failed, GROUPS[2], failure),
            outcome(&without_values, GROUPS[2], broken),
        );
        errors.into_result(())?;
        let (Some(completed), Some(mut failure), Some(mut broken)) = events else {
            return Err(Error::new(stem.span(), "an event is missing"));
        };
        for (event, group) in [(&mut failure, failed), (&mut broken, &without_values)] {
            if let Grade::Fixed(severity) = &mut event.severity
                && !group.gives("severity")
            {
                *severity = (*severity).max(Severity::Warning);
            }
        }
        Ok(Self {
            krate: base.krate,
            captures,
            started,
            completed,
            failed: failure,
            broken,
            ends_use_arguments,
        })
    }
}

impl Group {
    fn none() -> Self {
        Self::new(Call::new(TokenStream::new()))
    }

    /// Whether a field of this name is given.
    fn gives(&self, path: &str) -> bool {
        self.call
            .fields
            .iter()
            .any(|field| field.path.to_string() == path)
    }

    /// Whether anything in it is computed.
    fn has_values(&self) -> bool {
        self.call.message.is_some()
            || self
                .call
                .fields
                .iter()
                .any(|field| match is_setting(field) {
                    true => is_computed_severity(field),
                    false => json_of(field).is_none(),
                })
    }

    /// The group without its values.
    fn settings(&self) -> Self {
        let mut settings = Self::none();
        settings.event_type.clone_from(&self.event_type);
        settings.call.fields = self
            .call
            .fields
            .iter()
            .filter(|field| is_setting(field) && !is_computed_severity(field))
            .cloned()
            .collect();
        settings
    }
}

/// One event: the base, with what the group sets anew or adds.
fn event(
    base: &Call,
    fields: &[Field],
    group: &Group,
    event_type: &str,
    span: Span,
    extra: Vec<Field>,
) -> Result<Event> {
    let mut call = Call::new(base.krate.clone());
    call.event_type = Some(Named::Literal(LitStr::new(event_type, span)));
    let described = group.call.message.is_some() || group.gives("description");
    let overridden = |field: &Field| {
        let path = field.path.to_string();
        (is_setting(field) && group.gives(&path)) || (described && path == "description")
    };
    call.fields.extend(
        fields
            .iter()
            .filter(|field| !overridden(field))
            .chain(&group.call.fields)
            .cloned(),
    );
    call.fields.extend(extra);
    call.message.clone_from(&group.call.message);
    check(call)
}

/// The statements that render the base's values, and the base's fields with what was rendered.
fn capture(base: &Call) -> (TokenStream, Vec<Field>) {
    let krate = &base.krate;
    let private = quote!(#krate::__private);
    let mut statements = TokenStream::new();
    let mut fields = Vec::with_capacity(base.fields.len() + 1);
    for (place, given) in base.fields.iter().enumerate() {
        let path = given.path.to_string();
        if is_setting(given) || json_of(given).is_some() {
            fields.push(given.clone());
            continue;
        }
        let name = format_ident!("captured{place:03}", span = Span::mixed_site());
        let value = borrowed(&given.value);
        let argument = Ident::new("argument", given.value.span());
        let captured = match path.as_str() {
            "actor" | "resource" => {
                let whole = whole(&path, given, &private, &argument);
                quote!(::core::clone::Clone::clone(#whole))
            }
            _ => {
                let rendered = denied(given, &private, &argument).unwrap_or_else(|| {
                    let function = function_at(&private, given.sigil.function(), &given.value);
                    quote_spanned!(at(&given.value)=> #function(#argument))
                });
                quote_spanned!(at(&given.value)=> #private::capture(&#rendered))
            }
        };
        statements.extend(quote_spanned! {Span::mixed_site()=>
            let #name = match #value { #argument => #captured };
        });
        let told = if path == "description" {
            None
        } else {
            Some(described::told(&path, given))
        };
        let value = parse_quote_spanned!(Span::mixed_site()=> #name);
        fields.push(Field {
            path: given.path.clone(),
            sigil: Sigil::Captured,
            value,
            told,
        });
    }
    if let Some(message) = &base.message {
        let format = &message.format;
        let arguments = &message.arguments;
        let name = own(names::MESSAGE);
        statements.extend(quote_spanned! {Span::mixed_site()=>
            let #name = #private::capture(
                &#private::display(&::core::format_args!(#format #arguments))
            );
        });
        let path = Path::of(&["description"], message.format.span());
        let told = Some(format.value());
        fields.push(Field {
            path,
            sigil: Sigil::Captured,
            value: variable(names::MESSAGE),
            told,
        });
    }
    (statements, fields)
}

/// Refuses a field that the attribute sets itself.
fn taken(field: &Field, base: bool) -> Result<()> {
    let path = &field.path;
    let message = match path.names().iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["outcome", ..] if base => {
            format!(
                "the end of the function decides the outcome; to describe a failure, write \
                 `failed({path} = …)`"
            )
        }
        ["duration_ms"] | ["details", "duration_ms"] => {
            "`duration_ms` is how long the function took, and is set by `#[audited]`; choose \
             another name"
                .to_owned()
        }
        ["details"] => "`details` also holds `duration_ms` here; write `details.<name> = …` for \
                        each of them"
            .to_owned(),
        _ => return Ok(()),
    };
    Err(Error::new_spanned(path, message))
}

fn group_type(literal: &LitStr, group: &str) -> Result<()> {
    EventType::parse(literal).map(drop).map_err(|error| {
        let text = literal.value();
        if text.contains('.') {
            return error;
        }
        Error::new(
            literal.span(),
            format!("{error}; if it is the message, write `{group}(description = {text:?})`"),
        )
    })
}

fn is_setting(field: &Field) -> bool {
    SETTINGS.contains(&field.path.to_string().as_str())
}

fn is_computed_severity(field: &Field) -> bool {
    let given = || severity::read(field, &TokenStream::new());
    field.path.to_string() == "severity" && matches!(given(), Ok(severity::Given::Computed { .. }))
}

fn unless_given(group: &Group, part: &str, value: Expr) -> Option<Field> {
    (!group.gives(&format!("outcome.{part}"))).then(|| field(&["outcome", part], value))
}

fn field(path: &[&str], value: Expr) -> Field {
    // All that are not text in any case are numbers.
    Field {
        path: Path::of(path, Span::mixed_site()),
        sigil: Sigil::Json,
        value,
        told: Some("integer".to_owned()),
    }
}

fn variable(name: &str) -> Expr {
    let name = own(name);
    parse_quote_spanned!(Span::mixed_site()=> #name)
}

fn text(text: &str) -> Expr {
    let literal = LitStr::new(text, Span::mixed_site());
    parse_quote_spanned!(Span::mixed_site()=> #literal)
}
