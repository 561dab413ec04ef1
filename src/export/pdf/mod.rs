//! An export as PDF, for people who read, sign and file it.
//!
//! In come entries; out comes a document with a title page and a table. The document conforms to
//! PDF/A-2u (ISO 19005-2): it needs nothing from outside, and its text can be read back. What holds:
//!
//! - Memory is bounded. A page is written when it is full, and 16 bytes are kept of it. Numbers that
//!   are known only at the end, the counts of the title page and the number of pages, are in
//!   objects that are written last and are shown on the first page and at the foot of each.
//! - A document that lacks an entry doesn't open, because the list of its pages is written last.
//! - No text can disturb a page. A text is cut where its cell ends, and the cell says how much is
//!   missing; a character that the font doesn't have is shown as its code.

mod counts;
mod cover;
mod document;
mod font;
mod limits;
mod metadata;
mod page_tree;
mod pages;
mod painter;
mod table;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use self::{
    counts::Counts,
    cover::Cover,
    font::Fonts,
    pages::{Margins, Pages},
};
use super::filtered::Filtered;
use crate::entry::Timestamp;

/// The program that makes the document.
const PRODUCER: &str = concat!("tracing-audit ", env!("CARGO_PKG_VERSION"));

/// Writes the whole document.
pub(super) fn write(wanted: &Filtered, out: impl Write) -> io::Result<()> {
    let cover = Cover {
        made: Timestamp::now(),
        // Before the files are listed.
        complete_until: wanted.reader.complete_until().map_err(io::Error::other)?,
    };
    let title = format!("Audit log, {}", words::title(&wanted.filter));
    let margins = Margins {
        made: format!("{title}. Made at {} UTC", table::time(cover.made)),
        title,
    };
    let fonts = Fonts::new();
    let mut counts = Counts::default();
    let mut pages = Pages::begin(out, &fonts, &margins)?;
    wanted.each(|entry| {
        counts.add(entry);
        pages.row(entry)
    })?;
    pages.finish(
        |painter| cover.draw(wanted, &counts, &fonts, painter),
        |document, pages| metadata::write(document, pages, &margins.title, cover.made),
    )
}
