//! What a dead process left, made whole.
//!
//! In: a stream that nobody writes, which is known by its lock being free. Out: its live files end
//! in complete lines, the records that were only in its journal are appended, its journal is gone.
//!
//! # The order, and why it can be cut short anywhere
//!
//! 1. Take the stream's lock. Whoever holds it is the only one to touch the stream's files.
//! 2. Cut a torn line off the end of each live file. The torn record is still in the journal.
//! 3. Find the journal's records that no live file has, by their ids, and append them with the
//!    numbers that follow, in one write. Cut short here, the next attempt finds a torn line, or
//!    fewer records missing.
//! 4. Sync the file, then its directory. Then remove the journal: from here on the file alone has
//!    the records.
//! 5. Remove the live files in which nothing is whole.
//! 6. The other files are sealed as after any rotation.
//!
//! # No number is given again
//!
//! Who follows the log goes from file to file by their numbers and never back. So what is appended
//! goes behind all that was ever there: into the last file that the stream began, or, if that is
//! sealed, empty or gone, into a new one with the number that follows. The journal says which one
//! was the last; what was begun by an attempt that was cut short is still there, because empty
//! files are removed only when nothing is left to be appended.

use std::collections::HashSet;

use super::{
    clock::Clock,
    fs::{self, Fs, FsFile},
    layout::{self, Layout},
    lock::Lock,
    names::FileStem,
    seal,
};
use crate::{
    error::{Error, Result},
    journal::Leftover,
    record::{
        OwnRecord, Seq, Severity, Source, StreamId, Timestamp,
        scan::{self, scan},
    },
};

/// A stream made whole.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Held until the files are sealed.
    pub(crate) lock: Lock,
    /// The live files, to be sealed.
    pub(crate) files: Vec<FileStem>,
    /// How many records came from the journal.
    pub(crate) records: u64,
    /// What could not be recovered, and where it still is.
    pub(crate) problems: Vec<String>,
}

/// The streams that have a live file, a ring or a lock, whether anyone writes them or not.
pub(crate) fn left_streams(fs: &dyn Fs, layout: &Layout) -> Result<Vec<StreamId>> {
    let mut streams = Vec::new();
    for (dir, ending) in [
        (layout.live_dir(), layout::LIVE),
        (layout.journal_dir(), layout::RING),
        (layout.locks_dir(), layout::LOCK),
    ] {
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            let stream = match ending {
                layout::LIVE => FileStem::parse(&entry.name, ending).map(|stem| stem.stream),
                _ => entry
                    .name
                    .strip_suffix(ending)
                    .and_then(|name| name.parse().ok()),
            };
            streams.extend(stream);
        }
    }
    streams.sort();
    streams.dedup();
    Ok(streams)
}

