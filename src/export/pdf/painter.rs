//! The drawing of one page.

use pdf_writer::{Content, Name, Settings, Str, TextStr};

use super::{
    font::{Font, Fonts, Weight},
    text::{self, Shown},
};

/// A color, in the parts of sRGB.
pub(super) type Color = [f32; 3];

pub(super) const BLACK: Color = [0.1, 0.1, 0.12];
pub(super) const GRAY: Color = [0.38, 0.38, 0.42];
pub(super) const LIGHT: Color = [0.8, 0.8, 0.83];
pub(super) const BLUE: Color = [0.11, 0.22, 0.42];
pub(super) const RED: Color = [0.68, 0.08, 0.08];
pub(super) const AMBER: Color = [0.6, 0.36, 0.0];
/// The codes of characters that the font doesn't have.
const CODE: Color = [0.5, 0.3, 0.55];

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) weight: Weight,
    /// In points, 1/72 inch.
    pub(super) size: f32,
    pub(super) color: Color,
}

impl Style {
    pub(super) const fn new(weight: Weight, size: f32, color: Color) -> Self {
        Self {
            weight,
            size,
            color,
        }
    }

    /// How far a line is from the one above it.
    pub(super) fn leading(self) -> f32 {
        self.size * 1.26
    }

    /// A length in points, in thousandths of the size.
    pub(super) fn relative(self, points: f32) -> u32 {
        (points / self.size * 1000.0) as u32
    }

    /// How wide the text is, in points.
    pub(super) fn width(self, fonts: &Fonts, text: &str) -> f32 {
        text::width(fonts.of(self.weight), text) as f32 / 1000.0 * self.size
    }
}

/// The content of one page. Places are in points from the page's lower left corner.
pub(super) struct Painter<'a> {
    content: Content,
    fonts: &'a Fonts,
    color: Option<Color>,
}

impl<'a> Painter<'a> {
    pub(super) fn new(fonts: &'a Fonts) -> Self {
        Self {
            content: Content::with_settings(Settings { pretty: false }),
            fonts,
            color: None,
        }
    }

    /// Draws one line of text from this place on.
    pub(super) fn text(&mut self, (x, y): (f32, f32), style: Style, text: &str) {
        let text = text.trim_end_matches(text::is_space);
        if text.is_empty() {
            return;
        }
        let font = self.fonts.of(style.weight);
        self.fill(style.color);
        self.content.begin_text();
        self.content.set_font(font.name, style.size);
        self.content.next_line(x, y);
        self.show(font, style.color, text);
        self.content.end_text();
    }

    /// Draws one line of text that ends at this place.
    pub(super) fn text_before(&mut self, (x, y): (f32, f32), style: Style, text: &str) {
        let x = x - style.width(self.fonts, text);
        self.text((x, y), style, text);
    }

    /// Draws a horizontal line.
    pub(super) fn rule(&mut self, (from, to): (f32, f32), y: f32, thickness: f32, color: Color) {
        self.fill(color);
        self.content.rect(from, y, to - from, thickness);
        self.content.fill_nonzero();
    }

    /// Draws what another object has, from this place on.
    pub(super) fn object(&mut self, (x, y): (f32, f32), name: Name<'_>) {
        self.content.save_state();
        self.content.transform([1.0, 0.0, 0.0, 1.0, x, y]);
        self.content.x_object(name);
        self.content.restore_state();
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.content.finish().into_vec()
    }

    fn fill(&mut self, color: Color) {
        if self.color != Some(color) {
            let [red, green, blue] = color;
            self.content.set_fill_rgb(red, green, blue);
            self.color = Some(color);
        }
    }

    fn show(&mut self, font: &Font, color: Color, text: &str) {
        let mut glyphs = Vec::with_capacity(text.len() * 2);
        for character in text.chars() {
            match text::shown(font, character) {
                Shown::Glyph(glyph) => glyphs.extend(glyph.id.to_be_bytes()),
                Shown::Code => {
                    self.flush(&mut glyphs);
                    self.code(font, character);
                    self.fill(color);
                }
            }
        }
        self.flush(&mut glyphs);
    }

    /// Shows the code of a character, from which a program that copies the text gets the character.
    fn code(&mut self, font: &Font, character: char) {
        let code = text::code(character);
        let glyphs = code.chars().filter_map(|sign| font.glyph(sign));
        let mut glyphs: Vec<u8> = glyphs.flat_map(|glyph| glyph.id.to_be_bytes()).collect();
        self.fill(CODE);
        if !text::is_copied(character) {
            self.flush(&mut glyphs);
            return;
        }
        let mut mark = self
            .content
            .begin_marked_content_with_properties(Name(b"Span"));
        mark.properties()
            .actual_text(TextStr(character.encode_utf8(&mut [0; 4])));
        drop(mark);
        self.flush(&mut glyphs);
        self.content.end_marked_content();
    }

    fn flush(&mut self, glyphs: &mut Vec<u8>) {
        if !glyphs.is_empty() {
            self.content.show(Str(glyphs));
            glyphs.clear();
        }
    }
}
