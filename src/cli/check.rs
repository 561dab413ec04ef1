//! Is the log whole? Every file by itself, every stream across its files, and nothing that doesn't
//! belong there.
//!
//! Reads everything and changes nothing, beside applications that write. A *problem* is something
//! that should not be; a *note* is something to know, as that retention removed the beginning of a
//! stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    error::{Error, Result},
    query::{AuditReader, Filter, Order},
    record::{StreamId, scan::scan},
    store::{
        check_format,
        fs::{Fs as _, OsFs},
        index::Index,
        layout::{LIVE, Layout, SEALED},
        maintain,
        names::FileStem,
        sealed::{LocalSealed, SealedFiles as _},
        verify::verify_sealed,
    },
};

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether there are no problems.
    pub(super) ok: bool,
    pub(super) streams: u64,
    pub(super) sealed_files: u64,
    pub(super) live_files: u64,
    pub(super) entries: u64,
    pub(super) findings: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Problem,
    Note,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// `damaged`, `foreign`, `missing`, `out_of_order`, `unreadable`, `left_over`, `pruned`, `lost`
    pub(super) kind: &'static str,
    /// A file below the log's directory, or a stream.
    pub(super) place: String,
    pub(super) what: String,
}

/// One file of a stream. `None` where it can't be known which numbers it holds.
struct Part {
    name: String,
    numbers: Option<(u64, u64)>,
}

struct Check<'a> {
    fs: Arc<OsFs>,
    layout: Layout,
    dir: &'a Path,
    report: Report,
    streams: BTreeMap<StreamId, BTreeMap<u32, Part>>,
    /// What retention noted that it removed; asked for once.
    pruned: Option<BTreeSet<FileStem>>,
    lost: LostNumbers,
}

/// Numbers that were given away and whose entries are lost, as records in the log tell.
struct LostNumbers {
    dir: PathBuf,
    /// The number before them, and how many they are; asked for once.
    known: Option<BTreeSet<(StreamId, u64, u64)>>,
}

/// Checks the whole log. `progress` is told how many files of how many are done.
pub(super) fn check(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    let layout = Layout::new(dir);
    check_format(&layout)?;
    let report = Report {
        ok: true,
        streams: 0,
        sealed_files: 0,
        live_files: 0,
        entries: 0,
        findings: Vec::new(),
    };
    let lost = LostNumbers {
        dir: dir.to_owned(),
        known: None,
    };
    let mut check = Check {
        fs: Arc::new(OsFs),
        layout,
        dir,
        report,
        streams: BTreeMap::new(),
        pruned: None,
        lost,
    };

    // Live files first: what is sealed meanwhile is then met twice, and never not at all.
    let live = check.live()?;
    let sealed_files = LocalSealed::new(check.fs.clone(), check.layout.clone());
    let mut sealed = BTreeSet::new();
    for day in sealed_files.days()? {
        sealed.extend(sealed_files.list(day)?);
    }
    for path in sealed_files.foreign()? {
        let name = check.name(&path);
        check.problem(
            "foreign",
            name,
            "it is no file of this log; move it elsewhere",
        );
    }
    let live: Vec<_> = live
        .into_iter()
        .filter(|stem| !sealed.contains(stem))
        .collect();
    let total = (sealed.len() + live.len()) as u64;
    let mut done = 0;
    for stem in &sealed {
        check.sealed(stem)?;
        done += 1;
        progress(done, total);
    }
    for stem in &live {
        check.live_file(stem)?;
        done += 1;
        progress(done, total);
    }
    check.order()?;
    check.left_over()?;
    check.report.ok = check
        .report
        .findings
        .iter()
        .all(|finding| finding.level != Level::Problem);
    Ok(check.report)
}

