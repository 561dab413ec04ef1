//! `stats`: how many entries there are, over time and by values.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table};
use tracing_audit::{
    AuditReader, Error, Timestamp,
    reader::{Stats, StatsField, StatsQuery, Step, Top},
};

use super::{
    args::{StatsArgs, StatsFormat},
    failure::{Failure, Outcome, warn},
    output,
    query::{give_hints, tell_problems},
};

/// How many rows a table has if the length of the steps isn't given.
const ROWS: u16 = 100;
/// The width of the longest bar, and the least and the most of that.
const BAR_SHARE: u16 = 3;
const BAR: std::ops::RangeInclusive<u16> = 10..=40;
/// The last cell of a bar, by the eighths of it that are filled.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

pub(super) fn run(args: &StatsArgs) -> Result<Outcome, Failure> {
    let format = args.format.unwrap_or(if io::stdout().is_terminal() {
        StatsFormat::Table
    } else {
        StatsFormat::Json
    });
    let mut query = StatsQuery {
        filter: args.filter.filter()?,
        step: args.step,
        top: usize::from(args.top),
        include_access: args.include_access,
        ..StatsQuery::default()
    };
    if !args.fields.is_empty() {
        query.fields.clone_from(&args.fields);
    }
    if format == StatsFormat::Table {
        query.most_steps = ROWS;
    }
    let reader = AuditReader::open(&args.dir.dir)?;
    let stats = reader.stats(&query).map_err(|error| match error {
        Error::Invalid { .. } => Failure::of_flag(error),
        error => error.into(),
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    match format {
        StatsFormat::Table if stats.total == 0 => warn("no entries match"),
        StatsFormat::Table => write_tables(&mut out, &stats)?,
        StatsFormat::Json => {
            let text = serde_json::to_vec(&stats).map_err(io::Error::other)?;
            out.write_all(&output::json_line(&text, io::stdout().is_terminal()))?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    give_hints(&reader, &query.filter, stats.total > 0)?;
    Ok(tell_problems(&stats.scanned))
}

fn write_tables(out: &mut impl Write, stats: &Stats) -> io::Result<()> {
    let entries = output::count(stats.total, "entry");
    match stats.complete_until {
        Some(until) => writeln!(out, "{entries}; the log is complete until {until}")?,
        None => writeln!(out, "{entries}")?,
    }
    writeln!(out, "\n{}", time_table(stats).trim_fmt())?;
    for field in StatsField::ALL {
        let top = stats.top.of(field);
        if let Some(top) = top.filter(|top| top.without < stats.total) {
            writeln!(out, "\n{}", value_table(heading(field), top).trim_fmt())?;
        }
    }
    Ok(())
}

fn heading(field: StatsField) -> &'static str {
    match field {
        StatsField::EventType => "EVENT TYPE",
        StatsField::Severity => "SEVERITY",
        StatsField::Outcome => "OUTCOME",
        StatsField::Actor => "ACTOR",
        StatsField::IpAddress => "ADDRESS",
    }
}

/// The counts over time, a row for each step.
fn time_table(stats: &Stats) -> Table {
    let mut table = output::table(&["TIME (UTC)", "ENTRIES", "FAILURES", ""]);
    let bars = Bars::new(&table, stats.steps.iter().map(|step| step.count));
    for step in &stats.steps {
        table.add_row([
            Cell::new(label(stats.step, step.start)),
            number(step.count),
            number(step.outcome.failure),
            Cell::new(bars.bar(step.count)),
        ]);
    }
    keep_whole(&mut table, 0);
    table
}

/// The most frequent values of a field, a row for each.
fn value_table(heading: &str, top: &Top) -> Table {
    let mut table = output::table(&[heading, "ENTRIES", ""]);
    let bars = Bars::new(&table, top.values.iter().map(|value| value.count));
    for value in &top.values {
        table.add_row([
            Cell::new(output::escaped(&value.value)),
            number(value.count),
            Cell::new(bars.bar(value.count)),
        ]);
    }
    for (what, count) in [(others(top), top.other), ("(none)".into(), top.without)] {
        if count > 0 {
            table.add_row([Cell::new(what), number(count), Cell::new("")]);
        }
    }
    keep_whole(&mut table, 1);
    table
}

fn others(top: &Top) -> String {
    match top.distinct {
        Some(distinct) => {
            let others = distinct.saturating_sub(top.values.len() as u64);
            format!("({others} more)")
        }
        None => "(too many values to find the most frequent; filters help)".into(),
    }
}

/// Keeps the columns from this one on in one piece: only texts may be broken into lines.
fn keep_whole(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

fn number(number: u64) -> Cell {
    Cell::new(number).set_alignment(CellAlignment::Right)
}

/// The beginning of a step, as exact as its length is.
fn label(step: Step, start: Timestamp) -> String {
    let len = match step {
        Step::Year => 4,
        Step::Month => 7,
        Step::Day => 10,
        step if step < Step::Minute => 19,
        _ => 16,
    };
    let text = start.to_string();
    text.get(..len).unwrap_or(&text).replace('T', " ")
}

/// Bars of one scale.
struct Bars {
    width: u16,
    largest: u64,
}

impl Bars {
    fn new(table: &Table, counts: impl Iterator<Item = u64>) -> Self {
        let width = table.width().map_or(*BAR.end(), |width| width / BAR_SHARE);
        Self {
            width: width.clamp(*BAR.start(), *BAR.end()),
            largest: counts.max().unwrap_or(0),
        }
    }

    /// A bar for this count. One that isn't 0 is seen.
    fn bar(&self, count: u64) -> String {
        let cells = u128::from(self.width) * 8;
        let largest = u128::from(self.largest.max(1));
        let eighths = (u128::from(count) * cells).div_ceil(largest);
        let eighths = usize::try_from(eighths).unwrap_or(0);
        let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
        format!("{}{last}", "█".repeat(eighths / 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_counts_and_none_that_counts_is_empty() {
        let bars = Bars {
            width: 10,
            largest: 80_000,
        };
        for (count, bar) in [
            (0, ""),
            (1, "▏"),
            (4000, "▌"),
            (8000, "█"),
            (12_000, "█▌"),
            (80_000, "██████████"),
        ] {
            assert_eq!(bars.bar(count), bar, "{count}");
        }
        let most = Bars {
            width: 40,
            largest: u64::MAX,
        };
        assert_eq!(most.bar(u64::MAX).chars().count(), 40);
    }
}
