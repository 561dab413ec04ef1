//! Puts the entries of a replay into deliveries: those of a batch that was made before into the
//! same batch again, so that it has the same id and body, and others into new ones.
//!
//! Invariant: each entry that is given to a replay is in a delivery that is made with it or was
//! made before it. A batch goes when the first of its entries comes; those of its entries that come
//! later are passed over, for as long as this remembers that it went. After a restart, a batch of
//! which some entries came before goes once more, under its id.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    io,
};

use crate::{
    query::{AuditReader, Filter, Places, RawEntry},
    webhook::{
        queue::{
            batches::{self, KnownBatches, MadeBatch},
            body::LONGEST,
            delivery_id,
        },
        run::read::source::bundles,
        settings::{Batching, Prepared, Selection},
    },
};

/// So many batches are remembered as they were looked up last.
const RECENT: usize = 16;

/// The entries that are replayed, and the webhook that gets them.
pub(in crate::webhook) struct Replayed<'a> {
    pub(in crate::webhook) webhook: &'a str,
    pub(in crate::webhook) filter: &'a Filter,
    pub(in crate::webhook) selection: &'a Selection,
    pub(in crate::webhook) batch: Option<Batching>,
    /// The digest of the webhook's format.
    pub(in crate::webhook) format: &'a str,
    /// How far the log was read for the webhook.
    pub(in crate::webhook) cursor: &'a Places,
}

impl<'a> Replayed<'a> {
    pub(in crate::webhook) fn of(
        webhook: &'a Prepared,
        filter: &'a Filter,
        cursor: &'a Places,
    ) -> Self {
        Self {
            webhook: &webhook.name,
            filter,
            selection: &webhook.selection,
            batch: webhook.batch,
            format: &webhook.format_digest,
            cursor,
        }
    }

    /// Whether the replay sends this entry of those that its filter finds. What a webhook of
    /// batches has not got yet is not sent: it will be in a batch of its own.
    pub(in crate::webhook) fn takes(&self, entry: &RawEntry) -> bool {
        let has_come = || self.cursor.have_read(&entry.stream(), entry.seq());
        self.selection.selects(entry) && (self.batch.is_none() || has_come())
    }
}

/// The batches that were made for a webhook.
pub(in crate::webhook) struct PastBatches {
    reader: AuditReader,
    known: KnownBatches,
    /// The last ones that were looked up, by where their lines are.
    recent: VecDeque<Recent>,
    /// The batches that were sent.
    sent: HashSet<u64>,
    /// Whether they could not be read, which was reported.
    refused: bool,
}

struct Recent {
    at: u64,
    made: MadeBatch,
    /// The replay doesn't have all of its entries.
    is_partial: bool,
}

/// The batch of an entry.
enum Past {
    Unknown,
    Sent,
    Whole(Vec<RawEntry>),
}

/// The entries of one page of a replay, by streams and numbers.
type PageEntries<'a> = HashMap<(Cow<'a, str>, u64), &'a RawEntry>;

impl PastBatches {
    /// The batches of the webhook with this key.
    pub(in crate::webhook) fn new(key: &str, reader: AuditReader) -> Self {
        Self {
            known: KnownBatches::new(batches::path(reader.layout(), key)),
            reader,
            recent: VecDeque::new(),
            sent: HashSet::new(),
            refused: false,
        }
    }

    /// The entries of each delivery, in order. These are all that the replay takes of one page.
    pub(in crate::webhook) fn bundles(
        &mut self,
        replayed: &Replayed<'_>,
        entries: &[RawEntry],
    ) -> Vec<Vec<RawEntry>> {
        self.read_on(replayed.batch);
        let of_page: PageEntries<'_> = entries
            .iter()
            .map(|entry| ((entry.stream(), entry.seq().0), entry))
            .collect();
        let mut made = Vec::new();
        let mut others = Vec::new();
        let anew = |others: &mut Vec<RawEntry>| {
            let others = std::mem::take(others);
            bundles(others, replayed.batch, LONGEST, |entry| entry.line().len())
        };
        for entry in entries {
            match self.past(replayed, entry, &of_page) {
                Past::Unknown => others.push(entry.clone()),
                Past::Sent => {}
                Past::Whole(batch) => {
                    made.append(&mut anew(&mut others));
                    made.push(batch);
                }
            }
        }
        made.append(&mut anew(&mut others));
        made
    }

