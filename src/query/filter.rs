//! The choice of entries, by parameters that HTTP query strings and command lines share.
//!
//! A filter is made once from (name, value) texts, and every problem with them is reported then.
//! Values are escaped as they stand in a line, so a match compares bytes. Different parameters must
//! all hold; of a repeated parameter, one value must, and none that is excluded.

use std::borrow::Cow;

use super::{
    condition::{self, Condition, Field},
    instant,
    needle::Haystack,
    needles::Needles,
    parameters::{self, Parameters, Values},
};
use crate::{
    entry::{
        Day, Timestamp,
        scan::{ACCESS, Fields},
    },
    error::{Error, Result},
    store::index::Key,
};

/// A choice of entries. The default wants all.
///
/// | parameter | an entry is wanted if |
/// |---|---|
/// | `start_date`, `end_date` | the time is in the range. A date (`2026-11-21`) is the whole UTC day, at both ends. An ISO 8601 instant (`2026-11-21T10:15:00.5+02:00`, of any precision, in UTC without a zone) is the first instant in the range, or the first after the range |
/// | `event_type` | it is this one, or below `auth.*`, or any (`*`) |
/// | `severity` | it is this one: `info`, `warning`, `error` or `critical` |
/// | `outcome` | it is `success`, `failure` or `unknown`; an entry without an outcome counts as `success` |
/// | `actor` | the id, the name or the type (as in `system`) is this one |
/// | `resource` | the id or the name is this one |
/// | `actor_type`, `resource_type` | the type is this one |
/// | `category`, `action`, `tenant_id`, `source`, `user_agent`, `session_id`, `request_id`, `trace_id` | it is this one |
/// | `ip_address` | it is this address, in any spelling, or in this network (`192.0.2.0/24`, `2001:db8::/32`); an IPv4-mapped IPv6 address is the IPv4 address |
/// | `q` | the event type, the description, or id or name of actor or resource contain this text, whatever its case |
/// | `details.<path>` | the value there is this text, number, `true`, `false` or `null`; numbers are compared by their value, so `1` is also `1.0`, and a text by its letters |
///
/// Different parameters must all hold. Each parameter but `start_date` and `end_date` can be given
/// several times: an entry is wanted if it has one of the values. A `!` before a value excludes the
/// value: an entry is wanted if it has none of the excluded values, or doesn't have the field. A
/// value that itself begins with `!` is written with a `\` before that: `\!important` wants the
/// value `!important`, and `!\!important` excludes it. [`Filter::literal`] writes values so.
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
///     ("actor", "!system"), // whoever it was, but not the system
/// ])?;
/// let of_acme = filter.with("tenant_id", Filter::literal("acme"))?;
/// assert!(of_acme.with("tenant_id", "globex").is_err(), "it would want more entries");
///
/// let wrong = Filter::parse([("actr", "ann")]).unwrap_err();
/// assert!(wrong.to_string().contains("there is no such parameter"));
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Sorted by the parameters' order in `NAMES`, without repeats.
    params: Vec<(String, String)>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// All must hold. The one about tenants comes first, so that no other is looked at for the
    /// entries of other tenants.
    conditions: Vec<Condition>,
    /// None may hold.
    exclusions: Vec<Condition>,
    /// Bytes that every matching line contains.
    needles: Needles,
    /// The values to look up in a block's Bloom filters: for each key, a block must have one.
    keys: Vec<(Key, Vec<Vec<u8>>)>,
    /// Whether entries about reads of the log are left out.
    without_access: bool,
}

impl Filter {
    /// The names of all parameters, besides `details.<path>`.
    pub const NAMES: [&'static str; 19] = [
        "start_date",
        "end_date",
        "event_type",
        "category",
        "action",
        "actor",
        "actor_type",
        "resource",
        "resource_type",
        "tenant_id",
        "severity",
        "outcome",
        "source",
        "ip_address",
        "user_agent",
        "session_id",
        "request_id",
        "trace_id",
        "q",
    ];

