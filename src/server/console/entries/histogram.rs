//! Counts over time as a drawing: a bar for each step, which is a link to its time.
//!
//! All bars of one colour are one path, because 180 bars with four colours each would be most of
//! the page.

use std::fmt::Write as _;

use super::{answer::Found, bar::Choice, counts::Counts};
use crate::{
    entry::Timestamp,
    query::{Stats, Step, StepCounts},
    server::console::{
        selection::{Selection, Split},
        text::{entries, format, number},
    },
};

/// The units of the drawing: a bar with the gap after it, and the height.
const WIDTH: u64 = 10;
const BAR: u64 = 8;
const HEIGHT: u64 = 100;
/// A bar of one entry can be seen, however many others there are.
const LOWEST: u64 = 2;

/// The counts of a selection: how many entries there are, and when.
pub(super) struct Chart {
    pub(super) total: String,
    pub(super) drawing: Option<Histogram>,
    pub(super) splits: [Choice; 2],
    /// The sentence about an axis that is shorter than the range.
    pub(super) note: Option<String>,
}

impl Chart {
    /// The chart of these counts. Without counts, the entries that were found say how many there are.
    pub(super) fn new(
        selection: &Selection,
        counts: Option<&Counts>,
        found: Option<&Found>,
    ) -> Self {
        let stats = counts.map(|counts| &counts.stats);
        let split = |title, split| Choice {
            title,
            href: selection.split_by(split).href(),
            is_chosen: selection.split == split,
        };
        Self {
            total: match (stats, found) {
                (Some(stats), _) => entries(stats.total),
                (None, Some(found)) => found.words(),
                (None, None) => "Entries".to_owned(),
            },
            drawing: stats.and_then(|stats| Histogram::new(selection, stats)),
            splits: [
                split("Severity", Split::Severity),
                split("Outcome", Split::Outcome),
            ],
            note: counts
                .filter(|counts| counts.is_narrowed)
                .and_then(|counts| note(&counts.stats)),
        }
    }
}

pub(super) struct Histogram {
    /// The width of the drawing in its units.
    pub(super) width: u64,
    pub(super) parts: Vec<Part>,
    pub(super) bars: Vec<Bar>,
    /// Times under the drawing, at equal distances.
    pub(super) labels: Vec<Label>,
    /// The first second of each bar and the end of the last one, since 1970: for the script that
    /// selects a range.
    pub(super) times: String,
    /// The count of the highest bar.
    pub(super) most: String,
    /// The drawing in a sentence.
    pub(super) summary: String,
}

/// All of one severity or outcome: its line in the legend, and its bars as the data of a path.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) count: String,
    pub(super) path: String,
}

/// A time under the drawing.
pub(super) struct Label {
    pub(super) text: String,
    pub(super) exact: String,
    /// `second`, `clock` or `moment`, in which a script can show it for another zone; empty for a
    /// day.
    pub(super) form: &'static str,
}

/// The link of a bar.
pub(super) struct Bar {
    pub(super) left: u64,
    pub(super) width: u64,
    pub(super) title: String,
    pub(super) href: String,
}

impl Histogram {
    /// `None` if there is nothing to draw.
    pub(super) fn new(selection: &Selection, stats: &Stats) -> Option<Self> {
        let most = stats.steps.iter().map(|step| step.count).max()?;
        if most == 0 {
            return None;
        }
        let ends = stats.steps.iter().skip(1).map(|step| step.start);
        let ends: Vec<_> = ends.chain(stats.end).collect();
        Some(Self {
            width: stats.steps.len() as u64 * WIDTH,
            parts: parts(selection.split, stats, most),
            bars: bars(selection, stats, &ends),
            labels: labels(stats),
            times: times(stats),
            most: number(most),
            summary: format!(
                "{}, in bars of {}",
                entries(stats.total),
                length(stats.step)
            ),
        })
    }
}

/// The counts of a step by what its bar is divided into, from below.
fn divided(split: Split, step: &StepCounts) -> Vec<(&'static str, u64)> {
    match split {
        Split::Severity => vec![
            ("info", step.severity.info),
            ("warning", step.severity.warning),
            ("error", step.severity.error),
            ("critical", step.severity.critical),
        ],
        Split::Outcome => vec![
            ("success", step.outcome.success),
            ("failure", step.outcome.failure),
            ("unknown", step.outcome.unknown),
        ],
    }
}

