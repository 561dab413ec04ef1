//! Promise 7: nothing goes before its retention, nothing that is not ours ever, and what goes is in
//! the log first.

use std::{io, time::Duration};

use data_encoding::HEXLOWER;
use serde_json::json;

use super::*;
use crate::{
    entry::{OwnEntry, Severity, Timestamp, set_now},
    journal::Consumer,
    store::{
        assemble::new_journal,
        clock::Uptime,
        fs::Fs,
        gzip::Level,
        layout::{INDEX, Layout, SEALED},
        retention::MICROS_PER_DAY,
        samples,
        seal::seal,
        sim::SimFs,
        trusted_time,
    },
};

/// Clocks that say what they are told.
#[derive(Clone, Debug)]
struct SetClock {
    now: Timestamp,
    uptime: Duration,
    boot: u32,
}

impl SetClock {
    fn at(now: Timestamp) -> Self {
        Self {
            now,
            uptime: Duration::ZERO,
            boot: 0,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.jump(time.as_micros() as i64);
        self.uptime += time;
    }

    fn jump(&mut self, micros: i64) {
        self.now = Timestamp::from_micros(self.now.as_micros() + micros);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn monotonic(&self) -> Duration {
        self.uptime
    }

    fn uptime(&self) -> Uptime {
        Uptime {
            boot: self.boot.to_string(),
            time: self.uptime,
        }
    }
}

/// A directory of five sealed files, one an hour, with lines up to their births.
struct Rig {
    fs: SimFs,
    layout: Layout,
    pruner: Pruner,
    durability: &'static Durability,
    consumer: Consumer,
    stems: Vec<FileStem>,
}

const NONE: [u32; 0] = [];
const HOUR: i64 = 3_600_000_000;

fn rig() -> Rig {
    rig_with_journal(1 << 16)
}

fn rig_with_journal(capacity: usize) -> Rig {
    let (fs, layout) = (SimFs::new(), Layout::new("/log"));
    for dir in layout.dirs() {
        fs.create_dir_all(&dir).unwrap();
    }
    for dir in ["/", "/log", "/log/state"] {
        fs.sync_dir(std::path::Path::new(dir)).unwrap();
    }
    let stems: Vec<_> = (1..=5).map(samples::stem).collect();
    for stem in &stems {
        // A line a second for the first minutes after the file's birth.
        let first = u64::from(stem.number) * (HOUR as u64) / 700;
        fs.put(layout.live(stem), samples::lines(first, 200));
        seal(&fs, &layout, stem, Level::FASTEST).unwrap();
        fs.remove_file(&layout.live(stem)).unwrap();
    }
    let stream = "tracing-audit-00000b".parse().unwrap();
    let (producer, consumer) = new_journal(&fs, &layout, &stream, capacity).unwrap();
    let durability = Durability::leak();
    // As if a writer made durable whatever comes.
    durability.advance(u64::MAX);
    let files = Files::new(Arc::new(fs.clone()), layout.clone());
    let files = Arc::new(files.read_by(crate::webhook::unread::readings));
    let source = "tracing-audit".parse().unwrap();
    let pruner = Pruner::new(files, producer, durability, source);
    Rig {
        fs,
        layout,
        pruner,
        durability,
        consumer,
        stems,
    }
}

impl Rig {
    fn fs(&self) -> Arc<dyn Fs> {
        Arc::new(self.fs.clone())
    }

    fn trust(&self, clock: &SetClock) -> Result<()> {
        trusted_time::trust(&self.fs(), &self.layout, clock, |_| Ok(()))
    }

    /// Prunes with a clock that is trusted.
    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Vec<u32>> {
        let clock = SetClock::at(now);
        self.trust(&clock).unwrap();
        self.prune_by(retention, &clock)
    }

    fn prune_by(&mut self, retention: Retention, clock: &SetClock) -> Result<Vec<u32>> {
        let pruned = self
            .pruner
            .prune(clock, &retention)?
            .expect("nobody else prunes");
        Ok(pruned.files.iter().map(|file| file.stem.number).collect())
    }

    fn left(&self) -> Vec<u32> {
        self.stems
            .iter()
            .filter(|stem| self.fs.bytes(self.layout.sealed(stem)).is_some())
            .map(|stem| stem.number)
            .collect()
    }

    /// The process dies, and another one opens the directory.
    fn restart(&mut self, stream: &str) {
        let stream = stream.parse().unwrap();
        self.fs.kill();
        let (producer, consumer) = new_journal(&self.fs, &self.layout, &stream, 1 << 16).unwrap();
        self.durability = Durability::leak();
        self.durability.advance(u64::MAX);
        self.consumer = consumer;
        let files = Files::new(Arc::new(self.fs.clone()), self.layout.clone())
            .read_by(crate::webhook::unread::readings);
        let source = "tracing-audit".parse().unwrap();
        self.pruner = Pruner::new(Arc::new(files), producer, self.durability, source);
    }

    /// The files that the entries in the journal call pruned.
    fn all_recorded(&mut self) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some(entry) = self.recorded() {
            let files = entry["details"]["files"].as_array();
            for file in files.into_iter().flatten() {
                let stem: FileStem = file["file"].as_str().unwrap().parse().unwrap();
                numbers.push(stem.number);
            }
        }
        numbers
    }

    fn recorded(&mut self) -> Option<serde_json::Value> {
        let record = self.consumer.next()?;
        Some(serde_json::from_slice(&[b"{", record].concat()).unwrap())
    }

    /// This long after the youngest line of the file with this number.
    fn after(&self, number: usize, micros: i64) -> Timestamp {
        let index = self.pruner.files.index(&self.stems[number - 1]).unwrap();
        Timestamp::from_micros(index.max.as_micros() + micros)
    }
}

#[test]
fn a_file_goes_when_its_youngest_line_is_past_the_retention_and_not_before() {
    let mut rig = rig();
    let exactly = rig.after(2, 30 * MICROS_PER_DAY);
    assert_eq!(rig.prune(Retention::unlimited(), exactly).unwrap(), NONE);
    assert_eq!(rig.prune(Retention::days(30), exactly).unwrap(), [1]);
    assert_eq!(rig.left(), [2, 3, 4, 5]);
    let then = rig.after(2, 30 * MICROS_PER_DAY + 1);
    assert_eq!(rig.prune(Retention::days(30), then).unwrap(), [2]);
    assert_eq!(rig.left(), [3, 4, 5]);
    // A clock that jumps back, or a retention that was made longer, removes nothing.
    assert_eq!(
        rig.prune(Retention::days(30), Timestamp::MIN).unwrap(),
        NONE
    );
    assert_eq!(rig.prune(Retention::days(365), then).unwrap(), NONE);
}

#[test]
fn by_total_size_the_oldest_go_first_and_no_more_than_needed() {
    let mut rig = rig();
    let size = |stem: &FileStem| rig.fs.bytes(rig.layout.sealed(stem)).unwrap().len() as u64;
    let two: u64 = rig.stems[3..].iter().map(size).sum();
    let now = rig.after(5, 0);
    assert_eq!(
        rig.prune(Retention::days(30).max_bytes(two), now).unwrap(),
        [1, 2, 3]
    );
    assert_eq!(rig.left(), [4, 5]);
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let mut rig = rig();
    let day = rig.layout.sealed_day(rig.stems[0].day());
    let name = |text: String| day.join(text);
    let stem = rig.stems[0].to_string();
    let foreign = [
        name("notes.txt".into()),
        name(format!("{stem}.jsonl")),
        name(format!("{stem}.jsonl.gz.bak")),
        name(format!("copy of {stem}.jsonl.gz")),
        rig.layout.sealed_dir().join(format!("{stem}.jsonl.gz")),
    ];
    for path in &foreign {
        rig.fs.put(path, "not a log file");
    }
    rig.prune(Retention::days(1), Timestamp::MAX).unwrap();
    assert_eq!(rig.left(), NONE);
    for path in &foreign {
        assert!(rig.fs.bytes(path).is_some(), "{}", path.display());
    }
}

#[test]
fn what_goes_is_in_the_log_first_with_its_hash() {
    let mut rig = rig();
    let sha256 = HEXLOWER.encode(&rig.pruner.files.index(&rig.stems[0]).unwrap().sha256);
    rig.fs.fail(|_, op| {
        let fails = op.what == "remove_file" && op.path.starts_with("/log/sealed");
        fails.then(|| io::ErrorKind::PermissionDenied.into())
    });
    let now = rig.after(1, MICROS_PER_DAY + 1);
    assert!(rig.prune(Retention::days(1), now).is_err());
    assert_eq!(rig.left(), [1, 2, 3, 4, 5]);
    let record = rig.recorded().unwrap();
    assert_eq!(
        (&record["event_type"], &record["details"]["retention_days"]),
        (&json!("audit.log.pruned"), &json!(1))
    );
    assert_eq!(
        record["details"]["files"][0]["file"],
        rig.stems[0].to_string()
    );
    assert_eq!(
        (
            &record["details"]["files"][0]["sha256"],
            &record["details"]["files"][0]["lines"]
        ),
        (&json!(sha256), &json!(200))
    );
    rig.fs.heal();
    assert_eq!(rig.prune(Retention::days(1), now).unwrap(), [1]);
}

#[test]
fn a_full_journal_does_not_keep_a_full_disk_full() {
    let mut rig = rig();
    while rig.pruner.producer.push(b"x").is_ok() {}
    let now = rig.after(1, MICROS_PER_DAY + 1);
    assert_eq!(rig.prune(Retention::days(1), now).unwrap(), [1]);
    while rig.consumer.next().is_some() {}
    let read = rig.consumer.position();
    rig.consumer.release(read, 1);
    assert_eq!(rig.prune(Retention::days(1), now).unwrap(), NONE);
    assert_eq!(rig.recorded().unwrap()["event_type"], "audit.log.pruned");
}

#[test]
fn for_free_space_the_oldest_go_and_no_more_than_needed() {
    let mut rig = rig();
    let size = rig
        .fs
        .bytes(rig.layout.sealed(&rig.stems[0]))
        .unwrap()
        .len() as u64;
    let now = rig.after(5, 0);
    // From now on, all that pruning writes for itself is there.
    assert_eq!(rig.prune(Retention::days(30), now).unwrap(), NONE);
    rig.fs.limit(Some(rig.fs.used() + 1000));
    assert_eq!(
        rig.prune(Retention::days(30).min_free_bytes(1000), now)
            .unwrap(),
        NONE
    );
    assert_eq!(
        rig.prune(Retention::days(30).min_free_bytes(1001), now)
            .unwrap(),
        [1]
    );
    assert_eq!(
        rig.recorded().unwrap()["details"]["files"][0]["reason"],
        "free_space"
    );
    let free = rig.fs.space(rig.layout.root()).unwrap().free;
    assert_eq!(
        rig.prune(Retention::unlimited().min_free_bytes(free + size / 2), now)
            .unwrap(),
        [2]
    );
    assert_eq!(rig.left(), [3, 4, 5]);
}

#[test]
fn what_is_held_stays_until_it_is_released() {
    let mut rig = rig();
    let index = rig.pruner.files.index(&rig.stems[1]).unwrap();
    let (first, last) = (index.min.to_string(), index.max.to_string());
    // From the last entry of the second file on: that file is held for it, the first isn't.
    let hold = |name: &str, start: &str, end: &str| {
        hold::place(
            rig.fs(),
            &rig.layout,
            hold::Hold::new(name, start, end).unwrap(),
            Timestamp::MIN,
        )
    };
    hold("case-17", &last, "").unwrap();
    assert!(
        hold("case-17", &last, "")
            .unwrap_err()
            .to_string()
            .contains("already")
    );
    assert_eq!(rig.prune(Retention::days(1), Timestamp::MAX).unwrap(), [1]);
    assert_eq!(
        rig.prune(Retention::unlimited().max_bytes(0), Timestamp::MAX)
            .unwrap(),
        NONE
    );
    let free = rig.fs.space(rig.layout.root()).unwrap().free;
    assert_eq!(
        rig.prune(
            Retention::unlimited().min_free_bytes(free.saturating_add(1)),
            Timestamp::MAX
        )
        .unwrap(),
        NONE
    );
    let recorded = |_: &hold::Hold| Ok(());
    let place = |name: &str, start: &str, end: &str| {
        hold::place(
            rig.fs(),
            &rig.layout,
            hold::Hold::new(name, start, end).unwrap(),
            Timestamp::MIN,
        )
    };
    // Up to the second file's first entry and no further: with an end that is excluded, it is not
    // held.
    place("other", "", &first).unwrap();
    assert!(
        hold::release(rig.fs(), &rig.layout, "nobody", recorded)
            .unwrap()
            .is_none()
    );
    assert_eq!(
        hold::release(rig.fs(), &rig.layout, "case-17", recorded)
            .unwrap()
            .unwrap()
            .name(),
        "case-17"
    );
    assert_eq!(
        rig.prune(Retention::days(1), Timestamp::MAX).unwrap(),
        [2, 3, 4, 5]
    );
}

#[test]
fn without_knowing_what_is_held_nothing_goes() {
    let mut rig = rig();
    rig.fs.put(
        rig.layout.document("holds"),
        "{\"version\":1,\"holds\":[{\"na",
    );
    assert!(matches!(
        rig.prune(Retention::days(1), Timestamp::MAX),
        Err(Error::Damaged { .. })
    ));
    // A release that can't be recorded is none.
    rig.fs.take_away(rig.layout.document("holds"));
    hold::place(
        rig.fs(),
        &rig.layout,
        hold::Hold::new("h", "", "").unwrap(),
        Timestamp::MIN,
    )
    .unwrap();
    assert!(hold::release(rig.fs(), &rig.layout, "h", |_| Err(Error::Closed)).is_err());
    assert_eq!(rig.prune(Retention::days(1), Timestamp::MAX).unwrap(), NONE);
}

#[test]
fn what_a_webhook_has_not_got_stays_a_week_longer_unless_space_is_short() {
    let mut rig = rig();
    // `hook` was read to the middle of the second file, and a request with an entry of the first
    // waits; `left` was removed.
    let outbox = |place: &FileStem, waiting: &FileStem| {
        json!({
            "version": 1, "status": {}, "places": {place.stream.as_str(): {"file": place.to_string(), "offset": 7, "seq": 1}},
            "parcels": [{"id": "msg", "entries": [{"file": waiting.to_string(), "at": [[0, 9]]}], "attempts": 1, "due": 0}],
        })
    };
    let state = |name: &str, value: serde_json::Value| {
        rig.fs.put(rig.layout.document(name), value.to_string());
    };
    state(
        "webhooks",
        json!({"version": 1, "subscriptions": [{"name": "hook", "id": "1"}]}),
    );
    state("webhook-hook.1", outbox(&rig.stems[1], &rig.stems[0]));
    state("webhook-left.1", outbox(&rig.stems[0], &rig.stems[0]));
    let due = rig.after(5, MICROS_PER_DAY + 1);
    assert_eq!(rig.prune(Retention::days(1), due).unwrap(), NONE);
    // Who waits is not known: nothing goes.
    let known = rig.fs.bytes(rig.layout.document("webhooks")).unwrap();
    rig.fs.put(rig.layout.document("webhooks"), "{");
    assert!(rig.prune(Retention::days(1), due).is_err());
    rig.fs.put(rig.layout.document("webhooks"), known);
    // It has read another file of the first one's number, and not that.
    let other = FileStem {
        born: Timestamp::from_micros(0),
        ..rig.stems[0].clone()
    };
    rig.fs.put(
        rig.layout.document("webhook-hook.1"),
        outbox(&other, &rig.stems[1]).to_string(),
    );
    assert_eq!(rig.prune(Retention::days(1), due).unwrap(), NONE);
    // The request was delivered: the first file is no longer needed.
    let mut delivered = outbox(&rig.stems[1], &rig.stems[0]);
    delivered["parcels"] = json!([]);
    rig.fs
        .put(rig.layout.document("webhook-hook.1"), delivered.to_string());
    assert_eq!(rig.prune(Retention::days(1), due).unwrap(), [1]);
    assert_eq!(
        rig.recorded().unwrap()["details"]["files"][0]["undelivered"],
        json!([])
    );
    let size = rig
        .fs
        .bytes(rig.layout.sealed(&rig.stems[4]))
        .unwrap()
        .len() as u64;
    assert_eq!(
        rig.prune(Retention::days(365).max_bytes(3 * size + size / 2), due)
            .unwrap(),
        [2]
    );
    assert_eq!(
        rig.recorded().unwrap()["details"]["files"][0]["undelivered"],
        json!(["hook"])
    );
    let week = rig.after(3, 8 * MICROS_PER_DAY + 1);
    assert_eq!(rig.prune(Retention::days(1), week).unwrap(), [3]);
}

#[path = "prune_clock_tests.rs"]
mod by_the_clock;
#[path = "prune_record_tests.rs"]
mod recorded;
#[path = "prune_settings_tests.rs"]
mod settings;
#[path = "prune_unread_tests.rs"]
mod unread;
