//! A pointer is followed only to its stream's journal, and a journal counts as gone only where that
//! is proven.

use std::{collections::BTreeSet, os::unix::fs::symlink};

use super::*;
use crate::store::fs::OsFs;

/// A log on the real file system whose one stream has a pointer.
struct Pointed {
    dir: tempfile::TempDir,
    layout: Layout,
    stream: StreamId,
}

impl Pointed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let layout = Layout::new(root.join("log"));
        for dir in layout.dirs() {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::create_dir(root.join("journals")).unwrap();
        Self {
            dir,
            layout,
            stream: "app-00000a".parse().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path("journals/app-00000a.ring")
    }

    /// Makes the pointer name this journal, and say that its process has begun.
    fn points(&self, journal: &Path, home: Home) {
        let path = self.layout.pointer(&self.stream);
        let _ = std::fs::remove_file(&path);
        let pointer = Pointer {
            journal: journal.to_owned(),
            home,
            step: Step::Created,
        };
        pointer
            .create(&OsFs, &path, &self.layout.journal_dir())
            .unwrap();
        pointer::mark(&OsFs, &path, Step::Begun).unwrap();
    }

    fn find(&self) -> Result<State> {
        JournalPlace::find(&OsFs, &self.layout, &self.stream).map(|place| place.state)
    }

    fn refused(&self, why: &str) {
        let text = self.find().unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
        let clock = SetClock::new("2026-11-21T10:00:00Z");
        let error = recover(&OsFs, &self.layout, &clock, &self.stream).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(self.layout.pointer(&self.stream).exists());
    }
}

const DISK: Home = Home::Disk { inode: 0 };

#[test]
fn a_pointer_is_followed_to_nothing_but_the_journal() {
    let log = Pointed::new();
    let journal = log.journal();
    std::fs::write(&journal, "not empty").unwrap();
    log.points(&journal, DISK);
    assert_eq!(log.find().unwrap(), State::Journal);

    // A file of another name.
    let other = log.path("journals/app-00000b.ring");
    std::fs::write(&other, "another's").unwrap();
    log.points(&other, DISK);
    log.refused("must name a file of this stream");

    // A link on the way.
    symlink(log.path("journals"), log.path("link")).unwrap();
    log.points(&log.path("link/app-00000a.ring"), DISK);
    log.refused("a link stands in its path");

    // A link in its place, a directory, a pipe.
    log.points(&journal, DISK);
    std::fs::remove_file(&journal).unwrap();
    symlink(&other, &journal).unwrap();
    log.refused("not a regular file");
    std::fs::remove_file(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    log.refused("not a regular file");
    assert_eq!(std::fs::read(&other).unwrap(), b"another's");
    std::fs::remove_dir(&journal).unwrap();

    // Another user's file.
    if rustix::process::geteuid().is_root() {
        std::fs::write(&journal, "not empty").unwrap();
        std::os::unix::fs::chown(&journal, Some(12345), None).unwrap();
        log.refused("does not belong to the log's owner");
        // A process that looked before someone put it there doesn't read or remove it either.
        assert!(OsFs.open_journal(&log.layout, &journal).is_err());
        assert!(OsFs.remove_journal(&log.layout, &journal).is_err());
        assert!(journal.exists());
        std::os::unix::fs::chown(log.layout.state_dir(), Some(12345), None).unwrap();
        assert_eq!(log.find().unwrap(), State::Journal);
    }
}

#[test]
fn a_journal_counts_as_gone_only_where_that_is_proven() {
    let log = Pointed::new();
    let journal = log.journal();
    let inode = std::os::unix::fs::MetadataExt::ino(&log.path("journals").metadata().unwrap());
    let boot = OsFs.boot_id();
    let memory = |boot: Option<&str>| Home::Memory {
        boot: boot.map(str::to_owned),
    };
    let unproven = "may be on a file system that is not mounted here";

    log.points(&journal, Home::Disk { inode });
    assert_eq!(log.find().unwrap(), State::Gone);
    log.points(&journal, Home::Disk { inode: inode + 1 });
    log.refused(unproven);
    log.points(&journal, memory(boot.as_deref()));
    assert_eq!(log.find().unwrap(), State::Gone);

    std::fs::remove_dir(log.path("journals")).unwrap();
    log.refused(unproven);
    log.points(&journal, memory(None));
    log.refused(unproven);
    log.points(&journal, Home::Disk { inode });
    log.refused(unproven);
    if boot.is_some() {
        log.points(&journal, memory(Some("before")));
        assert_eq!(log.find().unwrap(), State::Gone);
    }

    // The way out that the error names: an empty file in the journal's place.
    log.points(&journal, DISK);
    std::fs::create_dir(log.path("journals")).unwrap();
    std::fs::write(&journal, "").unwrap();
    assert_eq!(log.find().unwrap(), State::Gone);
    let clock = SetClock::new("2026-11-21T10:00:00Z");
    let recovered = recover(&OsFs, &log.layout, &clock, &log.stream);
    let recovered = recovered.unwrap().unwrap();
    assert_eq!((recovered.files.len(), recovered.problems.len()), (1, 1));
    let left: BTreeSet<_> = [journal, log.layout.pointer(&log.stream)].into();
    assert!(left.iter().all(|path| !path.exists()), "{left:?}");
}
