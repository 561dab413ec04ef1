//! The event type of a call: two or more lower-case segments joined by dots, such as
//! `user.updated`.
//!
//! Always true: an `EventType` that exists has that shape, is at most `LONGEST` bytes, and is not
//! one of the log's own. An error says what to write instead.

use syn::{Error, LitStr, Result};
use tracing_audit_schema::event_type::{self, LONGEST, OWN, below_own};

/// An event type that keeps the rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventType(String);

impl EventType {
    /// Checks a literal; the error points at it and says what to write instead.
    pub(crate) fn parse(literal: &LitStr) -> Result<Self> {
        let text = literal.value();
        match fault(&text) {
            None => Ok(Self(text)),
            Some(message) => Err(Error::new(literal.span(), message)),
        }
    }

    /// Checks what `#[audited]` is given: an event type without its last segment, or a single word.
    pub(crate) fn check_stem(literal: &LitStr) -> Result<()> {
        stem_fault(&literal.value())
            .map_or(Ok(()), |message| Err(Error::new(literal.span(), message)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The category of an event that names none: what it is about.
    pub(crate) fn first_segment(&self) -> &str {
        event_type::category(&self.0)
    }

    /// The action of an event that names none: what happened.
    pub(crate) fn last_segment(&self) -> &str {
        event_type::action(&self.0)
    }
}

/// The error in an event type, if there is one.
fn fault(text: &str) -> Option<String> {
    if text.is_empty() {
        let problem = "the event type is empty; write a subject and what happened to it, such as \
                       \"user.updated\"";
        return Some(problem.to_owned());
    }
    let corrected = correct(text);
    if corrected != text {
        let shape = "an event type is two or more segments of `a-z`, `0-9` and `_`, joined by dots";
        return Some(match fault(&corrected) {
            None => format!("{shape}; write {corrected:?}"),
            Some(_) => format!(r#"{shape}, such as "user.updated""#),
        });
    }
    if !text.contains('.') {
        return Some(
            "an event type has two or more segments, a subject and what happened to it, such as \
             \"user.updated\""
                .to_owned(),
        );
    }
    if text.len() > LONGEST {
        return Some(format!(
            "the event type is {} bytes long, and {LONGEST} is the most; keep the kind of event \
             here and put the particulars into fields",
            text.len()
        ));
    }
    if let Some(rest) = below_own(text) {
        let instead = if rest.contains('.') {
            rest.to_owned()
        } else {
            format!("app.{rest}")
        };
        return Some(format!(
            "event types that begin with `{OWN}.` are the log's own; write for example {instead:?}"
        ));
    }
    None
}

/// The error in the beginning of three event types, if there is one.
fn stem_fault(text: &str) -> Option<String> {
    const ENDS: [&str; 3] = ["started", "completed", "failed"];
    if text.is_empty() {
        return Some(
            r#"the event type is empty; write what is done, such as "secret.rotation""#.to_owned(),
        );
    }
    if let Some((stem, end)) = text.rsplit_once('.')
        && ENDS.contains(&end)
        && fault(text).is_none()
    {
        return Some(format!(
            "`.started`, `.completed` and `.failed` are added to the event type; write {stem:?}"
        ));
    }
    let corrected = correct(text);
    if corrected != text {
        let shape = "the event types of a function begin with segments of `a-z`, `0-9` and `_`, \
                     joined by dots";
        return Some(
            if corrected.is_empty() || stem_fault(&corrected).is_some() {
                format!(r#"{shape}, such as "secret.rotation""#)
            } else {
                format!("{shape}; write {corrected:?}")
            },
        );
    }
    if text == OWN {
        return Some(format!(
            "event types that begin with `{OWN}.` are the log's own; write for example \
             \"app.{OWN}\""
        ));
    }
    // `.completed` is the longest of what is added.
    fault(&format!("{text}.completed")).map(|message| message.replace(".completed\"", "\""))
}

/// The text as the author most likely meant it: lower case, `_` inside words, `.` between segments.
fn correct(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let mut after_lower = false;
    for character in text.chars() {
        match character {
            'a'..='z' | '0'..='9' | '_' => out.push(character),
            'A'..='Z' => {
                // The hump of a camel is a word's end, but not within an acronym.
                if after_lower {
                    out.push('_');
                }
                out.push(character.to_ascii_lowercase());
            }
            '.' | ':' | '/' | '\\' | '>' => out.push('.'),
            '-' | ' ' => out.push('_'),
            _ => {}
        }
        after_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    let segments: Vec<&str> = out
        .split('.')
        .filter(|segment| !segment.is_empty())
        .collect();
    segments.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_event_types_pass_and_give_category_and_action() {
        for text in [
            "user.updated",
            "discovery.scan.completed",
            "a.b",
            "v2.x_1",
            "auditor.named",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
        let event_type = EventType("discovery.scan.completed".into());
        assert_eq!(
            (event_type.first_segment(), event_type.last_segment()),
            ("discovery", "completed")
        );
    }

    #[test]
    fn a_malformed_event_type_is_told_its_corrected_form() {
        for (wrong, right) in [
            ("User.Created", "user.created"),
            ("auth:login", "auth.login"),
            ("auth::login", "auth.login"),
            ("user..created", "user.created"),
            (".user.created", "user.created"),
            ("user.created.", "user.created"),
            ("api-key.rotated", "api_key.rotated"),
            ("apiKey.rotated", "api_key.rotated"),
            ("HTTPRequest.served", "httprequest.served"),
            ("user/created!", "user.created"),
        ] {
            let message = fault(wrong).expect(wrong);
            assert!(
                message.ends_with(&format!("; write {right:?}")),
                "{wrong}: {message}"
            );
            assert_eq!(fault(right), None);
        }
    }

    #[test]
    fn a_single_segment_is_told_to_add_a_second() {
        for wrong in ["login", "user_created", "Login", "audit"] {
            let message = fault(wrong).expect(wrong);
            assert!(message.contains("two or more segments"), "{message}");
            assert!(message.ends_with(r#"such as "user.updated""#), "{message}");
        }
    }

    #[test]
    fn a_stem_is_one_segment_or_more() {
        for text in ["rotation", "secret.rotation", "a.b.c"] {
            assert_eq!(stem_fault(text), None, "{text}");
        }
        for (wrong, told) in [
            ("", "is empty"),
            ("rotation.started", r#"write "rotation""#),
            ("Secret.Rotation", r#"; write "secret.rotation""#),
            ("Rotation.Completed", r#"such as "secret.rotation""#),
            ("…", r#"such as "secret.rotation""#),
            ("audit", r#"write for example "app.audit""#),
            ("audit.rotation", r#"write for example "rotation""#),
            (&"a".repeat(119), "is 129 bytes long"),
        ] {
            let message = stem_fault(wrong).expect(wrong);
            assert!(message.contains(told), "{wrong}: {message}");
        }
    }

    #[test]
    fn empty_long_and_reserved_event_types_are_refused() {
        assert!(fault("").expect("empty").contains("is empty"));
        assert!(
            fault("…")
                .expect("nothing left")
                .ends_with(r#"such as "user.updated""#)
        );
        let longest = format!("a.{}", "b".repeat(LONGEST - 2));
        assert_eq!(fault(&longest), None);
        assert!(
            fault(&format!("{longest}b"))
                .expect("long")
                .contains("129 bytes")
        );
        assert_eq!(
            fault("audit.user.created").expect("reserved"),
            "event types that begin with `audit.` are the log's own; write for example \
             \"user.created\""
        );
        assert!(
            fault("audit.login")
                .expect("reserved")
                .ends_with(r#""app.login""#)
        );
        assert!(fault("Audit.Login").is_some());
    }
}
