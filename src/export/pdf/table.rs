//! The rows of the table: what of an entry stands in which column.

use std::borrow::Cow;

use super::{
    font::{Fonts, Weight},
    painter::{AMBER, BLACK, GRAY, LIGHT, Painter, RED, Style},
    text::{self, Lines},
};
use crate::{
    entry::{Timestamp, scan},
    query::RawEntry,
};

const NORMAL: Style = Style::new(Weight::Regular, 7.0, BLACK);
/// Small enough for an id in one line.
const SMALL: Style = Style::new(Weight::Regular, 5.0, GRAY);
const HEADING: Style = Style::new(Weight::Bold, 7.0, BLACK);

/// The room above and below the texts of a row, and between columns, in points.
const PADDING: f32 = 3.0;
const GAP: f32 = 7.0;

/// How many lines a text in a cell has at most. So a row is never longer than a page.
const MOST: usize = 3;
const MOST_OF_A_DESCRIPTION: usize = 6;

/// The columns: their headings, and their widths in points with the gap.
const COLUMNS: [(&str, f32); 8] = [
    ("Time (UTC)", 112.0),
    ("Event type", 112.0),
    ("Actor", 110.0),
    ("Resource", 112.0),
    ("Outcome", 62.0),
    ("Severity", 46.0),
    ("Address", 76.0),
    ("Description", 139.89),
];

/// A text in a cell.
struct Part<'a> {
    text: Cow<'a, str>,
    style: Style,
    most: usize,
}

/// The texts of an entry, by columns.
pub(super) struct Row<'a> {
    cells: [Vec<Part<'a>>; COLUMNS.len()],
}

/// A row in lines.
pub(super) struct LaidOut<'a> {
    cells: Vec<Vec<(Lines<'a>, Style)>>,
    /// In points.
    pub(super) height: f32,
}

impl<'a> Row<'a> {
    pub(super) fn of(entry: &'a RawEntry) -> Self {
        let of_outcome = |name| of_outcome(entry, name);
        Self {
            cells: [
                vec![normal(time(entry.timestamp())), small(entry.id())],
                vec![normal(entry.event_type()), small(origin(entry))],
                named([entry.actor_name(), entry.actor_id(), entry.actor_type()]),
                named([
                    entry.resource_name(),
                    entry.resource_id(),
                    entry.resource_type(),
                ]),
                vec![outcome(entry), small(of_outcome("reason"))],
                vec![severity(entry)],
                vec![normal(entry.ip_address())],
                vec![
                    Part {
                        most: MOST_OF_A_DESCRIPTION,
                        ..normal(entry.description())
                    },
                    small(of_outcome("error")),
                ],
            ],
        }
    }

    pub(super) fn lay_out(&'a self, fonts: &Fonts) -> LaidOut<'a> {
        let cells: Vec<_> = self
            .cells
            .iter()
            .zip(COLUMNS)
            .map(|(cell, (_, width))| lines(cell, fonts, width - GAP))
            .collect();
        let height = cells.iter().map(|cell| height(cell)).fold(0.0, f32::max);
        LaidOut {
            cells,
            height: height + 2.0 * PADDING,
        }
    }
}

impl LaidOut<'_> {
    /// The texts in the order in which they are drawn.
    #[cfg(test)]
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let all = self.cells.iter().flatten();
        all.flat_map(|(lines, _)| {
            let texts = lines.lines.iter().map(|line| (*line).to_owned());
            texts.chain([lines.note()])
        })
    }

    /// Draws the row below `top`, with a thin line under it.
    pub(super) fn draw(&self, painter: &mut Painter<'_>, left: f32, top: f32) {
        let mut x = left;
        for (cell, (_, width)) in self.cells.iter().zip(COLUMNS) {
            let mut y = top - PADDING;
            for (lines, style) in cell {
                let note = lines.note();
                let texts = lines.lines.iter().copied().chain([note.as_str()]);
                for text in texts.take(lines.count()) {
                    y -= style.leading();
                    painter.text((x, y + style.size * 0.26), *style, text);
                }
            }
            x += width;
        }
        painter.rule((left, left + table_width()), top - self.height, 0.4, LIGHT);
    }
}

/// Draws the headings of the columns.
pub(super) fn draw_headings(painter: &mut Painter<'_>, left: f32, y: f32) {
    let mut x = left;
    for (heading, width) in COLUMNS {
        painter.text((x, y), HEADING, heading);
        x += width;
    }
    painter.rule((left, left + table_width()), y - 5.0, 0.8, BLACK);
}

pub(super) fn table_width() -> f32 {
    COLUMNS.iter().map(|(_, width)| width).sum()
}

/// The lines of a cell's texts, without those that are empty.
fn lines<'a>(cell: &'a [Part<'_>], fonts: &Fonts, width: f32) -> Vec<(Lines<'a>, Style)> {
    let parts = cell.iter().filter(|part| !part.text.is_empty());
    parts
        .map(|part| {
            let font = fonts.of(part.style.weight);
            let width = part.style.relative(width);
            (text::wrap(&part.text, font, width, part.most), part.style)
        })
        .collect()
}

fn height(cell: &[(Lines<'_>, Style)]) -> f32 {
    let heights = cell
        .iter()
        .map(|(lines, style)| lines.count() as f32 * style.leading());
    heights.sum()
}

fn normal<'a>(text: impl Into<Cow<'a, str>>) -> Part<'a> {
    Part {
        text: text.into(),
        style: NORMAL,
        most: MOST,
    }
}

fn small<'a>(text: impl Into<Cow<'a, str>>) -> Part<'a> {
    Part {
        text: text.into(),
        style: SMALL,
        most: MOST,
    }
}

/// The name, and the others in small print: an id stands in for a name, and a type for an id.
fn named<'a>([name, id, kind]: [Cow<'a, str>; 3]) -> Vec<Part<'a>> {
    match (name.is_empty(), id.is_empty()) {
        (false, false) if kind.is_empty() => vec![normal(name), small(id)],
        (false, false) => vec![normal(name), small(format!("{kind} {id}"))],
        (false, true) => vec![normal(name), small(kind)],
        (true, false) => vec![normal(id), small(kind)],
        (true, true) => vec![normal(kind)],
    }
}

/// The source, and the tenant if there is one.
fn origin(entry: &RawEntry) -> String {
    let (source, tenant) = (entry.source(), entry.tenant_id());
    if tenant.is_empty() {
        source.into_owned()
    } else {
        format!("{source}, tenant {tenant}")
    }
}

/// An entry without an outcome is a success, as the filter has it.
fn outcome(entry: &RawEntry) -> Part<'_> {
    let outcome = entry.outcome();
    let mut part = match &*outcome {
        "" => normal("success"),
        _ => normal(outcome),
    };
    if part.text == "failure" {
        part.style.color = RED;
    }
    part
}

/// A text in the outcome; empty if there is none.
fn of_outcome<'a>(entry: &'a RawEntry, name: &str) -> Cow<'a, str> {
    let text = scan::details_path(entry.fields().outcome, name);
    let text = text.and_then(|text| text.strip_prefix(b"\"")?.strip_suffix(b"\""));
    scan::unescape(text.unwrap_or_default())
}

fn severity(entry: &RawEntry) -> Part<'_> {
    let mut part = normal(entry.severity());
    match &*part.text {
        "warning" => part.style.color = AMBER,
        "error" | "critical" => {
            part.style.color = RED;
            part.style.weight = Weight::Bold;
        }
        _ => {}
    }
    part
}

/// As in `2026-11-21 10:15:00.123456`.
pub(super) fn time(time: Timestamp) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}
