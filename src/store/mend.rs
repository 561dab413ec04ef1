//! How the writer mends a live file that someone else deleted, replaced, cut or wrote into.
//!
//! Lines that are not durable are still in the journal, and are written again into another file. So
//! only the durable lines matter. Sound ones are kept, from the file itself or, if it was deleted,
//! through the handle that wrote it; missing ones are recorded as lost. Foreign files in the place
//! of ours are set aside, never deleted.

use std::path::Path;

use super::{
    batch::BATCH,
    fs::{self, Fs, read_full_at},
    health::Problem,
    layout::{LIVE, Layout, SEALED},
    live::{Change, Live},
    names::FileStem,
    root::create_dir,
    sound::{Held, Journaled},
    tmp::TmpFile,
    writer::{Current, Writer},
};
use crate::{
    entry::{OwnEntry, Seq, Severity},
    error::{Error, Result},
};

/// The durable part of a file that others changed.
struct Durable {
    len: u64,
    /// The number of its last entry, and how many durable ones after it are gone.
    last: u64,
    lost: u64,
}

impl Writer {
    /// Repairs the changes that others made to the live file.
    pub(super) fn mend(&mut self, change: Change) -> Result<()> {
        let (Current::Open(live) | Current::Ending(live)) = &self.current else {
            return Ok(());
        };
        let durable = self.durable_part(live)?;
        match change {
            Change::Gone => self.restore(&durable)?,
            Change::Length { now, ours } => self.cut_back(&durable, now, ours),
        }
        if durable.lost > 0 {
            let what = "Someone else removed entries from the live file; the entries are lost";
            self.own.push(
                OwnEntry::new("audit.log.lost", Severity::Critical, what)
                    .detail("count", durable.lost)
                    .detail("after_seq", durable.last),
            );
            if let Current::Open(live) | Current::Ending(live) = &mut self.current {
                live.note_lost(Seq(durable.last + 1), Seq(durable.last + durable.lost));
            }
        }
        Ok(())
    }

    fn durable_part(&self, live: &Live) -> Result<Durable> {
        let place = &self.place;
        let path = place.layout.live(live.stem());
        let next = self.released.next_seq;
        let mut held = Held::durable(&place.stream, live.first().next_seq, next);
        let sound = live
            .file()
            .identity()
            .and_then(|found| held.look(live.file(), found.len, &mut Journaled::new()))
            .map_err(Error::io("read", path))?;
        Ok(Durable {
            len: sound.len,
            last: held.last,
            lost: next.0 - 1 - held.last,
        })
    }

    /// The file ends with its durable lines.
    fn cut_back(&mut self, durable: &Durable, now: u64, ours: u64) {
        let (Current::Open(live) | Current::Ending(live)) = &mut self.current else {
            return;
        };
        live.give_up_beyond(durable.len, now);
        let (file, kept) = (live.stem().to_string(), durable.len);
        let what = format!(
            "{file} has {now} bytes, not the {ours} that were written to it; its first {kept} \
             bytes are kept, and what the journal holds is written again to another file"
        );
        self.place.health.report(&Problem::LiveFileLost(what));
        let (event_type, what) = match now < ours {
            true => ("audit.log.live_file_cut", "Someone else cut the live file"),
            false => (
                "audit.log.live_file_written",
                "Someone else wrote into the live file; the foreign bytes were removed",
            ),
        };
        let entry = OwnEntry::new(event_type, Severity::Critical, what)
            .detail("file", file)
            .detail("bytes_before", ours)
            .detail("bytes_found", now)
            .detail("bytes_kept", kept);
        self.start_over();
        self.own.push(entry);
    }

