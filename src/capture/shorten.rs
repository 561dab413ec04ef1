//! Makes an entry fit that is too long, and names what was cut of it.
//!
//! The longest values are cut, in `details` and attributes first: the entry is written with a limit
//! on each value, and again with a smaller one, until it fits. Short values stay whole, so a long
//! one never hides those beside it. A text, a list or an object that is cut keeps its beginning,
//! and `…` stands for the rest.
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

/// The least limit, in bytes, and the room that a value in a list or an object must find.
const SHORTEST: usize = 32;

/// Where each of many values would get less than this, the last ones are left out instead.
const LEAST_VALUE: usize = 512;

/// The bytes of the brackets of a list or an object, and of the `…` that stands for its rest.
const AROUND: usize = 16;

/// The fields that are never cut.
const WHOLE: [&str; 2] = [fields::ID.path, fields::EVENT_TYPE.path];

/// A long value in a list or an object leaves so many bytes to each value after it, as far as they
/// are no more than half of the room.
const RESERVED: usize = 256;

/// `truncated` names so many paths at most.
const MOST_NAMES: usize = 16;

/// The fields that are left out, in this order, where cutting is not enough.
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

/// How many bytes are written of each value.
#[derive(Clone, Copy)]
struct Limits {
    /// Of a field of the entry itself.
    own: usize,
    /// Of `details` or attributes as a whole.
    map: usize,
    /// Of one value in them.
    value: usize,
    /// The fields that are left out.
    without: &'static [&'static str],
}

/// The limits to try, one after the other: on single values in `details` and attributes, then on
/// these as a whole, then on the entry's own fields too.
fn steps(longest: usize) -> impl Iterator<Item = Limits> {
    const ALL: usize = usize::MAX;
    let down_to = move |least: usize| {
        iter::successors(Some(longest / 4 * 3), |limit| Some(limit / 4 * 3))
            .take_while(move |limit| *limit >= least)
    };
    let limits = |own, map, value| Limits {
        own,
        map,
        value,
        without: &[],
    };
    let values = down_to(LEAST_VALUE).map(move |limit| limits(ALL, ALL, limit));
    let maps = down_to(longest / 16).map(move |limit| limits(ALL, limit, limit));
    let own = down_to(LEAST_VALUE).map(move |limit| limits(limit, ALL, limit));
    let all = down_to(SHORTEST).map(move |limit| limits(limit, limit, limit));
    let without = (1..=GO_LAST.len()).map(move |count| Limits {
        without: &GO_LAST[..count],
        ..limits(SHORTEST, SHORTEST, SHORTEST)
    });
    values.chain(maps).chain(own).chain(all).chain(without)
}

/// `entry` is an object as it was rendered, without its opening brace. The result is at most
/// `longest` bytes.
pub(super) fn shorten(entry: &[u8], longest: usize) -> Vec<u8> {
    let text = [b"{", entry].concat();
    // The writer renders only valid JSON. If that ever fails, the head of the entry is still worth
    // keeping.
    let Ok(entry) = serde_json::from_slice::<Members>(&text) else {
        return headless(&text);
    };
    steps(longest)
        .find_map(|limits| write(&entry, longest, limits))
        .unwrap_or_else(|| headless(&text))
}

/// The entry within these limits, without its opening brace, unless it is still too long.
fn write(entry: &Members, longest: usize, limits: Limits) -> Option<Vec<u8>> {
    let mut cut = Cut {
        out: Buffer::with_capacity(longest),
        longest,
        limits,
        whole: false,
        path: String::new(),
        names: Vec::new(),
    };
    cut.own(entry);
    let Cut {
        mut out, mut names, ..
    } = cut;
    if names.len() > MOST_NAMES {
        names.truncate(MOST_NAMES);
        names.push(AND_SO_ON.to_owned());
    }
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
    /// Whether a value is written to see if it fits.
    whole: bool,
    /// Of the value that is being written.
    path: String,
    /// The paths of what was cut.
    names: Vec<String>,
}