    /// Wants every entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a filter of parameters. `Error::Invalid` names the one that is wrong, and says what to
    /// write instead.
    ///
    /// To limit a filter that somebody else gives, parse that filter alone, and then call
    /// [`with`](Self::with): a second value of the same parameter here would be an alternative.
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
        Self::build(parameters::sort(&Self::NAMES, others, params)?)
    }

    /// The text of a parameter that means just this value, even if the value begins with `!`. For
    /// values that somebody else gives.
    ///
    /// ```
    /// use tracing_audit::Filter;
    ///
    /// assert_eq!(Filter::literal("ann"), "ann");
    /// assert_eq!(Filter::literal("!important"), r"\!important");
    /// ```
    pub fn literal(value: &str) -> Cow<'_, str> {
        parameters::literal(value)
    }

    /// This filter with one more parameter, which never makes the filter want more entries. So a
    /// filter that somebody else gives can be limited to a tenant.
    ///
    /// # Errors
    ///
    /// The errors of [`parse`](Self::parse), and [`Error::Invalid`] if the filter has a value of this
    /// parameter already, because another value would be an alternative.
    pub fn with(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self> {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !value.starts_with('!') && self.wanted(name).next().is_some() {
            let problem = "it has a value already, to which this one would be an alternative; \
                           give all values at once";
            return Err(Error::invalid(name, problem));
        }
        let more = (name.to_owned(), value.to_owned());
        Self::parse(self.params.into_iter().chain([more]))
    }

    /// The parameters in one fixed form: filters of the same meaning have the same.
    pub fn params(&self) -> Vec<(String, String)> {
        self.params.clone()
    }

    /// The values that are wanted of one parameter.
    pub(super) fn wanted(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.params.iter().filter(move |(of, _)| of == name);
        let texts = values.map(|(_, value)| value.as_str());
        texts.filter(|text| !text.starts_with('!'))
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
        !self.conditions.is_empty() || !self.exclusions.is_empty()
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

    /// Whether all entries between these times, both included, are wanted, but perhaps not those
    /// about reads of the log.
    pub(super) fn wants_all(&self, min: Timestamp, max: Timestamp) -> bool {
        !self.has_field_filters() && self.covers(min) && self.covers(max)
    }

    /// Whether entries about reads of the log are left out.
    pub(crate) fn leaves_out_access(&self) -> bool {
        self.without_access
    }

    /// Whether the line with these fields is wanted.
    pub(crate) fn matches(&self, fields: &Fields<'_>) -> bool {
        let holds = |condition: &Condition| condition.matches(fields);
        self.covers(fields.timestamp)
            && !(self.without_access && fields.is_access())
            && self.conditions.iter().all(holds)
            && !self.exclusions.iter().any(holds)
    }

    /// Whether the time is in the range.
    pub(crate) fn covers(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end)
    }

    /// Whether a line between these times, both included, can be in the range.
    pub(crate) fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= max) && self.end.is_none_or(|end| min < end)
    }

    /// Whether a block can have a matching line, by the values that `may_contain` finds in it: of
    /// any tenant, or of the one that it is given, if the filter wants certain tenants. So which
    /// blocks are read for the holder of a tenant's token doesn't depend on what others hold.
    pub(crate) fn may_match(
        &self,
        may_contain: impl Fn(Key, Option<&[u8]>, &[u8]) -> bool,
    ) -> bool {
        let has_all = |tenant: Option<&[u8]>| {
            let mut others = self.keys.iter().filter(|(key, _)| *key != Key::Tenant);
            others.all(|(key, values)| {
                let mut values = values.iter();
                values.any(|value| may_contain(*key, tenant, value))
            })
        };
        match self.keys.iter().find(|(key, _)| *key == Key::Tenant) {
            None => has_all(None),
            Some((key, tenants)) => tenants
                .iter()
                .any(|tenant| may_contain(*key, None, tenant) && has_all(Some(tenant))),
        }
    }

    /// The keys that [`may_match`](Self::may_match) asks for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// Passes the lines that may match to `give`, without their LF.
    pub(super) fn each_candidate<'b>(&self, lines: Haystack<'b>, give: &mut dyn FnMut(&'b [u8])) {
        self.needles.each_line(lines, give);
    }

    /// Whether candidates are looked for in lower case.
    pub(super) fn needs_lower(&self) -> bool {
        self.needles.needs_lower()
    }

    /// Wants only the entry with this id, if it is one of those that are wanted.
    pub(super) fn with_id(mut self, id: [u8; 36]) -> Self {
        let condition = Condition::Exact(Field::Id, vec![id.to_vec()]);
        self.needles.add_rarest(&condition);
        self.conditions.push(condition);
        self
    }

    fn build(parameters: Parameters) -> Result<Self> {
        let mut filter = Self::default();
        for ((_, name), values) in parameters {
            match name.as_str() {
                "start_date" => filter.start = filter.take_date(&name, &values, Day::start)?,
                "end_date" => filter.end = filter.take_date(&name, &values, Day::end)?,
                _ => filter.take(&name, values)?,
            }
        }
        if let (Some(start), Some(end)) = (filter.start, filter.end)
            && start >= end
        {
            let problem = "the range from it to end_date is empty; give an earlier start or a \
                           later end";
            return Err(Error::invalid("start_date", problem));
        }
        filter
            .conditions
            .sort_by_key(|condition| !condition.is_of_tenants());
        filter.needles = Needles::of(&filter.conditions);
        Ok(filter)
    }

    /// Takes an end of the range. As a parameter it is a date, if it is the end of a day.
    fn take_date(
        &mut self,
        name: &str,
        values: &Values,
        of_day: fn(Day) -> Timestamp,
    ) -> Result<Option<Timestamp>> {
        let Some(text) = values.wanted.first() else {
            return Ok(None);
        };
        let time = instant::parse(name, text, of_day)?;
        let days = [time.day(), time.day().previous()];
        let whole = days.into_iter().find(|day| of_day(*day) == time);
        let text = whole.map_or_else(|| time.to_string(), |day| day.to_string());
        self.params.push((name.to_owned(), text));
        Ok(Some(time))
    }

    /// Takes all values of one parameter.
    fn take(&mut self, name: &str, values: Values) -> Result<()> {
        let Values { wanted, excluded } = values;
        if name == "event_type" && excluded.iter().any(|text| text == "*") {
            let problem = "\"!*\" excludes every entry; write the event types to exclude";
            return Err(Error::invalid(name, problem));
        }
        let wanted = condition::canonical(name, wanted)?;
        let excluded = condition::canonical(name, excluded)?;
        if !wanted.is_empty() {
            let condition = Condition::new(name, &wanted)?;
            self.keys.extend(condition.key());
            self.conditions.push(condition);
        }
        if !excluded.is_empty() {
            self.exclusions.push(Condition::new(name, &excluded)?);
        }
        let wanted = wanted.iter().map(|text| Self::literal(text).into_owned());
        let excluded = excluded
            .iter()
            .map(|text| format!("!{}", Self::literal(text)));
        self.params
            .extend(wanted.chain(excluded).map(|text| (name.to_owned(), text)));
        Ok(())
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
