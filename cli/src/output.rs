//! How entries reach stdout: as tables, lines or one document, with nothing in them that a terminal
//! would obey.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
};

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
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

/// The columns of a table of entries.
pub(super) const COLUMNS: [&str; 6] = [
    "TIME (UTC)",
    "EVENT TYPE",
    "SEVERITY",
    "ACTOR",
    "RESOURCE",
    "DESCRIPTION",
];

/// The texts of an entry in these columns.
pub(super) fn row(entry: &RawEntry) -> [String; 6] {
    let actor = first([entry.actor_name(), entry.actor_id(), entry.actor_type()]);
    let resource = match (
        entry.resource_type(),
        first([entry.resource_name(), entry.resource_id()]),
    ) {
        (kind, name) if kind.is_empty() => name,
        (kind, name) if name.is_empty() => kind.into_owned(),
        (kind, name) => format!("{kind} {name}"),
    };
    let texts = [
        time(entry.timestamp()),
        entry.event_type().into_owned(),
        entry.severity().into_owned(),
        actor,
        resource,
        entry.description().into_owned(),
    ];
    texts.map(|text| escaped(&text).into_owned())
}

/// The first that isn't empty.
fn first<const N: usize>(texts: [Cow<'_, str>; N]) -> String {
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .into_owned()
}

/// As in `2026-11-21 10:15:00.123`.
fn time(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..23).unwrap_or(&text).replace('T', " ")
}

/// Whether colors are welcome on a terminal, see <https://no-color.org>.
pub(super) fn colored() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table that fits the terminal.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    // A terminal without a size (in a container, say) is not one of no columns.
    if table.width() == Some(0) {
        table.set_width(WIDE);
    }
    table.set_header(headings.iter().map(Cell::new));
    table
}

/// How wide a terminal must be for words to be kept whole.
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

/// Entries as a table.
pub(super) fn entries_table<'a>(entries: impl IntoIterator<Item = &'a RawEntry>) -> Table {
    let mut table = table(&COLUMNS);
    for entry in entries {
        let [time, event_type, severity, actor, resource, description] = row(entry);
        let severity = match severity.as_str() {
            "warning" => Cell::new(severity).fg(Color::Yellow),
            "error" | "critical" => Cell::new(severity).fg(Color::Red),
            _ => Cell::new(severity),
        };
        table.add_row([
            Cell::new(time),
            Cell::new(event_type),
            severity,
            Cell::new(actor),
            Cell::new(resource),
            Cell::new(description),
        ]);
    }
    if table.width().is_some_and(|width| width >= WIDE) {
        // Times, event types and severities can't be read in pieces; the other columns are texts.
        for column in table.column_iter_mut().take(3) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
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
    fn an_actor_without_a_name_or_an_id_is_shown_by_the_type() {
        for (actor, shown) in [
            (r#"{"type":"unknown"}"#, "unknown"),
            (r#"{"type":"user","id":"u-1"}"#, "u-1"),
            (r#"{"type":"user","id":"u-1","name":"Ann"}"#, "Ann"),
        ] {
            let line = format!(
                r#"{{"stream":"a-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-21T23:59:59.999999Z","event_type":"a.b","actor":{actor}}}"#
            );
            let entry = RawEntry::from_line(line.as_bytes()).unwrap();
            assert_eq!(row(&entry)[3], shown);
        }
    }

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
