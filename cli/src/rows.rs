//! Rows of entries for people: which columns there are, how wide each is, and where a text is
//! broken.
//!
//! In come entries, or the first of those to come, and the width of the terminal; out come tables.
//! Always true: on a terminal that is wide enough for the columns, no line is longer than it, and a
//! text is broken inside a word only if the word is longer than its column.

use std::ops::Range;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Width};
use tracing_audit::RawEntry;

use super::{columns::Column, output};

/// Narrower terminals get short times.
const NARROW: usize = 100;
/// The part of a time that they show.
const SHORT_TIME: Range<usize> = 5..19;
/// The spaces around the text of a column.
const PADDING: usize = 2;
/// The least width of a column whose texts can be broken: no heading is longer.
const LEAST: usize = 11;
/// The columns that give way on a narrow terminal, in this order.
const DROPPED: [Column; 5] = [
    Column::Address,
    Column::Resource,
    Column::Outcome,
    Column::Tenant,
    Column::Severity,
];
/// After one of these, a text may be broken.
const BREAKS: &str = " .@/-_:,;=&?";

/// The columns of a table of entries, with their widths.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Sized>,
    /// The width of the terminal, if there is one.
    width: Option<usize>,
}

/// A column and its width, without the spaces around it.
#[derive(Debug)]
struct Sized {
    column: Column,
    width: usize,
    /// The width at which no text has to be broken.
    whole: usize,
}

impl Rows {
    /// For these entries, with the columns that are asked for, or those that suit the entries and
    /// the terminal.
    pub(super) fn of(entries: &[&RawEntry], asked: &[Column], width: Option<usize>) -> Self {
        Self::new(entries, asked, width, |_| 0)
    }

    /// The same for entries of which these are only the first.
    pub(super) fn to_come(entries: &[&RawEntry], asked: &[Column], width: Option<usize>) -> Self {
        Self::new(entries, asked, width, |column| match (column, width) {
            // Without a terminal, the description takes what it needs.
            (Column::Description, None) => 0,
            (Column::Time, Some(width)) if width < NARROW => SHORT_TIME.len(),
            _ => expected(column),
        })
    }

    fn new(
        entries: &[&RawEntry],
        asked: &[Column],
        width: Option<usize>,
        expected: impl Fn(Column) -> usize,
    ) -> Self {
        let mut rows = Self {
            columns: Vec::new(),
            width,
        };
        let columns = match asked {
            [] => Column::suitable(entries),
            asked => asked.to_vec(),
        };
        for column in columns {
            let texts = entries.iter().map(|entry| rows.text(column, entry));
            let texts = texts.chain([column.heading()]);
            let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
            let whole = longest.max(expected(column));
            let width = match width {
                Some(_) => whole.min(column.enough()),
                None => whole,
            };
            rows.columns.push(Sized {
                column,
                width,
                whole,
            });
        }
        if let Some(width) = width {
            if asked.is_empty() {
                rows.drop_columns(width);
            }
            rows.shrink(width);
            rows.grow(width);
        }
        rows
    }

    /// The width of a line.
    fn taken(&self) -> usize {
        self.columns.iter().map(|one| one.width + PADDING).sum()
    }

    fn drop_columns(&mut self, width: usize) {
        for dropped in DROPPED {
            if self.taken() > width {
                self.columns.retain(|one| one.column != dropped);
            }
        }
    }

    /// Takes from the widest columns until a line fits, or no column can give more.
    fn shrink(&mut self, width: usize) {
        while self.taken() > width {
            let can_give = |one: &&mut Sized| !one.column.is_whole() && one.width > LEAST;
            let columns = self.columns.iter_mut().filter(can_give);
            let Some(widest) = columns.max_by_key(|one| one.width) else {
                return;
            };
            widest.width -= 1;
        }
    }

    /// Gives the columns the rest of the line, the description last.
    fn grow(&mut self, width: usize) {
        let mut rest = width.saturating_sub(self.taken());
        let is_last = |one: &&mut Sized| one.column == Column::Description;
        let (last, first): (Vec<_>, Vec<_>) = self.columns.iter_mut().partition(is_last);
        for one in first.into_iter().chain(last) {
            let more = rest.min(one.whole.saturating_sub(one.width));
            one.width += more;
            rest -= more;
        }
    }

    /// The text of an entry in a column: the time without its year and fraction if the terminal is
    /// narrow.
    fn text(&self, column: Column, entry: &RawEntry) -> String {
        let text = column.text(entry);
        let is_short = column == Column::Time && self.width.is_some_and(|width| width < NARROW);
        match text.get(SHORT_TIME) {
            Some(short) if is_short => short.to_owned(),
            _ => text,
        }
    }

    /// The headings of the columns.
    pub(super) fn heading(&self) -> String {
        let cell = |one: &Sized| Cell::new(self.broken(one.column.heading(), one.width));
        self.line(self.columns.iter().map(cell).collect())
    }

    /// An entry, over as many lines as it takes.
    pub(super) fn row(&self, entry: &RawEntry) -> String {
        let cells = self.columns.iter().map(|one| {
            let text = self.text(one.column, entry);
            let color = color(one.column, &text);
            let cell = Cell::new(self.broken(text, one.width));
            match color {
                Some(color) => cell.fg(color),
                None => cell,
            }
        });
        self.line(cells.collect())
    }

