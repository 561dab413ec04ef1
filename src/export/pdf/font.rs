//! The fonts of a PDF file: which glyph stands for a character, how wide it is, and the objects
//! that embed the font.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use pdf_writer::{
    Name, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use ttf_parser::{Face, GlyphId};

use super::document::Document;

const REGULAR: &[u8] = include_bytes!("data/NotoSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("data/NotoSans-Bold.ttf");

/// The numbers of glyphs are the characters of the text: a code of two bytes each.
const IDENTITY: Name<'static> = Name(b"Identity-H");
const SYSTEM: SystemInfo<'static> = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};

/// How dark the text of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// The fonts of a file.
pub(super) struct Fonts {
    regular: Font,
    bold: Font,
}

/// One font.
pub(super) struct Font {
    /// The name in a page's resources.
    pub(super) name: Name<'static>,
    postscript_name: Name<'static>,
    stem: f32,
    face: Face<'static>,
    data: &'static [u8],
    /// By the code of the character, up to the last one that the font has.
    glyphs: Vec<Option<Glyph>>,
}

/// The form of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) id: u16,
    /// How far the next glyph is, in thousandths of the size.
    pub(super) advance: u16,
}

impl Fonts {
    pub(super) fn new() -> Self {
        Self {
            regular: Font::new(Name(b"F1"), Name(b"NotoSans-Regular"), 80.0, REGULAR),
            bold: Font::new(Name(b"F2"), Name(b"NotoSans-Bold"), 140.0, BOLD),
        }
    }

    pub(super) fn of(&self, weight: Weight) -> &Font {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// Writes the fonts. Gives their names and their objects.
    pub(super) fn embed<W: Write>(
        &self,
        document: &mut Document<W>,
    ) -> io::Result<[(Name<'static>, Ref); 2]> {
        let regular = self.regular.embed(document)?;
        let bold = self.bold.embed(document)?;
        Ok([(self.regular.name, regular), (self.bold.name, bold)])
    }
}

impl Font {
    fn new(
        name: Name<'static>,
        postscript_name: Name<'static>,
        stem: f32,
        data: &'static [u8],
    ) -> Self {
        let face = Face::parse(data, 0).expect("the font is a part of the program");
        Self {
            name,
            postscript_name,
            stem,
            glyphs: glyphs(&face),
            face,
            data,
        }
    }

    /// `None` if the font doesn't have the character.
    pub(super) fn glyph(&self, character: char) -> Option<Glyph> {
        self.glyphs.get(character as usize).copied().flatten()
    }

    pub(super) fn space(&self) -> Glyph {
        self.glyph(' ').expect("the font has a space")
    }

    fn characters(&self) -> impl Iterator<Item = (char, Glyph)> {
        let codes = (0..).map_while(|code: u32| Some((code, *self.glyphs.get(code as usize)?)));
        codes.filter_map(|(code, glyph)| Some((char::from_u32(code)?, glyph?)))
    }

    fn embed<W: Write>(&self, document: &mut Document<W>) -> io::Result<Ref> {
        let len = i32::try_from(self.data.len()).map_err(io::Error::other)?;
        let file = document.add_packed(self.data, |stream| {
            stream.pair(Name(b"Length1"), len);
        })?;
        let mut map = UnicodeCmap::new(Name(b"Unicode"), SYSTEM);
        for (character, glyph) in self.characters() {
            map.pair(glyph.id, character);
        }
        let map = document.add_packed(map.finish().as_slice(), |_| {})?;
        let descriptor = self.add_descriptor(document, file)?;
        let glyphs = self.add_glyphs(document, descriptor)?;
        document.add(|object, id| {
            let mut font = object.type0_font(id);
            font.base_font(self.postscript_name);
            font.encoding_predefined(IDENTITY);
            font.descendant_font(glyphs);
            font.to_unicode(map);
        })
    }

    fn add_descriptor<W: Write>(&self, document: &mut Document<W>, file: Ref) -> io::Result<Ref> {
        let bounds = self.face.global_bounding_box();
        let height = self.face.capital_height();
        document.add(|object, id| {
            let mut descriptor = object.font_descriptor(id);
            descriptor.name(self.postscript_name);
            descriptor.flags(FontFlags::NON_SYMBOLIC);
            descriptor.bbox(Rect::new(
                bounds.x_min.into(),
                bounds.y_min.into(),
                bounds.x_max.into(),
                bounds.y_max.into(),
            ));
            descriptor.italic_angle(0.0);
            descriptor.ascent(self.face.ascender().into());
            descriptor.descent(self.face.descender().into());
            descriptor.cap_height(height.unwrap_or_default().into());
            descriptor.stem_v(self.stem);
            descriptor.font_file2(file);
        })
    }

    fn add_glyphs<W: Write>(&self, document: &mut Document<W>, descriptor: Ref) -> io::Result<Ref> {
        let advance = |id| f32::from(self.face.glyph_hor_advance(GlyphId(id)).unwrap_or_default());
        let widths = (0..self.face.number_of_glyphs()).map(advance);
        document.add(|object, id| {
            let mut font = object.cid_font(id);
            font.subtype(CidFontType::Type2);
            font.base_font(self.postscript_name);
            font.system_info(SYSTEM);
            font.font_descriptor(descriptor);
            font.default_width(0.0);
            font.widths().consecutive(0, widths);
            font.cid_to_gid_map_predefined(Name(b"Identity"));
        })
    }
}

/// The glyphs of all characters that the font has.
fn glyphs(face: &Face<'_>) -> Vec<Option<Glyph>> {
    let mut found = BTreeMap::new();
    for subtable in face.tables().cmap.iter().flat_map(|cmap| cmap.subtables) {
        subtable.codepoints(|code| {
            let glyph = char::from_u32(code).and_then(|character| glyph(face, character));
            found.extend(glyph.map(|glyph| (code as usize, glyph)));
        });
    }
    let len = found.keys().last().map_or(0, |last| last + 1);
    let mut glyphs = vec![None; len];
    for (code, glyph) in found {
        glyphs[code] = Some(glyph);
    }
    glyphs
}

fn glyph(face: &Face<'_>, character: char) -> Option<Glyph> {
    let id = face.glyph_index(character)?;
    Some(Glyph {
        id: id.0,
        advance: face.glyph_hor_advance(id)?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_glyph_stands_for_one_character() {
        let fonts = Fonts::new();
        for weight in [Weight::Regular, Weight::Bold] {
            let font = fonts.of(weight);
            let glyphs: Vec<_> = font.characters().map(|(_, glyph)| glyph.id).collect();
            let distinct: BTreeSet<_> = glyphs.iter().collect();
            assert_eq!((glyphs.len(), distinct.len()), (1509, 1509));
            assert_eq!(font.face.units_per_em(), 1000);
        }
    }

    #[test]
    fn the_fonts_have_the_letters_of_europe() {
        let fonts = Fonts::new();
        let text = "Zoë Łódź Ştefan Ünsal Đặng Αθήνα ᾠδή Київ Ђорђе € „…“ – № ™ 0";
        for weight in [Weight::Regular, Weight::Bold] {
            let font = fonts.of(weight);
            assert!(
                text.chars()
                    .all(|character| font.glyph(character).is_some())
            );
            assert_eq!(font.glyph('日'), None);
            assert_eq!(font.glyph('\u{202e}'), None);
        }
    }
}
