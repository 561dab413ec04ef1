//! The part of the log that a follower has not read yet, by its places: by the names and lengths of
//! files, and the first lines to be read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::place::Places;
use crate::{
    entry::{Timestamp, scan::scan},
    error::{Error, Result, if_there},
    store::{files::Files, gzip::Unpacker, index::Block, names::FileStem},
};

/// Of so many streams, those whose unread file was born first, the time of the first line to be
/// read is looked up; of others that file's birth is taken for it.
const LOOKED_INTO: usize = 32;
/// More than most lines.
const LINE: u64 = 256 * 1024;

/// The entries that are not read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// The time of the oldest entry in it.
    pub(crate) oldest: Option<Timestamp>,
    /// About how many bytes it has on disk, where files that are sealed are compressed.
    pub(crate) bytes: u64,
}

/// How far a follower has read, and the time from which entries behind its places are looked for.
#[derive(Debug)]
struct Reader<'a> {
    /// Of each stream the number of the file that is being read, and where its next line begins, if
    /// it was not read to its end.
    streams: BTreeMap<&'a str, (u32, Option<u64>)>,
    since: Timestamp,
}

impl<'a> Reader<'a> {
    /// Entries older than the time at which the places were noted are looked for only where a file
    /// was not read to its end.
    fn new(places: &'a Places, noted: Timestamp) -> Result<Self> {
        let mut streams = BTreeMap::new();
        let mut since = noted;
        for (stream, place) in &places.0 {
            let file = place.file.parse::<FileStem>()?;
            if place.offset.is_some() {
                since = since.min(file.born);
            }
            streams.insert(stream.as_str(), (file.number, place.offset));
        }
        Ok(Self { streams, since })
    }

    /// Where the first line to be read begins in a file's text; `None` if the file was read.
    fn next_line(&self, stem: &FileStem) -> Option<u64> {
        let Some((number, offset)) = self.streams.get(stem.stream.as_str()) else {
            return Some(0);
        };
        match stem.number.cmp(number) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => *offset,
            std::cmp::Ordering::Greater => Some(0),
        }
    }
}

/// The entries behind the places of each, which were noted at these times. The files are listed and
/// looked into once for all.
pub(super) fn behind(files: &Files, of: &[(Places, Timestamp)]) -> Result<Vec<Result<Backlog>>> {
    let readers: Vec<Result<Reader<'_>>> = of
        .iter()
        .map(|(places, noted)| Reader::new(places, *noted))
        .collect();
    let Some(since) = readers.iter().flatten().map(|reader| reader.since).min() else {
        return Ok(readers
            .into_iter()
            .map(|reader| reader.map(|_| Backlog::default()))
            .collect());
    };
    let listing = files.since(Some(since))?;
    let mut looked = Looked {
        files,
        sealed: listing.sealed.into_iter().collect(),
        live: listing.live.into_iter().collect(),
        lens: HashMap::new(),
        times: HashMap::new(),
    };
    Ok(readers
        .into_iter()
        .map(|reader| looked.behind(&reader?))
        .collect())
}

/// The files there are, and what was found out about them.
struct Looked<'a> {
    files: &'a Files,
    /// In the order of their births.
    sealed: Vec<FileStem>,
    live: Vec<(FileStem, u64)>,
    lens: HashMap<FileStem, u64>,
    times: HashMap<(FileStem, u64), Option<Timestamp>>,
}

impl Looked<'_> {
    fn behind(&mut self, reader: &Reader<'_>) -> Result<Backlog> {
        // The same as if the files were listed for this one alone.
        let first = reader.since.day().previous();
        let from = self.sealed.partition_point(|stem| stem.day() < first);
        let mut bytes = 0;
        let mut unread = BTreeSet::new();
        for at in from..self.sealed.len() {
            let Some(stem) = self.sealed.get(at) else {
                break;
            };
            let Some(offset) = reader.next_line(stem) else {
                continue;
            };
            if offset > 0 && block_from(self.files, stem, offset)?.is_none() {
                continue;
            }
            unread.insert((stem.clone(), offset));
            bytes += self.sealed_len(at)?;
        }
        for (stem, len) in &self.live {
            let Some(offset) = reader.next_line(stem).filter(|offset| offset < len) else {
                continue;
            };
            bytes += len - offset;
            unread.insert((stem.clone(), offset));
        }
        let (mut oldest, mut streams): (Option<Timestamp>, _) = (None, HashSet::new());
        for (stem, offset) in unread {
            // A stream's later files have later lines.
            if !streams.insert(stem.stream.clone()) {
                continue;
            }
            let time = if streams.len() <= LOOKED_INTO {
                self.first_time(stem, offset)?
            } else {
                Some(stem.born)
            };
            oldest = [oldest, time].into_iter().flatten().min();
        }
        Ok(Backlog { oldest, bytes })
    }

    fn sealed_len(&mut self, at: usize) -> Result<u64> {
        let Some(stem) = self.sealed.get(at) else {
            return Ok(0);
        };
        if let Some(len) = self.lens.get(stem) {
            return Ok(*len);
        }
        let len = match self.files.span(stem) {
            Some(span) => span.bytes,
            // Files that were pruned meanwhile don't count.
            None => if_there(self.files.open_sealed(stem))?.map_or(0, |blob| blob.len()),
        };
        self.lens.insert(stem.clone(), len);
        Ok(len)
    }

    fn first_time(&mut self, stem: FileStem, offset: u64) -> Result<Option<Timestamp>> {
        let at = (stem, offset);
        if let Some(time) = self.times.get(&at) {
            return Ok(*time);
        }
        let time = match first_time(self.files, &at.0, offset) {
            // A damaged file counts as about as old as its name says, and doesn't keep the others
            // from being counted.
            Err(Error::Damaged { .. }) => Some(at.0.born),
            time => time?,
        };
        self.times.insert(at, time);
        Ok(time)
    }
}

