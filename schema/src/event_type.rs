//! The shape of an event type: two or more segments of `a-z`, `0-9` and `_`, joined by dots.

/// The longest event type, in bytes.
pub const LONGEST: usize = 128;

/// The first segment of the event types that the log writes about itself.
pub const OWN: &str = "audit";

/// Whether a text has the shape of an event type, however long it is.
pub fn is_well_formed(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_segment)
}

/// Whether an application may use this event type: it is well-formed, not too long, and not one of
/// the log's own.
#[inline]
pub fn is_free(text: &str) -> bool {
    text.len() <= LONGEST && is_well_formed(text) && below_own(text).is_none()
}

/// The rest after `audit.` of an event type of the log's own.
pub fn below_own(text: &str) -> Option<&str> {
    text.strip_prefix(OWN)?.strip_prefix('.')
}

/// The category of an event that names none: what it is about.
pub fn category(event_type: &str) -> &str {
    event_type.split('.').next().unwrap_or_default()
}

/// The action of an event that names none: what happened.
pub fn action(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or_default()
}

fn is_segment(text: &str) -> bool {
    let is_of_segment = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    !text.is_empty() && text.bytes().all(is_of_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_dotted_lower_case() {
        for text in ["auth.login.success", "a_1.b", "auditor.named"] {
            assert!(is_free(text), "{text}");
        }
        for wrong in [
            "login",
            "auth.",
            ".auth",
            "auth..login",
            "Auth.login",
            "auth.log in",
            "auth.lögin",
            "",
        ] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn one_that_is_too_long_or_the_logs_own_is_not_free() {
        let longest = format!("{}ab", "a.".repeat(63));
        assert_eq!(longest.len(), LONGEST);
        assert!(is_free(&longest) && !is_free(&format!("{longest}c")));
        assert!(!is_free("audit.log.closed"));
        assert_eq!(below_own("audit.log.closed"), Some("log.closed"));
    }

    #[test]
    fn its_first_segment_is_the_category_and_its_last_the_action() {
        assert_eq!(category("discovery.scan.completed"), "discovery");
        assert_eq!(action("discovery.scan.completed"), "completed");
    }
}
