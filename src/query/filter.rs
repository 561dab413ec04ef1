//! The choice of entries, by parameters that HTTP query strings and command lines share.
//!
//! A filter is made once from (name, value) texts, and every problem with them is reported then.
//! Values are escaped as they stand in a line, so a match compares bytes. Different parameters must
//! all hold; of a repeated parameter, one value must.

use super::{
    condition::{Condition, Field, Types},
    needle::{Haystack, Needle},
};
use crate::{
    entry::{
        Day, Timestamp,
        scan::{Fields, escape},
    },
    error::{Error, Result},
    store::index::Key,
};

/// How many parameters one filter takes.
const MAX_PARAMETERS: usize = 64;
/// How long a name or value may be, in bytes.
const MAX_LEN: usize = 1024;
const DETAILS: &str = "details.";
/// How the event types of reads of the log begin.
const ACCESS: &[u8] = b"audit.access.";

/// A choice of entries. The default wants all.
///
/// | parameter | an entry is wanted if |
/// |---|---|
/// | `start_date`, `end_date` | its time is in the range: a date (`2026-11-21`) is the whole UTC day, as a start and as an end; an RFC 3339 instant is the range's first, or the first after it |
/// | `event_type` | it is this one, or below `auth.*`, or any (`*`); repeatable |
/// | `severity` | it is this one (`info`, `warning`, `error`, `critical`); repeatable |
/// | `outcome` | it is `success`, `failure` or `unknown` |
/// | `actor`, `resource` | the id or the name is this one |
/// | `category`, `action`, `tenant_id`, `source`, `session_id`, `request_id` | it is this one |
/// | `ip_address` | it is this address, in any spelling |
/// | `q` | the event type, the description, or id or name of actor or resource contain this text, whatever its case |
/// | `details.<path>` | the value there is this text, number, `true`, `false` or `null` |
///
/// ```
/// use tracing_audit::Filter;
///
/// let filter = Filter::parse([
///     ("start_date", "2026-11-01"),
///     ("end_date", "2026-11-30"),
///     ("event_type", "auth.*"),
///     ("event_type", "user.deleted"), // either of the two
///     ("severity", "warning"),
/// ])?;
/// let of_acme = filter.with("tenant_id", "acme")?;
///
/// let wrong = Filter::parse([("actr", "ann")]).unwrap_err();
/// assert!(wrong.to_string().contains("there is no such parameter"));
/// # let _ = of_acme;
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Sorted by the parameters' order in `NAMES`, without repeats.
    params: Vec<(String, String)>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    conditions: Vec<Condition>,
    /// Bytes that every matching line contains, the rarest (by a guess) first.
    needles: Vec<Needle>,
    /// The values to look up in a block's Bloom filters.
    keys: Vec<(Key, Vec<u8>)>,
    /// Whether entries about reads of the log are left out.
    without_access: bool,
}

impl Filter {
    /// The names of all parameters, besides `details.<path>`.
    pub const NAMES: [&'static str; 15] = [
        "start_date",
        "end_date",
        "event_type",
        "category",
        "action",
        "actor",
        "resource",
        "tenant_id",
        "severity",
        "outcome",
        "source",
        "ip_address",
        "session_id",
        "request_id",
        "q",
    ];