/// The block of a sealed file that has what is to be read from there on; `None` if there is nothing
/// more.
fn block_from(files: &Files, stem: &FileStem, offset: u64) -> Result<Option<Block>> {
    let sealed = files.readable(stem)?;
    let blocks = sealed.iter().flat_map(|sealed| &sealed.index.blocks);
    Ok(blocks
        .copied()
        .find(|block| block.plain_offset + u64::from(block.plain_len) > offset))
}

/// The time of the line that begins there; `None` if there is none.
fn first_time(files: &Files, stem: &FileStem, offset: u64) -> Result<Option<Timestamp>> {
    let mut plain = Vec::new();
    let mut skip = 0;
    if let Some(live) = files.open_live(stem)? {
        live.read(
            offset,
            LINE.min(live.len.saturating_sub(offset)) as usize,
            &mut plain,
        )?;
    } else {
        let Some(block) = block_from(files, stem, offset)? else {
            return Ok(None);
        };
        Unpacker::new().block(&*files.open_sealed(stem)?, &block, &mut plain)?;
        skip = offset.saturating_sub(block.plain_offset) as usize;
    }
    let rest = plain.get(skip..).unwrap_or_default();
    let line = memchr::memchr(b'\n', rest).and_then(|end| rest.get(..end));
    Ok(line.and_then(scan).map(|fields| fields.timestamp))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::query::{
        Filter,
        tests::{Log, Record, START, stem},
    };

    fn lines(stream: usize, seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
        seqs.map(|seq| Record::new(stream, seq, seq as i64 * 1_000_000).line())
            .collect()
    }

    fn at(micros: i64) -> Option<Timestamp> {
        Some(Timestamp::from_micros(START + micros))
    }

    fn one(log: &Log, places: &Places, noted: Timestamp) -> Backlog {
        log.reader()
            .backlogs(&[(places.clone(), noted)])
            .unwrap()
            .remove(0)
            .unwrap()
    }

    #[test]
    fn it_is_what_a_tail_would_still_give() {
        let log = Log::new();
        let day = |day: u32| FileStem {
            born: Timestamp::from_micros(START + i64::from(day) * 86_400_000_000),
            ..stem(0, day)
        };
        for n in 1..=9 {
            log.sealed(
                &day(n),
                &lines(0, u64::from(n) * 10 - 9..=u64::from(n) * 10),
            );
        }
        log.append(&day(10), &lines(0, 91..=100));
        let noted = day(10).born;
        let mut tail = log
            .reader()
            .resume(Filter::new(), &Places::default())
            .unwrap();
        let mut bytes = u64::MAX;
        for taken in 0..100 {
            let Backlog { oldest, bytes: now } = one(&log, &tail.places(), noted);
            assert_eq!(oldest, at((taken + 1) * 1_000_000), "after {taken}");
            assert!(now <= bytes && now > 0, "{now} of {bytes}");
            bytes = now;
            assert_eq!(tail.poll(1).unwrap().len(), 1);
        }
        assert_eq!(one(&log, &tail.places(), noted), Backlog::default());
        // A line that is not whole yet is nothing to be read, and another stream is.
        let path = log.layout.live(&day(10));
        std::io::Write::write_all(
            &mut fs::File::options().append(true).open(path).unwrap(),
            b"{\"stream\"",
        )
        .unwrap();
        assert_eq!(
            one(&log, &tail.places(), noted),
            Backlog {
                oldest: None,
                bytes: 9
            }
        );
        log.append(
            &FileStem {
                born: noted,
                ..stem(1, 1)
            },
            &lines(1, 7..=8),
        );
        assert_eq!(one(&log, &tail.places(), noted).oldest, at(7_000_000));
    }

    #[test]
    fn many_are_told_of_together_as_each_would_be_alone() {
        let log = Log::new();
        let day = |stream, day: u32| FileStem {
            born: Timestamp::from_micros(START + i64::from(day) * 86_400_000_000),
            ..stem(stream, day)
        };
        let mut of = Vec::new();
        let mut tail = log
            .reader()
            .resume(Filter::new(), &Places::default())
            .unwrap();
        for n in 1..=6 {
            for stream in 0..2 {
                log.sealed(
                    &day(stream, n),
                    &lines(stream, u64::from(n) * 10 - 9..=u64::from(n) * 10),
                );
            }
            while !tail.poll(3).unwrap().is_empty() && fastrand::bool() {}
            of.push((tail.places(), day(0, n).born));
        }
        let together = log.reader().backlogs(&of).unwrap();
        for ((places, noted), backlog) in of.iter().zip(together) {
            assert_eq!(backlog.unwrap(), one(&log, places, *noted), "{places:?}");
        }
        // An invalid file name fails only for the cursor that has it, and a directory that can't
        // be read proves nothing about its files.
        let mut damaged = of.remove(0);
        damaged.0.0.insert(
            "x".to_owned(),
            serde_json::from_str(r#"{"file":"x","seq":1}"#).unwrap(),
        );
        of.insert(1, damaged);
        let told: Vec<bool> = log
            .reader()
            .backlogs(&of)
            .unwrap()
            .iter()
            .map(Result::is_ok)
            .collect();
        assert_eq!(told, [true, false, true, true, true, true]);
        assert!(log.reader().backlogs(&[]).unwrap().is_empty());
        fs::remove_dir(log.layout.live_dir()).unwrap();
        fs::write(log.layout.live_dir(), "").unwrap();
        assert!(log.reader().backlogs(&of).is_err());
    }
}
