//! The pages of a document. A page is written as soon as it is full.

use std::io::{self, Write};

use pdf_writer::{Name, Rect, Ref, writers::Resources};

use super::{
    document::{Document, End},
    font::{Fonts, Weight},
    page_tree::PageTree,
    painter::{BLUE, GRAY, LIGHT, Painter, Style},
    table::{self, Row},
    text::grouped,
};
use crate::query::RawEntry;

/// A4, on its side, in points.
const PAGE: [f32; 2] = [841.89, 595.28];
pub(super) const LEFT: f32 = 36.0;
pub(super) const RIGHT: f32 = 805.89;
const HEAD: f32 = 561.0;
const HEADINGS: f32 = 540.0;
const TOP: f32 = 535.0;
pub(super) const BOTTOM: f32 = 42.0;
const FOOT: f32 = 26.0;

const TITLE: Style = Style::new(Weight::Bold, 8.0, BLUE);
const FOOTNOTE: Style = Style::new(Weight::Regular, 7.0, GRAY);

/// The name, in the resources of all pages, of the object with the number of pages. That is known
/// only when the last page is written.
const TOTAL: Name<'static> = Name(b"Total");

/// The texts that are on each page.
pub(super) struct Margins {
    /// Above the table, and at the foot.
    pub(super) title: String,
    /// On the other side of the foot.
    pub(super) made: String,
}

/// A document whose table is written page by page.
pub(super) struct Pages<'a, W> {
    pub(super) document: Document<W>,
    tree: PageTree,
    fonts: &'a Fonts,
    margins: &'a Margins,
    /// The fonts and what else the pages share, which is written last: so the first bytes of a
    /// document go out when the files of the log are listed, as those of other formats do.
    resources: Ref,
    /// The title page, whose content is written last, and the node of the tree above it.
    cover: (Ref, Ref),
    open: Option<OpenPage<'a>>,
    pages: u64,
}

/// The page that is being filled.
struct OpenPage<'a> {
    painter: Painter<'a>,
    /// Where the next row begins.
    y: f32,
}

impl<'a, W: Write> Pages<'a, W> {
    /// Begins a document with a place for the title page.
    pub(super) fn begin(out: W, fonts: &'a Fonts, margins: &'a Margins) -> io::Result<Self> {
        let mut document = Document::begin(out)?;
        let resources = document.reserve()?;
        let mut tree = PageTree::new(&mut document)?;
        let cover = document.reserve()?;
        let above = tree.add(&mut document, cover)?;
        Ok(Self {
            document,
            tree,
            fonts,
            margins,
            resources,
            cover: (cover, above),
            open: None,
            pages: 1,
        })
    }

    /// Adds an entry to the table.
    pub(super) fn row(&mut self, entry: &RawEntry) -> io::Result<()> {
        let row = Row::of(entry);
        let laid_out = row.lay_out(self.fonts);
        let is_full = |page: &OpenPage<'_>| page.y - laid_out.height < BOTTOM;
        if self.open.as_ref().is_some_and(is_full) {
            self.close_page()?;
        }
        let page = match &mut self.open {
            Some(page) => page,
            none => none.insert(begin_page(self.fonts, self.margins)),
        };
        laid_out.draw(&mut page.painter, LEFT, page.y);
        page.y -= laid_out.height;
        Ok(())
    }

    /// Writes the last page, the title page, and all that shows where the pages are.
    pub(super) fn finish(
        mut self,
        cover: impl FnOnce(&mut Painter<'a>),
        end: impl FnOnce(&mut Document<W>, Ref) -> io::Result<End>,
    ) -> io::Result<()> {
        self.close_page()?;
        let mut painter = Painter::new(self.fonts);
        cover(&mut painter);
        let (page, above) = self.cover;
        self.write_page(page, above, painter, 1)?;
        self.write_resources()?;
        let top = self.tree.finish(&mut self.document)?;
        let end = end(&mut self.document, top)?;
        self.document.finish(&end)
    }

    fn close_page(&mut self) -> io::Result<()> {
        let Some(page) = self.open.take() else {
            return Ok(());
        };
        self.pages += 1;
        let id = self.document.reserve()?;
        let above = self.tree.add(&mut self.document, id)?;
        self.write_page(id, above, page.painter, self.pages)
    }

    fn write_page(
        &mut self,
        id: Ref,
        above: Ref,
        mut painter: Painter<'_>,
        number: u64,
    ) -> io::Result<()> {
        painter.rule((LEFT, RIGHT), FOOT + 10.0, 0.4, LIGHT);
        painter.text_before((RIGHT, FOOT), FOOTNOTE, &self.margins.made);
        let number = format!("Page {} ", grouped(number));
        painter.text((LEFT, FOOT), FOOTNOTE, &number);
        let total = LEFT + FOOTNOTE.width(self.fonts, &number);
        painter.object((total, FOOT), TOTAL);
        let content = self.document.add_packed(&painter.finish(), |_| {})?;
        let resources = self.resources;
        let [width, height] = PAGE;
        self.document.write(id, |object| {
            let mut page = object.page(id);
            page.parent(above);
            page.media_box(Rect::new(0.0, 0.0, width, height));
            page.pair(Name(b"Resources"), resources);
            page.contents(content);
        })
    }

    fn write_resources(&mut self) -> io::Result<()> {
        let fonts = self.fonts.embed(&mut self.document)?;
        let total = self.add_total(fonts)?;
        let resources = self.resources;
        self.document.write(resources, |object| {
            let mut resources: Resources<'_> = object.indirect(resources).start();
            resources.fonts().pairs(fonts);
            resources.x_objects().pair(TOTAL, total);
        })
    }

    /// Writes the object with the number of pages.
    fn add_total(&mut self, fonts: [(Name<'static>, Ref); 2]) -> io::Result<Ref> {
        let of = format!("of {}", grouped(self.pages));
        let width = FOOTNOTE.width(self.fonts, &of);
        let mut painter = Painter::new(self.fonts);
        painter.text((0.0, 0.0), FOOTNOTE, &of);
        let content = painter.finish();
        self.document.add(|object, id| {
            let mut form = object.form_xobject(id, &content);
            form.bbox(Rect::new(0.0, -FOOTNOTE.size, width, FOOTNOTE.size * 2.0));
            form.resources().fonts().pairs(fonts);
        })
    }
}

fn begin_page<'a>(fonts: &'a Fonts, margins: &Margins) -> OpenPage<'a> {
    let mut painter = Painter::new(fonts);
    painter.text((LEFT, HEAD), TITLE, &margins.title);
    table::draw_headings(&mut painter, LEFT, HEADINGS);
    OpenPage { painter, y: TOP }
}
