//! How entries reach stdout: as tables, lines or one document, with nothing in them that a terminal
//! would obey.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
};

use comfy_table::{Cell, Column, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;
use tracing_audit::{RawEntry, Timestamp};

use super::args::Format;

/// The format asked for, or the one that suits where stdout leads.
pub(super) fn format(asked: Option<Format>) -> Format {
    asked.unwrap_or(if io::stdout().is_terminal() {
        Format::Table
    } else {
        Format::Ndjson
    })
}

/// Whether a terminal would take this as more than a letter: control characters, and those that
/// change the direction of text, so what is read is not what is written.
fn obeyed(c: char) -> bool {
    let is_invisible = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    );
    c.is_control() || is_invisible
}

/// The text, with the characters that a terminal would obey made visible.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .fold(String::with_capacity(text.len() + 8), |mut out, c| {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c if obeyed(c) => out.extend(c.escape_unicode()),
                c => out.push(c),
            }
            out
        })
        .into()
}

/// A stored line for stdout. JSON escapes the lowest control characters; on a terminal the others
/// are escaped as well, which leaves it the same JSON.
pub(super) fn json_line(line: &[u8], terminal: bool) -> Cow<'_, [u8]> {
    let text = match str::from_utf8(line) {
        Ok(text) if terminal && text.contains(obeyed) => text,
        _ => return Cow::Borrowed(line),
    };
    let escape = |mut out: String, c: char| {
        if obeyed(c) {
            // All of them are in the first plane. Writing to a String can't fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    };
    Cow::Owned(
        text.chars()
            .fold(String::with_capacity(text.len() + 16), escape)
            .into_bytes(),
    )
}

/// Writes entries as lines.
pub(super) fn write_lines<'a>(
    out: &mut impl Write,
    entries: impl IntoIterator<Item = &'a RawEntry>,
) -> io::Result<()> {
    let terminal = io::stdout().is_terminal();
    for entry in entries {
        out.write_all(&json_line(entry.line(), terminal))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A table that fits the terminal.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = table_without_heading();
    table.set_header(headings.iter().map(Cell::new));
    table
}

/// A table that has no colors if `NO_COLOR` is set, see <https://no-color.org>.
pub(super) fn table_without_heading() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    // A terminal that doesn't know its size (in a container, say) gives 0.
    let width = table.width().map(|width| match width {
        0 => WIDE,
        width => width,
    });
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    if let Some(width) = width {
        table.set_width(width);
    }
    table
}

/// The width of a terminal that doesn't say how wide it is.
const WIDE: u16 = 96;

/// Shows a list of settings: a table, or each as JSON.
pub(super) fn list<T: Serialize, const N: usize>(
    out: &mut impl Write,
    items: &[T],
    asked: Option<Format>,
    headings: &[&str; N],
    row: impl Fn(&T) -> [String; N],
) -> io::Result<()> {
    let terminal = io::stdout().is_terminal();
    match format(asked) {
        Format::Table if items.is_empty() => Ok(()),
        Format::Table => {
            let mut table = table(headings);
            for item in items {
                table.add_row(row(item).map(|text| escaped(&text).into_owned()));
            }
            fit(&mut table, headings);
            writeln!(out, "{}", table.trim_fmt())
        }
        Format::Ndjson => items.iter().try_for_each(|item| {
            out.write_all(&json_line(&serde_json::to_vec(item)?, terminal))?;
            out.write_all(b"\n")
        }),
        Format::Json => {
            out.write_all(&json_line(&serde_json::to_vec(items)?, terminal))?;
            out.write_all(b"\n")
        }
    }
}

/// Hides empty columns if the terminal is narrow, and keeps the words of the headings whole if it
/// has room for them. A time is broken only between the day and the time of day.
fn fit(table: &mut Table, headings: &[&str]) {
    let width = table.width().unwrap_or(u16::MAX);
    let is_empty = |column: &Column| {
        let mut cells = table.column_cells_iter(column.index);
        cells.all(|cell| cell.is_none_or(|cell| cell.content().is_empty()))
    };
    let hidden: Vec<bool> = table.column_iter().map(is_empty).collect();
    let hides = |number: usize| width < WIDE && hidden.get(number) == Some(&true);
    let shown = (0..).zip(headings).filter(|(number, _)| !hides(*number));
    let needed: u16 = shown.map(|(_, heading)| least_width(heading)).sum();
    for ((number, column), heading) in (0..).zip(table.column_iter_mut()).zip(headings) {
        if hides(number) {
            column.set_constraint(ColumnConstraint::Hidden);
        } else if needed <= width || heading.ends_with("(UTC)") {
            let least = Width::Fixed(least_width(heading));
            column.set_constraint(ColumnConstraint::LowerBoundary(least));
        }
    }
}

/// The width of the longest word of a heading, or of `07:29:29.143` below it, with a space on each
/// side.
fn least_width(heading: &str) -> u16 {
    let is_time = heading.ends_with("(UTC)").then_some(12);
    let words = heading.split(' ').map(|word| word.chars().count());
    let longest = words.chain(is_time).max().unwrap_or(0);
    u16::try_from(longest + 2).unwrap_or(u16::MAX)
}

/// How many columns of characters the terminal has, if stdout is one.
pub(super) fn width() -> Option<usize> {
    table_without_heading().width().map(usize::from)
}

/// A time in a table for people, as in `2026-11-21 10:15:00.123`.
pub(super) fn time(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..23).unwrap_or(&text).replace('T', " ")
}

/// A number of bytes as people say it.
pub(super) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A number with its noun, as in `1 file` and `2 files`.
pub(super) fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_by_a_record() {
        let attack = "\u{1b}]0;owned\u{7} \u{9b}2J \u{202e}txt.exe \r\n\u{7f}";
        assert!(!escaped(attack).contains(obeyed), "{}", escaped(attack));
        assert_eq!(escaped("Zoë 日本"), "Zoë 日本");

        let line = serde_json::json!({ "description": attack }).to_string();
        let shown = json_line(line.as_bytes(), true);
        assert!(!str::from_utf8(&shown).unwrap().contains(obeyed));
        let back: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!(back["description"], attack, "it is the same JSON still");
        assert_eq!(
            json_line(line.as_bytes(), false),
            line.as_bytes(),
            "a pipe gets the very bytes"
        );
    }
}
