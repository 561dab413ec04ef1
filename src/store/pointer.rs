//! The pointer to a journal that lies outside the log's directory.
//!
//! `state/journal/<stream>.at` names the journal, so that every process finds it that recovers the
//! stream or verifies the log. The process that writes the stream writes the pointer in three
//! steps, and each step is durable before the next thing happens:
//!
//! | the pointer has | durable before | without the journal it means |
//! |---|---|---|
//! | the journal's path and its directory | the journal is created | the journal was never created |
//! | a line `begun` | the first event is taken | the journal is gone, with its events |
//! | a line `closed` | the journal is removed | all events are in files |
//!
//! Lines are only ever appended. A line without its end, which a death left, counts for nothing.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::fs::{self, Fs};
use crate::error::{Error, Result};

/// The content of a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The journal's file.
    pub(super) journal: PathBuf,
    pub(super) home: Home,
    pub(super) step: Step,
}

/// How the journal's directory is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// A restart of the machine takes all that is in the directory. `boot` names the start of the
    /// machine in which the journal was created, if that is known.
    Memory { boot: Option<String> },
    /// The directory stays, and has this inode.
    Disk { inode: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No event was taken yet.
    Created,
    /// Events may be in the journal.
    Begun,
    /// All events are in files.
    Closed,
}

/// The result of reading a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Absent,
    /// A pointer that was never finished: its process created no journal.
    Unfinished,
    Whole(Pointer),
}

/// A path and some words.
const LONGEST: u64 = 64 << 10;
const UNKNOWN: &str = "unknown";

impl Pointer {
    pub(super) fn read(fs: &dyn Fs, path: &Path) -> Result<Found> {
        match fs::read_at_most(fs, path, LONGEST) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                Err(Error::damaged(path, e.to_string()))
            }
            text => Self::parse(path, &text.map_err(Error::io("read", path))?),
        }
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Found> {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let mut lines = lines.filter_map(|line| line.strip_suffix(b"\n"));
        let (journal, home) = (lines.next(), lines.next());
        let mut step = Step::Created;
        for line in lines {
            step = match line {
                b"begun" => Step::Begun,
                b"closed" => Step::Closed,
                _ => return Err(Error::damaged(path, "a line of it is not one of its steps")),
            };
        }
        let journal = journal.and_then(|line| line.strip_prefix(b"journal "));
        let journal = journal.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let home = home.and_then(Home::parse);
        match (journal.filter(|path| path.is_absolute()), home) {
            (Some(journal), Some(home)) => Ok(Found::Whole(Self {
                journal,
                home,
                step,
            })),
            // Both lines are durable before anything follows them.
            _ if step == Step::Created => Ok(Found::Unfinished),
            _ => Err(Error::damaged(path, "it does not say where the journal is")),
        }
    }

    /// Writes a new pointer; durable on return.
    pub(super) fn create(&self, fs: &dyn Fs, path: &Path, dir: &Path) -> Result<()> {
        let file = fs.create_new(path).map_err(Error::io("create", path))?;
        let mut text = b"journal ".to_vec();
        text.extend_from_slice(self.journal.as_os_str().as_bytes());
        text.extend_from_slice(format!("\n{}\n", self.home.line()).as_bytes());
        let written = fs::append_all(&*file, &text)
            .map_err(Error::io("write", path))
            .and_then(|()| file.sync().map_err(Error::io("sync", path)))
            .and_then(|()| fs.sync_dir(dir).map_err(Error::io("sync", dir)));
        written.inspect_err(|_| drop(fs.remove_file(path)))
    }
}

impl Home {
    /// The marks of a directory in which a journal is about to be created.
    pub(super) fn of(fs: &dyn Fs, dir: &Path) -> Result<Self> {
        if fs.is_in_memory(dir).map_err(Error::io("look at", dir))? {
            return Ok(Self::Memory { boot: fs.boot_id() });
        }
        let found = fs.identity(dir).map_err(Error::io("look at", dir))?;
        let inode = found.map_or(0, |found| found.inode);
        Ok(Self::Disk { inode })
    }

