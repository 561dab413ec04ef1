//! The name of a kind of event, and the event type for an event whose own is none.

use std::{fmt, str::FromStr, sync::Arc};

use tracing_audit_schema::event_type::{self, LONGEST, OWN, below_own, is_well_formed};

use super::text::{compare_with_text, serde_as_text};
use crate::error::Error;

/// The name of a kind of event, such as `auth.login.success`: two or more segments of `a-z`, `0-9`
/// and `_`, joined by dots, at most 128 bytes. Cheap to clone.
///
/// ```
/// use tracing_audit::EventType;
///
/// let event_type: EventType = "auth.login.success".parse()?;
/// assert_eq!(event_type, "auth.login.success");
/// assert_eq!((event_type.category(), event_type.action()), ("auth", "success"));
/// assert!("Login".parse::<EventType>().is_err());
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment: the category of an event that names no other.
    pub fn category(&self) -> &str {
        event_type::category(&self.0)
    }

    /// The last segment: the action of an event that names no other.
    pub fn action(&self) -> &str {
        event_type::action(&self.0)
    }

    /// Whether the log itself records this event type (`audit.…`). Applications can't.
    pub fn is_own(&self) -> bool {
        below_own(&self.0).is_some()
    }
}

impl FromStr for EventType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() <= LONGEST && is_well_formed(text) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(
            "event_type",
            format!(
                "{text:?} must be two or more segments of a-z 0-9 _ joined by dots, of {LONGEST} \
                 bytes at most, like {:?}",
                nearest_event_type(text)
            ),
        ))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text! {
    EventType: "an event type like auth.login.success",
}

compare_with_text! {
    EventType,
}

/// The event type that is most like `text`, which is none: in lower case, with `_` in the place of
/// what can't stand in one, of two segments at least, and not one of the log's own.
pub(crate) fn nearest_event_type(text: &str) -> String {
    let mut nearest = String::new();
    // No more is needed than the longest, whatever the text.
    for c in text.chars().take(LONGEST) {
        nearest.push(match c {
            'a'..='z' | '0'..='9' | '_' | '.' => c,
            'A'..='Z' => c.to_ascii_lowercase(),
            ':' | '/' => '.',
            _ => '_',
        });
    }
    let segments: Vec<&str> = nearest.split('.').filter(|s| !s.is_empty()).collect();
    let nearest = match segments[..] {
        [] => "app.event".to_owned(),
        [only] => format!("app.{only}"),
        [OWN, ..] => format!("app.{}", segments.join(".")),
        _ => segments.join("."),
    };
    let short: String = nearest.chars().take(LONGEST).collect();
    short.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use tracing_audit_schema::event_type::is_free;

    use super::*;

    #[test]
    fn what_is_no_event_type_has_one_that_is_near() {
        for (text, nearest) in [
            ("User.Created", "user.created"),
            ("order::paid", "order.paid"),
            ("user created.now", "user_created.now"),
            ("login", "app.login"),
            ("", "app.event"),
            ("...", "app.event"),
            ("audit.log.closed", "app.audit.log.closed"),
            ("Audit.log", "app.audit.log"),
            ("lög.in\n", "l_g.in_"),
        ] {
            assert_eq!(nearest_event_type(text), nearest, "{text:?}");
        }
        for text in ["a.".repeat(300), "x".repeat(1000), ".é".repeat(90)] {
            assert!(is_free(&nearest_event_type(&text)), "{text:?}");
        }
    }
}
