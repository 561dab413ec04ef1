//! Finds the fields of one line of the log without parsing it into values.
//!
//! A line is canonical JSON: one object, no white space between its tokens. [`scan`] walks its keys
//! once, allocates nothing, and hands out slices of the line. Texts stay in their escaped form, so
//! a filter escapes what it looks for once ([`escape`]) and compares bytes. What the scan has no
//! use for it skips by its quotes and brackets alone, so it takes some lines for good that a full
//! parser refuses; it never takes the text of one field for that of another, and never panics.

mod cursor;

use std::borrow::Cow;

use tracing_audit_schema::{Field, fields};

use self::cursor::Cursor;
pub(super) use self::cursor::{string, value_end};
use super::Timestamp;

/// How deep a path into `details` may go: as deep as `serde_json` parses.
const MAX_DEPTH: usize = 128;

/// The fields of a line. Texts are as they stand between their quotes, escapes and all; `actor`,
/// `resource`, `outcome`, `details`, `tags` and `context` are whole JSON values. A field that the
/// line doesn't have, or has in another type, is empty.
#[derive(Clone, Copy, Debug)]
#[allow(
    dead_code,
    reason = "all fields of an entry; one that nobody reads costs a slice"
)]
pub(crate) struct Fields<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) seq: u64,
    /// 36 bytes, ASCII.
    pub(crate) id: &'a [u8],
    pub(crate) timestamp: Timestamp,
    pub(crate) event_type: &'a [u8],
    pub(crate) category: &'a [u8],
    pub(crate) action: &'a [u8],
    pub(crate) severity: &'a [u8],
    pub(crate) source: &'a [u8],
    pub(crate) tenant_id: &'a [u8],
    pub(crate) actor: &'a [u8],
    pub(crate) actor_type: &'a [u8],
    pub(crate) actor_id: &'a [u8],
    pub(crate) actor_name: &'a [u8],
    pub(crate) resource: &'a [u8],
    pub(crate) resource_type: &'a [u8],
    pub(crate) resource_id: &'a [u8],
    pub(crate) resource_name: &'a [u8],
    pub(crate) outcome: &'a [u8],
    pub(crate) outcome_type: &'a [u8],
    pub(crate) description: &'a [u8],
    pub(crate) details: &'a [u8],
    pub(crate) tags: &'a [u8],
    pub(crate) ip_address: &'a [u8],
    pub(crate) user_agent: &'a [u8],
    pub(crate) context: &'a [u8],
    pub(crate) session_id: &'a [u8],
    pub(crate) request_id: &'a [u8],
}

/// The outcome of an entry that has none.
pub(crate) const SUCCESS: &[u8] = b"success";

/// How the event types of reads of the log begin.
pub(crate) const ACCESS: &[u8] = b"audit.access.";

impl<'a> Fields<'a> {
    /// The outcome; `success` for an entry without one.
    pub(crate) fn outcome_or_success(&self) -> &'a [u8] {
        if self.outcome_type.is_empty() {
            SUCCESS
        } else {
            self.outcome_type
        }
    }

    /// Whether the entry is about a read of the log.
    pub(crate) fn is_access(&self) -> bool {
        self.event_type.starts_with(ACCESS)
    }
}

/// Where the fields of a line are in it: a scan to be kept beside the line.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    seq: u64,
    timestamp: Timestamp,
    /// Where each text begins and ends.
    texts: [(u32, u32); TEXTS],
}

impl Scanned {
    /// Of a line shorter than 4 GiB that is one of the log.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        let mut fields = scan(line)?;
        let mut texts = [(0, 0); TEXTS];
        for (place, text) in texts.iter_mut().zip(fields.texts()) {
            if !text.is_empty() {
                let start = text.as_ptr().addr() - line.as_ptr().addr();
                let end = start + text.len();
                *place = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
            }
        }
        Some(Self {
            seq: fields.seq,
            timestamp: fields.timestamp,
            texts,
        })
    }

    /// The fields of the line that was scanned.
    pub(crate) fn fields<'a>(&self, line: &'a [u8]) -> Fields<'a> {
        let mut fields = Fields::without_texts(self.seq, self.timestamp);
        for ((start, end), text) in self.texts.iter().zip(fields.texts()) {
            *text = line.get(*start as usize..*end as usize).unwrap_or_default();
        }
        fields
    }
}

