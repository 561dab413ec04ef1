//! The columns of a table of entries.

use std::borrow::Cow;

use clap::{ValueEnum, builder::PossibleValue};
use tracing_audit::RawEntry;

use super::output::{escaped, time};

/// A column of a table of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Time,
    EventType,
    Severity,
    Outcome,
    Actor,
    Resource,
    Tenant,
    Address,
    Description,
    Source,
    Session,
    Request,
    Id,
    Stream,
    Seq,
}

impl ValueEnum for Column {
    fn value_variants<'a>() -> &'a [Self] {
        use Column::*;
        &[
            Time,
            EventType,
            Severity,
            Outcome,
            Actor,
            Resource,
            Tenant,
            Address,
            Description,
            Source,
            Session,
            Request,
            Id,
            Stream,
            Seq,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Column {
    /// The name by which the column is asked for.
    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::EventType => "event-type",
            Self::Severity => "severity",
            Self::Outcome => "outcome",
            Self::Actor => "actor",
            Self::Resource => "resource",
            Self::Tenant => "tenant",
            Self::Address => "address",
            Self::Description => "description",
            Self::Source => "source",
            Self::Session => "session",
            Self::Request => "request",
            Self::Id => "id",
            Self::Stream => "stream",
            Self::Seq => "seq",
        }
    }

    /// The text above the column.
    pub(super) fn heading(self) -> String {
        match self {
            Self::Time => "TIME (UTC)".to_owned(),
            column => column.name().to_uppercase().replace('-', " "),
        }
    }

    /// Whether the texts of the column must not be broken over lines.
    pub(super) fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Time | Self::Severity | Self::Outcome | Self::Address | Self::Id | Self::Seq
        )
    }

    /// The width at which the column is still easy to read, though longer texts are broken.
    pub(super) fn enough(self) -> usize {
        match self {
            column if column.is_whole() => usize::MAX,
            Self::EventType | Self::Resource => 28,
            Self::Tenant => 16,
            _ => 24,
        }
    }

    /// The columns that suit these entries: an address, or a tenant, only if an entry has one.
    pub(super) fn suitable(entries: &[&RawEntry]) -> Vec<Self> {
        let mut columns = Self::value_variants()[..9].to_vec();
        columns.retain(|column| match column {
            Self::Tenant | Self::Address => {
                entries.iter().any(|entry| !column.text(entry).is_empty())
            }
            _ => true,
        });
        columns
    }

    /// The text of an entry in this column, without control characters.
    pub(super) fn text(self, entry: &RawEntry) -> String {
        let text = match self {
            Self::Time => return time(entry.timestamp()),
            Self::Seq => return entry.seq().to_string(),
            Self::Actor => first([entry.actor_name(), entry.actor_id(), entry.actor_type()]),
            Self::Resource => resource(entry),
            Self::Outcome => outcome(entry),
            Self::EventType => entry.event_type(),
            Self::Severity => entry.severity(),
            Self::Tenant => entry.tenant_id(),
            Self::Address => entry.ip_address(),
            Self::Description => entry.description(),
            Self::Source => entry.source(),
            Self::Session => entry.session_id(),
            Self::Request => entry.request_id(),
            Self::Id => entry.id().into(),
            Self::Stream => entry.stream(),
        };
        escaped(&text).into_owned()
    }
}

fn resource(entry: &RawEntry) -> Cow<'_, str> {
    let name = first([entry.resource_name(), entry.resource_id()]);
    match entry.resource_type() {
        kind if kind.is_empty() => name,
        kind if name.is_empty() => kind,
        kind => format!("{kind} {name}").into(),
    }
}

/// An entry without an outcome is a success, as the filter has it.
fn outcome(entry: &RawEntry) -> Cow<'_, str> {
    match entry.outcome() {
        outcome if outcome.is_empty() => "success".into(),
        outcome => outcome,
    }
}

/// The first that isn't empty.
fn first<const N: usize>(texts: [Cow<'_, str>; N]) -> Cow<'_, str> {
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;

    fn entry(rest: &str) -> RawEntry {
        let line = format!(
            r#"{{"stream":"a-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-21T23:59:59.999999Z","event_type":"a.b"{rest}}}"#
        );
        RawEntry::from_line(line.as_bytes()).unwrap()
    }

    #[test]
    fn an_actor_without_a_name_or_an_id_is_shown_by_the_type() {
        for (actor, shown) in [
            (r#"{"type":"unknown"}"#, "unknown"),
            (r#"{"type":"user","id":"u-1"}"#, "u-1"),
            (r#"{"type":"user","id":"u-1","name":"Ann"}"#, "Ann"),
        ] {
            let entry = entry(&format!(r#","actor":{actor}"#));
            assert_eq!(Column::Actor.text(&entry), shown);
        }
    }

    #[test]
    fn an_address_is_shown_where_there_is_one_and_room() {
        let description = format!(r#","description":"{}""#, "word ".repeat(9));
        let [with, without] = [r#","ip_address":"192.0.2.7""#, ""]
            .map(|address| entry(&format!("{address}{description}")));
        let has = |entries: &[&RawEntry], width| {
            let heading = Rows::of(entries, &[], width).heading();
            heading.contains("ADDRESS")
        };
        assert!(has(&[&without, &with], Some(150)) && has(&[&with], None));
        assert!(!has(&[&without], Some(150)) && !has(&[&with], Some(100)));
    }

    #[test]
    fn each_column_has_a_name_of_its_own() {
        let mut names: Vec<_> = Column::value_variants()
            .iter()
            .map(|one| one.name())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Column::value_variants().len());
    }
}