impl Check<'_> {
    fn live(&mut self) -> Result<Vec<FileStem>> {
        let dir = self.layout.live_dir();
        let mut stems = Vec::new();
        for entry in self.fs.list(&dir).map_err(Error::io("list", &dir))? {
            match FileStem::parse(&entry.name, LIVE) {
                Some(stem) => stems.push(stem),
                None => self.problem(
                    "foreign",
                    format!("live/{}", entry.name),
                    "it is no file of this log; move it elsewhere",
                ),
            }
        }
        Ok(stems)
    }

    fn sealed(&mut self, stem: &FileStem) -> Result<()> {
        let path = self.layout.sealed(stem);
        let name = self.name(&path);
        let mut lost = Vec::new();
        let verified = verify_sealed(&*self.fs, &self.layout, stem, &mut |before, after| {
            let told = self.lost.has(&stem.stream, before, after)?;
            lost.extend(told.then_some((before, after)));
            Ok(told)
        });
        for (before, after) in lost {
            self.note_lost(&stem.stream, before, after);
        }
        let index = match verified {
            Ok(index) => Some(index),
            Err(error) => {
                if is_gone(&error) && self.pruned()?.contains(stem) {
                    return Ok(());
                }
                let (place, what) = match &error {
                    Error::Damaged { path, what } => (self.name(path), what.clone()),
                    Error::Io {
                        operation,
                        path,
                        source,
                    } => (self.name(path), format!("cannot {operation} it: {source}")),
                    other => (name.clone(), other.to_string()),
                };
                self.problem("damaged", place, what);
                Index::read(&*self.fs, &self.layout.index(stem)).ok()
            }
        };
        self.report.sealed_files += 1;
        self.report.entries += index.as_ref().map_or(0, |index| index.lines);
        let numbers = index.map(|index| (index.first_seq.0, index.last_seq.0));
        self.streams
            .entry(stem.stream.clone())
            .or_default()
            .insert(stem.number, Part { name, numbers });
        Ok(())
    }

    fn live_file(&mut self, stem: &FileStem) -> Result<()> {
        let path = self.layout.live(stem);
        let name = self.name(&path);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Sealed a moment ago, its live twin removed.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.layout.sealed(stem).exists() => {
                return self.sealed(stem);
            }
            // It was empty: such are removed when they end.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => {
                self.problem("unreadable", name, format!("cannot open it: {e}"));
                return Ok(());
            }
        };
        let len = file.metadata().map_err(Error::io("look at", &path))?.len();
        let mut lines = BufReader::with_capacity(256 * 1024, file.take(len));
        let (mut line, mut number, mut seqs) = (Vec::new(), 0_u64, None);
        loop {
            line.clear();
            lines
                .read_until(b'\n', &mut line)
                .map_err(Error::io("read", &path))?;
            // A last line without its end is in the making, or is torn and will be mended.
            if line.pop() != Some(b'\n') {
                break;
            }
            number += 1;
            let Some(fields) = scan(&line) else {
                self.problem(
                    "damaged",
                    name.clone(),
                    format!("line {number} is not an entry"),
                );
                continue;
            };
            self.report.entries += 1;
            if fields.stream != stem.stream.as_str().as_bytes() {
                let what = format!(
                    "line {number} is of the stream {:?}",
                    String::from_utf8_lossy(fields.stream)
                );
                self.problem("damaged", name.clone(), what);
            }
            let (first, last) = seqs.unwrap_or((fields.seq, fields.seq.wrapping_sub(1)));
            let follows = last.wrapping_add(1) == fields.seq;
            if !follows && self.lost.has(&stem.stream, last, fields.seq)? {
                self.note_lost(&stem.stream, last, fields.seq);
            } else if !follows {
                self.problem(
                    "out_of_order",
                    name.clone(),
                    format!("line {number} has the number {}, after {last}", fields.seq),
                );
            }
            seqs = Some((first, fields.seq));
        }
        self.report.live_files += 1;
        if seqs.is_some() {
            self.streams.entry(stem.stream.clone()).or_default().insert(
                stem.number,
                Part {
                    name,
                    numbers: seqs,
                },
            );
        }
        Ok(())
    }

    /// Do the numbers of each stream go on from file to file?
    fn order(&mut self) -> Result<()> {
        let streams = std::mem::take(&mut self.streams);
        self.report.streams = streams.len() as u64;
        for (stream, parts) in &streams {
            let mut before: Option<(u32, &Part)> = None;
            for (number, part) in parts {
                match (before, part.numbers) {
                    (None, Some((first, _))) if *number > 1 || first > 1 => {
                        self.beginning(stream, *number, first)?
                    }
                    (
                        Some((
                            before,
                            Part {
                                name,
                                numbers: Some((_, last)),
                            },
                        )),
                        Some((first, _)),
                    ) if last + 1 != first => {
                        self.gap(stream, (before, name, *last), (*number, &part.name, first))?;
                    }
                    // Not known from the numbers of the entries, but a file is missing.
                    (Some((before, _)), _)
                        if before + 1 != *number
                            && !self.all_pruned(stream, before + 1, *number)? =>
                    {
                        let files = range("file", u64::from(before) + 1, u64::from(*number) - 1);
                        self.problem(
                            "missing",
                            format!("stream {stream}"),
                            format!("its {files} missing"),
                        );
                    }
                    _ => {}
                }
                before = Some((*number, part));
            }
        }
        Ok(())
    }

    fn beginning(&mut self, stream: &StreamId, number: u32, first: u64) -> Result<()> {
        let place = format!("stream {stream}");
        let known = number > 1 && self.all_pruned(stream, 1, number)?;
        let some_known = known || self.pruned()?.iter().any(|stem| stem.stream == *stream);
        if known || (number == 1 && some_known) {
            self.note(
                "pruned",
                place,
                format!("it begins with number {first}: what was before is past its retention, and was recorded as removed"),
            );
        } else if number > 1 {
            let what = format!(
                "it begins with number {first} in its file {number}; no record (any more) says that retention removed what was before"
            );
            self.note("pruned", place, what);
        } else {
            self.problem("missing", place, format!("it begins with number {first}, and nothing says where the entries before it are"));
        }
        Ok(())
    }

    fn gap(
        &mut self,
        stream: &StreamId,
        before: (u32, &str, u64),
        after: (u32, &str, u64),
    ) -> Result<()> {
        let ((before, before_name, last), (number, name, first)) = (before, after);
        let place = format!("stream {stream}");
        if first <= last {
            self.problem(
                "out_of_order",
                place,
                format!("{name} begins with number {first}, but {before_name} ends with {last}"),
            );
        } else if before + 1 < number && self.all_pruned(stream, before + 1, number)? {
            self.note(
                "pruned",
                place,
                format!(
                    "{} past their retention, and recorded as removed",
                    range("entry", last + 1, first - 1)
                ),
            );
        } else if self.lost.has(stream, last, first)? {
            self.note_lost(stream, last, first);
        } else {
            let what = format!(
                "{} missing, between {before_name} and {name}",
                range("entry", last + 1, first - 1)
            );
            self.problem("missing", place, what);
        }
        Ok(())
    }

    fn left_over(&mut self) -> Result<()> {
        let dir = self.layout.journal_dir();
        for entry in self.fs.list(&dir).map_err(Error::io("list", &dir))? {
            if entry.name.ends_with(".damaged") {
                let what =
                    "a damaged journal; what could not be read of it may be missing in the log";
                self.problem("left_over", format!("state/journal/{}", entry.name), what);
            }
        }
        for stream in maintain::abandoned(&*self.fs, &self.layout)? {
            let what = "its process ended without closing its log; `tracing-audit recover`, or the next application that opens it, completes it";
            self.note("left_over", format!("stream {stream}"), what);
        }
        Ok(())
    }

    fn note_lost(&mut self, stream: &StreamId, before: u64, after: u64) {
        let what = format!(
            "{} lost, and recorded as such when its log was recovered",
            range("entry", before + 1, after - 1)
        );
        self.note("lost", format!("stream {stream}"), what);
    }

    /// Whether retention recorded that it removed these files of a stream: from this number to
    /// before that.
    fn all_pruned(&mut self, stream: &StreamId, from: u32, to: u32) -> Result<bool> {
        let pruned = self.pruned()?;
        let numbers: BTreeSet<u32> = pruned
            .iter()
            .filter(|stem| stem.stream == *stream)
            .map(|stem| stem.number)
            .collect();
        Ok((from..to).all(|number| numbers.contains(&number)))
    }

    fn pruned(&mut self) -> Result<&BTreeSet<FileStem>> {
        let stems = match self.pruned.take() {
            Some(stems) => stems,
            None => pruned_files(self.dir)?,
        };
        Ok(self.pruned.insert(stems))
    }

    /// A file's name below the log's directory.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.dir)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    fn problem(&mut self, kind: &'static str, place: String, what: impl Into<String>) {
        self.report.findings.push(Finding {
            level: Level::Problem,
            kind,
            place,
            what: what.into(),
        });
    }

    fn note(&mut self, kind: &'static str, place: String, what: impl Into<String>) {
        self.report.findings.push(Finding {
            level: Level::Note,
            kind,
            place,
            what: what.into(),
        });
    }
}

