//! Judges streams: is each entry there once, and does the log account for those that are not?
//!
//! Numbers of entries alone decide. A number of a file may be used up without a loss, for instance
//! when a file was begun and given up; it only helps to say where something is missing.

use super::{
    accounted::OfStream,
    report::{FindingKind, FindingLevel},
    survey::Part,
};
use crate::{entry::StreamId, store::numbers::Numbers};

/// One stream as it was found.
pub(super) struct Stream<'a> {
    pub(super) id: StreamId,
    /// Its files, in the order of their numbers.
    pub(super) parts: &'a [Part],
    pub(super) accounted: &'a OfStream,
    /// The proof that it has entries up to a number, which may lie beyond its files.
    pub(super) proof: Option<Proof>,
}

/// A proof of how far a stream goes.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) last: u64,
    /// In words, as in "its journal".
    pub(super) by: String,
}

/// The findings about a stream.
pub(super) struct Found {
    pub(super) level: FindingLevel,
    pub(super) kind: FindingKind,
    pub(super) place: String,
    pub(super) what: String,
}

/// Numbers that no file has, and the files before and after them.
struct Hole<'a> {
    first: u64,
    last: u64,
    before: Option<&'a Part>,
    after: Option<&'a Part>,
}

impl Stream<'_> {
    /// Everything there is to report.
    pub(super) fn judge(&self) -> Vec<Found> {
        let (there, mut found) = self.order();
        for hole in self.holes(&there) {
            found.extend(self.notes(&hole));
            found.extend(
                self.unaccounted(&hole)
                    .into_iter()
                    .map(|missing| self.missing(&hole, missing)),
            );
        }
        found
    }

    /// Whether entries are missing that nothing accounts for.
    pub(super) fn has_unaccounted(&self) -> bool {
        let (there, _) = self.order();
        self.holes(&there)
            .iter()
            .any(|hole| !self.unaccounted(hole).is_empty())
    }

    /// The numbers that are there, and which of them are there twice or too late.
    fn order(&self) -> (Numbers, Vec<Found>) {
        let mut there = Numbers::default();
        let mut found = Vec::new();
        for part in self.parts {
            for &(first, last) in part.runs.iter().flatten() {
                let again = there.within(first, last);
                let what = if let Some((from, to)) = again.first() {
                    Some(format!(
                        "{} here again, though a line or file before has the same. Someone copied \
                         lines or a file; compare both, and restore the log from a backup.",
                        entries_are(*from, *to)
                    ))
                } else if first < there.last() {
                    Some(format!(
                        "{} here after entry {}. Someone moved lines, or changed their numbers; \
                         restore the file from a backup.",
                        entries_are(first, last),
                        there.last()
                    ))
                } else {
                    None
                };
                found.extend(what.map(|what| Found {
                    level: FindingLevel::Problem,
                    kind: FindingKind::OutOfOrder,
                    place: part.name.clone(),
                    what,
                }));
                there.add(first, last);
            }
        }
        (there, found)
    }

    /// The numbers from 1 on that no file has. Numbers that may be in a file that can't be read are
    /// not among them: that file is reported.
    fn holes(&self, there: &Numbers) -> Vec<Hole<'_>> {
        let end = self.proof.as_ref().map_or(0, |proof| proof.last);
        let missing = there.missing(1, there.last().max(end));
        let holes = missing.into_iter().map(|(first, last)| {
            let has_before = |part: &&Part| part.first().is_some_and(|begin| begin < first);
            let has_after = |part: &&Part| part.last().is_some_and(|end| end > last);
            Hole {
                first,
                last,
                before: self.parts.iter().rev().find(has_before),
                after: self.parts.iter().find(has_after),
            }
        });
        holes
            .filter(|hole| {
                let unread = |part: &Part| part.runs.is_none() && hole.spans(part.stem.number);
                !self.parts.iter().any(unread)
            })
            .collect()
    }

    /// The parts of a hole that nothing accounts for.
    fn unaccounted(&self, hole: &Hole<'_>) -> Vec<(u64, u64)> {
        let OfStream {
            lost,
            removed,
            unnumbered,
            ..
        } = self.accounted;
        let rest = removed.missing(hole.first, hole.last);
        let rest: Vec<_> = rest
            .into_iter()
            .flat_map(|(first, last)| lost.missing(first, last))
            .collect();
        // Retention removed a file here, and could not read which entries it had.
        if unnumbered.iter().any(|number| hole.spans(*number)) {
            return Vec::new();
        }
        rest
    }

    /// The entries that account for a hole.
    fn notes(&self, hole: &Hole<'_>) -> Vec<Found> {
        let OfStream {
            lost,
            removed,
            unnumbered,
            ..
        } = self.accounted;
        let mut notes = Vec::new();
        let mut removed = removed.within(hole.first, hole.last);
        if unnumbered.iter().any(|number| hole.spans(*number)) {
            removed = vec![(hole.first, hole.last)];
        }
        for (first, last) in removed {
            let what = format!(
                "{} no longer here: retention removed {}, as an entry of the type \
                 audit.log.pruned records.",
                entries_are(first, last),
                if first == last { "it" } else { "them" }
            );
            notes.push(self.note(FindingKind::Pruned, what));
        }
        for (first, last) in lost.within(hole.first, hole.last) {
            let what = format!(
                "{} lost, and recorded as lost by the log itself: someone or something else \
                 destroyed what was on disk already. Look at its entries of the types \
                 audit.log.lost and audit.log.live_file_cut.",
                entries_are(first, last)
            );
            notes.push(self.note(FindingKind::Lost, what));
        }
        notes
    }

    fn missing(&self, hole: &Hole<'_>, (first, last): (u64, u64)) -> Found {
        let entries = numbered("entry", first, last);
        let are = are(first, last);
        let files = hole.files();
        let what = match (hole.before, hole.after) {
            (None, Some(after)) => {
                let begins = &after.name;
                format!("{entries}, its first, {are} missing: now it begins in {begins}{files}.")
            }
            (Some(before), Some(after)) if before.name == after.name => {
                format!("{entries} {are} missing in the middle of {}.", before.name)
            }
            (Some(before), Some(after)) => {
                let (before, after) = (&before.name, &after.name);
                format!("{entries} {are} missing, between {before} and {after}{files}.")
            }
            (before, None) => {
                let by = self.proof.as_ref().map_or("", |proof| &proof.by);
                let end = before.map_or_else(
                    || "and no file of it is left".to_owned(),
                    |before| format!("after {}, where it ends now", before.name),
                );
                format!("{entries} {are} missing, {end}: {by} shows that they were written.")
            }
        };
        Found {
            level: FindingLevel::Problem,
            kind: FindingKind::Missing,
            place: self.place(),
            what: format!(
                "{what} No entry of the log accounts for that. Restore the files from a backup, \
                 and find out who removed them."
            ),
        }
    }

    pub(super) fn note(&self, kind: FindingKind, what: String) -> Found {
        Found {
            level: FindingLevel::Note,
            kind,
            place: self.place(),
            what,
        }
    }

    fn place(&self) -> String {
        format!("stream {}", self.id)
    }
}

