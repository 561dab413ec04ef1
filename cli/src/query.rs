//! `query`: entries that match, on stdout.

use std::{
    io::{self, BufWriter, IsTerminal as _, Write as _},
    ops::ControlFlow,
};

use tracing_audit::{
    AuditReader, Error, Filter, Query,
    reader::{Page, PageStart, Scanned},
};

use super::{
    args::{Format, QueryArgs},
    failure::{Failure, Outcome, warn},
    output,
};

pub(super) fn run(args: &QueryArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.filter_with_access(args.include_access)?;
    let reader = AuditReader::open(&args.dir.dir)?;
    let format = output::format(args.format);
    let mut out = BufWriter::new(io::stdout().lock());

    if let Some(id) = &args.id {
        let id = id
            .parse()
            .map_err(|_| Failure::Usage(format!("--id: {id:?} is not an entry's id, a UUID")))?;
        let Some(entry) = reader.get(id)? else {
            return Err(Failure::failed(format!("there is no entry {id}")));
        };
        match format {
            Format::Table => writeln!(
                out,
                "{}",
                output::entries_table([&entry], &args.columns).trim_fmt()
            )?,
            Format::Ndjson => output::write_lines(&mut out, [&entry])?,
            Format::Json => {
                let pretty = serde_json::to_string_pretty(&entry).map_err(io::Error::other)?;
                write_json(&mut out, &pretty)?;
            }
        }
        out.flush()?;
        return Ok(Outcome::Fine);
    }

    let unlimited = args.limit == 0;
    // The one form in which the whole log can pass through little memory.
    if unlimited && format == Format::Ndjson && args.offset == 0 && args.cursor.is_none() {
        let mut written = Ok(());
        let mut found = false;
        let scanned = reader.each(&filter, args.order, |entry| {
            found = true;
            written = output::write_lines(&mut out, [&entry]);
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        written?;
        out.flush()?;
        give_hints(&reader, &filter, found)?;
        return Ok(tell_problems(&scanned));
    }

    let start = match &args.cursor {
        Some(cursor) => PageStart::Cursor(cursor.clone()),
        None if args.offset == 0 => PageStart::First,
        None => PageStart::Offset(args.offset),
    };
    let limit = if unlimited { usize::MAX } else { args.limit };
    let page = reader
        .page(&Query {
            filter: filter.clone(),
            order: args.order,
            limit,
            start,
            include_access: true,
            ..Query::default()
        })
        .map_err(|error| match error {
            Error::Invalid { .. } => Failure::of_flag(error),
            error => error.into(),
        })?;
    match format {
        Format::Table if page.entries.is_empty() => {}
        Format::Table => writeln!(
            out,
            "{}",
            output::entries_table(&page.entries, &args.columns).trim_fmt()
        )?,
        Format::Ndjson => output::write_lines(&mut out, &page.entries)?,
        Format::Json => {
            let text = serde_json::to_string(&page).map_err(io::Error::other)?;
            write_json(&mut out, &text)?;
        }
    }
    out.flush()?;
    note_rest(&page, format);
    give_hints(&reader, &filter, !page.entries.is_empty())?;
    Ok(tell_problems(&page.scanned))
}

fn write_json(out: &mut impl io::Write, text: &str) -> io::Result<()> {
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
fn note_rest(page: &Page, format: Format) {
    if page.entries.is_empty() && format == Format::Table {
        warn("no entries match");
    } else if page.has_more && format != Format::Json {
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
