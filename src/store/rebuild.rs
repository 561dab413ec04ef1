//! Indexes on disk: written, read, made again from their sealed file when they are lost or damaged,
//! and removed when that is gone.

use std::{collections::BTreeSet, path::Path};

use super::{
    blob::{self, Blob, FileBlob},
    files::dirs,
    fs::{self, Entry, Fs},
    gzip::{self, Walk},
    index::{Built, Index},
    layout::{self, INDEX, Layout},
    names::FileStem,
    removed,
    summary::IndexBuilder,
    tmp::TmpFile,
};
use crate::{
    entry::{Day, Timestamp},
    error::{Error, Result},
};

/// Reads a whole sealed file and makes its index. The file is checked on the way.
pub(crate) fn rebuild(blob: &dyn Blob, stem: &FileStem) -> Result<Built> {
    let mut walk = Walk::new(blob)?;
    let mut builder = IndexBuilder::new(stem.clone());
    let mut plain = Vec::new();
    while let Some(packed_len) = walk.next(&mut plain)? {
        builder.push(&plain, packed_len);
    }
    Ok(builder.finish(blob.len(), walk.sha256()))
}

/// Puts an index in its place, durably, over one that may be there.
pub(crate) fn write_index(fs: &dyn Fs, layout: &Layout, built: &Built) -> Result<()> {
    let stem = &built.index.stem;
    let tmp = TmpFile::create(fs, layout, &format!("{stem}{INDEX}"))?;
    tmp.append(&built.encode())?;
    tmp.sync()?;
    tmp.publish(
        &layout.index_dir(),
        &layout.index_day(stem.day()),
        &layout.index(stem),
    )
    .map(drop)
}

/// Reads the index of a sealed file. `None` if it is lost, damaged, unreadable, or that of a file
/// with another end.
pub(crate) fn read_index(
    fs: &dyn Fs,
    layout: &Layout,
    blob: &dyn Blob,
    stem: &FileStem,
) -> Result<Option<Index>> {
    match Index::read(fs, &layout.index(stem)) {
        Ok(index) => Ok(ends_as(blob, &index)?.then_some(index)),
        Err(_) => Ok(None),
    }
}

/// The index of a sealed file, made from the file itself if it is lost or damaged. A file that
/// can't be read now is an error, because a later attempt may read it.
pub(super) fn index_of(fs: &dyn Fs, layout: &Layout, stem: &FileStem) -> Result<Index> {
    match Index::read(fs, &layout.index(stem)) {
        Err(Error::Damaged { .. }) => {}
        Err(error) if error.is_not_found() => {}
        index => return index,
    }
    let sealed = FileBlob::open(fs, layout.sealed(stem))?;
    Ok(rebuild(&sealed, stem)?.index)
}

/// Whether the file has the length, the checksum and the plain length of its index.
pub(crate) fn ends_as(blob: &dyn Blob, index: &Index) -> Result<bool> {
    if blob.len() != index.packed_len || blob.len() < gzip::TRAILER_LEN {
        return Ok(false);
    }
    let mut trailer = [0; gzip::TRAILER_LEN as usize];
    blob::read_exact(blob, &mut trailer, blob.len() - gzip::TRAILER_LEN)?;
    Ok(trailer == gzip::trailer(index.crc, index.plain_len))
}

/// An index without a file stays for so long: its file may be about to come.
const ORPHAN_AGE_MICROS: i64 = 3_600_000_000;

