//! Repairs a live file that a dead process left, or that someone changed.
//!
//! In: a finished file, or the rest of one after a death. Out: a file that holds only sound lines
//! (see `sound`), all of them durable. Bytes that may have been an entry, and no longer are, are
//! moved to `state/aside`.

use std::{io, ops::Range, path::Path};

use super::{
    fs::{self, Fs, FsFile},
    layout::{LIVE, Layout},
    mend::set_aside,
    names::FileStem,
    seal::{self, Twin},
    sound::{Held, Journaled, Sound},
    tmp::TmpFile,
};
use crate::{
    entry::Seq,
    error::{Error, Result},
};

/// So much of a damaged file is copied at a time.
const CHUNK: usize = 256 * 1024;

/// The state in which a live file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sealed,
    Sound,
    Hollow,
    /// None of ours; it was moved away.
    Foreign,
}

/// Removes unsound lines from a live file, and adds its sound lines to `held`. The file is durable
/// on return.
pub(super) fn repair(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    held: &mut Held<'_>,
    journaled: &mut Journaled<'_>,
    problems: &mut Vec<String>,
) -> Result<Kind> {
    let path = layout.live(stem);
    let found = fs.identity(&path).map_err(Error::io("look at", &path))?;
    match found {
        None => return Ok(Kind::Foreign),
        Some(found) if found.is_file => {}
        Some(_) => {
            let aside = set_aside(fs, layout, stem)?.unwrap_or_default();
            let path = path.display();
            problems.push(format!(
                "{path} was not a regular file; it was moved to {aside}"
            ));
            return Ok(Kind::Foreign);
        }
    }
    // Sealed before the process died. Its lines are not in the journal any longer: a file is
    // durable and released before the next one begins.
    match seal::twin(fs, layout, stem)? {
        Twin::Whole(index) => {
            held.pass(index.last_seq);
            return Ok(Kind::Sealed);
        }
        Twin::Changed(index) => {
            problems.extend(set_changed_twin_aside(fs, layout, stem)?);
            held.pass(index.last_seq);
            return Ok(Kind::Sealed);
        }
        Twin::Missing => {}
    }
    let file = fs.open_write(&path).map_err(Error::io("open", &path))?;
    let len = file.identity().map_err(Error::io("look at", &path))?.len;
    let sound = held
        .look(&*file, len, journaled)
        .map_err(Error::io("read", &path))?;
    // Only bytes that a death left follow the durable end. Without a journal, the whole file was
    // durable.
    let tail_is_damage = sound.len < len && (held.before_durable_end() || held.all_was_durable());
    if sound.damaged.is_empty() && !tail_is_damage {
        if len == 0 {
            return Ok(Kind::Hollow);
        }
        let made_durable = match sound.durable < len {
            true => write_again(fs, &path, &*file, sound.durable..sound.len, len),
            // The journal may have been set aside, and may have some of these events.
            false => file.sync(),
        };
        made_durable.map_err(Error::io("repair", &path))?;
        return Ok(match sound.len {
            0 => Kind::Hollow,
            _ => Kind::Sound,
        });
    }
    let aside = set_damage_aside(fs, layout, stem, &*file, &sound, len)?;
    let path = path.display();
    problems.push(format!(
        "{path} was damaged; the lines that are not entries of its stream were moved to {aside}"
    ));
    Ok(match sound.len {
        0 => Kind::Hollow,
        _ => Kind::Sound,
    })
}

/// Moves a changed live file, whose sealed file is whole, out of the way; returns the problem to
/// report.
pub(super) fn set_changed_twin_aside(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
) -> Result<Option<String>> {
    let path = layout.live(stem);
    let aside = set_aside(fs, layout, stem)?;
    Ok(aside.map(|aside| {
        let path = path.display();
        format!(
            "{path} was changed after it was sealed; the sealed file is whole and stays, and the \
             changed one was moved to {aside}"
        )
    }))
}

/// Repairs a file that someone changed after its writer finished it; true if it can be sealed now.
/// The caller holds the lock of the file's stream.
pub(super) fn repair_finished(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    problems: &mut Vec<String>,
) -> Result<bool> {
    // All of it was durable, and no journal has anything of it.
    let mut held = Held::left(&stem.stream, Seq(u64::MAX), None);
    let kind = repair(fs, layout, stem, &mut held, &mut Journaled::new(), problems)?;
    Ok(matches!(kind, Kind::Sound | Kind::Sealed))
}

/// Writes the lines behind the durable ones once more, where they stand, and cuts off what follows
/// them.
///
/// A sync alone is not enough. A sync by the dead process may have failed: the kernel may then
/// consider the pages written although they never reached the disk, and each later sync succeeds.
/// Only pages that are written anew are certain to be synced.
///
/// Readers find each of these lines at its place all the time. Otherwise a webhook that has read
/// them would take the file for another one, or its entries for lost.
///
/// An interruption costs no event, because the journal has all of them until it is removed.
fn write_again(
    fs: &dyn Fs,
    path: &Path,
    file: &dyn FsFile,
    lines: Range<u64>,
    len: u64,
) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(lines.end - lines.start).map_err(io::Error::other)?];
    if fs::read_full_at(file, &mut bytes, lines.start)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if lines.end < len {
        file.truncate(lines.end)?;
    }
    if !bytes.is_empty() {
        fs.overwrite(path, &bytes, lines.start)?;
    }
    file.sync()
}

/// Writes a damaged live file again without its unsound bytes, which are kept elsewhere.
fn set_damage_aside(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    file: &dyn FsFile,
    sound: &Sound,
    len: u64,
) -> Result<String> {
    let path = layout.live(stem);
    let mut at = 0;
    let mut good = Vec::new();
    let mut bad = Vec::new();
    let rest = std::iter::once(sound.len..len);
    for range in sound.damaged.iter().cloned().chain(rest) {
        good.push(at..range.start);
        at = range.end;
        bad.push(range);
    }
    let copy = |ranges: &[Range<u64>], to: &TmpFile<'_>| -> Result<()> {
        for range in ranges {
            for start in range.clone().step_by(CHUNK) {
                let mut bytes = vec![0; CHUNK.min((range.end - start) as usize)];
                let read = fs::read_full_at(file, &mut bytes, start);
                bytes.truncate(read.map_err(Error::io("read", &path))?);
                to.append(&bytes)?;
            }
        }
        to.sync()
    };
    let dir = layout.aside_dir();
    // The damage first: once the clean file is in its place, it is nowhere else.
    let kept = TmpFile::create(fs, layout, &format!("{stem}.damage"))?;
    copy(&bad, &kept)?;
    let aside = dir.join(format!("{stem}.damage.{:016x}", fastrand::u64(..)));
    kept.publish(&layout.state_dir(), &dir, &aside)?;
    let clean = TmpFile::create(fs, layout, &format!("{stem}{LIVE}"))?;
    copy(&good, &clean)?;
    clean.publish(layout.root(), &layout.live_dir(), &path)?;
    Ok(aside.display().to_string())
}