    fn line(&self) -> String {
        match self {
            Self::Memory { boot } => format!("memory {}", boot.as_deref().unwrap_or(UNKNOWN)),
            Self::Disk { inode } => format!("disk {inode}"),
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        match str::from_utf8(line).ok()?.split_once(' ')? {
            ("memory", UNKNOWN) => Some(Self::Memory { boot: None }),
            ("memory", boot) => Some(Self::Memory {
                boot: Some(boot.to_owned()),
            }),
            ("disk", inode) => inode.parse().ok().map(|inode| Self::Disk { inode }),
            _ => None,
        }
    }
}

/// Appends a step to a pointer, if it is still there; durable on return.
pub(super) fn mark(fs: &dyn Fs, path: &Path, step: Step) -> Result<()> {
    let line: &[u8] = match step {
        Step::Created => return Ok(()),
        Step::Begun => b"begun\n",
        Step::Closed => b"closed\n",
    };
    let file = match fs.open_write(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io("open", path))?,
    };
    // Not through a link that someone put there.
    let named = fs.identity(path).map_err(Error::io("look at", path))?;
    let opened = file.identity().map_err(Error::io("look at", path))?;
    if !named.is_some_and(|named| named.is_same(&opened)) {
        let what = "another file took its place";
        return Err(Error::io("write", path)(io::Error::other(what)));
    }
    let text = fs::read_all_at_most(&*file, LONGEST).map_err(Error::io("read", path))?;
    let whole = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1);
    if whole < text.len() {
        file.truncate(whole as u64)
            .map_err(Error::io("cut", path))?;
    }
    fs::append_all(&*file, line).map_err(Error::io("write", path))?;
    file.sync().map_err(Error::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sim::SimFs;

    const PATH: &str = "/log/state/journal/app-00000a.at";

    fn pointer(home: Home) -> Pointer {
        Pointer {
            journal: "/shm/app-00000a.ring".into(),
            home,
            step: Step::Created,
        }
    }

    #[test]
    fn a_pointer_cut_off_anywhere_says_no_more_than_was_durable() {
        for home in [
            Home::Disk { inode: 7 },
            Home::Memory { boot: None },
            Home::Memory {
                boot: Some("5f0c".to_owned()),
            },
        ] {
            let (fs, path) = (SimFs::new(), Path::new(PATH));
            fs.put("/log/state/journal/other", "");
            let created = pointer(home);
            created.create(&fs, path, path.parent().unwrap()).unwrap();
            let header = fs.bytes(path).unwrap().len();
            mark(&fs, path, Step::Begun).unwrap();
            let begun = fs.bytes(path).unwrap().len();
            mark(&fs, path, Step::Closed).unwrap();
            let text = fs.bytes(path).unwrap();
            for len in 0..=text.len() {
                let step = match len {
                    _ if len < header => None,
                    _ if len < begun => Some(Step::Created),
                    _ if len < text.len() => Some(Step::Begun),
                    _ => Some(Step::Closed),
                };
                let found = Pointer::parse(path, &text[..len]).unwrap();
                let whole = step.map(|step| Pointer {
                    step,
                    ..created.clone()
                });
                assert_eq!(
                    found,
                    whole.map_or(Found::Unfinished, Found::Whole),
                    "{len}"
                );
                // The next step is not glued to what a death left of this one.
                if step.is_some() {
                    fs.put(path, &text[..len]);
                    mark(&fs, path, Step::Closed).unwrap();
                    let Found::Whole(marked) = Pointer::read(&fs, path).unwrap() else {
                        panic!("cut at {len}, it says nothing");
                    };
                    assert_eq!(marked.step, Step::Closed, "{len}");
                }
            }
        }
    }

    #[test]
    fn a_pointer_that_others_wrote_into_is_damaged() {
        for text in [
            "journal shm/a.ring\ndisk 7\nbegun\n",
            "journal /shm/a.ring\ndisk seven\nbegun\n",
            "journal /shm/a.ring\ndisk 7\nbegan\n",
            "\0\0\0\n\0\nbegun\n",
        ] {
            let parsed = Pointer::parse(Path::new(PATH), text.as_bytes());
            assert!(matches!(parsed, Err(Error::Damaged { .. })), "{text:?}");
        }
    }
}