impl Hole<'_> {
    /// Whether a file of this number may have had entries of the hole.
    fn spans(&self, number: u32) -> bool {
        self.before.is_none_or(|before| number > before.stem.number)
            && self.after.is_none_or(|after| number < after.stem.number)
    }

    /// Which files are missing, for a sentence.
    fn files(&self) -> String {
        let before = self.before.map_or(0, |before| before.stem.number);
        let after = self.after.map_or(0, |after| after.stem.number);
        if after <= before + 1 {
            return String::new();
        }
        let first = u64::from(before) + 1;
        let last = u64::from(after) - 1;
        let files = numbered("file", first, last);
        format!(" (the stream's {files} {} not there)", are(first, last))
    }
}

impl Part {
    fn first(&self) -> Option<u64> {
        self.runs.iter().flatten().map(|(first, _)| *first).min()
    }

    fn last(&self) -> Option<u64> {
        self.runs.iter().flatten().map(|(_, last)| *last).max()
    }
}

/// As in `entry 7` and `entries 7 to 9`.
fn numbered(noun: &str, first: u64, last: u64) -> String {
    if first == last {
        return format!("{noun} {first}");
    }
    let nouns = noun
        .strip_suffix('y')
        .map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"));
    format!("{nouns} {first} to {last}")
}

fn are(first: u64, last: u64) -> &'static str {
    if first == last { "is" } else { "are" }
}

/// As in `entry 7 is` and `entries 7 to 9 are`.
fn entries_are(first: u64, last: u64) -> String {
    format!("{} {}", numbered("entry", first, last), are(first, last))
}
