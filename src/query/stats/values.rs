//! The values of some fields, and how often each is there.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use crate::{
    entry::{
        address,
        scan::{Fields, unescape},
    },
    store::{
        count_map::CountMap,
        tally::{FIELDS, TallyPart, values},
    },
};

/// How much memory the distinct values of one field may take, by a guess: each has its text, and
/// this besides.
const MOST_BYTES: usize = 8 << 20;
const BYTES_EACH: usize = 64;

/// How many fields are counted besides on request: the resource and the user agent.
const MORE: usize = 2;

/// The place of the address among the fields.
const ADDRESS: usize = 4;

/// The most frequent values of some fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TopValues {
    /// The event types.
    pub event_type: Top,
    /// The severities.
    pub severity: Top,
    /// The outcomes. An entry without one counts as `success`, as for a filter.
    pub outcome: Top,
    /// The actors: the id; of an actor without one the name, else the type. So each is a value for
    /// the filter's `actor`.
    pub actor: Top,
    /// The addresses, each in one spelling.
    pub ip_address: Top,
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

/// The values of each field in one block, as they stand in its lines.
#[derive(Debug)]
pub(super) struct BlockValues<'b> {
    counts: [Counts<'b>; FIELDS],
    more: Option<[Counts<'b>; MORE]>,
}

impl<'b> BlockValues<'b> {
    pub(super) fn new(with_more: bool) -> Self {
        Self {
            counts: Default::default(),
            more: with_more.then(Default::default),
        }
    }

    pub(super) fn add_entry(&mut self, fields: &Fields<'b>) {
        for (counts, value) in self.counts.iter_mut().zip(values(fields)) {
            *counts.entry(value).or_default() += 1;
        }
        for (counts, value) in self.more.iter_mut().flatten().zip(more_values(fields)) {
            *counts.entry(value).or_default() += 1;
        }
    }
}

/// The values of each field in all blocks and files so far.
#[derive(Debug)]
pub(super) struct Values {
    fields: [FieldValues; FIELDS],
    more: Option<[FieldValues; MORE]>,
}

impl Values {
    /// `with_more` for the values of more fields as well, which are in no file's tally.
    pub(super) fn new(with_more: bool) -> Self {
        Self {
            fields: Default::default(),
            more: with_more.then(Default::default),
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.more.is_some()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut FieldValues> {
        self.fields.iter_mut().chain(self.more.iter_mut().flatten())
    }

    pub(super) fn add_block(&mut self, block: BlockValues<'_>) {
        let counts = block.counts.into_iter();
        let counts = counts.chain(block.more.into_iter().flatten());
        for (field, counts) in self.all().zip(counts) {
            for (value, count) in counts {
                field.add(value, count);
            }
        }
    }

    pub(super) fn add_file(&mut self, tally: &TallyPart) {
        for (field, counts) in self.fields.iter_mut().zip(&tally.values) {
            for (value, count) in counts.iter() {
                field.add(value, count);
            }
        }
    }

    /// Adds the values that another thread has counted.
    pub(super) fn merge(&mut self, other: Self) {
        let others = other.fields.into_iter();
        let others = others.chain(other.more.into_iter().flatten());
        for (field, other) in self.all().zip(others) {
            field.merge(other);
        }
    }

    /// The most frequent ones, at most so many of each field.
    pub(super) fn top(self, most: usize) -> (TopValues, MoreValues) {
        let more = self.more.unwrap_or_default();
        let [resource, user_agent] = more.map(|field| field.top(most, text));
        let mut at = 0..;
        let [event_type, severity, outcome, actor, ip_address] = self.fields.map(|field| {
            let spelled = match at.next() {
                Some(ADDRESS) => address_text,
                _ => text,
            };
            field.top(most, spelled)
        });
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
