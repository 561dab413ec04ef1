//! Where a field's value goes in the entry.
//!
//! Every field has one canonical path: `["actor", "id"]`, `["context", "session_id"]`,
//! `["details", "order", "id"]`. So "given twice" is two equal paths and "whole and part" is a path
//! that begins with another, whatever the fields are called at the call.

use syn::{Error, Result};
use tracing_audit_schema::{self as schema, Kind, alias, fields};

use crate::field::{Field, Sigil};

/// The fields that take a value of a type of ours, and what such a value is called.
const TYPES: [(&str, &str); 3] = [
    (fields::ACTOR.path, "an `Actor`"),
    (fields::RESOURCE.path, "a `Resource`"),
    (fields::OUTCOME.path, "an `Outcome`"),
];

const MAP: &str = "a map or a struct";

/// The type, with its article, of a field that takes a value of one of our types.
pub(crate) fn type_of(path: &str) -> Option<&'static str> {
    let mut types = TYPES.into_iter();
    types.find(|(field, _)| *field == path).map(|(_, ty)| ty)
}

/// Whether a word by itself is a field of the entry, and no detail.
pub(crate) fn is_field_of_one_word(word: &str) -> bool {
    word != fields::CONTEXT.name && fields::of_one_word().any(|field| field.name == word)
}

/// Whether only the log sets a field. (`truncated` says nothing that a detail could be taken for.)
fn is_set_by_log(word: &str) -> bool {
    let mut known = fields::FIELDS.iter();
    known.any(|field| field.name == word && field.required && !field.is_of_event())
}

/// Finds where a field's value goes.
pub(crate) fn canonical(field: &Field) -> Result<Vec<String>> {
    let path = &field.path;
    let mut names = path.names();
    if names.len() == 1 {
        if fields::CONTEXT
            .part(&names[0])
            .is_some_and(|part| part.short)
        {
            names.insert(0, fields::CONTEXT.name.to_owned());
        } else if is_set_by_log(&names[0]) {
            let message = format!(
                "`{path}` is set by the log; write `details.{path} = …` for a value of your own"
            );
            return Err(Error::new_spanned(path, message));
        }
    }
    let Some(slot) = fields::of_event().find(|slot| slot.name == names[0]) else {
        if let Some(meant) = near_miss(&names) {
            let message = format!(
                "`{path}` looks like `{meant}`; write `{meant} = …`, or `details.{path} = …` for a \
                 value of your own"
            );
            return Err(Error::new_spanned(path, message));
        }
        names.insert(0, fields::DETAILS.name.to_owned());
        return Ok(names);
    };
    let fault = match names.get(1).map(String::as_str) {
        None => whole_fault(slot, field),
        Some(_) if slot.kind == Kind::Map => None,
        Some(part) => part_fault(slot, part, &names[2..], field),
    };
    match fault {
        None => Ok(names),
        Some(message) => Err(Error::new_spanned(path, message)),
    }
}

/// The field of the log that these names probably mean, although no field has them. In `details`,
/// no search for an actor or a resource would find the value.
pub(crate) fn near_miss(names: &[String]) -> Option<String> {
    let [first, below @ ..] = names else {
        return None;
    };
    let with = |name: &str| {
        let rest = below.iter().map(String::as_str);
        std::iter::once(name)
            .chain(rest)
            .collect::<Vec<_>>()
            .join(".")
    };
    let is_meant = |(alias, _): &&(&str, _)| letters(alias) == letters(first);
    if let Some((_, name)) = alias::OF_EVENT.iter().find(is_meant) {
        return below.is_empty().then(|| (*name).to_owned());
    }
    if let Some(meant) = spelt_otherwise(first) {
        return Some(with(meant));
    }
    // A slot of a context, which is called so there.
    if let Some(part) = fields::CONTEXT.part(first).filter(|part| !part.short) {
        return below.is_empty().then(|| part.path.to_owned());
    }
    for slot in fields::of_event().filter(|slot| slot.kind == Kind::Object) {
        // `acter.id`, whatever it is one letter from.
        let is_part = below.first().is_some_and(|part| slot.part(part).is_some());
        if is_part && is_misspelt(first, slot.name) {
            return Some(with(slot.name));
        }
    }
    let misspelt =
        |name: &&&str| is_misspelt(first, name) && !alias::WORDS.contains(&first.as_str());
    let meant = alias::UNMISTAKABLE.iter().find(misspelt)?;
    below.is_empty().then(|| (*meant).to_string())
}