    /// Wants every entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a filter of parameters. `Error::Invalid` names the one that is wrong, and says what to
    /// write instead.
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        Self::parse_beside(&[], params)
    }

    /// Like [`parse`](Self::parse), for a caller that has taken out parameters of its own. The
    /// error for an unknown parameter lists these names too.
    pub(crate) fn parse_beside<N: AsRef<str>, V: AsRef<str>>(
        others: &[&str],
        params: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let mut texts = Vec::new();
        for (name, value) in params {
            if texts.len() == MAX_PARAMETERS {
                return Err(Error::invalid(
                    shown(name.as_ref()),
                    format!("there are more than {MAX_PARAMETERS} parameters; give fewer"),
                ));
            }
            texts.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        }
        Self::build(others, texts)
    }

    /// This filter with one parameter more.
    pub fn with(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self> {
        let more = (name.as_ref().to_owned(), value.as_ref().to_owned());
        Self::parse(self.params.into_iter().chain([more]))
    }

    /// The parameters in one fixed form: filters of the same meaning have the same.
    pub fn params(&self) -> Vec<(String, String)> {
        self.params.clone()
    }

    /// The first instant wanted.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// The first instant after those wanted.
    pub fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// Whether it asks for more than a range of time.
    pub fn has_field_filters(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// This filter without entries about reads of the log, `audit.access.*`, unless it has an event
    /// type that is one of these, or `audit.*`.
    #[must_use]
    pub fn without_access(self) -> Self {
        let names_access = |(name, value): &(String, String)| {
            let reads = value == "audit.*" || value.as_bytes().starts_with(ACCESS);
            name == "event_type" && reads
        };
        Self {
            without_access: !self.params.iter().any(names_access),
            ..self
        }
    }

    /// Whether the line with these fields is wanted.
    pub(crate) fn matches(&self, fields: &Fields<'_>) -> bool {
        self.covers(fields.timestamp)
            && !(self.without_access && fields.event_type.starts_with(ACCESS))
            && self
                .conditions
                .iter()
                .all(|condition| condition.matches(fields))
    }

    /// Whether the time is in the range.
    pub(crate) fn covers(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end)
    }

    /// Whether a line between these times, both included, can be in the range.
    pub(crate) fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= max) && self.end.is_none_or(|end| min < end)
    }

    /// Values that a matching line has, by which blocks are ruled out.
    pub(crate) fn keys(&self) -> &[(Key, Vec<u8>)] {
        &self.keys
    }

    /// Where lines may have a match: `None` if nowhere, else at this byte or after it.
    pub(super) fn first_candidate(&self, lines: Haystack<'_>) -> Option<usize> {
        let Some((rarest, others)) = self.needles.split_first() else {
            return Some(0);
        };
        let first = rarest.find(lines, 0)?;
        others
            .iter()
            .all(|needle| needle.find(lines, 0).is_some())
            .then_some(first)
    }

    /// The same from this byte on. Ask only after [`first_candidate`](Self::first_candidate).
    pub(super) fn next_candidate(&self, lines: Haystack<'_>, from: usize) -> Option<usize> {
        self.needles
            .first()
            .map_or(Some(from), |rarest| rarest.find(lines, from))
    }

    /// Whether candidates are looked for in lower case.
    pub(super) fn needs_lower(&self) -> bool {
        self.needles
            .iter()
            .any(|needle| matches!(needle, Needle::Lower(_)))
    }

    /// Wants the one entry with this id.
    pub(super) fn id(id: [u8; 36]) -> Self {
        let condition = Condition::Exact(Field::Id, vec![id.to_vec()]);
        Self {
            needles: condition.needle().into_iter().collect(),
            conditions: vec![condition],
            ..Self::default()
        }
    }

    fn build(others: &[&str], texts: Vec<(String, String)>) -> Result<Self> {
        let mut filter = Self::default();
        let mut many: [Vec<String>; Self::NAMES.len()] = Default::default();
        let mut details: Vec<(String, String)> = Vec::new();
        for (name, value) in texts {
            if name.len() > MAX_LEN || value.len() > MAX_LEN {
                return Err(Error::invalid(
                    shown(&name),
                    format!("it is longer than {MAX_LEN} bytes; give a shorter one"),
                ));
            }
            if let Some(path) = name.strip_prefix(DETAILS).filter(|path| !path.is_empty()) {
                if details.iter().any(|(known, _)| known == path) {
                    return Err(Error::invalid(
                        shown(&name),
                        "it is given twice; give it once",
                    ));
                }
                details.push((path.to_owned(), value));
                continue;
            }
            let Some(values) = Self::NAMES
                .iter()
                .position(|known| *known == name)
                .and_then(|n| many.get_mut(n))
            else {
                let known = [&Self::NAMES, others].concat().join(", ");
                return Err(Error::invalid(
                    shown(&name),
                    format!("there is no such parameter; there are {known} and details.<path>"),
                ));
            };
            if value.is_empty() {
                return Err(Error::invalid(
                    name,
                    "it is empty; give a value or leave it out",
                ));
            }
            if !values.is_empty() && !matches!(name.as_str(), "event_type" | "severity") {
                return Err(Error::invalid(name, "it is given twice; give it once"));
            }
            values.push(value);
        }
        for (name, mut values) in Self::NAMES
            .into_iter()
            .zip(many)
            .filter(|(_, values)| !values.is_empty())
        {
            values.sort_unstable();
            values.dedup();
            filter.take(name, values)?;
        }
        details.sort_unstable();
        for (path, value) in details {
            filter.conditions.push(Condition::detail(&path, &value));
            filter.params.push((format!("{DETAILS}{path}"), value));
        }
        if let (Some(start), Some(end)) = (filter.start, filter.end)
            && start >= end
        {
            return Err(Error::invalid(
                "start_date",
                "nothing lies between it and end_date; give an earlier start or a later end",
            ));
        }
        let mut needles: Vec<_> = filter
            .conditions
            .iter()
            .filter_map(|c| Some((c.rarity(), c.needle()?)))
            .collect();
        needles.sort_by_key(|(rarity, _)| *rarity);
        filter.needles = needles.into_iter().map(|(_, needle)| needle).collect();
        Ok(filter)
    }

    /// Takes all values of one parameter.
    fn take(&mut self, name: &'static str, mut values: Vec<String>) -> Result<()> {
        let first = values.first().cloned().unwrap_or_default();
        let escaped = || values.iter().map(|value| escape(value)).collect::<Vec<_>>();
        let exact = |field| Condition::Exact(field, escaped());
        let condition = match name {
            "start_date" => {
                let start = instant(name, &first, Day::start)?;
                self.start = Some(start);
                self.params
                    .push((name.to_owned(), date_if_whole(start, start.day())));
                return Ok(());
            }
            "end_date" => {
                let end = instant(name, &first, Day::end)?;
                self.end = Some(end);
                self.params
                    .push((name.to_owned(), date_if_whole(end, end.day().previous())));
                return Ok(());
            }
            "event_type" => {
                let types = values
                    .iter()
                    .map(|value| Types::parse(value))
                    .collect::<Result<Vec<_>>>()?;
                if types.contains(&Types::All) {
                    return Ok(());
                }
                Condition::EventType(types)
            }
            "severity" => {
                one_of(name, &values, &["info", "warning", "error", "critical"])?;
                exact(Field::Severity)
            }
            "outcome" => {
                one_of(name, &values, &["success", "failure", "unknown"])?;
                exact(Field::Outcome)
            }
            "q" => Condition::text(&first)?,
            "category" => exact(Field::Category),
            "action" => exact(Field::Action),
            "actor" => exact(Field::Actor),
            "resource" => exact(Field::Resource),
            "tenant_id" => exact(Field::Tenant),
            "source" => exact(Field::Source),
            "ip_address" => {
                // As the log writes it; an older one may have it as it was given.
                let canonical = values.iter().filter_map(|value| canonical(value));
                let canonical = canonical.map(|value| escape(&value));
                Condition::Exact(
                    Field::Address,
                    escaped().into_iter().chain(canonical).collect(),
                )
            }
            "session_id" => exact(Field::Session),
            _ => exact(Field::Request),
        };
        self.keys.extend(condition.key());
        self.conditions.push(condition);
        self.params
            .extend(values.drain(..).map(|value| (name.to_owned(), value)));
        Ok(())
    }
}

/// The other spelling of an address, in which the log writes it.
fn canonical(address: &str) -> Option<String> {
    let parsed: std::net::IpAddr = address.parse().ok()?;
    let canonical = parsed.to_canonical().to_string();
    (canonical != address).then_some(canonical)
}

/// A name as it is repeated in a message.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(64).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

fn instant(name: &str, text: &str, of_day: fn(Day) -> Timestamp) -> Result<Timestamp> {
    text.parse::<Day>()
        .map(of_day)
        .or_else(|_| text.parse::<Timestamp>())
        .map_err(|_| {
            let problem = format!(
                "{text:?} must be a date like 2026-11-21 or an RFC 3339 instant like \
                 2026-11-21T10:15:00Z"
            );
            Error::invalid(name, problem)
        })
}

fn date_if_whole(time: Timestamp, date: Day) -> String {
    if time == time.day().start() {
        date.to_string()
    } else {
        time.to_string()
    }
}

fn one_of(name: &str, values: &[String], known: &[&str]) -> Result<()> {
    match values.iter().find(|value| !known.contains(&value.as_str())) {
        Some(value) => Err(Error::invalid(
            name,
            format!("{value:?} must be one of {}", known.join(", ")),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
