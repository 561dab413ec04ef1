//! From a call as written to an event that can be recorded: settings taken out, every value in its
//! place, nothing twice.
//!
//! Always true of an `Event`: its tree has each canonical path once, and no path that begins with
//! another.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, Expr, ExprLit, Lit, Result};

use crate::{
    call::{Call, Errors, Message},
    event_type::EventType,
    field::{Field, Sigil},
    slot::{canonical, list},
};

/// A call that keeps every rule.
pub(crate) struct Event {
    pub(crate) krate: TokenStream,
    pub(crate) event_type: EventType,
    pub(crate) category: String,
    pub(crate) action: String,
    pub(crate) severity: Severity,
    /// The values in source order; the tree refers to them by position.
    pub(crate) fields: Vec<Field>,
    pub(crate) tree: Tree,
    pub(crate) message: Option<Message>,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    #[default]
    Info,
    Warning,
    Error,
    Critical,
}

impl Severity {
    const NAMES: [&str; 4] = ["info", "warning", "error", "critical"];

    pub(crate) fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Error, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }

    /// What a word from another vocabulary is called here.
    fn nearest(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "info" | "information" | "informational" | "notice" | "debug" | "trace" | "low" => {
                Some(Self::Info)
            }
            "warning" | "warn" | "medium" => Some(Self::Warning),
            "error" | "err" | "high" => Some(Self::Error),
            "critical" | "crit" | "fatal" | "alert" | "emergency" => Some(Self::Critical),
            _ => None,
        }
    }
}

/// Values by canonical path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// The position of a field.
    Value(usize),
    /// In the order in which they came.
    Parts(Vec<(String, Tree)>),
}

impl Tree {
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Value(_) => None,
            Self::Parts(parts) => parts
                .iter()
                .find(|(part, _)| part == name)
                .map(|(_, tree)| tree),
        }
    }

    /// Any field in it; there is always one but in an empty event.
    fn any(&self) -> Option<usize> {
        match self {
            Self::Value(field) => Some(*field),
            Self::Parts(parts) => parts.first().and_then(|(_, tree)| tree.any()),
        }
    }

    /// Puts a field in its place, or names the field that is in the way.
    pub(crate) fn insert(
        &mut self,
        path: &[String],
        field: usize,
    ) -> std::result::Result<(), InTheWay> {
        match (self, path) {
            (Self::Value(whole), []) => Err(InTheWay::Same(*whole)),
            (Self::Value(whole), _) => Err(InTheWay::Whole(*whole)),
            (parts, []) => Err(InTheWay::Part(parts.any().unwrap_or(field))),
            (Self::Parts(parts), [name, below @ ..]) => {
                match parts.iter_mut().find(|(part, _)| part == name) {
                    Some((_, tree)) => tree.insert(below, field),
                    None => {
                        let leaf = below.iter().rev().fold(Self::Value(field), |tree, part| {
                            Self::Parts(vec![(part.clone(), tree)])
                        });
                        parts.push((name.clone(), leaf));
                        Ok(())
                    }
                }
            }
        }
    }
}

/// Why there is no place for a field: another one has the same path, or is the whole or a part of
/// it.
pub(crate) enum InTheWay {
    Same(usize),
    Whole(usize),
    Part(usize),
}

/// Checks a call; the error holds all that is wrong with it.
pub(crate) fn check(call: Call) -> Result<Event> {
    let Call {
        krate,
        event_type,
        fields: given,
        message,
        mut errors,
        ..
    } = call;
    let event_type = event_type.and_then(|literal| errors.keep(EventType::parse(&literal)));
    let mut settings = Settings::default();
    let mut fields: Vec<Field> = Vec::with_capacity(given.len());
    let mut tree = Tree::Parts(Vec::new());
    for field in given {
        if settings.take(&field, &mut errors) {
            continue;
        }
        let Some(path) = errors.keep(canonical(&field)) else {
            continue;
        };
        match tree.insert(&path, fields.len()) {
            Ok(()) => fields.push(field),
            Err(in_the_way) => errors.push(conflict(&field, &in_the_way, &fields)),
        }
    }
    if let (Some(message), Some(_)) = (&message, tree.get("description")) {
        errors.at(&message.format, "the message is the description, which is already given as `description = …`; leave one of them out");
    }
    let Some(event_type) = event_type else {
        return errors.into_result(()).and(Err(Error::new(
            proc_macro2::Span::call_site(),
            "the event type is missing",
        )));
    };
    errors.into_result(())?;
    Ok(Event {
        category: settings
            .category
            .unwrap_or_else(|| event_type.first_segment().to_owned()),
        action: settings
            .action
            .unwrap_or_else(|| event_type.last_segment().to_owned()),
        severity: settings.severity.unwrap_or_default(),
        krate,
        event_type,
        fields,
        tree,
        message,
    })
}

