//! The event type for an event whose own is none.

use tracing_audit_schema::event_type::{LONGEST, OWN};

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