    /// Writes the durable lines of a deleted or replaced file again, from the handle that still
    /// reaches it. Until that succeeds the handle is kept and nothing is released.
    fn restore(&mut self, durable: &Durable) -> Result<()> {
        self.root.check(&*self.place.fs, &self.place.layout)?;
        let stem = self.next_stem();
        let (Current::Open(gone) | Current::Ending(gone)) = &self.current else {
            return Ok(());
        };
        let (fs, layout) = (&*self.place.fs, &self.place.layout);
        let tmp = TmpFile::create(fs, layout, &format!("{stem}{LIVE}"))?;
        copy_lines(gone, &tmp, durable.len, layout)?;
        tmp.sync()?;
        let dir = layout.live_dir();
        let name = layout.live(&stem);
        let file = match tmp.publish(layout.root(), &dir, &name) {
            Ok(file) => file,
            Err(error) => {
                // Tried again, under another name: two copies would be lines twice.
                if fs::remove_if_there(fs, &name).is_err() {
                    self.in_the_way.push(stem);
                }
                return Err(error);
            }
        };
        // After the copy is durable, because the foreign file may have our lines.
        let aside = set_aside(fs, layout, gone.stem());

        let (old, new) = (gone.stem().to_string(), stem.to_string());
        let mut what =
            format!("{old} was deleted or replaced; its lines were written again to {new}");
        match &aside {
            Ok(None) => {}
            Ok(Some(path)) => what += &format!("; what has its name now was moved to {path}"),
            Err(error) => {
                what += &format!("; what has its name now could not be moved yet: {error}");
                self.in_the_way.push(gone.stem().clone());
            }
        }
        self.place.health.report(&Problem::LiveFileLost(what));
        let what = "Someone else deleted or replaced the live file; the log wrote it again";
        let entry = OwnEntry::new("audit.log.live_file_restored", Severity::Critical, what)
            .detail("file", old)
            .detail("restored_as", new);
        let copy = Live::adopt(file, stem, durable.len, gone, self.released);
        self.start_over();
        self.current = Current::Open(copy);
        self.own.push(entry);
        Ok(())
    }
}

/// Copies the first `len` bytes of a live file.
fn copy_lines(from: &Live, to: &TmpFile<'_>, len: u64, layout: &Layout) -> Result<()> {
    let mut buffer = vec![0; BATCH];
    let mut at = 0;
    while at < len {
        let wanted = (len - at).min(BATCH as u64) as usize;
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        let path = layout.live(from.stem());
        match read_full_at(from.file(), part, at) {
            Ok(read) if read == wanted => to.append(part)?,
            Ok(_) => return Err(Error::damaged(path, format!("it ends before byte {len}"))),
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        at += wanted as u64;
    }
    Ok(())
}

/// Moves a foreign file with a live file's name out of the way; returns where to.
pub(super) fn set_aside(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Option<String>> {
    let dir = layout.live_dir();
    let aside = move_aside(fs, layout, &layout.live(stem), &format!("{stem}{LIVE}"))?;
    // Also if an attempt before this moved it.
    fs.sync_dir(&dir).map_err(Error::io("sync", dir))?;
    Ok(aside)
}

/// Moves a damaged sealed file out of the way of the one that is made of its live twin: it may have
/// entries that someone took out of the twin.
pub(super) fn set_sealed_aside(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<()> {
    let path = layout.sealed(stem);
    move_aside(fs, layout, &path, &format!("{stem}{SEALED}"))?;
    Ok(())
}

/// Moves a file, if it is there, to a name in the directory of such files that begins with `name`;
/// says which. The new name is durable on return.
fn move_aside(fs: &dyn Fs, layout: &Layout, path: &Path, name: &str) -> Result<Option<String>> {
    let look = |path: &Path| fs.identity(path).map_err(Error::io("look at", path));
    if look(path)?.is_none() {
        return Ok(None);
    }
    let dir = layout.aside_dir();
    create_dir(fs, layout.root(), &dir)?;
    for number in 0.. {
        let aside = dir.join(format!("{name}.{number}"));
        if look(&aside)?.is_none() {
            fs.rename(path, &aside).map_err(Error::io("rename", path))?;
            for dir in [&layout.state_dir(), &dir] {
                fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
            }
            return Ok(Some(aside.display().to_string()));
        }
    }
    Ok(None)
}
