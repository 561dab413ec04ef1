//! How long dead letters stay: 30 days, and no more than 64 MiB of an endpoint. Also those of endpoints that are no more.
//!
//! What goes is recorded durably first (`audit.delivery.dead_letters_pruned`), then counted, then removed: a death in between tells it twice,
//! never not at all. What is being sent again stays while it is, unless there is too much. As long as the log has the entries themselves,
//! they can be replayed from there.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    files::{self, LetterFile},
    index, read,
};
use crate::{
    error::{Error, Result},
    forward::outbox::{self, Outbox},
    log::AuditLog,
    record::{OwnRecord, Severity, Timestamp},
    store::{document::Document, layout::Layout},
};

/// So long after the last letter came into a file it goes, in microseconds.
const KEPT: i64 = 30 * 24 * 3600 * 1_000_000;
/// So many bytes of an endpoint stay, whatever their age.
const MOST_BYTES: u64 = 64 << 20;
/// How often it is looked for what has to go.
const EVERY: Duration = Duration::from_secs(60);

/// Prunes from time to time, on a thread for that; for who forwards.
#[derive(Debug, Default)]
pub(in crate::forward) struct Pruning {
    begun: Option<Instant>,
    under_way: Option<JoinHandle<()>>,
}

impl Pruning {
    pub(in crate::forward) fn go_on(&mut self, log: &AuditLog) {
        let is_done = self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if !is_done || self.begun.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let log = log.clone();
        self.begun = Some(Instant::now());
        self.under_way = Some(spawn_blocking(move || {
            let store = log.store();
            if let Err(error) = prune(&store.layout, Timestamp::now(), MOST_BYTES, &|record| store.record(&record)) {
                tracing::warn!(target: "tracing_audit", "dead letters stay longer than they should: {error}");
            }
        }));
    }
}

/// Entries in dead letters of an endpoint that were removed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Pruned {
    entries: u64,
}

/// `state/letters-<name>.<id>.json`
pub(in crate::forward) fn document(layout: &Layout, key: &str) -> Document {
    Document::new(layout, &format!("letters-{key}"), "forward")
}

/// How many entries in dead letters of an endpoint were removed so far.
pub(in crate::forward) fn pruned(layout: &Layout, key: &str) -> u64 {
    // The log has each removal; a count that can't be read is worth no report.
    document(layout, key).read::<Pruned>().map_or(0, |pruned| pruned.entries)
}

/// Removes what has to go. What is wrong with one endpoint's keeps no others.
fn prune(layout: &Layout, now: Timestamp, most_bytes: u64, record: &dyn Fn(OwnRecord) -> Result<()>) -> Result<()> {
    let mut result = Ok(());
    for (key, files) in files::all(layout)? {
        let (doomed, reason) = doomed(layout, &key, files, now, most_bytes);
        if !doomed.is_empty() {
            result = result.and(remove(layout, &key, &doomed, reason, record));
        }
    }
    result
}

/// The files that have to go, the oldest ones, and why the last of them does.
fn doomed(layout: &Layout, key: &str, files: Vec<LetterFile>, now: Timestamp, most_bytes: u64) -> (Vec<LetterFile>, &'static str) {
    let (mut bytes, mut rest) = (files.iter().map(|file| file.len).sum::<u64>(), files.len());
    let (mut doomed, mut reason, mut changed, mut replayed) = (Vec::new(), "", Timestamp::MIN, None);
    for file in files {
        rest -= 1;
        // By whatever clock, none is older than those before it.
        changed = changed.max(file.changed);
        let is_old = now.as_micros().saturating_sub(changed.as_micros()) > KEPT;
        let mut first_replayed = || *replayed.get_or_insert_with(|| first_replayed(layout, key));
        if bytes > most_bytes && rest > 0 {
            reason = "total_bytes";
        } else if is_old && file.start() + file.len <= first_replayed() {
            reason = "age";
        } else {
            break;
        }
        bytes -= file.len;
        doomed.push(file);
    }
    (doomed, reason)
}

/// Where the first letter stands that is being sent again.
fn first_replayed(layout: &Layout, key: &str) -> u64 {
    let Ok(Some(outbox)) = Outbox::read(layout, key) else { return u64::MAX };
    let replaying = match outbox.replaying {
        Some(outbox::Replaying::DeadLetters { from, .. }) => Some(from),
        _ => None,
    };
    outbox.parcels.iter().filter_map(|parcel| Some(parcel.letter?.offset)).chain(replaying).min().unwrap_or(u64::MAX)
}

