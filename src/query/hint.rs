//! Hints for a query that finds nothing.

use super::{filter::Filter, reader::AuditReader};
use crate::{entry::Catalogue, error::Result};

/// How many event types a hint names.
const MOST_NAMED: usize = 5;

impl AuditReader {
    /// Says why a filter may have found nothing: a sentence for each event type that the filter
    /// wants and that the catalogue of this log doesn't have. Empty if all are in the catalogue. The
    /// catalogue doesn't have the event types of ordinary `tracing` events, and of events whose type
    /// is only known at run time.
    ///
    /// ```
    /// # use tracing_audit::{AuditLog, AuditReader, Filter, audit};
    /// # let log = AuditLog::for_tests();
    /// # log.run(|| audit!("door.lock.opened", actor.id = "ann").ignore());
    /// # let reader = AuditReader::open(log.dir())?;
    /// let filter = Filter::parse([("event_type", "door.lock")])?;
    /// assert_eq!(
    ///     reader.hints(&filter)?,
    ///     ["no event type is named door.lock; there is door.lock.opened: write door.lock.*"]
    /// );
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the catalogue can't be read.
    pub fn hints(&self, filter: &Filter) -> Result<Vec<String>> {
        let wanted = filter.wanted("event_type");
        // The log's own event types are in no catalogue.
        let wanted: Vec<_> = wanted.filter(|text| !text.starts_with("audit.")).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let catalogue = self.catalogue()?;
        let hints = wanted.into_iter().filter_map(|text| hint(&catalogue, text));
        Ok(hints.collect())
    }
}

/// Why there is no entry of these event types; `None` if there can be.
fn hint(catalogue: &Catalogue, wanted: &str) -> Option<String> {
    if catalogue.is_empty() || catalogue.get(wanted).is_some() {
        return None;
    }
    let name = wanted.strip_suffix(".*").unwrap_or(wanted);
    let below = named(catalogue, &format!("{name}."));
    let first = name.split('.').next().unwrap_or(name);
    match (below, named(catalogue, &format!("{first}."))) {
        (Some(_), _) if name != wanted => None,
        (Some(below), _) => Some(format!(
            "no event type is named {name}; {below}: write {name}.*"
        )),
        (None, Some(near)) if name != wanted => {
            Some(format!("no event type is below {name}; {near}"))
        }
        (None, Some(near)) => Some(format!("no event type is named {name}; {near}")),
        (None, None) => Some(format!(
            "no event type begins with {first}; the catalogue of this log lists all event types"
        )),
    }
}

/// Names the first event types that begin so, in a sentence.
fn named(catalogue: &Catalogue, prefix: &str) -> Option<String> {
    let types = catalogue.iter().map(|entry| entry.event_type());
    let mut types: Vec<_> = types.filter(|name| name.starts_with(prefix)).collect();
    let more = types.len().saturating_sub(MOST_NAMED);
    types.truncate(MOST_NAMED);
    let last = match more {
        0 => types.pop()?.to_owned(),
        more => format!("{more} more"),
    };
    Some(match types.as_slice() {
        [] => format!("there is {last}"),
        names => format!("there are {} and {last}", names.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(types: &[&str]) -> Catalogue {
        let entry = |name: &&str| serde_json::json!({"event_type": name, "severities": ["info"], "locations": []});
        let entries: Vec<_> = types.iter().map(entry).collect();
        serde_json::from_value(entries.into()).unwrap()
    }

    #[test]
    fn a_hint_says_what_to_write_instead() {
        let few = catalogue(&["auth.login.failed", "auth.login.success", "user.created"]);
        let many = catalogue(&[
            "a.a.b", "a.a.c", "a.a.d", "a.a.e", "a.a.f", "a.a.g", "a.a.h",
        ]);
        for (catalogue, wanted, said) in [
            (
                &few,
                "auth.login",
                Some(
                    "no event type is named auth.login; there are auth.login.failed and \
                     auth.login.success: write auth.login.*",
                ),
            ),
            (
                &few,
                "user.create",
                Some("no event type is named user.create; there is user.created"),
            ),
            (
                &few,
                "user.role.*",
                Some("no event type is below user.role; there is user.created"),
            ),
            (
                &few,
                "billing.*",
                Some(
                    "no event type begins with billing; the catalogue of this log lists all \
                     event types",
                ),
            ),
            (
                &many,
                "a.a",
                Some(
                    "no event type is named a.a; there are a.a.b, a.a.c, a.a.d, a.a.e, a.a.f and \
                     2 more: write a.a.*",
                ),
            ),
            (&few, "auth.login.failed", None),
            (&few, "auth.*", None),
            (&catalogue(&[]), "auth.login", None),
        ] {
            assert_eq!(hint(catalogue, wanted).as_deref(), said, "{wanted}");
        }
    }
}
