//! The head of an entry, before its values: from `schema_version` to `severity`.

use tracing_audit_schema::{SCHEMA_VERSION, event_type, fields};

use crate::entry::{Buffer, Severity, json};

/// The head of an event, before its values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// The JSON, as the macro has rendered it: from `schema_version` to `severity`, without braces.
    Rendered(&'a str),
    /// A category and an action that are not given follow from the event type.
    Of {
        event_type: &'a str,
        category: Option<&'a str>,
        action: Option<&'a str>,
        severity: Severity,
    },
}

impl<'a> Head<'a> {
    /// Of an event type that says all.
    pub(crate) fn of(event_type: &'a str, severity: Severity) -> Self {
        Self::Of {
            event_type,
            category: None,
            action: None,
            severity,
        }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Buffer) {
        match *self {
            Self::Rendered(json) => out.append(json.as_bytes()),
            Self::Of {
                event_type,
                category,
                action,
                severity,
            } => write(
                out,
                [
                    SCHEMA_VERSION,
                    event_type,
                    category.unwrap_or_else(|| event_type::category(event_type)),
                    action.unwrap_or_else(|| event_type::action(event_type)),
                    severity.as_str(),
                ],
            ),
        }
    }
}

#[inline(never)]
fn write(out: &mut Buffer, values: [&str; 5]) {
    const FIELDS: [fields::Field; 5] = [
        fields::SCHEMA_VERSION,
        fields::EVENT_TYPE,
        fields::CATEGORY,
        fields::ACTION,
        fields::SEVERITY,
    ];
    for (place, (field, value)) in FIELDS.iter().zip(values).enumerate() {
        let key = field.key.as_bytes();
        // The stamp before it ends in a comma.
        out.append(if place == 0 { &key[1..] } else { key });
        json::write_str(out, value);
    }
}
