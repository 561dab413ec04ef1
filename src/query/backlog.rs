//! How much of the log is not read yet by who goes on from some places: by the names and lengths of files, and the first lines to be read.

use std::{collections::BTreeSet, fs};

use super::{files::Files, place::Places};
use crate::{
    error::Result,
    record::{Timestamp, scan::scan},
    store::{gzip::Unpacker, index::Block, layout::Layout, listing::Listing, names::FileStem},
};

/// Of so many files, those born first, the time of the first line to be read is looked up; of others their birth is taken for it.
const LOOKED_INTO: usize = 32;
/// More than most lines.
const LINE: u64 = 256 * 1024;

/// What is not read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// The time of the oldest entry in it.
    pub(crate) oldest: Option<Timestamp>,
    /// About how many bytes it has on disk, where files that are sealed are compressed.
    pub(crate) bytes: u64,
}

/// What came behind these places, which were noted at this time: what is older is only looked for where a file was not read to its end.
pub(super) fn behind(files: &Files, places: &Places, noted: Timestamp) -> Result<Backlog> {
    let mut since = noted;
    for place in places.0.values().filter(|place| place.offset.is_some()) {
        since = since.min(place.file.parse::<FileStem>()?.born);
    }
    let Listing { sealed, live } = files.list(Some(since))?;
    let layout = Layout::new(files.root());
    let (mut bytes, mut unread) = (0, BTreeSet::new());
    for stem in sealed {
        let Some(offset) = next_line(places, &stem)? else { continue };
        if offset > 0 && block_from(files, &stem, offset)?.is_none() {
            continue;
        }
        // It may be pruned by now.
        bytes += fs::metadata(layout.sealed(&stem)).map_or(0, |found| found.len());
        unread.insert((stem, offset));
    }
    for (stem, len) in live {
        let Some(offset) = next_line(places, &stem)?.filter(|offset| *offset < len) else { continue };
        bytes += len - offset;
        unread.insert((stem, offset));
    }
    let mut oldest: Option<Timestamp> = None;
    for (at, (stem, offset)) in unread.into_iter().enumerate() {
        // What can't be read of one is no reason not to tell of the others.
        let time = if at < LOOKED_INTO { first_time(files, &stem, offset).unwrap_or(None) } else { Some(stem.born) };
        oldest = [oldest, time].into_iter().flatten().min();
    }
    Ok(Backlog { oldest, bytes })
}

/// Where the first line to be read begins in a file's text; `None` if the file was read.
fn next_line(places: &Places, stem: &FileStem) -> Result<Option<u64>> {
    let Some(place) = places.0.get(stem.stream.as_str()) else { return Ok(Some(0)) };
    let number = place.file.parse::<FileStem>()?.number;
    Ok(match stem.number.cmp(&number) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => place.offset,
        std::cmp::Ordering::Greater => Some(0),
    })
}

/// The block of a sealed file that has what is to be read from there on; `None` if there is nothing more.
fn block_from(files: &Files, stem: &FileStem, offset: u64) -> Result<Option<Block>> {
    let sealed = files.index(stem)?;
    let blocks = sealed.iter().flat_map(|sealed| &sealed.index.blocks);
    Ok(blocks.copied().find(|block| block.plain_offset + u64::from(block.plain_len) > offset))
}

/// The time of the line that begins there; `None` if there is none.
fn first_time(files: &Files, stem: &FileStem, offset: u64) -> Result<Option<Timestamp>> {
    let (mut plain, mut skip) = (Vec::new(), 0);
    if let Some(live) = files.open_live(stem)? {
        live.read(offset, LINE.min(live.len.saturating_sub(offset)) as usize, &mut plain)?;
    } else {
        let Some(block) = block_from(files, stem, offset)? else { return Ok(None) };
        Unpacker::new().block(&*files.sealed().open(stem)?, &block, &mut plain)?;
        skip = offset.saturating_sub(block.plain_offset) as usize;
    }
    let rest = plain.get(skip..).unwrap_or_default();
    let line = memchr::memchr(b'\n', rest).and_then(|end| rest.get(..end));
    Ok(line.and_then(scan).map(|fields| fields.timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{
        Filter,
        tests::{Log, Record, START, stem},
    };

    fn lines(stream: usize, seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
        seqs.map(|seq| Record::new(stream, seq, seq as i64 * 1_000_000).line()).collect()
    }

    fn at(micros: i64) -> Option<Timestamp> {
        Some(Timestamp::from_micros(START + micros))
    }

    #[test]
    fn it_is_what_a_tail_would_still_give() {
        let log = Log::new();
        let day = |day: u32| FileStem { born: Timestamp::from_micros(START + i64::from(day) * 86_400_000_000), ..stem(0, day) };
        for n in 1..=9 {
            log.sealed(&day(n), &lines(0, u64::from(n) * 10 - 9..=u64::from(n) * 10));
        }
        log.append(&day(10), &lines(0, 91..=100));
        let noted = day(10).born;
        let mut tail = log.reader().resume(Filter::new(), &Places::default()).unwrap();
        let mut bytes = u64::MAX;
        for taken in 0..100 {
            let Backlog { oldest, bytes: now } = log.reader().backlog(&tail.places(), noted).unwrap();
            assert_eq!(oldest, at((taken + 1) * 1_000_000), "after {taken}");
            assert!(now <= bytes && now > 0, "{now} of {bytes}");
            bytes = now;
            assert_eq!(tail.poll(1).unwrap().len(), 1);
        }
        assert_eq!(log.reader().backlog(&tail.places(), noted).unwrap(), Backlog::default());
        // A line that is not whole yet is nothing to be read, and another stream is.
        let path = log.layout.live(&day(10));
        std::io::Write::write_all(&mut fs::File::options().append(true).open(path).unwrap(), b"{\"stream\"").unwrap();
        assert_eq!(log.reader().backlog(&tail.places(), noted).unwrap(), Backlog { oldest: None, bytes: 9 });
        log.append(&FileStem { born: noted, ..stem(1, 1) }, &lines(1, 7..=8));
        assert_eq!(log.reader().backlog(&tail.places(), noted).unwrap().oldest, at(7_000_000));
    }
}
