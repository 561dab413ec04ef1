//! A call as the catalogue describes it: its fields with their kinds, and its message.
//!
//! A kind is what is known of a value's JSON without its type: `text`, `integer`, `number`,
//! `boolean`, `list`, `object` or `any`.

use syn::{Expr, Lit};
use tracing_audit_schema::{Kind, fields};

use crate::{
    check::{Event, Tree},
    denied::shown,
    field::{Field, Sigil},
};

/// A line for each field: its path in the entry, its kind and, if it is not recorded plainly, how,
/// with spaces between them.
pub(crate) fn fields(event: &Event) -> String {
    let mut lines = Vec::new();
    describe(event, &event.tree, "", &mut lines);
    lines.join("\n")
}

/// The message as it is written, or the text of a literal `description`.
pub(crate) fn description(event: &Event) -> String {
    if let Some(message) = &event.message {
        return message.format.value();
    }
    let Some(Tree::Value(place)) = event.tree.get("description") else {
        return String::new();
    };
    let Some(field) = event.fields.get(*place) else {
        return String::new();
    };
    match (&field.told, &field.value) {
        (Some(text), _) => text.clone(),
        (None, Expr::Lit(literal)) => match &literal.lit {
            Lit::Str(text) => text.value(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn describe(event: &Event, tree: &Tree, path: &str, lines: &mut Vec<String>) {
    match tree {
        Tree::Value(place) => {
            if let Some(field) = event.fields.get(*place)
                && path != "description"
            {
                lines.push(match field.sigil {
                    // Which members it has is not known.
                    Sigil::Flatten => "details object".to_owned(),
                    _ => format!("{path} {}", told(path, field)),
                });
            }
        }
        Tree::Parts(parts) => {
            for (part, tree) in parts {
                let path = if path.is_empty() {
                    part.clone()
                } else {
                    format!("{path}.{part}")
                };
                describe(event, tree, &path, lines);
            }
        }
    }
}

/// The catalogue's words for a field's value: its kind and, if a function says so, `masked`,
/// `hashed` or `clear`.
pub(crate) fn told(path: &str, field: &Field) -> String {
    if let (Sigil::Captured, Some(told)) = (field.sigil, &field.told) {
        return told.clone();
    }
    match shown(&field.value) {
        Some(("clear", value)) => {
            let kind = field.told.as_deref().unwrap_or_else(|| of_value(value));
            format!("{kind} clear")
        }
        Some((how, _)) => format!("text {how}"),
        None => kind(path, field).to_owned(),
    }
}

/// The kind of a field's value.
fn kind<'a>(path: &str, field: &'a Field) -> &'a str {
    if let Some(known) = fields::at(path) {
        match known.kind {
            Kind::Text => return "text",
            Kind::Number => return "integer",
            Kind::List => return "list",
            Kind::Object => return "object",
            // The type shows as much of attributes as of a detail.
            Kind::Map if known.path == known.name => return "object",
            Kind::Map => {}
        }
    }
    if let Some(kind) = &field.told {
        return kind;
    }
    if field.sigil != Sigil::Json {
        return "text";
    }
    of_value(&field.value)
}

fn of_value(value: &Expr) -> &'static str {
    match value {
        Expr::Lit(literal) => match literal.lit {
            Lit::Str(_) | Lit::Char(_) => "text",
            Lit::Int(_) => "integer",
            Lit::Float(_) => "number",
            Lit::Bool(_) => "boolean",
            _ => "any",
        },
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => of_value(&unary.expr),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Not(_)) => "any",
        Expr::Array(_) => "list",
        Expr::Reference(reference) => of_value(&reference.expr),
        Expr::Paren(paren) => of_value(&paren.expr),
        Expr::Cast(cast) => of_type(&cast.ty),
        Expr::Macro(call) if call.mac.path.is_ident("format") => "text",
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => match path
                .path
                .segments
                .last()
                .map(|segment| segment.ident.to_string())
                .as_deref()
            {
                // A function that hides a value puts a text in its place.
                Some("mask" | "hashed") => "text",
                _ => "any",
            },
            _ => "any",
        },
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "len" | "count" => "integer",
            "to_string" | "to_owned" if call.args.is_empty() => "text",
            "is_some" | "is_none" | "is_ok" | "is_err" | "is_empty" => "boolean",
            _ => "any",
        },
        _ => "any",
    }
}

/// The kind of a type by its name; what derives know of fields.
pub(crate) fn of_type(ty: &syn::Type) -> &'static str {
    match ty {
        syn::Type::Reference(reference) => of_type(&reference.elem),
        syn::Type::Paren(paren) => of_type(&paren.elem),
        syn::Type::Array(_) | syn::Type::Slice(_) => "list",
        syn::Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return "any";
            };
            let inner = || match &last.arguments {
                syn::PathArguments::AngleBracketed(arguments) => {
                    arguments.args.iter().find_map(|argument| match argument {
                        syn::GenericArgument::Type(ty) => Some(of_type(ty)),
                        _ => None,
                    })
                }
                _ => None,
            };
            match last.ident.to_string().as_str() {
                "str" | "String" | "char" | "Uuid" | "IpAddr" | "Ipv4Addr" | "Ipv6Addr" => "text",
                "bool" => "boolean",
                "f32" | "f64" => "number",
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64"
                | "i128" | "isize" => "integer",
                "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => "list",
                "HashMap" | "BTreeMap" => "object",
                "Option" | "Box" | "Arc" | "Rc" | "Cow" => inner().unwrap_or("any"),
                _ => "any",
            }
        }
        _ => "any",
    }
}