impl LostNumbers {
    /// Whether exactly the numbers between these two are recorded as lost, by their own stream.
    fn has(&mut self, stream: &StreamId, before: u64, after: u64) -> Result<bool> {
        let known = match self.known.take() {
            Some(known) => known,
            None => lost_numbers(&self.dir)?,
        };
        let missing = after
            .checked_sub(before)
            .and_then(|distance| distance.checked_sub(1));
        let has = missing.is_some_and(|count| known.contains(&(stream.clone(), before, count)));
        self.known = Some(known);
        Ok(has)
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// As in `entry 7 is` and `entries 7 to 9 are`.
fn range(noun: &str, first: u64, last: u64) -> String {
    if first == last {
        return format!("{noun} {first} is");
    }
    let nouns = noun
        .strip_suffix('y')
        .map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"));
    format!("{nouns} {first} to {last} are")
}

/// What recovery recorded as lost: the number before, and how many.
fn lost_numbers(dir: &Path) -> Result<BTreeSet<(StreamId, u64, u64)>> {
    let filter = Filter::parse([("event_type", "audit.log.lost")])?;
    let mut lost = BTreeSet::new();
    AuditReader::open(dir)?.each(&filter, Order::Asc, |entry| {
        let record: serde_json::Value = entry.parse().unwrap_or_default();
        let number = |path| record.pointer(path).and_then(serde_json::Value::as_u64);
        let stream = record
            .get("stream")
            .and_then(|stream| stream.as_str()?.parse().ok());
        if let (Some(stream), Some(after), Some(count)) = (
            stream,
            number("/details/after_seq"),
            number("/details/count"),
        ) {
            lost.insert((stream, after, count));
        }
        ControlFlow::Continue(())
    })?;
    Ok(lost)
}

/// The files whose removal is recorded in the log.
fn pruned_files(dir: &Path) -> Result<BTreeSet<FileStem>> {
    let filter = Filter::parse([("event_type", "audit.log.pruned")])?;
    let mut stems = BTreeSet::new();
    AuditReader::open(dir)?.each(&filter, Order::Asc, |entry| {
        let record: serde_json::Value = entry.parse().unwrap_or_default();
        let files = record
            .pointer("/details/files")
            .and_then(serde_json::Value::as_array);
        let names = files
            .into_iter()
            .flatten()
            .filter_map(|file| file.get("file")?.as_str());
        stems.extend(names.filter_map(|name| {
            name.strip_suffix(SEALED)
                .unwrap_or(name)
                .parse::<FileStem>()
                .ok()
        }));
        ControlFlow::Continue(())
    })?;
    Ok(stems)
}
