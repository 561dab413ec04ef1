//! The counts of a whole sealed file, kept in its index: how many entries each minute has, and how
//! often the values of some fields are there. A count over whole files then reads no lines.
//!
//! Entries about reads of the log are counted apart, because most questions leave them out. The
//! tally has its limit in bytes: a file with very many different values has none, and neither has a
//! file with a line that isn't an entry. Such a file is counted by reading it.
//!
//! ```text
//! twice: for all entries but those about reads of the log, and for those
//!   u32 minutes, and for each: its number since 1970 (u64); entries, entries of each severity and
//!       of each outcome (8 × u32)
//!   for each field: u32 values, and for each: entries (u32), length (u32), the value as in a line
//! ```
//!
//! Minutes and values are sorted: the same lines always give the same bytes.

use std::{collections::BTreeMap, ops::AddAssign};

use serde::Serialize;

use super::{
    codec::{Decoder, Encoder},
    count_map::CountMap,
};
use crate::entry::{Timestamp, scan::Fields};

/// The most bytes of a tally.
const MOST_BYTES: usize = 256 << 10;
const MINUTE_BYTES: usize = 8 + 8 * 4;
const VALUE_BYTES: usize = 4 + 4;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The fields whose values are counted: event type, severity, outcome, actor, address.
pub(crate) const FIELDS: usize = 5;

/// How many entries have each severity. An entry with a severity that this crate doesn't know is
/// in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the severities")]
pub struct SeverityCounts {
    pub info: u64,
    pub warning: u64,
    pub error: u64,
    pub critical: u64,
}

/// How many entries have each outcome. An entry without one counts as `success`, as for a filter.
/// An entry with an outcome that this crate doesn't know is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the outcomes")]
pub struct OutcomeCounts {
    pub success: u64,
    pub failure: u64,
    pub unknown: u64,
}

/// The counts of any number of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) count: u64,
    pub(crate) severity: SeverityCounts,
    pub(crate) outcome: OutcomeCounts,
}

impl Counts {
    pub(crate) fn add_entry(&mut self, fields: &Fields<'_>) {
        self.count += 1;
        match fields.severity {
            b"info" => self.severity.info += 1,
            b"warning" => self.severity.warning += 1,
            b"error" => self.severity.error += 1,
            b"critical" => self.severity.critical += 1,
            _ => {}
        }
        match fields.outcome_or_success() {
            b"success" => self.outcome.success += 1,
            b"failure" => self.outcome.failure += 1,
            b"unknown" => self.outcome.unknown += 1,
            _ => {}
        }
    }

    /// All of them, in the order in which they are stored.
    fn numbers(&mut self) -> [&mut u64; 8] {
        [
            &mut self.count,
            &mut self.severity.info,
            &mut self.severity.warning,
            &mut self.severity.error,
            &mut self.severity.critical,
            &mut self.outcome.success,
            &mut self.outcome.failure,
            &mut self.outcome.unknown,
        ]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, mut other: Self) {
        for (number, more) in self.numbers().into_iter().zip(other.numbers()) {
            *number += *more;
        }
    }
}

/// The values of an entry, as they stand in its line. One that it doesn't have is empty. The actor
/// is the id; without one the name, else the type.
pub(crate) fn values<'a>(fields: &Fields<'a>) -> [&'a [u8]; FIELDS] {
    let names = [fields.actor_id, fields.actor_name, fields.actor_type];
    let actor = names.into_iter().find(|name| !name.is_empty());
    [
        fields.event_type,
        fields.severity,
        fields.outcome_or_success(),
        actor.unwrap_or_default(),
        fields.ip_address,
    ]
}

/// A tally in the making.
#[derive(Debug, Default)]
pub(super) struct TallyBuilder {
    entries: PartBuilder,
    access: PartBuilder,
    bytes: usize,
}

#[derive(Debug, Default)]
struct PartBuilder {
    minutes: BTreeMap<i64, Counts>,
    values: [CountMap; FIELDS],
}