    /// A webhook that sends no batches needs none: a single entry has no other bounds.
    fn read_on(&mut self, batch: Option<Batching>) {
        if batch.is_none() {
            return;
        }
        match self.known.read_on() {
            Ok(false) => {}
            Ok(true) => {
                self.recent.clear();
                self.sent.clear();
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn past(&mut self, replayed: &Replayed<'_>, entry: &RawEntry, page: &PageEntries<'_>) -> Past {
        let stream = entry.stream();
        let seq = entry.seq().0;
        let Some(at) = self.known.find(&stream, seq) else {
            return Past::Unknown;
        };
        let Some(recent) = self.look(at) else {
            return Past::Unknown;
        };
        let Some(Recent {
            made, is_partial, ..
        }) = self.recent.get_mut(recent)
        else {
            return Past::Unknown;
        };
        if !made.has(&stream, seq) {
            return Past::Unknown;
        }
        if self.sent.contains(&at) {
            return Past::Sent;
        }
        if *is_partial {
            return Past::Unknown;
        }
        match whole(&self.reader, replayed, made, page) {
            Some(entries) => {
                self.sent.insert(at);
                Past::Whole(entries)
            }
            None => {
                *is_partial = true;
                Past::Unknown
            }
        }
    }

    /// Looks a batch up; gives where it is among the recent ones.
    fn look(&mut self, at: u64) -> Option<usize> {
        if let Some(recent) = self.recent.iter().position(|recent| recent.at == at) {
            return Some(recent);
        }
        let made = match self.known.at(at) {
            Ok(made) => made?,
            Err(error) => {
                self.refuse(&error);
                return None;
            }
        };
        self.recent.push_front(Recent {
            at,
            made,
            is_partial: false,
        });
        self.recent.truncate(RECENT);
        Some(0)
    }

    fn refuse(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(
                target: "tracing_audit",
                "a replay may send batches under other ids, because those that were sent before \
                can't be read: {error}"
            );
        }
    }
}

/// The entries of a batch, if the replay takes all of them.
fn whole(
    reader: &AuditReader,
    replayed: &Replayed<'_>,
    made: &MadeBatch,
    page: &PageEntries<'_>,
) -> Option<Vec<RawEntry>> {
    let most = replayed.batch.map_or(1, |batch| batch.max_entries);
    if made.format != replayed.format || made.count() > most as u64 {
        return None;
    }
    let entries = in_page(made, page).or_else(|| {
        let read = made.entries.iter().map(|runs| reader.all_of(runs).ok());
        let entries: Vec<RawEntry> = read.collect::<Option<Vec<_>>>()?.concat();
        let takes =
            |entry: &RawEntry| replayed.filter.matches(&entry.fields()) && replayed.takes(entry);
        entries.iter().all(takes).then_some(entries)
    })?;
    (delivery_id(replayed.webhook, &entries) == made.id).then_some(entries)
}

/// The entries of a batch, if the page has them all.
fn in_page(made: &MadeBatch, page: &PageEntries<'_>) -> Option<Vec<RawEntry>> {
    let mut entries = Vec::new();
    for runs in &made.entries {
        let stream = runs.file().ok()?.stream;
        for seq in runs.seqs() {
            let found = page.get(&(Cow::Borrowed(stream.as_str()), seq))?;
            entries.push((*found).clone());
        }
    }
    Some(entries)
}

#[cfg(test)]
#[path = "past_batches_tests.rs"]
mod tests;
