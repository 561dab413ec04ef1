//! What others can do to the live file.

use super::*;

/// What someone does to the live file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tampering {
    Delete,
    Directory,
    /// As `sed -i` does that changes nothing.
    ReplaceBySame,
    /// As `sed -i` does that changes something.
    ReplaceByChanged,
    ReplaceByOther,
    MoveAway,
    CutToNothing,
    CutInALine,
    CutAtALineEnd,
    Append,
    AppendALine,
    AppendOurLine,
    AppendZeros,
}

impl Tampering {
    pub(super) const ALL: [Self; 13] = [
        Self::Delete,
        Self::Directory,
        Self::ReplaceBySame,
        Self::ReplaceByChanged,
        Self::ReplaceByOther,
        Self::MoveAway,
        Self::CutToNothing,
        Self::CutInALine,
        Self::CutAtALineEnd,
        Self::Append,
        Self::AppendALine,
        Self::AppendOurLine,
        Self::AppendZeros,
    ];

    /// Does it. Returns the events that may be missing then, because no file has them.
    pub(super) fn act(self, log: &Log) -> BTreeSet<String> {
        let live = log.live();
        let bytes = log.disk.bytes(&live).unwrap();
        let ends: Vec<_> = memchr::memchr_iter(b'\n', &bytes).collect();
        let disk = &log.disk;
        match self {
            Self::Delete => disk.take_away(&live),
            Self::Directory => {
                disk.take_away(&live);
                disk.put_dir(&live);
            }
            Self::ReplaceBySame => disk.put(&live, bytes.clone()),
            Self::ReplaceByChanged => {
                let text = String::from_utf8(bytes.clone()).unwrap();
                disk.put(&live, text.replacen("xxx", "yyy", 1));
            }
            Self::ReplaceByOther => disk.put(&live, "something else\n"),
            Self::MoveAway => disk.move_away(&live, "/elsewhere"),
            Self::CutToNothing => disk.change(&live, Vec::clear),
            Self::CutInALine => disk.change(&live, |bytes| bytes.truncate(ends[1] + 20)),
            Self::CutAtALineEnd => disk.change(&live, |bytes| bytes.truncate(ends[1] + 1)),
            Self::Append => disk.change(&live, |bytes| bytes.extend_from_slice(b"foreign")),
            Self::AppendALine => disk.change(&live, |bytes| bytes.extend_from_slice(b"foreign\n")),
            Self::AppendOurLine => {
                let line = bytes[..=ends[0]].to_vec();
                disk.change(&live, |bytes| bytes.extend_from_slice(&line));
            }
            Self::AppendZeros => disk.change(&live, |bytes| bytes.resize(bytes.len() + 700, 0)),
        }
        let cut = matches!(
            self,
            Self::CutToNothing | Self::CutInALine | Self::CutAtALineEnd
        );
        if !cut {
            return BTreeSet::new();
        }
        let left = Log::ids_in(&disk.bytes(&live).unwrap());
        log.durable().difference(&left).cloned().collect()
    }

    /// Whether the file is nowhere once the process that has it open is dead.
    pub(super) fn takes_the_file_away(self) -> bool {
        matches!(
            self,
            Self::Delete
                | Self::Directory
                | Self::ReplaceBySame
                | Self::ReplaceByChanged
                | Self::ReplaceByOther
                | Self::MoveAway
        )
    }
}

/// Four durable events, one that is appended, and one in the journal alone.
pub(super) fn log_with_events() -> Log {
    let mut log = Log::new();
    (0..3).for_each(|_| log.record());
    log.settle();
    for _ in 0..2 {
        log.record();
        log.step();
    }
    assert_eq!(log.durable().len(), 4);
    log.record();
    log
}

fn each(go_on: impl Fn(&mut Log)) {
    for tampering in Tampering::ALL {
        let mut log = log_with_events();
        let gone = tampering.act(&log);
        go_on(&mut log);
        assert!(log.was_reported("tampered with"), "{tampering:?}");
        log.take_over();
        let left = log.judge(&format!("{tampering:?}"));
        assert_eq!(left.missing, gone, "{tampering:?}");
        // What is gone is noted, and nothing else.
        let notes = left.report.findings.len();
        assert_eq!(notes, usize::from(!gone.is_empty()), "{tampering:?}");
        let reports = log.problems();
        let tampered = reports.iter().filter(|text| text.contains("tampered with"));
        assert_eq!(tampered.count(), 1, "{tampering:?}: {reports:#?}");
    }
}

#[test]
fn it_is_noticed_while_the_log_goes_on() {
    each(|log| {
        log.record();
        log.settle();
        log.record();
        log.settle();
        assert!(log.close());
    });
}

#[test]
fn it_is_noticed_by_a_log_that_rests() {
    each(|log| {
        log.settle();
        assert!(log.close());
    });
}

#[test]
fn it_is_noticed_by_a_log_that_closes_at_once() {
    each(|log| assert!(log.close()));
}

#[test]
fn it_is_noticed_when_all_was_durable_and_the_log_closes_at_once() {
    for tampering in Tampering::ALL {
        let mut log = log_with_events();
        log.settle();
        let gone = tampering.act(&log);
        assert!(log.close());
        assert!(log.was_reported("tampered with"), "{tampering:?}");
        log.take_over();
        assert_eq!(log.judge(&format!("{tampering:?}")).missing, gone);
    }
}

#[test]
fn it_is_noticed_by_a_rotation() {
    each(|log| {
        log.pass(3_600_000);
        log.step();
        log.record();
        log.settle();
        assert!(log.close());
    });
}

#[test]
fn it_is_noticed_when_all_was_durable_and_the_file_is_ended() {
    for tampering in Tampering::ALL {
        let mut log = log_with_events();
        log.settle();
        let gone = tampering.act(&log);
        log.pass(3_600_000);
        log.step();
        log.settle();
        assert!(log.close());
        assert!(log.was_reported("tampered with"), "{tampering:?}");
        log.take_over();
        assert_eq!(log.judge(&format!("{tampering:?}")).missing, gone);
    }
}

#[test]
fn what_others_put_in_the_place_of_the_file_is_kept() {
    for tampering in [Tampering::ReplaceByOther, Tampering::ReplaceByChanged] {
        let mut log = log_with_events();
        tampering.act(&log);
        let theirs = log.disk.bytes(log.live());
        log.settle();
        let aside = log.disk.files(Layout::new(DIR).aside_dir());
        assert_eq!(aside.len(), 1);
        assert_eq!(log.disk.bytes(&aside[0]), theirs);
    }
}
