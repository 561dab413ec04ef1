//! Makes an entry that is too long fit: what is longest in it is cut, and it says what.
//!
//! The entry is written again with a limit on each of its fields, and with half that limit, until
//! it fits. The values in a field share its limit: short values stay whole, long ones get as much
//! as each other. So however long one is, those beside it stay.
//!
//! The slow path: it may allocate.

use std::{
    fmt::{Display, Write as _},
    iter,
};

use tracing_audit_schema::{
    Field, Kind, SetBy,
    fields::{self, FIELDS, TRUNCATED},
};

use crate::entry::{
    Buffer,
    json::{self, AND_SO_ON, Json, Members},
};

/// The least limit. A list or an object keeps as many values as there is room for if each gets so
/// much, or what it needs if that is less.
const SHORTEST: usize = 32;

/// What the brackets take, and what stands for the rest.
const AROUND: usize = 16;

/// The fields that are never cut.
const WHOLE: [&str; 2] = [fields::ID.path, fields::EVENT_TYPE.path];

/// More paths than these are not named.
const MOST_NAMES: usize = 16;

/// The fields that go as a whole when there are too many short ones, in this order.
const GO_LAST: [&str; 10] = [
    fields::DETAILS.path,
    fields::TAGS.path,
    fields::RESOURCE.path,
    fields::ACTOR.path,
    fields::OUTCOME.path,
    fields::DESCRIPTION.path,
    fields::CONTEXT.path,
    fields::USER_AGENT.path,
    fields::IP_ADDRESS.path,
    fields::TENANT_ID.path,
];

/// How many bytes of each field are written.
#[derive(Clone, Copy)]
struct Limits {
    /// Of the entry's own fields.
    own: usize,
    /// Of `details` and attributes, and what is in them.
    application: usize,
    /// Fields that are left out.
    without: &'static [&'static str],
}

/// `entry` is what was rendered: an object without its opening brace. The result is at most
/// `longest` bytes.
pub(super) fn shorten(entry: &[u8], longest: usize) -> Vec<u8> {
    let text = [b"{", entry].concat();
    // The writer renders nothing but valid JSON. Should it ever not, the head of the entry is
    // still worth more than nothing.
    let Ok(entry) = serde_json::from_slice::<Members>(&text) else {
        return headless(&text);
    };

    let halves = |from: usize| {
        iter::successors(Some(from), |limit| Some(limit / 2)).take_while(|limit| *limit >= SHORTEST)
    };
    // Where the entry's own fields are nearly all of it, cutting the others alone would hide these
    // and help little.
    let own = write(
        &entry,
        longest,
        Limits {
            own: usize::MAX,
            application: 0,
            without: &[],
        },
    );
    let room = own.map_or(0, |own| longest - own.len());
    let room = if room < longest / 16 {
        0
    } else {
        room - room / 8
    };

    let first = halves(room).map(|limit| Limits {
        own: usize::MAX,
        application: limit,
        without: &[],
    });
    let then = halves(longest / 2).map(|limit| Limits {
        own: limit,
        application: limit,
        without: &[],
    });
    let last = (1..=GO_LAST.len()).map(|count| Limits {
        own: SHORTEST,
        application: SHORTEST,
        without: &GO_LAST[..count],
    });
    first
        .chain(then)
        .chain(last)
        .find_map(|limits| write(&entry, longest, limits))
        .unwrap_or_else(|| headless(&text))
}

/// The entry within these limits, without its opening brace, unless it is still too long.
fn write(entry: &Members, longest: usize, limits: Limits) -> Option<Vec<u8>> {
    let mut cut = Cut {
        out: Buffer::with_capacity(longest),
        longest,
        limits,
        path: String::new(),
        names: Vec::new(),
    };
    cut.own(entry);
    let Cut { mut out, names, .. } = cut;
    if !names.is_empty() {
        out.truncate(out.len() - 1);
        out.append(TRUNCATED.key.as_bytes());
        out.limit_texts(longest);
        json::write_value(&mut out, &names);
        out.push(b'}');
    }
    (out.len() - 1 <= longest).then(|| out[1..].to_vec())
}

/// Writes an entry within its limits.
struct Cut {
    out: Buffer,
    longest: usize,
    limits: Limits,
    /// Of the value that is being written.
    path: String,
    /// The paths of what was cut.
    names: Vec<String>,
}

impl Cut {
    /// An object of the entry's own.
    fn own(&mut self, members: &Members) {
        self.out.push(b'{');
        for (key, value) in members.iter() {
            self.within(key, |cut| {
                if cut.limits.without.contains(&cut.path.as_str()) {
                    return cut.note();
                }
                cut.key(key);
                let field = fields::at(&cut.path);
                let limit = match field.map(|field| field.kind) {
                    Some(Kind::Map) => cut.limits.application,
                    _ if WHOLE.contains(&cut.path.as_str()) => usize::MAX,
                    _ => cut.limits.own,
                };
                match value {
                    Json::Object(members)
                        if field.is_some_and(|field| field.kind == Kind::Object) =>
                    {
                        cut.own(members)
                    }
                    value => cut.value(value, limit),
                }
            });
        }
        self.out.push(b'}');
    }

    fn value(&mut self, value: &Json, limit: usize) {
        match value {
            Json::Text(text) => {
                let limit = limit.saturating_sub(2).max(SHORTEST);
                if text.len() > limit {
                    self.note();
                }
                self.out.limit_texts(limit);
                json::write_str(&mut self.out, text);
            }
            Json::List(values) => self.list(values, limit),
            Json::Object(fields) => self.object(fields, limit),
            // Writing a number, a boolean or null into memory does not fail.
            other => _ = serde_json::to_writer(&mut self.out, other),
        }
    }

