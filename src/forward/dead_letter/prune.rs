//! How long dead letters stay: 30 days, and no more than 64 MiB of an endpoint. Also those of endpoints that are no more.
//!
//! What goes is recorded durably first (`audit.delivery.dead_letters_pruned`), then counted, then removed: a death in between tells it twice,
//! never not at all. What this process told of and could not remove is not told again. What is being sent again stays while it is, unless
//! there is too much. As long as the log has the entries themselves, they can be replayed from there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    age::Ages,
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

/// So long after the last letter came into a file it goes.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// So many bytes of an endpoint stay, whatever their age.
const MOST_BYTES: u64 = 64 << 20;
/// How often it is looked for what has to go, and for an endpoint for which that failed.
const EVERY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(3600);

/// Prunes from time to time, on a thread for that; for who forwards.
#[derive(Debug, Default)]
pub(in crate::forward) struct Pruning {
    begun: Option<Instant>,
    under_way: Option<JoinHandle<()>>,
    known: Arc<Mutex<Known>>,
}

/// What is known from one look to the next.
#[derive(Debug, Default)]
struct Known {
    ages: Ages,
    /// By the endpoint's key.
    told: HashMap<String, Told>,
}

/// What was done of a removal.
#[derive(Debug, Default)]
struct Told {
    /// Up to here what goes was recorded.
    end: u64,
    /// Entries that were recorded and are not in the count yet.
    uncounted: u64,
    /// It failed, and is not tried before.
    not_before: Option<Instant>,
}