pub(crate) fn conflict(field: &Field, in_the_way: &InTheWay, fields: &[Field]) -> Error {
    let path = &field.path;
    let name = |index: usize| {
        fields
            .get(index)
            .map(|first| first.path.to_string())
            .unwrap_or_default()
    };
    let message = match *in_the_way {
        InTheWay::Same(first) if name(first) == path.to_string() => {
            format!("`{path}` is already given above; leave one of them out")
        }
        InTheWay::Same(first) => format!(
            "`{path}` is already given above as `{}`; leave one of them out",
            name(first)
        ),
        InTheWay::Whole(first) => format!(
            "`{path}` is a part of `{0}`, given above as a whole; put it into `{0}`",
            name(first)
        ),
        InTheWay::Part(first) => {
            format!(
                "`{path}` is the whole of what `{}` above is a part of; give either the whole or its parts",
                name(first)
            )
        }
    };
    Error::new_spanned(path, message)
}

/// The fields that are settings, and not values in the record.
pub(crate) const SETTINGS: [&str; 3] = ["severity", "category", "action"];

/// What is fixed while compiling.
#[derive(Default)]
struct Settings {
    severity: Option<Severity>,
    category: Option<String>,
    action: Option<String>,
}

impl Settings {
    /// Takes a field that is a setting; `false` if it is none.
    fn take(&mut self, field: &Field, errors: &mut Errors) -> bool {
        let names = field.path.names();
        let setting = names.first().map(String::as_str).unwrap_or_default();
        if !SETTINGS.contains(&setting) {
            return false;
        }
        let path = &field.path;
        if names.len() > 1 {
            errors.at(
                path,
                format!(
                    "`{setting}` has no parts; write `details.{path} = …` for a value of your own"
                ),
            );
            return true;
        }
        let given_before = match setting {
            "severity" => set(&mut self.severity, errors.keep(severity(field))),
            "category" => set(&mut self.category, errors.keep(word(field, setting))),
            _ => set(&mut self.action, errors.keep(word(field, setting))),
        };
        if given_before {
            errors.at(
                path,
                format!("`{path}` is already given above; leave one of them out"),
            );
        }
        true
    }
}

/// Sets what is not set yet; `true` if it was.
fn set<T>(setting: &mut Option<T>, value: Option<T>) -> bool {
    let given_before = setting.is_some();
    *setting = setting.take().or(value);
    given_before
}

fn severity(field: &Field) -> Result<Severity> {
    let all = list(&Severity::NAMES);
    let value = &field.value;
    if field.sigil != Sigil::Json {
        return Err(Error::new_spanned(
            value,
            format!(
                "`severity` is one of {all}; write it without `{}`",
                field.sigil.as_str()
            ),
        ));
    }
    let message = match value {
        Expr::Path(path) => {
            let word = path
                .path
                .segments
                .last()
                .map(|segment| segment.ident.to_string())
                .unwrap_or_default();
            match (
                path.path
                    .get_ident()
                    .and_then(|_| Severity::from_name(&word)),
                Severity::nearest(&word),
            ) {
                (Some(severity), _) => return Ok(severity),
                (None, Some(nearest)) => format!(
                    "`severity` is one of {all}; write `severity = {}`",
                    nearest.as_str()
                ),
                // The shorthand, `severity` alone, is its own value.
                (None, None) if word == "severity" => {
                    format!("`severity` needs a value, one of {all}, such as `severity = warning`")
                }
                (None, None) => format!(
                    "`severity` is one of {all}, not `{word}`; it is fixed while compiling, so an event that can have two takes two calls"
                ),
            }
        }
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) => match Severity::nearest(&literal.value()) {
            Some(nearest) => format!(
                "`severity` is written without quotes: `severity = {}`",
                nearest.as_str()
            ),
            None => format!("`severity` is one of {all}, without quotes"),
        },
        _ => format!(
            "`severity` is one of {all}; it is fixed while compiling, so an event that can have two takes two calls"
        ),
    };
    Err(Error::new_spanned(value, message))
}

/// A category or an action.
fn word(field: &Field, setting: &str) -> Result<String> {
    let message = match &field.value {
        _ if field.sigil != Sigil::Json => format!(
            "`{setting}` is a string literal; write it without `{}`",
            field.sigil.as_str()
        ),
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) if !literal.value().is_empty() => return Ok(literal.value()),
        Expr::Lit(ExprLit {
            lit: Lit::Str(_), ..
        }) => {
            format!("`{setting}` is empty; leave it out, and it is taken from the event type")
        }
        Expr::Path(path) if path.path.get_ident().is_some() => {
            let name = path.to_token_stream();
            format!(
                "`{setting}` is fixed while compiling; write a string literal, such as `{setting} = \"{name}\"`"
            )
        }
        _ => format!(
            "`{setting}` is fixed while compiling; write a string literal, or `details.{setting} = …` for a value of your own"
        ),
    };
    Err(Error::new_spanned(&field.value, message))
}