    /// The first elements of a list.
    fn list(&mut self, values: &[Json], limit: usize) {
        let elements = match values {
            // Others were left out before.
            [elements @ .., last] if last.as_str() == Some(AND_SO_ON) => elements,
            all => all,
        };
        let mut room = limit.saturating_sub(AROUND);
        let mut sizes = Vec::new();
        for value in elements {
            let size = size(value, limit);
            if !take(&mut room, 1 + size.min(SHORTEST)) {
                break;
            }
            sizes.push(size);
        }
        let cut = sizes.len() < values.len();
        if cut {
            self.note();
        }
        let level = level(sizes.clone(), limit.saturating_sub(AROUND + sizes.len()));
        self.out.push(b'[');
        for (index, (value, size)) in elements.iter().zip(sizes).enumerate() {
            if self.is_full() {
                return;
            }
            self.separate();
            self.within(index, |cut| {
                cut.value(value, if size > level { level } else { usize::MAX })
            });
        }
        if cut {
            self.separate();
            json::write_str(&mut self.out, AND_SO_ON);
        }
        self.out.push(b']');
    }

    /// The first members of an object of the application's. A name that is too long does not hide
    /// those that come after it.
    fn object(&mut self, fields: &Members, limit: usize) {
        let mut room = limit.saturating_sub(AROUND);
        let mut left = room;
        let mut kept = Vec::new();
        for (key, value) in fields.iter() {
            let (name, size) = (key.len() + 4, size(value, limit));
            if key != AND_SO_ON && take(&mut room, name + size.min(SHORTEST)) {
                left -= name;
                kept.push((key, value, size));
            }
        }
        let cut = kept.len() < fields.len();
        if cut {
            self.note();
        }
        let level = level(kept.iter().map(|(_, _, size)| *size).collect(), left);
        self.out.push(b'{');
        for (key, value, size) in kept {
            if self.is_full() {
                return;
            }
            self.key(key);
            self.within(key, |cut| {
                cut.value(value, if size > level { level } else { usize::MAX })
            });
        }
        if cut {
            self.key(AND_SO_ON);
            json::write_str(&mut self.out, AND_SO_ON);
        }
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.out.limit_texts(self.longest);
        json::write_str(&mut self.out, key);
        self.out.push(b':');
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// Whether these limits are of no use, whatever comes.
    fn is_full(&self) -> bool {
        self.out.len() > self.longest
    }

    fn within(&mut self, name: impl Display, write: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        let dot = if len == 0 { "" } else { "." };
        // Writing into a string cannot fail.
        let _ = write!(self.path, "{dot}{name}");
        write(self);
        self.path.truncate(len);
    }

    fn note(&mut self) {
        match self.names.len() {
            ..MOST_NAMES => self.names.push(self.path.clone()),
            MOST_NAMES => self.names.push(AND_SO_ON.to_owned()),
            _ => {}
        }
    }
}

/// Takes bytes from those that are left, if there are so many.
fn take(left: &mut usize, bytes: usize) -> bool {
    left.checked_sub(bytes).map(|rest| *left = rest).is_some()
}

/// How much each of these may get, so that all have room: the short ones what they need, the others
/// as much as each other.
fn level(mut sizes: Vec<usize>, mut room: usize) -> usize {
    sizes.sort_unstable();
    let shares = (1..=sizes.len()).rev();
    for (size, shares) in sizes.into_iter().zip(shares) {
        if size > room / shares {
            return room / shares;
        }
        room -= size;
    }
    usize::MAX
}

/// How many bytes a value is long; a little more than `most` if that is less, and 0 if there is no
/// limit: nothing more than that is looked at.
fn size(value: &Json, most: usize) -> usize {
    let mut sum = 2;
    match value {
        _ if most == usize::MAX => return 0,
        Json::Text(text) => sum += text.len(),
        Json::List(values) => {
            let mut values = values.iter();
            while sum <= most
                && let Some(value) = values.next()
            {
                sum += 1 + size(value, most - sum);
            }
        }
        Json::Object(fields) => {
            let mut fields = fields.iter();
            while sum <= most
                && let Some((key, value)) = fields.next()
            {
                sum += key.len() + 4;
                sum += size(value, most.saturating_sub(sum));
            }
        }
        other => sum = other.to_string().len(),
    }
    sum
}

/// What is left of an entry that can't be parsed.
fn headless(text: &[u8]) -> Vec<u8> {
    let mut fields = head(text);
    fields.add(TRUNCATED.name, &["*"]);
    // A map of JSON values always serializes.
    let mut bytes = serde_json::to_vec(&fields).unwrap_or_default();
    bytes.drain(..bytes.len().min(1));
    bytes
}

/// The leading fields of an entry that can't be parsed: those that are well-formed strings.
fn head(text: &[u8]) -> Members {
    let text = String::from_utf8_lossy(text);
    let mut fields = Members::default();
    let of_head = |field: &&Field| matches!(field.set_by, SetBy::Log | SetBy::Head);
    for key in FIELDS.iter().filter(of_head).map(|field| field.name) {
        let found = text
            .split_once(&format!("\"{key}\":\""))
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some((value, _)) = found {
            fields.add(key, value);
        }
    }
    fields
}

#[cfg(test)]
#[path = "shorten_tests.rs"]
mod tests;
