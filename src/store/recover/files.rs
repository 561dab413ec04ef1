//! The live files of a stream that is recovered, and appending to them.
//!
//! Always true: lines are appended behind all that the stream ever had, so no number of a file is
//! used twice.

use crate::{
    entry::{Day, Seq, StreamId, Timestamp, scan::scan},
    error::{Error, Result},
    store::{
        clock::Clock,
        fs::{self, Fs},
        layout::Layout,
        names::FileStem,
        repair::Kind,
    },
};

/// The stream that is recovered, and where.
pub(super) struct Target<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) layout: &'a Layout,
    pub(super) clock: &'a dyn Clock,
    pub(super) stream: &'a StreamId,
}

/// The live files of a stream.
#[derive(Debug, Default)]
pub(super) struct StreamFiles {
    /// The files with sound lines, sealed or not.
    pub(super) sound: Vec<FileStem>,
    /// The files without any.
    pub(super) hollow: Vec<FileStem>,
    /// The last of the sound ones, if it is not sealed.
    pub(super) open: Option<FileStem>,
}

impl StreamFiles {
    pub(super) fn add(&mut self, stem: FileStem, kind: Kind) {
        self.open = (kind == Kind::Sound).then(|| stem.clone());
        match kind {
            Kind::Sealed | Kind::Sound => self.sound.push(stem),
            Kind::Hollow => self.hollow.push(stem),
            Kind::Foreign => {}
        }
    }

    /// Whether this is the number of an empty file that the recovery without a journal began, which
    /// leaves a number out.
    pub(super) fn was_begun_by_recovery(&self, number: u32) -> bool {
        let mut all = self.sound.iter().chain(&self.hollow);
        let is_hollow = self.hollow.iter().any(|stem| stem.number == number);
        number > 1 && is_hollow && !all.any(|stem| stem.number + 1 == number)
    }

    /// Takes out the empty file of this number, if it may have entries of this day.
    fn take_hollow(&mut self, number: u32, day: Day) -> Option<FileStem> {
        let fits = |stem: &FileStem| stem.number == number && stem.day() >= day;
        let at = self.hollow.iter().position(fits)?;
        Some(self.hollow.remove(at))
    }

    pub(super) fn last_number(&self) -> u32 {
        let all = self.sound.iter().chain(&self.hollow);
        all.map(|stem| stem.number).max().unwrap_or(0)
    }
}

pub(super) fn numbered<'a>(
    stream: &StreamId,
    first: Seq,
    events: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut number = first;
    for event in events {
        lines.extend_from_slice(format!("{{\"stream\":\"{stream}\",\"seq\":{number},").as_bytes());
        lines.extend_from_slice(event);
        lines.push(b'\n');
        number = number.next();
    }
    lines
}

/// Appends the lines to the stream's last file, or to a new one; durable on return. `last` is the
/// number of the file that the stream began last.
pub(super) fn append(
    target: &Target<'_>,
    files: &mut StreamFiles,
    last: u32,
    lines: &[u8],
) -> Result<()> {
    let Target {
        fs,
        layout,
        clock,
        stream,
    } = *target;
    // An entry is looked for in files of its day and later ones: in an older file no reader would
    // find it. The clock may be behind the one that stamped the entries.
    let born = clock.now().max(newest(lines).unwrap_or(Timestamp::MIN));
    let open = files
        .open
        .take()
        .filter(|stem| stem.number == last && stem.day() >= born.day());
    let begun = match open {
        Some(stem) => Some(stem),
        None => files
            .take_hollow(last, born.day())
            .inspect(|stem| files.sound.push(stem.clone())),
    };
    let (path, file) = match begun {
        Some(stem) => {
            let path = layout.live(&stem);
            let file = fs.open_write(&path).map_err(Error::io("open", &path))?;
            (path, file)
        }
        None => {
            let stem = FileStem {
                born,
                stream: stream.clone(),
                number: last + 1,
            };
            let path = layout.live(&stem);
            let file = fs.create_new(&path).map_err(Error::io("create", &path))?;
            files.sound.push(stem);
            (path, file)
        }
    };
    let before = file.identity().map_err(Error::io("look at", &path))?.len;
    // On a full disk, a part of the lines would take room that others can use; and after a failed
    // sync nothing proves that they ever reach the disk. Should the cut fail or not last, the next
    // attempt finds what is there.
    let cut_back = |_: &_| drop(file.truncate(before));
    fs::append_all(&*file, lines)
        .inspect_err(cut_back)
        .map_err(Error::io("write", &path))?;
    file.sync()
        .inspect_err(cut_back)
        .map_err(Error::io("sync", &path))?;
    let dir = layout.live_dir();
    fs.sync_dir(&dir).map_err(Error::io("sync", dir))
}

/// The time of the newest of these lines.
fn newest(lines: &[u8]) -> Option<Timestamp> {
    let lines = lines.split(|byte| *byte == b'\n');
    let times = lines.filter_map(scan).map(|fields| fields.timestamp);
    times.max()
}
