//! Verifying on a simulated disk.

use std::sync::Arc;

use super::*;
use crate::store::{
    assemble::new_journal,
    files::Files,
    fs::Fs as _,
    gzip::Level,
    index::Key,
    layout::Layout,
    samples,
    seal::{self, seal},
    sim::SimFs,
};

struct Rig {
    fs: SimFs,
    layout: Layout,
}

impl Rig {
    fn new() -> Self {
        let layout = Layout::new("/log");
        let fs = SimFs::new();
        fs.put(layout.format_file(), "tracing-audit 1\n");
        for dir in [
            layout.live_dir(),
            layout.sealed_dir(),
            layout.tmp_dir(),
            layout.journal_dir(),
            layout.locks_dir(),
        ] {
            fs.create_dir_all(&dir).unwrap();
        }
        Self { fs, layout }
    }

    fn reader(&self) -> AuditReader {
        AuditReader::open_on(Arc::new(self.fs.clone()), self.layout.clone()).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        self.reader().verify(|_, _| {}).unwrap()
    }

    /// Problems and notes as words, like `problem missing`.
    fn finds(&self) -> Vec<String> {
        found(&self.verify())
    }

    fn live(&self, number: u32, text: impl Into<Vec<u8>>) {
        self.fs.put(self.layout.live(&samples::stem(number)), text);
    }

    fn sealed(&self, number: u32, text: impl Into<Vec<u8>>) {
        self.live(number, text);
        let stem = samples::stem(number);
        seal(&self.fs, &self.layout, &stem, Level::FASTEST).unwrap();
        self.fs.remove_file(&self.layout.live(&stem)).unwrap();
    }

    fn remove(&self, number: u32) {
        let stem = samples::stem(number);
        self.fs.remove_file(&self.layout.sealed(&stem)).unwrap();
        self.fs.remove_file(&self.layout.index(&stem)).unwrap();
    }

    /// The journal of a stream whose process is dead. Its entries before `next_seq` are durable.
    fn journal(&self, next_seq: u64) {
        let stream = samples::stem(1).stream;
        let (fs, layout) = (&self.fs, &self.layout);
        let (producer, mut consumer) = new_journal(fs, layout, &stream, 1 << 14).unwrap();
        producer.push(b"written").unwrap();
        producer.push(b"waiting").unwrap();
        consumer.next();
        let position = consumer.position();
        consumer.release(position, next_seq);
        consumer.sync_header().unwrap();
    }
}

fn found(report: &VerifyReport) -> Vec<String> {
    let words = |finding: &Finding| {
        let json = serde_json::to_value(finding).unwrap();
        let word = |name: &str| json[name].as_str().unwrap().to_owned();
        format!("{} {}", word("level"), word("kind"))
    };
    let found: Vec<_> = report.findings.iter().map(words).collect();
    assert_eq!(report.ok, !found.iter().any(|f| f.starts_with("problem")));
    found
}