fn remove(layout: &Layout, key: &str, doomed: &[LetterFile], reason: &str, record: &dyn Fn(OwnRecord) -> Result<()>) -> Result<()> {
    let end = doomed.last().map_or(0, |last| last.start() + last.len);
    let (mut requests, mut entries, mut first, mut last) = (0_u64, 0, None, None);
    for at in index(layout, key)?.into_iter().filter(|at| at.offset < end) {
        let Some(letter) = read(layout, key, at)? else { continue };
        requests += 1;
        entries += letter.entries.len() as u64;
        first = first.or_else(|| Some(letter.given_up.clone()));
        last = Some(letter.given_up);
    }
    if requests > 0 {
        let endpoint = key.rsplit_once('.').map_or(key, |(name, _)| name);
        let description = "Entries that could not be delivered are put aside no longer";
        let told = OwnRecord::new("audit.delivery.dead_letters_pruned", Severity::Warning, description).detail("endpoint", endpoint);
        record(
            told.detail("count", entries)
                .detail("requests", requests)
                .detail("reason", reason)
                .detail("first_given_up", first)
                .detail("last_given_up", last),
        )?;
        if outbox::document(layout, key).version()?.is_some() {
            let document = document(layout, key);
            let before: Pruned = document.read().unwrap_or_default();
            document.write(&Document::text(&Pruned { entries: before.entries + entries }), true)?;
        }
    }
    for file in doomed {
        fs::remove_file(&file.path).map_err(Error::io("remove", &file.path))?;
    }
    let dir = files::dir(layout);
    files::sync(&dir).map_err(Error::io("sync", &dir))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::forward::dead_letter::{DeadLetter, delivered, of_key};

    const DAY: i64 = 24 * 3600 * 1_000_000;

    fn put_aside(layout: &Layout, id: &str, bytes: usize) {
        DeadLetter::new("e", id, 3, &"x".repeat(bytes), &[]).append(layout, "e.1").unwrap();
    }

    fn left(layout: &Layout) -> Vec<String> {
        of_key(layout, "e.1", 0, 100).unwrap().1.into_iter().map(|letter| letter.webhook_id).collect()
    }

    fn set_changed(layout: &Layout, number: usize, changed: Timestamp) {
        let file = &files::of(layout, "e.1").unwrap()[number];
        let time = std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(changed.as_micros()).unwrap());
        fs::File::options().write(true).open(&file.path).unwrap().set_modified(time).unwrap();
    }

    /// Prunes; gives the requests that it told of, and why they went.
    fn pruned(layout: &Layout, now: Timestamp, most_bytes: u64) -> Vec<(u64, String)> {
        let told = RefCell::new(Vec::new());
        let record = |record: OwnRecord| {
            let line: serde_json::Value = serde_json::from_slice(&[b"{", &record.render(&"a".parse()?)[..]].concat()).unwrap();
            told.borrow_mut().push((line["details"]["requests"].as_u64().unwrap(), line["details"]["reason"].to_string()));
            Ok(())
        };
        prune(layout, now, most_bytes, &record).unwrap();
        told.into_inner()
    }

    #[test]
    fn the_oldest_go_when_they_are_too_many_and_what_was_delivered_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        // Three files of one big letter each, and one of small ones.
        for id in ["a", "b", "c"] {
            put_aside(&layout, id, 5 << 20);
        }
        put_aside(&layout, "d", 10);
        put_aside(&layout, "e", 10);
        delivered(&layout, "e.1", "a").unwrap();
        let now = Timestamp::now();
        assert_eq!(pruned(&layout, now, 16 << 20), []);
        assert_eq!((files::of(&layout, "e.1").unwrap().len(), left(&layout).len()), (4, 4));
        assert_eq!(pruned(&layout, now, 12 << 20), [], "it was delivered since");
        assert_eq!(files::of(&layout, "e.1").unwrap().len(), 3);
        let places = index(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, now, 1 << 20), [(2, r#""total_bytes""#.to_owned())]);
        assert_eq!(left(&layout), ["d", "e"]);
        // Who noted where they stand finds those that are there, and learns that others are not.
        let found: Vec<_> = places.into_iter().map(|at| read(&layout, "e.1", at).unwrap().map(|letter| letter.webhook_id)).collect();
        assert_eq!(found, [None, None, Some("d".to_owned()), Some("e".to_owned())]);
        // What is put aside later goes on behind them.
        put_aside(&layout, "f", 10);
        assert_eq!(left(&layout), ["d", "e", "f"]);
    }

    #[test]
    fn what_is_old_goes_unless_it_is_being_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(dir.path().join("state")).unwrap();
        let (now, days_ago) = (Timestamp::now(), |days| Timestamp::from_micros(Timestamp::now().as_micros() - days * DAY));
        put_aside(&layout, "a", 10);
        set_changed(&layout, 0, days_ago(40));
        put_aside(&layout, "b", 10);
        // Its clock was wrong: it is no older than the one before it.
        set_changed(&layout, 1, days_ago(20_000));
        put_aside(&layout, "c", 10);
        set_changed(&layout, 2, days_ago(29));
        let replayed = index(&layout, "e.1").unwrap()[1].offset;
        let replaying = Some(outbox::Replaying::DeadLetters { from: replayed, to: u64::MAX });
        Outbox { replaying, ..Outbox::default() }.save(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, now, MOST_BYTES), [(1, r#""age""#.to_owned())]);
        assert_eq!(left(&layout), ["b", "c"]);
        Outbox::default().save(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, now, MOST_BYTES).len(), 1);
        assert_eq!(left(&layout), ["c"]);
        set_changed(&layout, 0, days_ago(31));
        assert_eq!(pruned(&layout, now, MOST_BYTES).len(), 1, "the last file goes as well");
        assert!(left(&layout).is_empty() && pruned(&layout, now, MOST_BYTES).is_empty());
    }

    #[test]
    fn what_can_not_be_recorded_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        put_aside(&layout, "a", 10);
        set_changed(&layout, 0, Timestamp::from_micros(DAY));
        assert!(prune(&layout, Timestamp::now(), MOST_BYTES, &|_| Err(Error::Closed)).is_err());
        assert_eq!(left(&layout), ["a"]);
    }
}
