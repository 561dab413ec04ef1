//! The values of some fields, and how often each is there.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::fields::{Chosen, StatsField};
use crate::{
    entry::{
        address,
        scan::{Fields, unescape},
    },
    store::{
        count_map::CountMap,
        tally::{FIELDS, TallyPart, ValueCounts, values},
    },
};

/// How much memory the distinct values of one field may take, by a guess: each has its text, and
/// this besides.
const MOST_BYTES: usize = 8 << 20;
const BYTES_EACH: usize = 64;

/// How many fields are counted besides on request: the resource and the user agent.
const MORE: usize = 2;

/// The most frequent values of some fields. A field that wasn't asked for is `None`, and isn't in
/// the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TopValues {
    /// The event types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Top>,
    /// The severities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Top>,
    /// The outcomes. An entry without one counts as `success`, as for a filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Top>,
    /// The actors: the id; of an actor without one the name, else the type. So each is a value for
    /// the filter's `actor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Top>,
    /// The addresses, each in one spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<Top>,
}

impl TopValues {
    /// The values of a field; `None` if it wasn't asked for.
    pub fn of(&self, field: StatsField) -> Option<&Top> {
        let top = match field {
            StatsField::EventType => &self.event_type,
            StatsField::Severity => &self.severity,
            StatsField::Outcome => &self.outcome,
            StatsField::Actor => &self.actor,
            StatsField::IpAddress => &self.ip_address,
        };
        top.as_ref()
    }
}

/// The most frequent values of one field. The counts of `values`, `other` and `without` make all
/// entries together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Top {
    /// The most frequent first; those of the same count in the order of their texts.
    pub values: Vec<ValueCount>,
    /// The number of entries with other values.
    pub other: u64,
    /// The number of entries without this field.
    pub without: u64,
    /// The number of different values. `None` if there are too many to be counted in bounded
    /// memory: more than 8 MiB of them, which is about 90,000 of 25 bytes. Then `values` is empty,
    /// because the most frequent ones can't be known, and the entries are in `other`; a filter that
    /// wants fewer entries helps.
    pub distinct: Option<u64>,
}

/// The most frequent values of more fields, which no index has counts of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "console"), allow(dead_code, reason = "for the console"))]
pub(crate) struct MoreValues {
    /// The resources: the id; of a resource without one the name.
    pub(crate) resource: Top,
    pub(crate) user_agent: Top,
}

/// A value, and how often it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// The number of entries that have it.
    pub count: u64,
}

/// The values of an entry that are counted on request, as they stand in its line. The resource is
/// the id; without one the name.
fn more_values<'a>(fields: &Fields<'a>) -> [&'a [u8]; MORE] {
    let resource = match fields.resource_id {
        [] => fields.resource_name,
        id => id,
    };
    [resource, fields.user_agent]
}

type Counts<'b> = HashMap<&'b [u8], u64>;