impl Pruning {
    pub(in crate::forward) fn go_on(&mut self, log: &AuditLog) {
        let is_done = self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if !is_done || self.begun.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let (log, known) = (log.clone(), Arc::clone(&self.known));
        self.begun = Some(Instant::now());
        self.under_way = Some(spawn_blocking(move || {
            let (store, mut known) = (log.store(), known.lock().unwrap_or_else(PoisonError::into_inner));
            let pruned = known.prune(&store.layout, (Timestamp::now(), Instant::now()), MOST_BYTES, &|record| store.record(&record));
            if let Err(error) = pruned {
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

impl Known {
    /// Removes what has to go. What is wrong with one endpoint's keeps no others. `now` is what the clock says, and the steady one.
    fn prune(
        &mut self,
        layout: &Layout,
        now: (Timestamp, Instant),
        most_bytes: u64,
        record: &dyn Fn(OwnRecord) -> Result<()>,
    ) -> Result<()> {
        let (all, steady) = (files::all(layout)?, now.1);
        let mut result = self.ages.look(layout, all.values().flatten(), now.0, steady);
        for (key, files) in all {
            let told = self.told.entry(key.clone()).or_default();
            if told.not_before.is_some_and(|time| time > steady) {
                continue;
            }
            let removed = remove(layout, &key, &files, most_bytes, &self.ages, told, record);
            told.not_before = removed.is_err().then(|| steady + AGAIN);
            result = result.and(removed);
        }
        result
    }
}

/// How many of the files have to go, the oldest ones, and why the last of them does.
fn doomed(layout: &Layout, key: &str, files: &[LetterFile], most_bytes: u64, ages: &Ages) -> (usize, &'static str) {
    let mut bytes: u64 = files.iter().map(|file| file.len).sum();
    let (mut reason, mut replayed) = ("", None);
    for (at, file) in files.iter().enumerate() {
        let mut first_replayed = || *replayed.get_or_insert_with(|| first_replayed(layout, key));
        if bytes > most_bytes && at + 1 < files.len() {
            reason = "total_bytes";
        } else if ages.of(file) > KEPT && file.start() + file.len <= first_replayed() {
            reason = "age";
        } else {
            return (at, reason);
        }
        bytes -= file.len;
    }
    (files.len(), reason)
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

fn remove(
    layout: &Layout,
    key: &str,
    files: &[LetterFile],
    most_bytes: u64,
    ages: &Ages,
    told: &mut Told,
    record: &dyn Fn(OwnRecord) -> Result<()>,
) -> Result<()> {
    let is_there = outbox::document(layout, key).version()?.is_some();
    // What holds the place of those that are gone stays as long as its endpoint.
    let files = match files.split_last() {
        Some((last, before)) if is_there && last.len == 0 => before,
        _ => files,
    };
    let (count, reason) = doomed(layout, key, files, most_bytes, ages);
    let (going, staying) = files.split_at(count);
    let Some(last) = going.last() else { return Ok(()) };
    let end = last.start() + last.len;
    if told.end < end {
        let going = Going::read(layout, key, told.end..end)?;
        let entries = going.entries;
        if let Some(told) = going.told(key, reason) {
            record(told)?;
        }
        (told.end, told.uncounted) = (end, told.uncounted + entries);
    }
    if told.uncounted > 0 && is_there {
        let document = document(layout, key);
        let before = match document.read::<Pruned>() {
            Err(Error::Damaged { .. }) => Pruned::default(),
            before => before?,
        };
        document.write(&Document::text(&Pruned { entries: before.entries + told.uncounted }), true)?;
    }
    told.uncounted = 0;
    if is_there && staying.is_empty() {
        last.begin_next(layout, key)?;
    }
    let removed = going.iter().map(LetterFile::remove).fold(Ok(()), Result::and);
    let dir = files::dir(layout);
    removed.and(files::sync(&dir).map_err(Error::io("sync", &dir)))
}

/// What is told of letters that go.
#[derive(Default)]
struct Going {
    requests: u64,
    entries: u64,
    /// Lines that are no letters.
    unreadable: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Going {
    fn read(layout: &Layout, key: &str, places: std::ops::Range<u64>) -> Result<Self> {
        let mut going = Self::default();
        for at in index(layout, key)?.into_iter().filter(|at| places.contains(&at.offset)) {
            match read(layout, key, at) {
                Ok(Some(letter)) => {
                    going.requests += 1;
                    going.entries += letter.entries.len() as u64;
                    going.first.get_or_insert_with(|| letter.given_up.clone());
                    going.last = Some(letter.given_up);
                }
                Ok(None) => {}
                Err(Error::Damaged { .. }) => going.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(going)
    }

    /// `None` if there is nothing to tell.
    fn told(self, key: &str, reason: &str) -> Option<OwnRecord> {
        if self.requests + self.unreadable == 0 {
            return None;
        }
        let endpoint = key.rsplit_once('.').map_or(key, |(name, _)| name);
        let description = "Entries that could not be delivered are put aside no longer";
        let told = OwnRecord::new("audit.delivery.dead_letters_pruned", Severity::Warning, description).detail("endpoint", endpoint);
        let told = told.detail("count", self.entries).detail("requests", self.requests).detail("reason", reason);
        let told = told.detail("first_given_up", self.first).detail("last_given_up", self.last);
        Some(if self.unreadable > 0 { told.detail("unreadable", self.unreadable) } else { told })
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, fs};

    use super::*;
    use crate::forward::dead_letter::{DeadLetter, delivered, of_key};

    const DAY: i64 = 24 * 3600 * 1_000_000;

    fn put_aside(layout: &Layout, id: &str, bytes: usize) {
        DeadLetter::new("e", id, 3, &"x".repeat(bytes), &[]).append(layout, "e.1").unwrap();
    }

    fn put_one_entry_aside(layout: &Layout, id: &str) {
        let line = r#"{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2025-01-15T10:30:00.123456Z","event_type":"a.b"}"#;
        let entry = crate::query::Entry::from_line(line.as_bytes()).unwrap();
        DeadLetter::new("e", id, 3, "x", &[entry]).append(layout, "e.1").unwrap();
    }

    /// What is put aside from now on stands in another file.
    fn close_last(layout: &Layout) {
        let last = files::of(layout, "e.1").unwrap().len() - 1;
        set_changed(layout, last, Timestamp::from_micros(DAY));
    }

    fn left(layout: &Layout) -> Vec<String> {
        of_key(layout, "e.1", 0, 100).unwrap().1.into_iter().map(|letter| letter.webhook_id).collect()
    }

    fn set_changed(layout: &Layout, number: usize, changed: Timestamp) {
        let file = &files::of(layout, "e.1").unwrap()[number];
        let time = std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(changed.as_micros()).unwrap());
        fs::File::options().write(true).open(&file.path).unwrap().set_modified(time).unwrap();
    }

    /// Prunes after so many days; gives the requests that it told of, and why they went.
    fn pruned(layout: &Layout, known: &mut Known, day: u32, most_bytes: u64) -> Vec<(u64, String)> {
        pruned_at(layout, known, (at(day), steady(day)), most_bytes)
    }

    fn pruned_at(layout: &Layout, known: &mut Known, now: (Timestamp, Instant), most_bytes: u64) -> Vec<(u64, String)> {
        let told = RefCell::new(Vec::new());
        let record = |record: OwnRecord| {
            let line: serde_json::Value = serde_json::from_slice(&[b"{", &record.render(&"a".parse()?)[..]].concat()).unwrap();
            told.borrow_mut().push((line["details"]["requests"].as_u64().unwrap(), line["details"]["reason"].to_string()));
            Ok(())
        };
        // What did not work out is not what was told.
        let _ = known.prune(layout, now, most_bytes, &record);
        told.into_inner()
    }

    fn at(day: u32) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + i64::from(day) * DAY)
    }

    fn steady(day: u32) -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_secs(u64::from(day) * 24 * 3600)
    }

    fn age() -> Vec<(u64, String)> {
        vec![(1, r#""age""#.to_owned())]
    }

    fn with_outbox() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(dir.path().join("state")).unwrap();
        Outbox::default().save(&layout, "e.1").unwrap();
        (dir, layout)
    }

    #[test]
    fn the_oldest_go_when_they_are_too_many_and_what_was_delivered_is_not_told() {
        let (_dir, layout) = with_outbox();
        let mut known = Known::default();
        // Three files of one big letter each, and one of small ones.
        for id in ["a", "b", "c"] {
            put_aside(&layout, id, 5 << 20);
        }
        put_aside(&layout, "d", 10);
        put_aside(&layout, "e", 10);
        delivered(&layout, "e.1", "a").unwrap();
        assert_eq!(pruned(&layout, &mut known, 0, 16 << 20), []);
        assert_eq!((files::of(&layout, "e.1").unwrap().len(), left(&layout).len()), (4, 4));
        assert_eq!(pruned(&layout, &mut known, 0, 12 << 20), [], "it was delivered since");
        assert_eq!(files::of(&layout, "e.1").unwrap().len(), 3);
        let places = index(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, &mut known, 0, 1 << 20), [(2, r#""total_bytes""#.to_owned())]);
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
        let (_dir, layout) = with_outbox();
        let mut known = Known::default();
        for (day, id) in [(0, "a"), (10, "b"), (20, "c")] {
            put_aside(&layout, id, 10);
            assert_eq!(pruned(&layout, &mut known, day, MOST_BYTES), []);
            close_last(&layout);
        }
        let places = index(&layout, "e.1").unwrap();
        let replaying = Some(outbox::Replaying::DeadLetters { from: places[1].offset, to: u64::MAX });
        Outbox { replaying, ..Outbox::default() }.save(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, &mut known, 30, MOST_BYTES), []);
        assert_eq!(pruned(&layout, &mut known, 31, MOST_BYTES), age());
        assert_eq!(pruned(&layout, &mut known, 41, MOST_BYTES), []);
        assert_eq!(left(&layout), ["b", "c"]);
        Outbox::default().save(&layout, "e.1").unwrap();
        assert_eq!(pruned(&layout, &mut known, 41, MOST_BYTES), age());
        assert_eq!(left(&layout), ["c"]);
        assert_eq!(pruned(&layout, &mut known, 51, MOST_BYTES), age(), "the last file goes as well");
        assert!(left(&layout).is_empty() && pruned(&layout, &mut known, 100, MOST_BYTES).is_empty());
        assert_eq!(super::pruned(&layout, "e.1"), 0, "they had no entries");
        // What comes then stands behind all that ever was.
        put_aside(&layout, "d", 10);
        assert!(index(&layout, "e.1").unwrap()[0].offset > places[2].offset);
        assert_eq!(files::of(&layout, "e.1").unwrap().len(), 1);
        // Nothing is kept of an endpoint that is no more.
        pruned(&layout, &mut known, 101, MOST_BYTES);
        fs::remove_file(outbox::document(&layout, "e.1").path()).unwrap();
        assert_eq!(pruned(&layout, &mut known, 132, MOST_BYTES), age());
        assert!(files::of(&layout, "e.1").unwrap().is_empty());
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_old() {
        let (_dir, layout) = with_outbox();
        let mut known = Known::default();
        put_aside(&layout, "a", 10);
        // It was given up in 1970, and the clock is put right; then it is far ahead, in this process and the next.
        set_changed(&layout, 0, Timestamp::from_micros(DAY));
        assert_eq!(pruned_at(&layout, &mut known, (Timestamp::from_micros(DAY), steady(0)), MOST_BYTES), []);
        assert_eq!(pruned_at(&layout, &mut known, (at(0), steady(0)), MOST_BYTES), []);
        assert_eq!(pruned_at(&layout, &mut known, (at(20_000), steady(1)), MOST_BYTES), []);
        assert_eq!(pruned_at(&layout, &mut Known::default(), (at(40_000), steady(1)), MOST_BYTES), []);
        // Nobody forwarded for a day, after which the clock was put back; and then someone does.
        let mut known = Known::default();
        assert_eq!(pruned_at(&layout, &mut known, (at(2), steady(0)), MOST_BYTES), []);
        assert_eq!(pruned(&layout, &mut known, 28, MOST_BYTES), []);
        assert_eq!(pruned(&layout, &mut known, 29, MOST_BYTES), age());
    }

    #[test]
    fn what_can_not_be_recorded_stays() {
        let (_dir, layout) = with_outbox();
        let mut known = Known::default();
        put_aside(&layout, "a", 10);
        assert_eq!(pruned(&layout, &mut known, 0, MOST_BYTES), []);
        assert!(known.prune(&layout, (at(31), steady(31)), MOST_BYTES, &|_| Err(Error::Closed)).is_err());
        assert_eq!(left(&layout), ["a"]);
        assert_eq!(pruned(&layout, &mut known, 31, MOST_BYTES), [], "it is not tried again at once");
        assert_eq!(pruned(&layout, &mut known, 32, MOST_BYTES), age());
    }

    #[test]
    fn what_can_not_be_removed_is_told_and_counted_once() {
        let (_dir, layout) = with_outbox();
        let mut known = Known::default();
        put_one_entry_aside(&layout, "a");
        // A line that is of a letter, and is none.
        let path = files::of(&layout, "e.1").unwrap().remove(0).path;
        fs::write(&path, [&fs::read(&path).unwrap()[..], b"{\"webhook_id\":\"b\"}\n"].concat()).unwrap();
        assert_eq!(pruned(&layout, &mut known, 0, MOST_BYTES), []);
        // The count can't be written.
        let count = document(&layout, "e.1").path().to_owned();
        fs::create_dir(&count).unwrap();
        assert_eq!(pruned(&layout, &mut known, 31, MOST_BYTES), age());
        assert_eq!(pruned(&layout, &mut known, 32, MOST_BYTES), []);
        fs::remove_dir(&count).unwrap();
        assert_eq!(pruned(&layout, &mut known, 33, MOST_BYTES), []);
        assert_eq!(super::pruned(&layout, "e.1"), 1);
        assert!(left(&layout).is_empty() && !path.exists());
    }
}
