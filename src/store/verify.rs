//! Checks a sealed file against everything that is known of it.

use std::io;

use super::{
    blob::{self, Blob, FileBlob},
    fs::Fs,
    gzip::Walk,
    index::{Block, Index},
    layout::Layout,
    names::FileStem,
    summary::{IndexBuilder, lines},
};
use crate::{
    error::{Error, Result},
    record::scan::scan,
};

/// Whether the numbers between these two are known to be lost.
pub(crate) type IsLost<'a> = dyn FnMut(u64, u64) -> Result<bool> + 'a;

/// Reads a sealed file whole: is it gzip to its last byte, is each line a record of its stream with
/// the number after the one before, does the index (if there is one: it can be made again) say of
/// it what is so, and is its SHA-256 still that of its sealing? Gives the index as it must be. The
/// error names the file, what is wrong, and where.
///
/// Numbers may be missing only where `lost`, given the number before and the one after, says that
/// the log tells of it.
pub(crate) fn verify_sealed(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    lost: &mut IsLost<'_>,
) -> Result<Index> {
    let sealed = FileBlob::open(fs, layout.sealed(stem))?;
    // A damaged index is less than a damaged file, so it is reported after.
    let index = match Index::read(fs, &layout.index(stem)) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        index => index.map(Some),
    };
    let rows = index
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .map(|index| &index.blocks);

    let (mut walk, mut builder, mut order) = (
        Walk::new(&sealed)?,
        IndexBuilder::new(stem.clone()),
        Order::default(),
    );
    let mut plain = Vec::new();
    while let Some(packed_len) = walk.next(&mut plain)? {
        order.check(&sealed, stem, &plain, lost)?;
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
    let file = FileBlob::open(fs, layout.index(stem))?;
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
            "it doesn't say of its file what is so, from byte {at} on; remove it, it is made again"
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

/// Where the lines of a file have come to.
#[derive(Default)]
struct Order {
    line: u64,
    seq: Option<u64>,
}

impl Order {
    fn check(
        &mut self,
        sealed: &FileBlob,
        stem: &FileStem,
        plain: &[u8],
        lost: &mut IsLost<'_>,
    ) -> Result<()> {
        for line in lines(plain) {
            self.line += 1;
            let wrong = |what: String| {
                Err(Error::damaged(
                    sealed.path(),
                    format!("line {} {what}", self.line),
                ))
            };
            let Some(fields) = scan(line) else {
                return wrong("is not a record".into());
            };
            if fields.stream != stem.stream.as_str().as_bytes() {
                return wrong(format!(
                    "is of the stream {:?}",
                    String::from_utf8_lossy(fields.stream)
                ));
            }
            if let Some(before) = self
                .seq
                .filter(|before| before.checked_add(1) != Some(fields.seq))
                && !lost(before, fields.seq)?
            {
                return wrong(format!("has the number {}, after {before}", fields.seq));
            }
            self.seq = Some(fields.seq);
        }
        Ok(())
    }
}