fn parts(split: Split, stats: &Stats, most: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut sums: Vec<u64> = Vec::new();
    for (at, step) in stats.steps.iter().enumerate() {
        let mut base = HEIGHT;
        for (n, (name, count)) in divided(split, step).into_iter().enumerate() {
            if parts.len() <= n {
                let (count, path) = (String::new(), String::new());
                parts.push(Part { name, count, path });
                sums.push(0);
            }
            if count == 0 {
                continue;
            }
            sums[n] += count;
            let height = (count * HEIGHT / most).max(LOWEST).min(base);
            let left = at as u64 * WIDTH + 1;
            base -= height;
            // Writing to a String can't fail.
            let _ = write!(parts[n].path, "M{left} {base}h{BAR}v{height}h-{BAR}z");
        }
    }
    for (part, sum) in parts.iter_mut().zip(&sums) {
        part.count = number(*sum);
    }
    parts.retain(|part| !part.path.is_empty());
    parts
}

fn bars(selection: &Selection, stats: &Stats, ends: &[Timestamp]) -> Vec<Bar> {
    let steps = stats.steps.iter().zip(ends).enumerate();
    let with_entries = steps.filter(|(_, (step, _))| step.count > 0);
    let clock = clock(stats.step);
    let bar = |(at, (step, end)): (usize, (&StepCounts, &Timestamp))| {
        let parts = divided(selection.split, step).into_iter();
        let parts: Vec<_> = parts
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{} {name}", number(count)))
            .collect();
        let start = stats
            .start
            .map_or(step.start, |start| start.max(step.start));
        Bar {
            left: at as u64 * WIDTH,
            width: WIDTH,
            title: format!(
                "{} – {} UTC: {} ({})",
                format(start, &format!("%b %-d, {clock}")),
                format(*end, clock),
                entries(step.count),
                parts.join(", ")
            ),
            href: selection.between(start, *end).href(),
        }
    };
    with_entries.map(bar).collect()
}

fn note(stats: &Stats) -> Option<String> {
    let start = format(stats.start?, &format!("%b %-d, {}", clock(stats.step)));
    let note = format!("Shown from {start} UTC on: the range has no entries before that.");
    Some(note)
}

/// The form of a time of the day in which the ends of a step differ.
fn clock(step: Step) -> &'static str {
    match step < Step::Minute {
        true => "%H:%M:%S",
        false => "%H:%M",
    }
}

fn times(stats: &Stats) -> String {
    let starts = stats.steps.iter().map(|step| step.start);
    let starts = starts.map(|start| stats.start.map_or(start, |first| first.max(start)));
    let times = starts.chain(stats.end).map(|time| {
        let seconds = time.as_micros().div_euclid(1_000_000);
        let is_whole = time.as_micros() % 1_000_000 == 0;
        // The end has the entries of its last second too.
        let is_end = Some(time) == stats.end;
        (seconds + i64::from(is_end && !is_whole)).to_string()
    });
    times.collect::<Vec<_>>().join(" ")
}

/// Times at the quarters of the range.
fn labels(stats: &Stats) -> Vec<Label> {
    let (Some(first), Some(last)) = (stats.steps.first(), stats.end) else {
        return Vec::new();
    };
    let start = stats.start.unwrap_or(first.start).as_micros();
    let len = last.as_micros() - start;
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let start_day = Timestamp::from_micros(start).day();
    let form = match len / DAY {
        0..=1 if start_day == last.day() => clock(stats.step),
        0..=7 => "%b %-d, %H:%M",
        8..=300 => "%b %-d",
        _ => "%b %Y",
    };
    let at = |quarter: i64| {
        let time = Timestamp::from_micros(start + len / 4 * quarter);
        Label {
            text: format(time, form),
            exact: time.to_string(),
            form: match form {
                "%H:%M" => "clock",
                "%H:%M:%S" => "second",
                "%b %-d, %H:%M" => "moment",
                _ => "",
            },
        }
    };
    (0..=4).map(at).collect()
}

fn length(step: Step) -> &'static str {
    match step {
        Step::Second => "one second",
        Step::FiveSeconds => "five seconds",
        Step::TenSeconds => "ten seconds",
        Step::ThirtySeconds => "thirty seconds",
        Step::Minute => "one minute",
        Step::TenMinutes => "ten minutes",
        Step::Hour => "one hour",
        Step::SixHours => "six hours",
        Step::Day => "one day",
        Step::Month => "one month",
        Step::Year => "one year",
    }
}
