//! The counts of a whole sealed file, kept in its index: how many entries each minute has, and how
//! often the values of some fields are there. A count over whole files then reads no lines.
//!
//! Entries about reads of the log are counted apart, because most questions leave them out. The
//! tally has its limit in bytes. If it becomes longer, the values of the field that takes the most
//! bytes are left out, field after field until the rest fits. A count that wants these values reads
//! the file. So does each count of a file without a tally: one with entries of thousands of
//! different minutes, or with a line that isn't an entry.
//!
//! ```text
//! twice: for all entries but those about reads of the log, and for those
//!   u32 minutes, and for each: its number since 1970 (u64); entries, entries of each severity and
//!       of each outcome (8 × u32)
//!   for each field: u32 values, and for each: entries (u32), length (u32), the value as in a line;
//!       or u32 0xffff_ffff, if the values are left out (from version 3 of the index on)
//! ```
//!
//! Minutes and values are sorted, and what is left out depends on the order of the lines alone: the
//! same lines always give the same bytes.

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
/// Stands for the number of values that are left out.
const LEFT_OUT: u32 = u32::MAX;

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
#[derive(Debug)]
pub(super) struct TallyBuilder {
    entries: PartBuilder,
    access: PartBuilder,
    leaves_out: bool,
}

#[derive(Debug, Default)]
struct PartBuilder {
    minutes: BTreeMap<i64, Counts>,
    values: [FieldBuilder; FIELDS],
}

/// The values of one field.
#[derive(Debug, Default)]
struct FieldBuilder {
    counts: CountMap,
    bytes: usize,
    is_left_out: bool,
}

impl TallyBuilder {
    /// A tally that leaves out values when it is too long, or that is then given up.
    pub(super) fn new(leaves_out: bool) -> Self {
        Self {
            entries: PartBuilder::default(),
            access: PartBuilder::default(),
            leaves_out,
        }
    }

    /// Counts an entry. `false` if the tally is too long now.
    pub(super) fn add(&mut self, fields: &Fields<'_>) -> bool {
        let part = match fields.is_access() {
            true => &mut self.access,
            false => &mut self.entries,
        };
        !part.add(fields) || self.fit()
    }

    /// Leaves out what takes the most bytes until the rest is short enough.
    fn fit(&mut self) -> bool {
        while self.bytes() > MOST_BYTES {
            let parts = [&mut self.entries, &mut self.access];
            let fields = parts.into_iter().flat_map(|part| &mut part.values);
            let longest = fields.max_by_key(|field| field.bytes);
            match longest.filter(|field| self.leaves_out && field.bytes > 0) {
                Some(longest) => longest.leave_out(),
                None => return false,
            }
        }
        true
    }

    fn bytes(&self) -> usize {
        self.entries.bytes() + self.access.bytes()
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Encoder::default();
        self.entries.encode(&mut out);
        self.access.encode(&mut out);
        out.done()
    }
}

impl PartBuilder {
    /// Counts an entry. Says whether more bytes are needed for that.
    fn add(&mut self, fields: &Fields<'_>) -> bool {
        let minute = fields.timestamp.as_micros().div_euclid(MICROS_PER_MINUTE);
        let before = self.minutes.len();
        let counts = self.minutes.entry(minute).or_default();
        counts.add_entry(fields);
        let mut has_grown = self.minutes.len() > before;
        for (field, value) in self.values.iter_mut().zip(values(fields)) {
            has_grown |= field.add(value);
        }
        has_grown
    }

    fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(|field| field.bytes).sum();
        self.minutes.len() * MINUTE_BYTES + values
    }

    fn encode(self, out: &mut Encoder) {
        out.u32(self.minutes.len() as u32);
        for (minute, mut counts) in self.minutes {
            out.u64(minute as u64);
            for number in counts.numbers() {
                out.u32(*number as u32);
            }
        }
        for field in self.values {
            field.encode(out);
        }
    }
}

impl FieldBuilder {
    /// Counts a value. Says whether it is new.
    fn add(&mut self, value: &[u8]) -> bool {
        let is_new = !self.is_left_out && self.counts.add(value, 1);
        if is_new {
            self.bytes += VALUE_BYTES + value.len();
        }
        is_new
    }

    fn leave_out(&mut self) {
        *self = Self {
            is_left_out: true,
            ..Self::default()
        };
    }

    fn encode(self, out: &mut Encoder) {
        if self.is_left_out {
            out.u32(LEFT_OUT);
            return;
        }
        let sorted: BTreeMap<_, _> = self.counts.into_iter().collect();
        out.u32(sorted.len() as u32);
        for (value, count) in sorted {
            out.u32(count as u32).u32(value.len() as u32).bytes(&value);
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
    /// For each field; `None` if they are left out.
    pub(crate) values: [Option<ValueCounts>; FIELDS],
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

    /// `Some(None)` if they are left out.
    fn decode(from: &mut Decoder<'_>) -> Option<Option<Self>> {
        let count = from.u32()?;
        if count == LEFT_OUT {
            return Some(None);
        }
        let start = from.rest();
        for _ in 0..count {
            value(from)?;
        }
        let len = start.len() - from.rest().len();
        start.get(..len).map(|bytes| Some(Self(bytes.into())))
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
