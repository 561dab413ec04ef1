//! Where a field's value goes in the record.
//!
//! Every field has one canonical path: `["actor", "id"]`, `["context", "session_id"]`,
//! `["details", "order", "id"]`. So "given twice" is two equal paths and "whole and part" is a path
//! that begins with another, whatever the fields are called at the call.

use syn::{Error, Result};

use crate::field::{Field, Sigil};

/// One top-level place for values in the record.
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    /// Its named parts, in the order of the record; empty if it has none, or any (`details`).
    pub(crate) parts: &'static [&'static str],
    /// What the whole of it is called, if it may be given as a whole.
    whole: Option<&'static str>,
}

/// All of them, in the order of the record.
pub(crate) const SLOTS: [Slot; 10] = [
    Slot {
        name: "tenant_id",
        parts: &[],
        whole: Some(TEXT),
    },
    Slot {
        name: "actor",
        parts: &["type", "id", "name", "attributes"],
        whole: Some("an `Actor`"),
    },
    Slot {
        name: "resource",
        parts: &["type", "id", "name", "attributes", "prior_attributes"],
        whole: Some("a `Resource`"),
    },
    Slot {
        name: "outcome",
        parts: &["type", "reason", "error"],
        whole: Some("an `Outcome`"),
    },
    Slot {
        name: "description",
        parts: &[],
        whole: Some(TEXT),
    },
    Slot {
        name: "details",
        parts: &[],
        whole: Some("a map or a struct"),
    },
    Slot {
        name: "tags",
        parts: &[],
        whole: Some("a list"),
    },
    Slot {
        name: "ip_address",
        parts: &[],
        whole: Some(TEXT),
    },
    Slot {
        name: "user_agent",
        parts: &[],
        whole: Some(TEXT),
    },
    Slot {
        name: "context",
        parts: &[
            "environment",
            "session_id",
            "request_id",
            "protocol",
            "host",
            "trace_id",
            "span_id",
        ],
        whole: None,
    },
];

const TEXT: &str = "text";

/// The names of one word that have a place of their own in the record.
pub(crate) const TOP_LEVEL: [&str; 13] = [
    "tenant_id",
    "actor",
    "resource",
    "outcome",
    "description",
    "details",
    "tags",
    "ip_address",
    "user_agent",
    "session_id",
    "request_id",
    "trace_id",
    "span_id",
];

/// Parts of `context` that need not be called so.
const SHORT: [&str; 4] = ["session_id", "request_id", "trace_id", "span_id"];

/// Top-level fields that only the log writes.
const OWN: [&str; 7] = [
    "id",
    "timestamp",
    "stream",
    "seq",
    "schema_version",
    "event_type",
    "source",
];

/// The parts that are maps: any name may follow.
const MAPS: [&str; 2] = ["attributes", "prior_attributes"];

/// The values of `outcome.type`.
const OUTCOMES: [&str; 3] = ["success", "failure", "unknown"];

/// Finds where a field's value goes.
pub(crate) fn canonical(field: &Field) -> Result<Vec<String>> {
    let path = &field.path;
    let mut names = path.names();
    if names.len() == 1 {
        if SHORT.contains(&names[0].as_str()) {
            names.insert(0, "context".to_owned());
        } else if OWN.contains(&names[0].as_str()) {
            let message = format!(
                "`{path}` is set by the log; write `details.{path} = …` for a value of your own"
            );
            return Err(Error::new_spanned(path, message));
        }
    }
    let Some(slot) = SLOTS.iter().find(|slot| slot.name == names[0]) else {
        if let Some(meant) = near_miss(&names) {
            let message = format!(
                "`{path}` looks like `{meant}`; write `{meant} = …`, or `details.{path} = …` for a value of your own"
            );
            return Err(Error::new_spanned(path, message));
        }
        names.insert(0, "details".to_owned());
        return Ok(names);
    };
    let fault = match names.get(1).map(String::as_str) {
        None => whole_fault(slot, field),
        Some(_) if slot.name == "details" => None,
        Some(part) => part_fault(slot, part, &names[2..], field),
    };
    match fault {
        None => Ok(names),
        Some(message) => Err(Error::new_spanned(path, message)),
    }
}

/// Other names that people have for a field of the log.
const ALIASES: [(&str, &str); 12] = [
    ("agent", "user_agent"),
    ("client_ip", "ip_address"),
    ("detail", "details"),
    ("ip", "ip_address"),
    ("ip_addr", "ip_address"),
    ("ipaddress", "ip_address"),
    ("remote_addr", "ip_address"),
    ("remote_ip", "ip_address"),
    ("tag", "tags"),
    ("tenant", "tenant_id"),
    ("tenantid", "tenant_id"),
    ("useragent", "user_agent"),
];

