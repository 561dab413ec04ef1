//! `tail`: the entries that are written from now on, of all streams.

use std::{
    collections::HashSet,
    io::{self, Write},
    thread,
    time::Duration,
};

use tracing_audit::{
    AuditReader, Query, RawEntry,
    reader::{Order, TailStart},
};

use super::{
    args::{Format, TailArgs},
    columns::Column,
    failure::{Failure, Outcome, warn},
    output,
    rows::Rows,
    stop::Stop,
};

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How many entries are taken at a time.
const BATCH: usize = 1000;

pub(super) fn run(args: &TailArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.filter_with_access(args.include_access)?;
    let format = output::format(args.format);
    if format == Format::Json {
        return Err(Failure::Usage(
            "--format: tail never ends, so its output can't be one JSON document; use \
             ndjson"
                .into(),
        ));
    }
    let reader = AuditReader::open(&args.dir.dir)?;
    let stop = Stop::on_signal();
    let mut out = io::stdout().lock();
    // Before the last entries are read: both meet an entry that is written in between, and it is
    // printed once.
    let mut tail = reader.tail(filter.clone(), TailStart::Now)?;
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    if args.lines > 0 {
        let mut page = reader.page(&Query {
            filter,
            order: Order::Desc,
            limit: args.lines,
            ..Query::default()
        })?;
        page.entries.reverse();
        super::query::tell_problems(&page.scanned);
        seen.extend(page.entries.iter().map(|entry| entry.id().to_owned()));
        first = page.entries;
    }
    let shown = Shown::begin(&mut out, format, &first, &args.columns)?;
    shown.show(&mut out, &first)?;
    drop(first);
    while !stop.asked() {
        let mut entries = tail.poll(BATCH)?;
        for problem in tail.take_problems() {
            warn(&format!(
                "warning: entries may be missing: {}: {}",
                problem.file, problem.what
            ));
        }
        if !seen.is_empty() {
            entries.retain(|entry| !seen.contains(entry.id()));
        }
        shown.show(&mut out, &entries)?;
        if !tail.is_behind() {
            seen.clear();
            thread::sleep(PAUSE);
        }
    }
    Ok(Outcome::Fine)
}

/// How entries are shown: as rows for people, or as they are stored.
enum Shown {
    Rows(Rows),
    Lines,
}

impl Shown {
    /// Begins with the heading of the rows. Their widths can't wait for the entries to come.
    fn begin(
        out: &mut impl Write,
        format: Format,
        first: &[RawEntry],
        columns: &[Column],
    ) -> io::Result<Self> {
        if format != Format::Table {
            return Ok(Self::Lines);
        }
        let first: Vec<_> = first.iter().collect();
        let rows = Rows::to_come(&first, columns, output::width());
        writeln!(out, "{}", rows.heading())?;
        Ok(Self::Rows(rows))
    }

    fn show(&self, out: &mut impl Write, entries: &[RawEntry]) -> io::Result<()> {
        let mut text = Vec::new();
        match self {
            Self::Rows(rows) => entries
                .iter()
                .try_for_each(|entry| writeln!(text, "{}", rows.row(entry)))?,
            Self::Lines => output::write_lines(&mut text, entries)?,
        }
        out.write_all(&text)?;
        out.flush()
    }
}