    /// The cells beside each other. Where there is no terminal, a column gives way to a longer text.
    fn line(&self, cells: Vec<Cell>) -> String {
        let mut line = output::table_without_heading();
        line.set_content_arrangement(ContentArrangement::Disabled);
        line.add_row(cells);
        for (column, one) in line.column_iter_mut().zip(&self.columns) {
            let width = Width::Fixed(u16::try_from(one.width + PADDING).unwrap_or(u16::MAX));
            column.set_constraint(match self.width {
                Some(_) => ColumnConstraint::Absolute(width),
                None => ColumnConstraint::LowerBoundary(width),
            });
        }
        line.trim_fmt()
    }

    fn broken(&self, text: String, width: usize) -> String {
        match self.width {
            Some(_) => broken(&text, width),
            None => text,
        }
    }
}

/// The widths of the columns of entries that nobody has seen yet.
fn expected(column: Column) -> usize {
    match column {
        Column::EventType | Column::Resource => 26,
        Column::Actor => 24,
        Column::Time => 23,
        Column::Severity => 8,
        Column::Outcome => 7,
        Column::Address => 15,
        Column::Description => usize::MAX,
        _ => 0,
    }
}

fn color(column: Column, text: &str) -> Option<Color> {
    match (column, text) {
        (Column::Severity, "warning") => Some(Color::Yellow),
        (Column::Severity, "error" | "critical") | (Column::Outcome, "failure") => Some(Color::Red),
        _ => None,
    }
}

/// The text in lines of this width.
fn broken(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.chars().count() > width {
        let (line, after) = rest.split_at(end_of_line(rest, width.max(1)));
        lines.push(line.trim_end());
        rest = after.trim_start();
    }
    lines.push(rest);
    lines.join("\n")
}

/// The byte at which the first line of a longer text ends.
fn end_of_line(text: &str, width: usize) -> usize {
    let mut end = None;
    for (number, (at, c)) in text.char_indices().enumerate() {
        if number == width {
            // A space after a full line is left out.
            return match c {
                ' ' => at,
                _ => end.unwrap_or(at),
            };
        }
        if BREAKS.contains(c) {
            end = Some(at + c.len_utf8());
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event_type: &str) -> RawEntry {
        let line = format!(
            r#"{{"stream":"a-7f3a9c","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","timestamp":"2026-11-30T07:18:58.749123Z","event_type":"{event_type}","severity":"warning","tenant_id":"acme","ip_address":"192.0.2.7","actor":{{"type":"user","name":"ann.ames@example.com"}},"resource":{{"type":"secret","id":"db-password"}},"outcome":{{"type":"failure"}},"description":"Ann Ames could not sign in, for the third time since Monday"}}"#
        );
        RawEntry::from_line(line.as_bytes()).unwrap()
    }

    fn columns(rows: &Rows) -> Vec<String> {
        rows.columns
            .iter()
            .map(|one| one.column.heading())
            .collect()
    }

    #[test]
    fn a_text_is_broken_behind_a_dot_a_space_or_the_like() {
        for (text, width, lines) in [
            ("auth.login.failed", 12, "auth.login.\nfailed"),
            ("ann@example.com", 9, "ann@\nexample.\ncom"),
            ("2026-11-30 07:29:29.143", 12, "2026-11-30\n07:29:29.143"),
            ("one two", 3, "one\ntwo"),
            ("onetwo", 3, "one\ntwo"),
            ("Zoë 日本", 4, "Zoë\n日本"),
            ("short", 9, "short"),
            ("", 9, ""),
        ] {
            assert_eq!(broken(text, width), lines);
        }
    }

    #[test]
    fn a_narrow_terminal_has_the_columns_that_matter_most() {
        let entry = entry("auth.login.failed");
        let of = |width| Rows::of(&[&entry], &[], Some(width));
        let most = ["TIME (UTC)", "EVENT TYPE", "ACTOR", "DESCRIPTION"];
        assert_eq!(columns(&of(80)), most);
        assert!(columns(&of(120)).contains(&"TENANT".to_owned()));
        assert!(!columns(&of(120)).contains(&"ADDRESS".to_owned()));
        assert_eq!(columns(&of(200)).len(), 9);
        assert_eq!(columns(&Rows::of(&[&entry], &[], None)).len(), 9);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_word_is_cut() {
        let entries = ["auth.login.failed", "discovery.scan.finding.acknowledged"].map(entry);
        let entries: Vec<_> = entries.iter().collect();
        for width in [60, 80, 100, 120, 160, 200] {
            let all = [
                Rows::of(&entries, &[], Some(width)),
                Rows::to_come(&entries, &[], Some(width)),
                Rows::to_come(&[], &[], Some(width)),
            ];
            for rows in all {
                let heading = rows.heading();
                assert!(heading.contains("DESCRIPTION"), "{heading}");
                let texts = entries.iter().map(|entry| rows.row(entry));
                for text in texts.chain([heading]) {
                    let longest = text.lines().map(|line| line.chars().count()).max();
                    assert!(longest <= Some(width), "{width}: {text}");
                    assert!(
                        !text.contains("login") || text.contains("07:18:58"),
                        "{text}"
                    );
                    assert!(
                        !text.contains("login.") || text.contains("failed"),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_columns_that_are_asked_for_are_all_there() {
        let entry = entry("auth.login.failed");
        let asked = [
            Column::Seq,
            Column::Resource,
            Column::Address,
            Column::Description,
        ];
        let rows = Rows::of(&[&entry], &asked, Some(40));
        assert_eq!(
            columns(&rows),
            ["SEQ", "RESOURCE", "ADDRESS", "DESCRIPTION"]
        );
    }
}