impl Cut {
    /// The entry, or an object of its schema.
    fn own(&mut self, members: &Members) {
        self.out.push(b'{');
        for (key, value) in members.iter() {
            self.within(key, |cut| {
                if cut.limits.without.contains(&cut.path.as_str()) {
                    return cut.note();
                }
                cut.key(key);
                match (value, fields::at(&cut.path).map(|field| field.kind)) {
                    (Json::Object(members), Some(Kind::Object)) => cut.own(members),
                    (Json::Object(members), Some(Kind::Map)) => {
                        cut.object(members, cut.limits.map, cut.limits.value);
                    }
                    _ if WHOLE.contains(&cut.path.as_str()) => cut.value(value, usize::MAX),
                    _ => cut.value(value, cut.limits.own),
                }
            });
        }
        self.out.push(b'}');
    }

    /// A value: whole if it fits into this limit, else its beginning.
    fn value(&mut self, value: &Json, limit: usize) {
        if self.whole {
            return self.cut(value, usize::MAX);
        }
        let start = self.out.len();
        let names = self.names.len();
        self.whole = true;
        self.cut(value, usize::MAX);
        self.whole = false;
        if self.out.len() - start > limit {
            self.out.truncate(start);
            self.names.truncate(names);
            self.cut(value, limit);
        }
    }

    /// Cuts a value to its beginning. Escaping may make that longer than the limit.
    fn cut(&mut self, value: &Json, limit: usize) {
        match value {
            Json::Text(text) => {
                let limit = limit.saturating_sub(2).clamp(SHORTEST, self.longest);
                if text.len() > limit {
                    self.note();
                }
                self.out.limit_texts(limit);
                json::write_str(&mut self.out, text);
            }
            Json::List(values) => self.list(values, limit),
            Json::Object(fields) => self.object(fields, limit, limit),
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
        let end = self.end(limit);
        let names = self.names.len();
        let mut kept = 0;
        self.out.push(b'[');
        for value in elements {
            let Some(room) = self.room(end, 0) else { break };
            let limit = share(room, elements.len() - kept - 1);
            self.separate();
            self.within(kept, |cut| cut.value(value, limit));
            kept += 1;
        }
        if kept < values.len() {
            self.names.insert(names, self.path.clone());
            self.separate();
            json::write_str(&mut self.out, AND_SO_ON);
        }
        self.out.push(b']');
    }

    /// The first members of an object of the application's, with so much of each value. A name that
    /// is too long does not hide the members after it.
    fn object(&mut self, fields: &Members, limit: usize, of_each: usize) {
        let end = self.end(limit);
        let names = self.names.len();
        let mut kept = 0;
        self.out.push(b'{');
        for (place, (key, value)) in fields.iter().enumerate() {
            let Some(room) = self.room(end, key.len()).filter(|_| key != AND_SO_ON) else {
                continue;
            };
            let limit = share(room, fields.len() - place - 1).min(of_each);
            self.key(key);
            self.within(key, |cut| cut.value(value, limit));
            kept += 1;
        }
        if kept < fields.len() {
            self.names.insert(names, self.path.clone());
            self.key(AND_SO_ON);
            json::write_str(&mut self.out, AND_SO_ON);
        }
        self.out.push(b'}');
    }

    /// Where the last value of a list or an object that begins here must end.
    fn end(&self, limit: usize) -> usize {
        self.out.len().saturating_add(limit.saturating_sub(AROUND))
    }

    /// The room for one more value up to `end`, if that is enough for one, and if the entry isn't
    /// too long already.
    fn room(&self, end: usize, key: usize) -> Option<usize> {
        let room = end.checked_sub(self.out.len() + key + 4)?;
        (room >= SHORTEST && self.out.len() <= self.longest).then_some(room)
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

    fn within(&mut self, name: impl Display, write: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        let dot = if len == 0 { "" } else { "." };
        // Writing into a string cannot fail.
        let _ = write!(self.path, "{dot}{name}");
        write(self);
        self.path.truncate(len);
    }

    fn note(&mut self) {
        self.names.push(self.path.clone());
    }
}

/// How many of the bytes of `room` a value gets that so many others follow.
fn share(room: usize, followers: usize) -> usize {
    (room / 2).max(room.saturating_sub(RESERVED * followers))
}

/// The head of an entry that can't be parsed.
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