/// Reads one line, given without its LF. `None` if it isn't a line of the log: not a JSON object,
/// or without one of `stream`, `seq`, `id`, `timestamp` and `event_type` as they must be.
pub(crate) fn scan(line: &[u8]) -> Option<Fields<'_>> {
    let mut found: [&[u8]; KEYS.len()] = [&[]; KEYS.len()];
    let mut actor: [&[u8]; PART.len()] = [&[]; PART.len()];
    let mut resource = actor;
    let mut outcome = actor;
    let mut ids: [&[u8]; IDS.len()] = [&[]; IDS.len()];
    let mut cursor = Cursor { json: line, at: 0 };
    cursor.known_members(&KEYS, |cursor, key| {
        let value = match key {
            ACTOR => cursor.part(&PART, &mut actor)?,
            RESOURCE => cursor.part(&PART, &mut resource)?,
            OUTCOME => cursor.part(&PART, &mut outcome)?,
            CONTEXT => cursor.part(&IDS, &mut ids)?,
            SEQ | DETAILS | TAGS => cursor.value()?,
            _ => cursor.text()?,
        };
        if let Some(place) = found.get_mut(key) {
            *place = value;
        }
        Some(())
    })?;
    let [actor_type, actor_id, actor_name] = actor;
    let [resource_type, resource_id, resource_name] = resource;
    let [outcome_type, ..] = outcome;
    let [session_id, request_id] = ids;
    let fields = Fields {
        stream: found[const { place(&fields::STREAM) }],
        seq: number(found[SEQ])?,
        id: found[const { place(&fields::ID) }],
        timestamp: parse_timestamp(found[const { place(&fields::TIMESTAMP) }])?,
        event_type: found[const { place(&fields::EVENT_TYPE) }],
        category: found[const { place(&fields::CATEGORY) }],
        action: found[const { place(&fields::ACTION) }],
        severity: found[const { place(&fields::SEVERITY) }],
        source: found[const { place(&fields::SOURCE) }],
        tenant_id: found[const { place(&fields::TENANT_ID) }],
        actor: found[ACTOR],
        actor_type,
        actor_id,
        actor_name,
        resource: found[RESOURCE],
        resource_type,
        resource_id,
        resource_name,
        outcome: found[OUTCOME],
        outcome_type,
        description: found[const { place(&fields::DESCRIPTION) }],
        details: found[DETAILS],
        tags: found[TAGS],
        ip_address: found[const { place(&fields::IP_ADDRESS) }],
        user_agent: found[const { place(&fields::USER_AGENT) }],
        context: found[CONTEXT],
        session_id,
        request_id,
    };
    let is_whole = cursor.at == line.len() && fields.id.len() == 36 && fields.id.is_ascii();
    let is_numbered = !fields.stream.is_empty() && fields.seq > 0;
    (is_whole && is_numbered && !fields.event_type.is_empty()).then_some(fields)
}

macro_rules! texts {
    ($($name:ident,)+) => {
        /// How many fields are slices of the line.
        const TEXTS: usize = [$(stringify!($name)),+].len();

        impl<'a> Fields<'a> {
            fn without_texts(seq: u64, timestamp: Timestamp) -> Self {
                Self { seq, timestamp, $($name: &[]),+ }
            }

            /// All that are slices of the line.
            fn texts(&mut self) -> [&mut &'a [u8]; TEXTS] {
                [$(&mut self.$name),+]
            }
        }
    };
}

texts! {
    stream, id, event_type, category, action, severity, source, tenant_id,
    actor, actor_type, actor_id, actor_name,
    resource, resource_type, resource_id, resource_name,
    outcome, outcome_type,
    description, details, tags, ip_address, user_agent,
    context, session_id, request_id,
}

