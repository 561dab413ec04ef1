//! The columns of a table of entries.

use std::borrow::Cow;

use clap::{ValueEnum, builder::PossibleValue};
use tracing_audit::{RawEntry, Timestamp};

use super::output::escaped;

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

/// A terminal has room for the tenant and the address from so many columns of text on.
const ROOMY: u16 = 140;

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
    /// As it is asked for.
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

    /// As it is written above the column.
    pub(super) fn heading(self) -> String {
        match self {
            Self::Time => "TIME (UTC)".to_owned(),
            column => column.name().to_uppercase().replace('-', " "),
        }
    }

    /// Whether its texts can't be read in pieces.
    pub(super) fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Time
                | Self::EventType
                | Self::Severity
                | Self::Outcome
                | Self::Address
                | Self::Seq
        )
    }

    /// The columns that suit these entries and a terminal of this width: an address, or a tenant,
    /// only if there is room, and an entry that has one.
    pub(super) fn suitable(entries: &[&RawEntry], width: Option<u16>) -> Vec<Self> {
        let roomy = width.is_none_or(|width| width >= ROOMY);
        let mut columns = Self::value_variants()[..9].to_vec();
        columns.retain(|column| match column {
            Self::Tenant | Self::Address => {
                roomy && entries.iter().any(|entry| !column.text(entry).is_empty())
            }
            _ => true,
        });
        columns
    }

    /// What an entry has in this column, with nothing that a terminal would obey.
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

/// As in `2026-11-21 10:15:00.123`.
fn time(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..23).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let [with, without] = [r#","ip_address":"192.0.2.7""#, ""].map(entry);
        let has = |entries: &[&RawEntry], width| {
            Column::suitable(entries, width).contains(&Column::Address)
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