/// The files of `stream` in `live/`, in order.
pub(crate) fn live_files(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<Vec<FileStem>> {
    let dir = layout.live_dir();
    let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
    let mut stems: Vec<_> = entries
        .iter()
        .filter_map(|entry| FileStem::parse(&entry.name, layout::LIVE))
        .filter(|stem| stem.stream == *stream)
        .collect();
    stems.sort_by_key(|stem| stem.number);
    Ok(stems)
}

/// The number of the stream's last sealed file; 0 if it has none.
pub(crate) fn last_number(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<u32> {
    let root = layout.sealed_dir();
    let mut last = 0;
    for day in fs.list(&root).map_err(Error::io("list", &root))? {
        let dir = root.join(&day.name);
        if day.is_dir && layout::parse_day_dir(&day.name).is_some() {
            let entries = fs.list(&dir).map_err(Error::io("list", &dir))?;
            let stems = entries
                .iter()
                .filter_map(|entry| FileStem::parse(&entry.name, layout::SEALED));
            last = stems
                .filter(|stem| stem.stream == *stream)
                .map(|stem| stem.number)
                .fold(last, u32::max);
        }
    }
    Ok(last)
}

/// Makes the stream whole; `None` if its process lives.
pub(crate) fn recover(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    stream: &StreamId,
) -> Result<Option<Recovered>> {
    let Some(lock) = Lock::try_take(&layout.lock(stream.as_str()))? else {
        return Ok(None);
    };
    let mut problems = Vec::new();
    let ring = layout.ring(stream);
    let read = || match Leftover::read(&ring)? {
        Some(leftover) if leftover.stream() != stream => Err(Error::damaged(
            &ring,
            format!("it belongs to {}", leftover.stream()),
        )),
        leftover => Ok(leftover),
    };
    let leftover = match ring.exists().then(read).transpose() {
        Ok(leftover) => leftover.flatten(),
        Err(error) => {
            problems.push(set_aside(&ring, &error)?);
            None
        }
    };
    remove_half_made(fs, layout, stream)?;

    let (mut files, mut hollow) = (Vec::new(), Vec::new());
    let mut known = Known::default();
    for stem in live_files(fs, layout, stream)? {
        if seal::verified(fs, layout, &stem)? {
            // Sealed before the process died. Its grace is over when its lines are not in the
            // journal any more, which they aren't: a file is durable and released before the next
            // begins.
            files.push(stem);
            continue;
        }
        if repair(
            fs,
            layout,
            &stem,
            &mut known,
            leftover.as_ref().map_or(u64::MAX, Leftover::next_seq),
        )? {
            files.push(stem);
        } else {
            hollow.push(stem);
        }
    }

    let mut records = 0;
    if let Some(leftover) = &leftover {
        let met = hollow
            .iter()
            .chain(&files)
            .map(|stem| stem.number)
            .max()
            .unwrap_or(0);
        // A name has eight digits: what the journal notes beyond them is damage.
        let noted = Some(leftover.files())
            .filter(|noted| *noted < 99_999_999)
            .unwrap_or(0);
        let last = met.max(noted).max(last_number(fs, layout, stream)?);
        records = append_missing(fs, layout, clock, leftover, &known, &mut files, last)?;
    }
    if ring.exists() {
        std::fs::remove_file(&ring).map_err(Error::io("remove", &ring))?;
    }
    for stem in hollow {
        let path = layout.live(&stem);
        fs.remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(Some(Recovered {
        lock,
        files,
        records,
        problems,
    }))
}

/// What the live files have.
#[derive(Default)]
struct Known {
    ids: HashSet<[u8; 36]>,
    last_seq: u64,
    /// The `total` of the last record about dropped events.
    dropped: u64,
}

/// Cuts what is no complete line off the end of a file, and notes what the rest has from number
/// `from` on. False if nothing would be left: then the file is not touched.
fn repair(
    fs: &dyn Fs,
    layout: &Layout,
    stem: &FileStem,
    known: &mut Known,
    from: u64,
) -> Result<bool> {
    let path = layout.live(stem);
    let file = fs.open_write(&path).map_err(Error::io("open", &path))?;
    let len = file.identity().map_err(Error::io("look at", &path))?.len;
    let text = read_all(&*file, len).map_err(Error::io("read", &path))?;
    let mut whole = text.len();
    // After a power loss the end may be zeros or worse, also with line ends in it: back to the last
    // line that is a record.
    loop {
        let lines = text.get(..whole).unwrap_or_default();
        let Some(end) = memchr::memrchr(b'\n', lines) else {
            whole = 0;
            break;
        };
        let start = memchr::memrchr(b'\n', &lines[..end]).map_or(0, |at| at + 1);
        whole = end + 1;
        if scan(&lines[start..end]).is_some() {
            break;
        }
        whole = start;
    }
    if whole == 0 {
        return Ok(false);
    }
    if whole < text.len() {
        file.truncate(whole as u64)
            .map_err(Error::io("repair", &path))?;
        file.sync().map_err(Error::io("sync", &path))?;
    }
    for line in text[..whole].split(|byte| *byte == b'\n') {
        let Some(fields) = scan(line) else { continue };
        known.last_seq = known.last_seq.max(fields.seq);
        if fields.seq >= from {
            known.ids.extend(<[u8; 36]>::try_from(fields.id));
        }
        if fields.event_type == b"audit.log.dropped" {
            let total = scan::details_path(fields.details, "total")
                .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            known.dropped = total.unwrap_or(known.dropped);
        }
    }
    Ok(true)
}

fn read_all(file: &dyn FsFile, len: u64) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; usize::try_from(len).map_err(|_| std::io::ErrorKind::FileTooLarge)?];
    let read = fs::read_full_at(file, &mut text, 0)?;
    text.truncate(read);
    Ok(text)
}

/// Appends the journal's records that no file has; says how many. `last` is the number of the file
/// that the stream began last.
fn append_missing(
    fs: &dyn Fs,
    layout: &Layout,
    clock: &dyn Clock,
    leftover: &Leftover,
    known: &Known,
    files: &mut Vec<FileStem>,
    last: u32,
) -> Result<u64> {
    let stream = leftover.stream();
    let missing: Vec<&[u8]> = leftover
        .frames()
        .filter(|record| !id_of(record).is_some_and(|id| known.ids.contains(&id)))
        .collect();
    let mut own = Vec::new();
    let lost = if known.last_seq > 0 {
        leftover.next_seq().saturating_sub(known.last_seq + 1)
    } else {
        0
    };
    if lost > 0 {
        let record = OwnRecord::new(
            "audit.log.lost",
            Severity::Critical,
            "Records that were durable are missing from the live file",
        )
        .detail("count", lost)
        .detail("after_seq", known.last_seq);
        own.push(record);
    }
    let dropped = leftover.dropped();
    if dropped.total > known.dropped && dropped.unreported > 0 {
        let mut record = OwnRecord::new(
            "audit.log.dropped",
            Severity::Critical,
            "Events were dropped because the journal was full",
        )
        .detail("count", dropped.unreported)
        .detail("total", dropped.total);
        if let Some(since) = dropped.since_micros {
            record = record.detail("since", Timestamp::from_micros(since).to_string());
        }
        own.push(record);
    }
    if missing.is_empty() && own.is_empty() {
        return Ok(0);
    }
    let recovered = OwnRecord::new(
        "audit.log.recovered",
        Severity::Warning,
        "The process ended without closing its log; its journal was recovered",
    )
    .detail("records", missing.len())
    .detail("interrupted", leftover.holes());
    own.push(recovered);

    let source: Source = stream.source().parse()?;
    // After a loss the numbers of the lost records stay free; otherwise they go on without a gap.
    let mut seq = Seq((known.last_seq + 1).max(leftover.next_seq()));
    let mut lines = Vec::new();
    let rendered: Vec<Vec<u8>> = own.iter().map(|record| record.render(&source)).collect();
    for record in missing
        .iter()
        .copied()
        .chain(rendered.iter().map(Vec::as_slice))
    {
        lines.extend_from_slice(format!("{{\"stream\":\"{stream}\",\"seq\":{seq},").as_bytes());
        lines.extend_from_slice(record);
        lines.push(b'\n');
        seq = seq.next();
    }

    let open = match files.last() {
        Some(stem) if stem.number == last && !seal::verified(fs, layout, stem)? => {
            Some(stem.clone())
        }
        _ => None,
    };
    let (stem, file) = match open {
        Some(stem) => {
            let path = layout.live(&stem);
            (
                stem,
                fs.open_write(&path).map_err(Error::io("open", &path))?,
            )
        }
        None => {
            let stem = FileStem {
                born: clock.now(),
                stream: stream.clone(),
                number: last + 1,
            };
            let path = layout.live(&stem);
            let file = fs.create_new(&path).map_err(Error::io("create", &path))?;
            files.push(stem.clone());
            (stem, file)
        }
    };
    let path = layout.live(&stem);
    fs::append_all(&*file, &lines).map_err(Error::io("write", &path))?;
    file.sync().map_err(Error::io("sync", &path))?;
    fs.sync_dir(&layout.live_dir())
        .map_err(Error::io("sync", layout.live_dir()))?;
    Ok(missing.len() as u64)
}

/// The id of a record as it is in the journal, which begins with it.
fn id_of(record: &[u8]) -> Option<[u8; 36]> {
    record.strip_prefix(b"\"id\":\"")?.first_chunk().copied()
}

/// A damaged ring is kept under another name: nobody else could read it either, but a person may
/// want to.
fn set_aside(ring: &std::path::Path, error: &Error) -> Result<String> {
    let aside = ring.with_extension("ring.damaged");
    std::fs::rename(ring, &aside).map_err(Error::io("rename", ring))?;
    Ok(format!("{error}; it is kept as {}", aside.display()))
}

/// Removes the temporary files of a stream whose lock is held.
fn remove_half_made(fs: &dyn Fs, layout: &Layout, stream: &StreamId) -> Result<()> {
    let dir = layout.tmp_dir();
    for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
        let stem = entry
            .name
            .split_once(".jsonl")
            .or_else(|| entry.name.split_once(layout::INDEX))
            .and_then(|(stem, _)| stem.parse::<FileStem>().ok());
        let ours = stem.is_some_and(|stem| stem.stream == *stream)
            || entry.name.strip_suffix(".reserve") == Some(stream.as_str());
        if ours {
            let path = dir.join(&entry.name);
            fs.remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}