/// Whether a line has an unescaped control character, which JSON doesn't allow. The loop goes on
/// after it has found one, because the compiler can vectorize a loop that doesn't end early.
pub(crate) fn has_control(line: &[u8]) -> bool {
    line.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

/// The members of a line, in their order there.
const KEYS: [Name; fields::FIELDS.len()] = {
    let mut names = [Name::new(""); fields::FIELDS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Name::new(fields::FIELDS[at].name);
        at += 1;
    }
    names
};

/// Where a field is among them.
const fn place(field: &Field) -> usize {
    fields::place(&fields::FIELDS, field)
}

const SEQ: usize = place(&fields::SEQ);
const ACTOR: usize = place(&fields::ACTOR);
const RESOURCE: usize = place(&fields::RESOURCE);
const OUTCOME: usize = place(&fields::OUTCOME);
const DETAILS: usize = place(&fields::DETAILS);
const TAGS: usize = place(&fields::TAGS);
const CONTEXT: usize = place(&fields::CONTEXT);

/// The parts that we look for: those of an actor, of a resource and (the first of them) of an
/// outcome.
const PART: [Name; 3] = [
    Name::new(fields::RESOURCE_TYPE.name),
    Name::new(fields::RESOURCE_ID.name),
    Name::new(fields::RESOURCE_NAME.name),
];

/// The ids of the context.
const IDS: [Name; 2] = [
    Name::new(fields::CONTEXT_SESSION_ID.name),
    Name::new(fields::CONTEXT_REQUEST_ID.name),
];

/// A key with its quotes, 16 bytes at most, to be compared in one go.
#[derive(Clone, Copy)]
struct Name {
    word: u128,
    mask: u128,
    len: usize,
}

impl Name {
    const fn new(name: &str) -> Self {
        let (bytes, len) = (name.as_bytes(), name.len() + 2);
        assert!(len <= 16, "a longer key can't be looked for");
        let mut word = b'"' as u128 | (b'"' as u128) << (8 * (len - 1));
        let mut at = 0;
        while at < bytes.len() {
            word |= (bytes[at] as u128) << (8 * (at + 1));
            at += 1;
        }
        Self {
            word,
            mask: u128::MAX >> (8 * (16 - len)),
            len,
        }
    }
}

/// The value of a member of an object of which all but the opening brace is given.
pub(crate) fn member<'a>(members: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut cursor = Cursor {
        json: members,
        at: 0,
    };
    loop {
        let key = cursor.key()?;
        let value = cursor.value()?;
        if key == name.as_bytes() {
            return Some(value);
        }
        if cursor.next()? != b',' {
            return None;
        }
    }
}

/// The value at a dotted path below `details` (a JSON object), as raw JSON. A key that has dots in
/// it is found too.
pub(crate) fn details_path<'a>(details: &'a [u8], path: &str) -> Option<&'a [u8]> {
    // Escaping works character by character, so a path is escaped as its parts are.
    let plain = path.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        below(details, path.as_bytes(), 0)
    } else {
        below(details, &escape(path), 0)
    }
}

fn below<'a>(object: &'a [u8], path: &[u8], depth: usize) -> Option<&'a [u8]> {
    if depth == MAX_DEPTH {
        return None;
    }
    let mut found: Option<(&[u8], &[u8])> = None;
    Cursor {
        json: object,
        at: 0,
    }
    .members(Cursor::key, |cursor, key| {
        let value = cursor.value()?;
        // Of a key that comes again the last value counts, as to other readers.
        if found.is_none_or(|(before, _)| before == key) {
            let below = match path.strip_prefix(key) {
                Some([]) => Some(value),
                Some([b'.', rest @ ..]) => below(value, rest, depth + 1),
                _ => None,
            };
            found = below.map(|value| (key, value));
        }
        Some(())
    })?;
    found.map(|(_, value)| value)
}

/// `text` as it stands between the quotes of a JSON string that `serde_json` wrote.
pub(crate) fn escape(text: &str) -> Vec<u8> {
    let mut json = serde_json::to_vec(text).expect("a string is always JSON, and a Vec takes it");
    json.pop();
    json.remove(0);
    json
}

/// A text of a line without its escapes.
pub(crate) fn unescape(escaped: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', escaped).is_none() {
        return String::from_utf8_lossy(escaped);
    }
    let quoted = [b"\"", escaped, b"\""].concat();
    serde_json::from_slice::<String>(&quoted)
        .map_or_else(|_| String::from_utf8_lossy(escaped), Cow::Owned)
}

/// Reads `2026-11-21T10:15:00.123456Z`, exactly so.
fn parse_timestamp(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let shape = [
        text[4], text[7], text[10], text[13], text[16], text[19], text[26],
    ];
    if shape != *b"--T::.Z" {
        return None;
    }
    let digits = |range: std::ops::Range<usize>| {
        text[range].iter().try_fold(0i64, |n, b| {
            b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0'))
        })
    };
    let year = digits(0..4)?;
    let month = digits(5..7)?;
    let day = digits(8..10)?;
    let hour = digits(11..13)?;
    let minute = digits(14..16)?;
    let second = digits(17..19)?;
    let micros = digits(20..26)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years that begin in March end with the leap day, so the days of the months before are a
    // straight line, 153 in five months.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    Some(Timestamp::from_micros(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros,
    ))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, b| {
        if b.is_ascii_digit() {
            n.checked_mul(10)?.checked_add(u64::from(b - b'0'))
        } else {
            None
        }
    })
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
