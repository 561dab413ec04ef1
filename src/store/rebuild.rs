//! Indexes on disk: written, read, and made again from their sealed file when they are lost or
//! damaged.

use super::{
    blob::{self, Blob},
    fs::Fs,
    gzip::{self, Walk},
    index::{Built, Index},
    layout::{INDEX, Layout},
    names::FileStem,
    summary::IndexBuilder,
    tmp::TmpFile,
};
use crate::error::Result;

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