impl TallyBuilder {
    /// Counts an entry. `false` if the tally is too long now.
    pub(super) fn add(&mut self, fields: &Fields<'_>) -> bool {
        let part = match fields.is_access() {
            true => &mut self.access,
            false => &mut self.entries,
        };
        self.bytes += part.add(fields);
        self.bytes <= MOST_BYTES
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Encoder::default();
        self.entries.encode(&mut out);
        self.access.encode(&mut out);
        out.done()
    }
}

impl PartBuilder {
    /// Counts an entry; gives how many bytes are needed more.
    fn add(&mut self, fields: &Fields<'_>) -> usize {
        let mut bytes = 0;
        let minute = fields.timestamp.as_micros().div_euclid(MICROS_PER_MINUTE);
        let counts = self.minutes.entry(minute).or_insert_with(|| {
            bytes += MINUTE_BYTES;
            Counts::default()
        });
        counts.add_entry(fields);
        for (counts, value) in self.values.iter_mut().zip(values(fields)) {
            if counts.add(value, 1) {
                bytes += VALUE_BYTES + value.len();
            }
        }
        bytes
    }

    fn encode(self, out: &mut Encoder) {
        out.u32(self.minutes.len() as u32);
        for (minute, mut counts) in self.minutes {
            out.u64(minute as u64);
            for number in counts.numbers() {
                out.u32(*number as u32);
            }
        }
        for values in self.values {
            let sorted: BTreeMap<_, _> = values.into_iter().collect();
            out.u32(sorted.len() as u32);
            for (value, count) in sorted {
                out.u32(count as u32).u32(value.len() as u32).bytes(&value);
            }
        }
    }
}

/// The counts of a whole file.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of all entries but those about reads of the log.
    pub(crate) entries: TallyPart,
    /// Of entries about reads of the log.
    pub(crate) access: TallyPart,
}

/// The counts of some entries of a file.
#[derive(Debug)]
pub(crate) struct TallyPart {
    /// By the first instants of minutes.
    pub(crate) minutes: Vec<(Timestamp, Counts)>,
    /// For each field.
    pub(crate) values: [ValueCounts; FIELDS],
}

/// The values of one field and how many entries have each, as they are stored: a file may have
/// thousands of them.
#[derive(Debug)]
pub(crate) struct ValueCounts(Box<[u8]>);

impl ValueCounts {
    /// The values; an empty one stands for the entries without one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut from = Decoder::new(&self.0);
        std::iter::from_fn(move || value(&mut from))
    }

    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let count = from.u32()?;
        let start = from.rest();
        for _ in 0..count {
            value(from)?;
        }
        let len = start.len() - from.rest().len();
        start.get(..len).map(|bytes| Self(bytes.into()))
    }
}

impl Tally {
    /// Reads what [`TallyBuilder::encode`] gave; `None` if it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        Some(Self {
            entries: TallyPart::decode(&mut from)?,
            access: TallyPart::decode(&mut from)?,
        })
    }
}

impl TallyPart {
    fn decode(from: &mut Decoder<'_>) -> Option<Self> {
        let minutes = from.u32()?;
        let minutes = (0..minutes).map(|_| minute(from)).collect::<Option<_>>()?;
        let mut values = Vec::with_capacity(FIELDS);
        for _ in 0..FIELDS {
            values.push(ValueCounts::decode(from)?);
        }
        Some(Self {
            minutes,
            values: values.try_into().ok()?,
        })
    }
}

fn minute(from: &mut Decoder<'_>) -> Option<(Timestamp, Counts)> {
    let minute = from.u64()? as i64;
    let mut counts = Counts::default();
    for number in counts.numbers() {
        *number = u64::from(from.u32()?);
    }
    let start = Timestamp::from_micros(minute.saturating_mul(MICROS_PER_MINUTE));
    Some((start, counts))
}

fn value<'a>(from: &mut Decoder<'a>) -> Option<(&'a [u8], u64)> {
    let count = from.u32()?;
    let len = from.u32()? as usize;
    Some((from.bytes(len)?, u64::from(count)))
}