/// The values of each chosen field in one block, as they stand in its lines.
#[derive(Debug)]
pub(super) struct BlockValues<'b> {
    chosen: Chosen,
    counts: [Counts<'b>; FIELDS],
    more: [Counts<'b>; MORE],
}

impl<'b> BlockValues<'b> {
    pub(super) fn new(chosen: Chosen) -> Self {
        Self {
            chosen,
            counts: Default::default(),
            more: Default::default(),
        }
    }

    pub(super) fn add_entry(&mut self, fields: &Fields<'b>) {
        let pairs = self.counts.iter_mut().zip(values(fields));
        for (counts, value) in self.chosen.of_each(pairs) {
            *counts.entry(value).or_default() += 1;
        }
        if !self.chosen.with_more {
            return;
        }
        for (counts, value) in self.more.iter_mut().zip(more_values(fields)) {
            *counts.entry(value).or_default() += 1;
        }
    }
}

/// The values of each chosen field in all blocks and files so far.
#[derive(Debug)]
pub(super) struct Values {
    chosen: Chosen,
    fields: [FieldValues; FIELDS],
    more: [FieldValues; MORE],
}

impl Values {
    pub(super) fn new(chosen: Chosen) -> Self {
        Self {
            chosen,
            fields: Default::default(),
            more: Default::default(),
        }
    }

    /// Whether a file with these tallies has to be read for the values.
    pub(super) fn need_reading(&self, tallies: &[&TallyPart]) -> bool {
        let values = tallies.iter().map(|tally| &tally.values);
        let mut fields = values.flat_map(|values| self.chosen.of_each(values));
        self.chosen.reads_files && fields.any(Option::is_none)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut FieldValues> {
        self.fields.iter_mut().chain(&mut self.more)
    }

    pub(super) fn add_block(&mut self, block: BlockValues<'_>) {
        let counts = block.counts.into_iter().chain(block.more);
        for (field, counts) in self.all().zip(counts) {
            for (value, count) in counts {
                field.add(value, count);
            }
        }
    }

    pub(super) fn add_file(&mut self, tally: &TallyPart) {
        let pairs = self.fields.iter_mut().zip(&tally.values);
        for (field, counts) in self.chosen.of_each(pairs) {
            field.is_missing |= counts.is_none();
            for (value, count) in counts.iter().flat_map(ValueCounts::iter) {
                field.add(value, count);
            }
        }
    }

    /// Adds the values that another thread has counted.
    pub(super) fn merge(&mut self, other: Self) {
        let others = other.fields.into_iter().chain(other.more);
        for (field, other) in self.all().zip(others) {
            field.merge(other);
        }
    }

    /// The most frequent ones, at most so many of each field.
    pub(super) fn top(self, most: usize) -> (TopValues, MoreValues) {
        let [resource, user_agent] = self.more.map(|field| field.top(most, text));
        let mut tops = <[Option<Top>; FIELDS]>::default();
        let places = tops.iter_mut().zip(self.fields).zip(StatsField::ALL);
        for ((top, values), field) in self.chosen.of_each(places) {
            let spelled = match field {
                StatsField::IpAddress => address_text,
                _ => text,
            };
            *top = (!values.is_missing).then(|| values.top(most, spelled));
        }
        let [event_type, severity, outcome, actor, ip_address] = tops;
        let top = TopValues {
            event_type,
            severity,
            outcome,
            actor,
            ip_address,
        };
        (
            top,
            MoreValues {
                resource,
                user_agent,
            },
        )
    }
}

fn text(value: &[u8]) -> String {
    unescape(value).into_owned()
}

fn address_text(value: &[u8]) -> String {
    address::parse(value).map_or_else(|| text(value), |address| address.to_string())
}

/// The values of one field.
#[derive(Debug, Default)]
struct FieldValues {
    counts: CountMap,
    /// How much memory they take.
    bytes: usize,
    /// Whether they would take too much. That doesn't depend on the order in which they come.
    is_beyond: bool,
    /// Whether those of a file are not counted.
    is_missing: bool,
    /// The number of entries that have one.
    with: u64,
    without: u64,
}

impl FieldValues {
    fn add(&mut self, value: &[u8], count: u64) {
        if value.is_empty() {
            self.without += count;
            return;
        }
        self.with += count;
        if self.is_beyond {
            return;
        }
        if self.counts.add(value, count) {
            self.bytes += value.len() + BYTES_EACH;
            if self.bytes > MOST_BYTES {
                self.go_beyond();
            }
        }
    }

    fn go_beyond(&mut self) {
        self.is_beyond = true;
        self.counts = CountMap::default();
    }

    fn merge(&mut self, other: Self) {
        self.is_missing |= other.is_missing;
        self.without += other.without;
        if other.is_beyond {
            self.with += other.with;
            self.go_beyond();
        }
        for (value, count) in other.counts {
            self.add(&value, count);
        }
    }

    fn top(self, most: usize, spelled: fn(&[u8]) -> String) -> Top {
        if self.is_beyond {
            return Top {
                other: self.with,
                without: self.without,
                ..Top::default()
            };
        }
        let mut by_text: HashMap<String, u64> = HashMap::with_capacity(self.counts.len());
        for (value, count) in self.counts {
            *by_text.entry(spelled(&value)).or_default() += count;
        }
        let distinct = by_text.len() as u64;
        let all = by_text.into_iter();
        let mut values: Vec<_> = all
            .map(|(value, count)| ValueCount { value, count })
            .collect();
        values.sort_unstable_by(|a, b| {
            (Reverse(a.count), &a.value).cmp(&(Reverse(b.count), &b.value))
        });
        values.truncate(most);
        let shown: u64 = values.iter().map(|value| value.count).sum();
        Top {
            other: self.with - shown,
            without: self.without,
            distinct: Some(distinct),
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_values_are_said_to_be_too_many_whatever_their_order() {
        let mut numbers: Vec<u32> = (0..120_000).collect();
        for _ in 0..2 {
            numbers.reverse();
            let mut field = FieldValues::default();
            for number in &numbers {
                field.add(format!("user-{number}").as_bytes(), 2);
            }
            field.add(b"", 5);
            assert_eq!(field.counts.len(), 0, "they are forgotten");
            let top = field.top(10, text);
            assert_eq!(
                (top.values, top.other, top.without, top.distinct),
                (vec![], 240_000, 5, None)
            );
        }
    }

    #[test]
    fn spellings_of_one_address_are_one_value() {
        let mut field = FieldValues::default();
        for (value, count) in [
            ("192.0.2.1", 1),
            ("::ffff:192.0.2.1", 2),
            ("::FFFF:C000:201", 3),
            ("localhost", 5),
        ] {
            field.add(value.as_bytes(), count);
        }
        let top = field.top(1, address_text);
        assert_eq!(
            (&*top.values[0].value, top.values[0].count),
            ("192.0.2.1", 6)
        );
        assert_eq!((top.other, top.distinct), (5, Some(2)));
    }
}