/// An entry that the log itself writes.
fn own(seq: u64, event_type: &str, details: &str) -> Vec<u8> {
    let line = samples::line(seq);
    let at = line.find(r#""event_type""#).unwrap();
    let end = at + line[at..].find(r#","category""#).unwrap();
    let mut line = format!(
        r#"{}"event_type":"audit.log.{event_type}"{}"#,
        &line[..at],
        &line[end..]
    );
    line.truncate(line.len() - 1);
    format!("{line},\"details\":{details}}}\n").into_bytes()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_file_that_was_changed_is_reported_also_after_the_log_has_read_it() {
    let (rig, other, stem) = (Rig::new(), Rig::new(), samples::stem(1));
    rig.sealed(1, samples::lines(1, 10));
    let text = String::from_utf8(samples::lines(1, 10)).unwrap();
    let changed = text.replacen("2026-11-21T1", "2026-11-21T0", 3);
    assert_ne!(changed, text);
    other.sealed(1, changed);
    let path = rig.layout.sealed(&stem);
    rig.fs.put(&path, other.fs.bytes(&path).unwrap());
    let noted = rig.fs.bytes(rig.layout.index(&stem)).unwrap();
    assert_eq!(rig.finds(), ["problem damaged"]);
    // As pruning reads it, which may write.
    let files = Files::new(Arc::new(rig.fs.clone()), rig.layout.clone());
    for _ in 0..2 {
        let index = files.index(&stem).unwrap();
        assert_eq!(index.packed_len, rig.fs.bytes(&path).unwrap().len() as u64);
        let blooms = files.blooms(&stem, Key::Actor).unwrap();
        assert!(blooms.may_contain(0, b"nobody"), "all is possible");
    }
    // As recovery does, with its live file gone.
    seal::verified(&rig.fs, &rig.layout, &stem).unwrap();
    assert_eq!(rig.fs.bytes(rig.layout.index(&stem)).unwrap(), noted);
    assert_eq!(rig.finds(), ["problem damaged"]);
}

#[test]
fn a_number_of_a_file_that_was_used_up_is_no_loss() {
    let rig = Rig::new();
    rig.sealed(1, samples::lines(1, 10));
    rig.sealed(4, samples::lines(11, 10));
    // Begun, and empty when the process ended.
    rig.live(5, "");
    rig.live(7, samples::lines(21, 10));
    let report = rig.verify();
    assert_eq!(found(&report), NOTHING);
    assert_eq!((report.entries, report.streams), (30, 1));
    assert_eq!((report.sealed_files, report.live_files), (2, 2));
}

#[test]
fn the_journal_proves_that_the_end_is_missing() {
    let rig = Rig::new();
    rig.sealed(1, samples::lines(1, 10));
    rig.sealed(2, samples::lines(11, 10));
    rig.journal(21);
    assert_eq!(rig.finds(), ["note left_over"]);
    rig.remove(2);
    let report = rig.verify();
    assert_eq!(found(&report), ["problem missing", "note left_over"]);
    let what = &report.findings[0].what;
    assert!(
        what.contains("entries 11 to 20 are missing, after sealed/") && what.contains("journal"),
        "{what}"
    );
    rig.remove(1);
    let what = &rig.verify().findings[0].what;
    assert!(what.contains("no file of it is left"), "{what}");
}

#[test]
fn what_was_not_durable_when_a_process_died_may_be_anything() {
    let rig = Rig::new();
    rig.sealed(1, samples::lines(1, 10));
    rig.journal(15);
    for end in [
        &b"\0\0\0\0\n"[..],
        b"\0\0\0\0",
        &samples::lines(18, 3),
        &[b"\0\0\n", &samples::lines(16, 3)[..]].concat(),
    ] {
        rig.live(2, [&samples::lines(11, 4), end].concat());
        assert_eq!(rig.finds(), ["note left_over"], "{end:?}");
        // Nothing is whole in it.
        rig.live(3, end);
        rig.live(2, samples::lines(11, 4));
        assert_eq!(rig.finds(), ["note left_over"], "{end:?}");
        rig.fs
            .remove_file(&rig.layout.live(&samples::stem(3)))
            .unwrap();
    }
    // Entry 14 was durable.
    rig.live(2, [&samples::lines(11, 3), &b"\0\0\0\n"[..]].concat());
    assert!(
        rig.finds().contains(&"problem missing".to_owned()),
        "{:?}",
        rig.finds()
    );
}

#[test]
fn what_a_living_process_wrote_must_be_whole() {
    let rig = Rig::new();
    rig.journal(5);
    let lock = rig.layout.lock(samples::stem(1).stream.as_str());
    let held = rig.fs.try_lock(&lock).unwrap().unwrap();
    rig.live(1, [&samples::lines(1, 4), &b"{\"stream\":"[..]].concat());
    assert_eq!(rig.finds(), NOTHING, "the last line is in the making");
    rig.live(1, [&samples::lines(1, 4), &b"\0\0\0\n"[..]].concat());
    assert_eq!(rig.finds(), ["problem damaged"]);
    drop(held);
    assert_eq!(rig.finds(), ["note left_over"]);
}

#[test]
fn files_may_go_while_the_log_is_verified_if_that_is_recorded() {
    for recorded in [true, false] {
        let rig = Rig::new();
        for number in 1..=5 {
            let first = u64::from(number) * 10 - 9;
            rig.sealed(number, samples::lines(first, 10));
        }
        rig.live(6, samples::lines(51, 10));
        let report = rig.reader().verify(|done, of| {
            assert_eq!(of, 6);
            if done == 1 {
                let row = |number: u32| {
                    let stem = samples::stem(number);
                    let last = number * 10;
                    let first = last - 9;
                    format!(r#"{{"file":"{stem}","first_seq":{first},"last_seq":{last}}}"#)
                };
                let rows = format!(r#"{{"files":[{},{}]}}"#, row(2), row(3));
                if recorded {
                    // A new file, that is on no list.
                    rig.live(7, own(61, "pruned", &rows));
                }
                rig.remove(2);
                rig.remove(3);
            }
        });
        let expected = if recorded {
            "note pruned"
        } else {
            "problem missing"
        };
        assert_eq!(found(&report.unwrap()), [expected]);
    }
}

#[test]
fn the_log_accounts_for_what_is_missing_in_it() {
    let stem = samples::stem(1);
    let cases = [
        // Which entries the file had is recorded, or could not be known.
        (
            "pruned",
            format!(r#"{{"files":[{{"file":"{stem}","first_seq":1,"last_seq":10}}]}}"#),
        ),
        (
            "pruned",
            format!(r#"{{"files":[{{"file":"{stem}","first_seq":null}}]}}"#),
        ),
        // What told of it was removed itself.
        (
            "pruned",
            format!(
                r#"{{"earlier":[{{"stream":"{}","first_seq":1,"last_seq":10}}]}}"#,
                stem.stream
            ),
        ),
        ("lost", r#"{"after_seq":0,"count":10}"#.to_owned()),
        ("live_file_cut", r#"{"after_seq":0,"count":10}"#.to_owned()),
    ];
    for (event_type, details) in cases {
        let rig = Rig::new();
        rig.sealed(2, samples::lines(11, 10));
        assert_eq!(rig.finds(), ["problem missing"]);
        rig.live(3, own(21, event_type, &details));
        let kind = if event_type == "pruned" {
            "pruned"
        } else {
            "lost"
        };
        assert_eq!(rig.finds(), [format!("note {kind}")], "{details}");
    }
    // An application's entry about another stream, or about no hole, accounts for nothing.
    let rig = Rig::new();
    rig.sealed(1, samples::lines(1, 10));
    rig.sealed(3, samples::lines(21, 10));
    rig.live(4, own(31, "lost", r#"{"after_seq":10,"count":9}"#));
    assert_eq!(rig.finds(), ["note lost", "problem missing"]);
}

#[test]
fn dropped_events_are_noted() {
    let rig = Rig::new();
    let dropped = own(11, "dropped", r#"{"count":7,"total":7}"#);
    rig.sealed(1, [samples::lines(1, 10), dropped].concat());
    rig.live(2, own(12, "dropped", r#"{"count":5,"total":12}"#));
    let report = rig.verify();
    assert_eq!(found(&report), ["note dropped"]);
    assert!(
        report.findings[0]
            .what
            .starts_with("12 events were dropped")
    );
}

#[test]
fn an_error_of_the_disk_is_not_taken_for_damage() {
    for n in 0.. {
        let rig = Rig::new();
        rig.sealed(1, samples::lines(1, 10));
        rig.sealed(2, samples::lines(11, 10));
        rig.live(3, samples::lines(21, 10));
        let reader = rig.reader();
        rig.fs.fail_nth(n);
        let before = rig.fs.op_count();
        let report = reader.verify(|_, _| {});
        let failed = rig.fs.op_count() - before > n;
        match report {
            Err(crate::Error::Io { .. }) => assert!(failed),
            Err(error) => panic!("operation {n}: {error}"),
            Ok(report) if failed => assert_eq!(found(&report), ["problem unreadable"], "{n}"),
            Ok(report) => {
                assert_eq!(found(&report), NOTHING);
                assert!(n > 10, "only {n} operations to fail");
                break;
            }
        }
    }
}
