//! What an event type may look like.

/// The longest event type, in bytes.
const LONGEST: usize = 128;

/// Whether `text` is an event type: `[a-z0-9_]+(\.[a-z0-9_]+)+`, at most 128 bytes.
pub(crate) fn is_event_type(text: &str) -> bool {
    let segment = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    text.len() <= LONGEST && text.contains('.') && text.split('.').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_dotted_lower_case() {
        assert!(is_event_type("auth.login.success") && is_event_type("a_1.b"));
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
            assert!(!is_event_type(wrong), "{wrong}");
        }
        assert!(
            !is_event_type(&"a.".repeat(64)) && is_event_type(&format!("{}b", "a.".repeat(63)))
        );
    }
}