/// Fields that no word of one other letter is likely to be: `scan_id` is not `span_id`, nor
/// `content` `context`.
const UNMISTAKABLE: [&str; 10] = [
    "tenant_id",
    "actor",
    "resource",
    "outcome",
    "description",
    "ip_address",
    "user_agent",
    "session_id",
    "request_id",
    "severity",
];

/// Words that are no misspelling, though they look like one.
const WORDS: [&str; 1] = ["factor"];

/// The field of the log that these names probably mean, which are in no slot. In `details` they
/// would be unseen by whoever asks who did what to which thing.
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
    if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| alias == first) {
        return below.is_empty().then(|| (*name).to_owned());
    }
    for slot in SLOTS.iter().filter(|slot| !slot.parts.is_empty()) {
        let part = first
            .strip_prefix(slot.name)
            .and_then(|rest| rest.strip_prefix('_'));
        if let Some(part) = part.filter(|part| slot.parts.contains(part)) {
            return Some(with(&format!("{}.{part}", slot.name)));
        }
        // `acter.id`, whatever it is one letter from.
        let is_part = below
            .first()
            .is_some_and(|part| slot.parts.contains(&part.as_str()));
        if is_part && is_misspelt(first, slot.name) {
            return Some(with(slot.name));
        }
    }
    let misspelt = |name: &&&str| is_misspelt(first, name) && !WORDS.contains(&first.as_str());
    let meant = UNMISTAKABLE.iter().find(misspelt)?;
    below.is_empty().then(|| (*meant).to_string())
}

/// Whether one letter is wrong, missing or too much, or two are swapped. A plural is another word.
pub(crate) fn is_misspelt(word: &str, name: &str) -> bool {
    let (word, name) = (word.as_bytes(), name.as_bytes());
    let same = word.iter().zip(name).take_while(|(a, b)| a == b).count();
    let (word, name) = (&word[same..], &name[same..]);
    match (word, name) {
        ([], []) | ([b's'], []) => false,
        ([a, b, rest @ ..], [c, d, others @ ..]) if a == d && b == c && rest == others => true,
        _ => {
            let (rest, others) = (word.get(1..), name.get(1..));
            rest == Some(name) || others == Some(word) || rest.is_some() && rest == others
        }
    }
}

/// What is wrong with giving all of a slot in one value, if anything is.
fn whole_fault(slot: &Slot, field: &Field) -> Option<String> {
    let name = slot.name;
    match slot.whole {
        None => Some(format!(
            "`{name}` is given part by part; write `{name}.{} = …` ({})",
            slot.parts[1],
            list(slot.parts)
        )),
        Some(kind) if kind != TEXT => not_as_text(
            field,
            kind,
            match slot.parts {
                [] => None,
                parts => parts
                    .iter()
                    .find(|part| matches!(**part, "id" | "reason"))
                    .copied(),
            },
        ),
        Some(_) => None,
    }
}

/// What is wrong with a part of a slot, if anything is.
fn part_fault(slot: &Slot, part: &str, below: &[String], field: &Field) -> Option<String> {
    let (name, path) = (slot.name, &field.path);
    if slot.parts.is_empty() {
        return Some(format!(
            "`{name}` has no parts; write `{name} = …`, or `details.{path} = …` for a value of your own"
        ));
    }
    if !slot.parts.contains(&part) {
        return Some(format!(
            "`{name}` has no part `{part}`, only {}; for a value of your own write {}",
            list(slot.parts),
            {
                let own = std::iter::once(part)
                    .chain(below.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(".");
                if slot.parts.contains(&"attributes") {
                    format!("`{name}.attributes.{own} = …`")
                } else {
                    format!("`{name}_{own} = …`")
                }
            }
        ));
    }
    match below {
        [] if MAPS.contains(&part) => not_as_text(field, "a map or a struct", None),
        [] if (name, part) == ("outcome", "type") => outcome_fault(field),
        [] => None,
        _ if MAPS.contains(&part) => None,
        _ => Some(format!(
            "`{name}.{part}` has no parts; write `{name}.{part} = …`"
        )),
    }
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
    (!OUTCOMES.contains(&given.as_str()))
        .then(|| format!("the type of an outcome is one of {}, not `{given}`; the kind of a failure is `outcome.reason = …`", list(&OUTCOMES)))
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
        ] {
            assert_eq!(meant(given).as_deref(), Some(field), "{given}");
        }
        for own in [
            "action",
            "actors",
            "content",
            "factor",
            "ip.version",
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
