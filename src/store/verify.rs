//! Checks a sealed file against everything that is known of it.

use std::io;

use super::{
    blob::{self, Blob, FileBlob},
    fs::Fs,
    gzip::Walk,
    index::{Block, Index, VERSION},
    layout::Layout,
    names::FileStem,
    summary::{IndexBuilder, lines},
};
use crate::error::{Error, Result};

/// Reads a sealed file whole: is it gzip to its last byte, does its index (if there is one: it can
/// be made again) agree with it, and is its SHA-256 still that of its sealing? Gives the index as
/// it must be. The error names the file, what is wrong, and where.
///
/// `take` gets each line, without its line end. The lines are only to be trusted once the whole
/// file is found right.
pub(crate) fn read_sealed(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    take: &mut dyn FnMut(&[u8]),
) -> Result<Index> {
    let sealed = FileBlob::open(fs, layout.sealed(stem))?;
    // A damaged index is less than a damaged file, so it is reported after.
    let index = match Index::read(fs, &layout.index(stem)) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        index => index.map(Some),
    };
    let noted = index.as_ref().ok().and_then(Option::as_ref);
    let version = noted.map_or(VERSION, |index| index.version);
    let rows = noted.map(|index| &index.blocks);

    let mut walk = Walk::new(&sealed)?;
    let mut builder = IndexBuilder::of_version(version, stem.clone());
    let mut plain = Vec::new();
    while let Some(packed_len) = walk.next(&mut plain)? {
        lines(&plain).for_each(&mut *take);
        let block = builder.push(&plain, packed_len);
        let noted = rows.map(|rows| rows.get(builder.blocks().len() - 1));
        if noted.is_some_and(|row| row != Some(&block)) {
            return Err(Error::damaged(
                sealed.path(),
                differs(&block, noted.flatten()),
            ));
        }
    }
    let built = builder.finish(sealed.len(), walk.sha256());

    let Some(index) = index? else {
        return Ok(built.index);
    };
    if index.sha256 != built.index.sha256 {
        return Err(Error::damaged(
            sealed.path(),
            "its SHA-256 is not the one noted in its index when it was sealed",
        ));
    }
    let file = match FileBlob::open(fs, layout.index(stem)) {
        // Retention removed both files in the meantime.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(built.index);
        }
        file => file?,
    };
    let mut bytes = vec![0; file.len() as usize];
    blob::read_exact(&file, &mut bytes, 0)?;
    let wanted = built.encode();
    if bytes == wanted {
        return Ok(built.index);
    }
    let at = bytes
        .iter()
        .zip(&wanted)
        .position(|(a, b)| a != b)
        .unwrap_or(bytes.len().min(wanted.len()));
    Err(Error::damaged(
        file.path(),
        format!(
            "it doesn't match its sealed file from byte {at} on; remove it, and it is made again"
        ),
    ))
}

fn differs(block: &Block, noted: Option<&Block>) -> String {
    let Block {
        packed_offset,
        lines,
        first_seq,
        ..
    } = block;
    let what = match noted {
        None => "is not in the index",
        Some(row) if row.crc != block.crc => "has another checksum than its index noted",
        Some(row) if row.lines != block.lines => "has another number of lines than its index noted",
        Some(_) => "is not as its index says",
    };
    format!("the block of {lines} lines from number {first_seq} at byte {packed_offset} {what}")
}

/// [`read_sealed`], and each line must be an entry of its stream with the number after the one
/// before. Numbers may be missing only where `lost`, given the number before and the one after,
/// says so.
#[cfg(test)]
pub(crate) fn verify_sealed(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    lost: &mut dyn FnMut(u64, u64) -> Result<bool>,
) -> Result<Index> {
    let mut line = 0;
    let mut seq = None;
    let mut wrong = None;
    let mut judge = |text: &[u8]| {
        line += 1;
        let Some(fields) = crate::entry::scan::scan(text) else {
            return Err(format!("line {line} is not an entry"));
        };
        if fields.stream != stem.stream.as_str().as_bytes() {
            let stream = String::from_utf8_lossy(fields.stream);
            return Err(format!("line {line} is of the stream {stream:?}"));
        }
        match seq.replace(fields.seq) {
            Some(before)
                if before + 1 != fields.seq
                    && !lost(before, fields.seq).map_err(|e| e.to_string())? =>
            {
                Err(format!(
                    "line {line} has the number {}, after {before}",
                    fields.seq
                ))
            }
            _ => Ok(()),
        }
    };
    let index = read_sealed(fs, layout, stem, &mut |text| {
        if wrong.is_none() {
            wrong = judge(text).err();
        }
    })?;
    wrong.map_or(Ok(index), |what| {
        Err(Error::damaged(layout.sealed(stem), what))
    })
}