/// The field, or the part of one, that a word is but for capital letters and what is between its
/// words: `tenantId`, `actorid`, `actor_id`.
fn spelt_otherwise(word: &str) -> Option<&'static str> {
    let wanted = letters(word);
    let objects = fields::of_event().filter(|field| field.kind == Kind::Object);
    let mut parts = objects.flat_map(schema::Field::parts_of_event);
    fields::of_one_word()
        .find(|field| letters(field.name) == wanted)
        .or_else(|| parts.find(|part| letters(part.path) == wanted))
        .map(schema::Field::given_as)
}

fn letters(word: &str) -> String {
    let letters = word.chars().filter(|letter| !matches!(letter, '_' | '.'));
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether one letter is wrong, missing or too much, or two are swapped. A plural is another word,
/// and so is one of two letters of which one is another: `request_ip` is not `request_id`.
fn is_misspelt(word: &str, name: &str) -> bool {
    let (word, name) = (word.as_bytes(), name.as_bytes());
    let same = word.iter().zip(name).take_while(|(a, b)| a == b).count();
    let is_between = |byte: &u8| *byte == b'_';
    let begun = name[..same]
        .iter()
        .rev()
        .take_while(|byte| !is_between(byte));
    let left = name[same..].iter().take_while(|byte| !is_between(byte));
    let is_short = begun.count() + left.count() <= 2;
    let (word, name) = (&word[same..], &name[same..]);
    match (word, name) {
        ([], []) | ([b's'], []) => false,
        ([a, b, rest @ ..], [c, d, others @ ..]) if a == d && b == c && rest == others => true,
        _ => {
            let (rest, others) = (word.get(1..), name.get(1..));
            let is_other = rest.is_some() && rest == others;
            rest == Some(name) || others == Some(word) || is_other && !is_short
        }
    }
}

/// The error in giving all of a slot in one value, if there is one.
fn whole_fault(slot: &schema::Field, field: &Field) -> Option<String> {
    let name = slot.name;
    match slot.kind {
        Kind::Text | Kind::Number => None,
        Kind::List => not_as_text(field, "a list", None),
        Kind::Map => not_as_text(field, MAP, None),
        Kind::Object => match type_of(slot.path) {
            Some(kind) => {
                let mut parts = slot.parts_of_event().map(|part| part.name);
                not_as_text(
                    field,
                    kind,
                    parts.find(|part| matches!(*part, "id" | "reason")),
                )
            }
            None => Some(format!(
                "`{name}` is given part by part; write `{name}.{} = …` ({})",
                slot.parts_of_event().nth(1).map_or("", |part| part.name),
                parts_of(slot)
            )),
        },
    }
}

/// The error in a part of a slot, if there is one.
fn part_fault(slot: &schema::Field, name: &str, below: &[String], field: &Field) -> Option<String> {
    let path = &field.path;
    if slot.kind != Kind::Object {
        return Some(format!(
            "`{slot}` has no parts; write `{slot} = …`, or `details.{path} = …` for a value of \
             your own",
            slot = slot.name
        ));
    }
    let Some(part) = slot.part(name) else {
        return Some(format!(
            "`{}` has no part `{name}`, only {}; for a value of your own write {}",
            slot.name,
            parts_of(slot),
            instead_of_part(slot, name, below)
        ));
    };
    match below {
        [] if part.kind == Kind::Map => not_as_text(field, MAP, None),
        [] if part.path == fields::OUTCOME_TYPE.path => outcome_fault(field),
        [] => None,
        _ if part.kind == Kind::Map => None,
        _ => Some(format!(
            "`{part}` has no parts; write `{part} = …`",
            part = part.path
        )),
    }
}

/// The place for a value of the application's own, instead of a part that doesn't exist.
fn instead_of_part(slot: &schema::Field, name: &str, below: &[String]) -> String {
    let below = below.iter().map(String::as_str);
    let own = std::iter::once(name)
        .chain(below)
        .collect::<Vec<_>>()
        .join(".");
    let attributes = slot.parts_of_event().find(|part| part.kind == Kind::Map);
    match attributes {
        Some(attributes) => format!("`{}.{own} = …`", attributes.path),
        None => format!("`{}_{own} = …`", slot.name),
    }
}

fn parts_of(slot: &schema::Field) -> String {
    list(
        &slot
            .parts_of_event()
            .map(|part| part.name)
            .collect::<Vec<_>>(),
    )
}

/// A sigil makes text of a value that has to keep its structure.
fn not_as_text(field: &Field, kind: &str, part: Option<&str>) -> Option<String> {
    if matches!(field.sigil, Sigil::Json | Sigil::Captured) {
        return None;
    }
    let (path, sigil) = (&field.path, field.sigil.as_str());
    let part = part
        .map(|part| format!(", or `{path}.{part} = {sigil}…`"))
        .unwrap_or_default();
    Some(format!(
        "`{path}` takes {kind}, and `{sigil}` would turn it into text; write `{path} = …`{part}"
    ))
}

fn outcome_fault(field: &Field) -> Option<String> {
    let syn::Expr::Lit(syn::ExprLit {
        lit: syn::Lit::Str(literal),
        ..
    }) = &field.value
    else {
        return None;
    };
    let given = literal.value();
    (!fields::OUTCOMES.contains(&given.as_str())).then(|| {
        format!(
            "the type of an outcome is one of {}, not `{given}`; the kind of a failure is \
             `outcome.reason = …`",
            list(&fields::OUTCOMES)
        )
    })
}

/// "`a`, `b` and `c`".
pub(crate) fn list(names: &[&str]) -> String {
    let mut out = String::new();
    for (place, name) in names.iter().enumerate() {
        out.push_str(match names.len() - place {
            _ if place == 0 => "",
            1 => " and ",
            _ => ", ",
        });
        out.push('`');
        out.push_str(name);
        out.push('`');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_known_and_another_word_is_none() {
        let meant = |path: &str| {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            near_miss(&names)
        };
        for (given, field) in [
            ("ressource", "resource"),
            ("resouce.id", "resource.id"),
            ("acotr.id", "actor.id"),
            ("actr", "actor"),
            ("outcone.reason", "outcome.reason"),
            ("outcome_reason", "outcome.reason"),
            ("actor_attributes.team", "actor.attributes.team"),
            ("contxt.session_id", "context.session_id"),
            ("context_host", "context.host"),
            ("tenantid", "tenant_id"),
            ("descripton", "description"),
            ("sesion_id", "session_id"),
            ("ip", "ip_address"),
            ("environment", "context.environment"),
            ("host", "context.host"),
            ("protocol", "context.protocol"),
            ("tenantId", "tenant_id"),
            ("actorId", "actor.id"),
            ("actorid", "actor.id"),
            ("actor_id", "actor.id"),
            ("Actor.id", "actor.id"),
            ("actorAttributes.team", "actor.attributes.team"),
            ("resourceId", "resource.id"),
            ("resourceName", "resource.name"),
            ("userAgent", "user_agent"),
            ("ipAddress", "ip_address"),
            ("clientIp", "ip_address"),
            ("requestId", "request_id"),
            ("sessionID", "session_id"),
            ("traceid", "trace_id"),
            ("spanId", "span_id"),
            ("outcomeReason", "outcome.reason"),
            ("Tags", "tags"),
        ] {
            assert_eq!(meant(given).as_deref(), Some(field), "{given}");
        }
        for own in [
            "action",
            "actors",
            "content",
            "factor",
            "host.name",
            "hosts",
            "ip.version",
            "IP.version",
            "request_ip",
            "session_ip",
            "tenant_ip",
            "tenantIp",
            "requestIds",
            "actorIds",
            "order.id",
            "outcome_code",
            "resources",
            "scan_id",
            "tenant.plan",
            "trade_id",
        ] {
            assert_eq!(meant(own), None, "{own}");
        }
    }
}