/// Removes the indexes of files that were pruned. Pruning removes an index before its file, so none
/// is left unless a power loss brings it back.
///
/// Any other index without a file is the trace of a file that someone took away: it stays, for
/// `verify`, and the problem to be reported is given.
pub(super) fn remove_orphans(fs: &dyn Fs, layout: &Layout, now: Timestamp) -> Result<Vec<String>> {
    let orphans = orphans(fs, layout, now)?;
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    let recorded = removed::all_recorded(fs, layout)?;
    let mut problems = Vec::new();
    for stem in orphans {
        let path = layout.index(&stem);
        let numbers = match Index::read(fs, &path) {
            Ok(index) => Some((index.first_seq.0, index.last_seq.0)),
            Err(Error::Damaged { .. }) => None,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        if recorded.has_file(&stem, numbers) {
            fs::remove_if_there(fs, &path).map_err(Error::io("remove", &path))?;
            remove_if_empty(fs, layout, stem.day())?;
        } else {
            problems.push(format!(
                "{} is the index of a sealed file that is gone, and no entry of the type {} names \
                 that file: find out who took the file away, then remove the index",
                path.display(),
                removed::PRUNED
            ));
        }
    }
    Ok(problems)
}

/// The files of which only an index is left, except for indexes that were written just now.
fn orphans(fs: &dyn Fs, layout: &Layout, now: Timestamp) -> Result<Vec<FileStem>> {
    let list = |dir: &Path| fs.list(dir).map_err(Error::io("list", dir));
    let live = dirs::live(fs, layout)?;
    let mut orphans = Vec::new();
    for entry in list(&layout.index_dir())? {
        let Some(day) = layout::parse_day_dir(&entry.name) else {
            continue;
        };
        let indexes = list(&layout.index_day(day))?;
        let sealed: BTreeSet<_> = dirs::sealed(fs, layout, day)?.into_iter().collect();
        let is_old = |index: &Entry| {
            let age = now.as_micros().saturating_sub(index.modified.as_micros());
            age >= ORPHAN_AGE_MICROS
        };
        let stems = indexes
            .iter()
            .filter(|index| is_old(index))
            .filter_map(|index| FileStem::parse(&index.name, INDEX));
        let has_no_file = |stem: &FileStem| !sealed.contains(stem) && !live.contains_key(stem);
        orphans.extend(stems.filter(|stem| stem.day() == day && has_no_file(stem)));
    }
    Ok(orphans)
}

fn remove_if_empty(fs: &dyn Fs, layout: &Layout, day: Day) -> Result<()> {
    let dir = layout.index_day(day);
    if fs.list(&dir).map_err(Error::io("list", &dir))?.is_empty() {
        // Another file may come at this moment; then it stays.
        let _ = fs.remove_dir(&dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{gzip::Level, samples, seal::seal, sim::SimFs};

    #[test]
    fn only_old_indexes_of_pruned_files_are_removed() {
        let (sim, layout) = (SimFs::new(), Layout::new("/log"));
        for dir in layout.dirs() {
            sim.put_dir(&dir);
        }
        let time = |hours: i64| {
            let born = samples::stem(1).born.as_micros();
            Timestamp::from_micros(born + hours * 3_600_000_000)
        };
        sim.set_time(time(0));
        for number in 1..=4 {
            let stem = samples::stem(number);
            sim.put(
                layout.live(&stem),
                samples::lines(u64::from(number) * 10, 5),
            );
            if number == 4 {
                sim.set_time(time(2));
            }
            seal(&sim, &layout, &stem, Level::FASTEST).unwrap();
        }
        // One is whole, of one the sealed file is to come again, one is orphaned, one just now.
        for number in [1, 3, 4] {
            sim.take_away(layout.live(&samples::stem(number)));
        }
        for number in 2..=4 {
            sim.take_away(layout.sealed(&samples::stem(number)));
        }
        sim.put(layout.index_day(time(0).day()).join("notes.txt"), "mine");
        let left = |sim: &SimFs| -> Vec<u32> {
            let has_index =
                |number: &u32| sim.bytes(layout.index(&samples::stem(*number))).is_some();
            (1..=4).filter(has_index).collect()
        };
        let reported = |hours| remove_orphans(&sim, &layout, time(hours)).unwrap().len();
        // These files were not pruned: someone took them away.
        assert_eq!([reported(0), reported(2), reported(3)], [0, 1, 2]);
        assert_eq!(left(&sim), [1, 2, 3, 4]);
        let pruned = |rows: &str| {
            format!(
                "{{\"stream\":\"other-00000a\",\"seq\":1,\
                 \"id\":\"0193f2a4-7c1e-7d31-9f65-000000000001\",\
                 \"timestamp\":\"2026-11-21T10:00:00.000000Z\",\"schema_version\":\"1.0\",\
                 \"event_type\":\"audit.log.pruned\",\"details\":{{{rows}}}}}\n"
            )
        };
        let mut file = samples::stem(9);
        file.stream = "other-00000a".parse().unwrap();
        let row = format!("\"files\":[{{\"file\":\"{}\"}}]", samples::stem(3));
        sim.put(layout.live(&file), pruned(&row));
        assert_eq!((reported(3), left(&sim)), (1, vec![1, 2, 4]));
        // An entry that was carried on names numbers.
        let row = "\"earlier\":[{\"stream\":\"billing-7f3a9c\",\"first_seq\":35,\"last_seq\":44}]";
        sim.put(layout.live(&file), pruned(row));
        assert_eq!((reported(3), left(&sim)), (0, vec![1, 2]));
    }
}
