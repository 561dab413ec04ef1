//! `query`: entries that match, on stdout.

use std::{
    io::{self, BufWriter, IsTerminal as _, Write},
    ops::ControlFlow,
};

use tracing_audit::{
    AuditReader, Error, Filter, Query, RawEntry,
    reader::{CsvWriter, Page, PageStart, Scanned},
};

use super::{
    args::{QueryArgs, QueryFormat},
    failure::{Failure, Outcome, warn},
    output,
    rows::Rows,
};

pub(super) fn run(args: &QueryArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.filter_with_access(args.include_access)?;
    let format = format(args)?;
    let reader = AuditReader::open(&args.dir.dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    // The formats in which the whole log can pass through little memory.
    let passes_through = matches!(format, QueryFormat::Ndjson | QueryFormat::Csv);
    let is_whole = args.limit == 0 && args.offset == 0 && args.cursor.is_none();
    let outcome = if let Some(id) = &args.id {
        let entry = one(&reader, id)?;
        write_one(&mut out, entry, format, args)?;
        Outcome::Fine
    } else if is_whole && passes_through {
        let (scanned, found) = write_all(&reader, &filter, format, args, &mut out)?;
        out.flush()?;
        give_hints(&reader, &filter, found)?;
        tell_problems(&scanned)
    } else {
        let page = page(&reader, &filter, args)?;
        write_page(&mut out, &page, format, args)?;
        out.flush()?;
        note_rest(&page, format);
        give_hints(&reader, &filter, !page.entries.is_empty())?;
        tell_problems(&page.scanned)
    };
    out.flush()?;
    Ok(outcome)
}

/// The format asked for, or the one that suits where stdout leads.
fn format(args: &QueryArgs) -> Result<QueryFormat, Failure> {
    let is_terminal = io::stdout().is_terminal();
    match args.format {
        Some(QueryFormat::Csv) if is_terminal => Err(Failure::Usage(
            "--format: CSV can't be shown on a terminal, which would obey control characters in the \
             texts of entries; redirect stdout, or give --format table"
                .into(),
        )),
        Some(format) => Ok(format),
        None if is_terminal => Ok(QueryFormat::Table),
        None => Ok(QueryFormat::Ndjson),
    }
}

fn one(reader: &AuditReader, id: &str) -> Result<RawEntry, Failure> {
    let id = id
        .parse()
        .map_err(|_| Failure::Usage(format!("--id: {id:?} is not an entry's id, a UUID")))?;
    let entry = reader.get(id)?;
    entry.ok_or_else(|| Failure::failed(format!("there is no entry {id}")))
}

fn page(reader: &AuditReader, filter: &Filter, args: &QueryArgs) -> Result<Page, Failure> {
    let start = match &args.cursor {
        Some(cursor) => PageStart::Cursor(cursor.clone()),
        None if args.offset == 0 => PageStart::First,
        None => PageStart::Offset(args.offset),
    };
    let limit = match args.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let page = reader.page(&Query {
        filter: filter.clone(),
        order: args.order,
        limit,
        start,
        include_access: true,
        ..Query::default()
    });
    page.map_err(|error| match error {
        Error::Invalid { .. } => Failure::of_flag(error),
        error => error.into(),
    })
}

/// Writes all entries that match, as they are found. Returns whether there is one.
fn write_all(
    reader: &AuditReader,
    filter: &Filter,
    format: QueryFormat,
    args: &QueryArgs,
    out: &mut impl Write,
) -> Result<(Scanned, bool), Failure> {
    if format != QueryFormat::Csv {
        return each(reader, filter, args, |entry| {
            output::write_lines(out, [entry])
        });
    }
    let mut csv = CsvWriter::new(out)?;
    let all = each(reader, filter, args, |entry| csv.write(entry))?;
    csv.finish()?;
    Ok(all)
}

/// Gives each entry that matches to `write` until that fails. Returns whether there is one.
fn each(
    reader: &AuditReader,
    filter: &Filter,
    args: &QueryArgs,
    mut write: impl FnMut(&RawEntry) -> io::Result<()>,
) -> Result<(Scanned, bool), Failure> {
    let mut written = Ok(());
    let mut found = false;
    let scanned = reader.each(filter, args.order, |entry| {
        found = true;
        written = write(&entry);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    written?;
    Ok((scanned, found))
}

fn write_one(
    out: &mut impl Write,
    entry: RawEntry,
    format: QueryFormat,
    args: &QueryArgs,
) -> io::Result<()> {
    if format == QueryFormat::Json {
        let pretty = serde_json::to_string_pretty(&entry).map_err(io::Error::other)?;
        return write_json(out, &pretty);
    }
    write_entries(out, &[entry], format, args)
}

fn write_page(
    out: &mut impl Write,
    page: &Page,
    format: QueryFormat,
    args: &QueryArgs,
) -> io::Result<()> {
    if format == QueryFormat::Json {
        let text = serde_json::to_string(page).map_err(io::Error::other)?;
        return write_json(out, &text);
    }
    write_entries(out, &page.entries, format, args)
}

/// Writes entries in a format without a document around them.
fn write_entries(
    out: &mut impl Write,
    entries: &[RawEntry],
    format: QueryFormat,
    args: &QueryArgs,
) -> io::Result<()> {
    match format {
        QueryFormat::Table if entries.is_empty() => Ok(()),
        QueryFormat::Table => {
            let all: Vec<_> = entries.iter().collect();
            let rows = Rows::of(&all, &args.columns, output::width());
            writeln!(out, "{}", rows.heading())?;
            let mut entries = entries.iter();
            entries.try_for_each(|entry| writeln!(out, "{}", rows.row(entry)))
        }
        QueryFormat::Csv => {
            let mut csv = CsvWriter::new(out)?;
            entries.iter().try_for_each(|entry| csv.write(entry))?;
            csv.finish()
        }
        QueryFormat::Ndjson | QueryFormat::Json => output::write_lines(out, entries),
    }
}

fn write_json(out: &mut impl Write, text: &str) -> io::Result<()> {
    // A pretty document has line ends between its texts.
    for line in text.split('\n') {
        out.write_all(&output::json_line(
            line.as_bytes(),
            io::stdout().is_terminal(),
        ))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Nobody should take a part for the whole.
fn note_rest(page: &Page, format: QueryFormat) {
    if page.entries.is_empty() && format == QueryFormat::Table {
        warn("no entries match");
    } else if page.has_more && format != QueryFormat::Json {
        warn(&format!(
            "there may be more: these are the first {}; continue with --cursor {}, or raise --limit",
            page.entries.len(),
            page.next_cursor
        ));
    }
}

/// Says why nothing may have been found.
pub(super) fn give_hints(
    reader: &AuditReader,
    filter: &Filter,
    found: bool,
) -> Result<(), Failure> {
    if !found {
        let hints = reader.hints(filter)?;
        hints.iter().for_each(|hint| warn(&format!("hint: {hint}")));
    }
    Ok(())
}

/// Reports the parts of the log that could not be read.
pub(super) fn tell_problems(scanned: &Scanned) -> Outcome {
    for problem in &scanned.problems {
        warn(&format!(
            "warning: entries may be missing: {}: {}",
            problem.file, problem.what
        ));
    }
    if scanned.more_problems > 0 {
        warn(&format!(
            "warning: and {} more",
            output::count(scanned.more_problems, "problem")
        ));
    }
    Outcome::problem_if(!scanned.problems.is_empty())
}
