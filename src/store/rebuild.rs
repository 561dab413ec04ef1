//! Indexes on disk: written, read, made again from their sealed file when they are lost or damaged,
//! and removed when that is gone.

use std::collections::BTreeSet;

use super::{
    blob::{self, Blob},
    files::dirs,
    fs::{self, Fs},
    gzip::{self, Walk},
    index::{Built, Index},
    layout::{self, INDEX, Layout},
    names::FileStem,
    summary::IndexBuilder,
    tmp::TmpFile,
};
use crate::{
    error::{Error, Result},
    record::Timestamp,
};

/// Reads a whole sealed file and makes its index. The file is checked on the way.
pub(crate) fn rebuild(blob: &dyn Blob, stem: &FileStem) -> Result<Built> {
    let (mut walk, mut builder) = (Walk::new(blob)?, IndexBuilder::new(stem.clone()));
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

/// Removes the indexes that neither a sealed nor a live file needs. Whoever prunes removes a file
/// first, then its index, and may be killed in between.
pub(super) fn remove_orphans(fs: &dyn Fs, layout: &Layout, now: Timestamp) -> Result<()> {
    let list = |dir: &std::path::Path| fs.list(dir).map_err(Error::io("list", dir));
    let live = dirs::live(fs, layout)?;
    for entry in list(&layout.index_dir())? {
        let Some(day) = layout::parse_day_dir(&entry.name) else {
            continue;
        };
        let dir = layout.index_day(day);
        let indexes = list(&dir)?;
        let sealed: BTreeSet<_> = dirs::sealed(fs, layout, day)?.into_iter().collect();
        for index in indexes {
            let age = now.as_micros().saturating_sub(index.modified.as_micros());
            let orphan = FileStem::parse(&index.name, INDEX)
                .is_some_and(|stem| !sealed.contains(&stem) && !live.contains_key(&stem));
            if orphan && age >= ORPHAN_AGE_MICROS {
                let path = dir.join(&index.name);
                fs::remove_if_there(fs, &path).map_err(Error::io("remove", &path))?;
            }
        }
        if sealed.is_empty() && list(&dir)?.is_empty() {
            // Another file may come at this moment; then it stays.
            let _ = fs.remove_dir(&dir);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{gzip::Level, samples, seal::seal, sim::SimFs};

    #[test]
    fn only_old_indexes_without_a_file_are_removed() {
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
        remove_orphans(&sim, &layout, time(0)).unwrap();
        assert_eq!(left(&sim), [1, 2, 3, 4]);
        remove_orphans(&sim, &layout, time(2)).unwrap();
        assert_eq!(left(&sim), [1, 2, 4]);
        remove_orphans(&sim, &layout, time(3)).unwrap();
        assert_eq!(left(&sim), [1, 2]);
    }
}
