//! The title page: what the document is, which entries it has, and how they can be proved.

use super::{
    counts::Counts,
    font::{Fonts, Weight},
    pages::{BOTTOM, LEFT, RIGHT},
    painter::{BLACK, BLUE, GRAY, LIGHT, Painter, Style},
    table::time,
    text::{self, grouped},
    words,
};
use crate::{entry::Timestamp, export::filtered::Filtered};

const TITLE: Style = Style::new(Weight::Bold, 26.0, BLUE);
const SUBTITLE: Style = Style::new(Weight::Regular, 13.0, GRAY);
const SECTION: Style = Style::new(Weight::Bold, 9.5, BLUE);
const LABEL: Style = Style::new(Weight::Bold, 8.5, GRAY);
const VALUE: Style = Style::new(Weight::Regular, 8.5, BLACK);

/// Where the values begin.
const VALUES: f32 = 150.0;

/// How many lines a value has at most. All together fit on the page.
const MOST: usize = 3;
const MOST_OF_FILTERS: usize = 8;

/// The facts on the title page besides the counts.
pub(super) struct Cover {
    pub(super) made: Timestamp,
    /// The instant before which the log gets no more entries.
    pub(super) complete_until: Option<Timestamp>,
}

/// A label and its value.
type Fact = (&'static str, String, usize);

impl Cover {
    pub(super) fn draw(
        &self,
        wanted: &Filtered,
        counts: &Counts,
        fonts: &Fonts,
        painter: &mut Painter<'_>,
    ) {
        painter.text((LEFT, 520.0), TITLE, "Audit log");
        painter.text((LEFT, 498.0), SUBTITLE, &words::title(&wanted.filter));
        let sections = [
            ("This document", self.about(wanted)),
            ("Entries", self.entries(wanted, counts)),
            ("Reading and proving", reading()),
        ];
        let mut y = 480.0;
        for (heading, facts) in sections {
            y -= 20.0;
            painter.text((LEFT, y), SECTION, heading);
            painter.rule((LEFT, RIGHT), y - 5.0, 0.4, LIGHT);
            y -= 6.0;
            for fact in facts {
                y = draw_fact(&fact, fonts, painter, y);
            }
        }
        debug_assert!(y > BOTTOM, "the facts end at {y}, below the page");
    }

    fn about(&self, wanted: &Filtered) -> Vec<Fact> {
        let requested_by = wanted.requested_by.as_deref();
        vec![
            ("Made at", format!("{} UTC", time(self.made)), 1),
            ("Made by", super::PRODUCER.to_owned(), 1),
            (
                "Requested by",
                requested_by.unwrap_or("not stated").to_owned(),
                MOST,
            ),
        ]
    }

    fn entries(&self, wanted: &Filtered, counts: &Counts) -> Vec<Fact> {
        let conditions = words::conditions(&wanted.filter);
        let filters = if conditions.is_empty() {
            "none: every entry of the range is listed".to_owned()
        } else {
            conditions.join("; ")
        };
        let mut facts = vec![
            ("Range", words::range(&wanted.filter), 1),
            ("Filters", filters, MOST_OF_FILTERS),
            ("Order", words::order(wanted.order).to_owned(), 1),
            ("Number", grouped(counts.entries), 1),
        ];
        if let Some((first, last)) = counts.times {
            let times = format!("{} UTC and {} UTC", time(first), time(last));
            facts.push(("First and last", times, 1));
            facts.push(("By severity", counts.by_severity(), 1));
            facts.push(("By outcome", counts.by_outcome(), 1));
        }
        facts.push(("Complete until", self.completeness(wanted), MOST));
        facts
    }

    fn completeness(&self, wanted: &Filtered) -> String {
        let Some(until) = self.complete_until else {
            return "not known, because a part of the log's state could not be read; entries may \
                    still be added to the range"
                .to_owned();
        };
        match wanted.filter.end() {
            Some(end) if end <= until => "the end of the range: no entry of the range is missing, \
                                          and none will be added to the log any more"
                .to_owned(),
            _ => format!(
                "{} UTC: no entry from before this instant is missing; later ones may still be \
                 added to the log",
                time(until)
            ),
        }
    }
}

fn reading() -> Vec<Fact> {
    let table = "Each row is an entry. The small print has its id, its source and tenant, the types \
                 and ids of actor and resource, and the reason and the error of a failure. The \
                 other fields of an entry, such as its details, are not in this document. A text \
                 that is too long for its cell ends with “… N more”, the number of characters that \
                 were left out. A character that the font doesn't have is shown as its code.";
    let whole = "tracing-audit query --id ID, or GET /audit/entries/ID, shows the entry with this id \
                 as it is stored.";
    let all = "This document has every entry that the log had for this range and these filters \
               when it was made. A document that lacks one can't be finished, and doesn't open.";
    let proof = "This document is for reading, and proves nothing by itself. Export the same range \
                 as ZIP: its manifest.json names the files of the log that the entries come from, \
                 with their SHA-256. tracing-audit verify checks that the log itself is whole.";
    vec![
        ("The table", table.to_owned(), 4),
        ("A whole entry", whole.to_owned(), MOST),
        ("All entries", all.to_owned(), MOST),
        ("Proof", proof.to_owned(), MOST),
    ]
}

/// Draws a fact below `y`. Returns where the next one begins.
fn draw_fact((label, value, most): &Fact, fonts: &Fonts, painter: &mut Painter<'_>, y: f32) -> f32 {
    let width = VALUE.relative(RIGHT - VALUES);
    let lines = text::wrap(value, fonts.of(VALUE.weight), width, *most);
    let mut y = y - 3.0;
    painter.text((LEFT, y - VALUE.leading()), LABEL, label);
    let note = lines.note();
    let texts = lines.lines.iter().copied().chain([note.as_str()]);
    for text in texts.take(lines.count()) {
        y -= VALUE.leading();
        painter.text((VALUES, y), VALUE, text);
    }
    y
}
