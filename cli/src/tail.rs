//! `tail`: the entries that are written from now on, of all streams.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write},
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
    let mut shown = HashSet::new();
    if args.lines > 0 {
        let mut page = reader.page(&Query {
            filter,
            order: Order::Desc,
            limit: args.lines,
            ..Query::default()
        })?;
        page.entries.reverse();
        show(&mut out, format, &page.entries)?;
        super::query::tell_problems(&page.scanned);
        shown.extend(page.entries.iter().map(|entry| entry.id().to_owned()));
    }
    while !stop.asked() {
        let mut entries = tail.poll(BATCH)?;
        for problem in tail.take_problems() {
            warn(&format!(
                "warning: entries may be missing: {}: {}",
                problem.file, problem.what
            ));
        }
        if !shown.is_empty() {
            entries.retain(|entry| !shown.contains(entry.id()));
        }
        show(&mut out, format, &entries)?;
        if !tail.is_behind() {
            shown.clear();
            thread::sleep(PAUSE);
        }
    }
    Ok(Outcome::Fine)
}

fn show(out: &mut impl Write, format: Format, entries: &[RawEntry]) -> io::Result<()> {
    let mut text = Vec::new();
    match format {
        Format::Table => entries
            .iter()
            .try_for_each(|entry| line(&mut text, entry))?,
        _ => output::write_lines(&mut text, entries)?,
    }
    out.write_all(&text)?;
    out.flush()
}

/// Columns whose widths can't wait for the rows to come.
fn line(out: &mut Vec<u8>, entry: &RawEntry) -> io::Result<()> {
    let text = |column: Column| column.text(entry);
    let severity = text(Column::Severity);
    let color = match severity.as_str() {
        _ if !io::stdout().is_terminal() || !output::colored() => "",
        "warning" => "\x1b[33m",
        "error" | "critical" => "\x1b[31m",
        _ => "",
    };
    let plain = if color.is_empty() { "" } else { "\x1b[0m" };
    let (time, event_type) = (text(Column::Time), text(Column::EventType));
    let (outcome, actor) = (text(Column::Outcome), text(Column::Actor));
    let (resource, description) = (text(Column::Resource), text(Column::Description));
    writeln!(
        out,
        "{time}  {color}{severity:<8}{plain}  {outcome:<7}  {event_type:<26}  {actor:<24}  \
         {resource:<28}  {description}"
    )
}
