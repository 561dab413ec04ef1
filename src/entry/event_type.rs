//! What an event type may look like.

/// The longest event type, in bytes.
const LONGEST: usize = 128;

/// Whether `text` is an event type: `[a-z0-9_]+(\.[a-z0-9_]+)+`, at most 128 bytes.
fn is_event_type(text: &str) -> bool {
    let segment = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    text.len() <= LONGEST && text.contains('.') && text.split('.').all(segment)
}

/// Whether `text` is an event type that an application may use: those that begin with `audit.` are
/// the log's own.
pub(crate) fn is_free_event_type(text: &str) -> bool {
    is_event_type(text) && !text.starts_with(OWN)
}

/// How the log's own event types begin.
const OWN: &str = "audit.";

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
        ["audit", ..] => format!("app.{}", segments.join(".")),
        _ => segments.join("."),
    };
    let short: String = nearest.chars().take(LONGEST).collect();
    short.trim_end_matches('.').to_owned()
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
            assert!(is_free_event_type(&nearest_event_type(&text)), "{text:?}");
        }
        assert!(is_free_event_type("auditor.named") && !is_free_event_type("audit.log.closed"));
    }
}
