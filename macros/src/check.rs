//! From a call as written to an event that can be recorded: settings taken out, every value in its
//! place, nothing twice.
//!
//! Always true of an `Event`: its tree has each canonical path once, and no path that begins with
//! another.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, Expr, ExprLit, Lit, Result};
use tracing_audit_schema::{fields, severity::Severity};

use crate::{
    call::{Call, Errors, Message, Named},
    event_type::EventType,
    field::{Field, Sigil},
    severity,
    slot::canonical,
};

/// A call that keeps every rule.
pub(crate) struct Event {
    pub(crate) krate: TokenStream,
    pub(crate) kind: Kind,
    pub(crate) severity: Grade,
    /// The values in source order; the rest refers to them by position.
    pub(crate) fields: Vec<Field>,
    pub(crate) tree: Tree,
    pub(crate) message: Option<Message>,
}

/// Which event it is.
pub(crate) enum Kind {
    Fixed {
        event_type: EventType,
        category: String,
        action: String,
    },
    /// The value of a field. A category and an action that are not given follow from it.
    Dynamic {
        field: usize,
        category: Option<String>,
        action: Option<String>,
    },
}

/// The severity of an event.
pub(crate) enum Grade {
    Fixed(Severity),
    /// The value of a field, which is one of these.
    Computed {
        field: usize,
        possible: Vec<Severity>,
    },
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

/// The field that is in the way of another one: it has the same path, or is the whole or a part of
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
    let mut fields: Vec<Field> = Vec::with_capacity(given.len() + 1);
    let named = event_type.and_then(|named| match named {
        Named::Literal(literal) => errors.keep(EventType::parse(&literal)).map(Some),
        Named::Dynamic(value) => {
            fields.push(Field::computed("event_type", *value));
            Some(None)
        }
    });
    let mut settings = Settings::default();
    let mut tree = Tree::Parts(Vec::new());
    for field in given {
        if let Some(setting) = setting(&field) {
            settings.take(setting, &field, &krate, &mut fields, &mut errors);
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
    if let (Some(message), Some(_)) = (&message, tree.get(fields::DESCRIPTION.name)) {
        errors.at(
            &message.format,
            "the message is the description, which is already given as `description = …`; leave \
             one of them out",
        );
    }
    let Some(named) = named else {
        return errors.into_result(()).and(Err(Error::new(
            proc_macro2::Span::call_site(),
            "the event type is missing",
        )));
    };
    errors.into_result(())?;
    let Settings {
        severity,
        category,
        action,
    } = settings;
    Ok(Event {
        kind: match named {
            Some(event_type) => Kind::Fixed {
                category: category.unwrap_or_else(|| event_type.first_segment().to_owned()),
                action: action.unwrap_or_else(|| event_type.last_segment().to_owned()),
                event_type,
            },
            // The computed event type is the first field.
            None => Kind::Dynamic {
                field: 0,
                category,
                action,
            },
        },
        severity: severity.unwrap_or(Grade::Fixed(Severity::default())),
        krate,
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
                "`{}` above is a part of `{path}`; give either the whole or its parts",
                name(first)
            )
        }
    };
    Error::new_spanned(path, message)
}

/// The fields that are settings, and not values in the entry.
pub(crate) const SETTINGS: [&str; 3] = [
    fields::SEVERITY.name,
    fields::CATEGORY.name,
    fields::ACTION.name,
];

/// The setting that a field is, if it is one.
fn setting(field: &Field) -> Option<&'static str> {
    let names = field.path.names();
    let first = names.first()?;
    SETTINGS.into_iter().find(|setting| setting == first)
}

/// The settings of the event itself.
#[derive(Default)]
struct Settings {
    severity: Option<Grade>,
    category: Option<String>,
    action: Option<String>,
}

impl Settings {
    /// Takes a field that is this setting. A computed value becomes one of `fields`.
    fn take(
        &mut self,
        setting: &str,
        field: &Field,
        krate: &TokenStream,
        fields: &mut Vec<Field>,
        errors: &mut Errors,
    ) {
        let path = &field.path;
        if path.only().is_none() {
            errors.at(
                path,
                format!(
                    "`{setting}` has no parts; write `details.{path} = …` for a value of your own"
                ),
            );
            return;
        }
        let given_before = match setting {
            "severity" => {
                let given = errors.keep(severity::read(field, krate));
                set(&mut self.severity, given.map(|given| grade(given, fields)))
            }
            "category" => set(&mut self.category, errors.keep(word(field, setting))),
            _ => set(&mut self.action, errors.keep(word(field, setting))),
        };
        if given_before {
            errors.at(
                path,
                format!("`{path}` is already given above; leave one of them out"),
            );
        }
    }
}

fn grade(given: severity::Given, fields: &mut Vec<Field>) -> Grade {
    match given {
        severity::Given::Fixed(severity) => Grade::Fixed(severity),
        severity::Given::Computed { value, possible } => {
            fields.push(Field::computed("severity", *value));
            Grade::Computed {
                field: fields.len() - 1,
                possible,
            }
        }
    }
}

/// Sets what is not set yet; `true` if it was.
fn set<T>(setting: &mut Option<T>, value: Option<T>) -> bool {
    let given_before = setting.is_some();
    *setting = setting.take().or(value);
    given_before
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
                "`{setting}` is fixed while compiling; write a string literal, such as \
                 `{setting} = \"{name}\"`"
            )
        }
        _ => format!(
            "`{setting}` is fixed while compiling; write a string literal, or \
             `details.{setting} = …` for a value of your own"
        ),
    };
    Err(Error::new_spanned(&field.value, message))
}
