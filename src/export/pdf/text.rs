//! How texts are shown on a page: in which lines, and with what for characters that the font
//! doesn't have.
//!
//! A character without a glyph is shown as its code, as in `\u{4e2d}`, and so are control
//! characters and those that change the direction of text: nothing in an entry can disturb a page.

use super::font::{Font, Glyph};

/// How a character is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Glyph(Glyph),
    /// By its code.
    Code,
}

/// How the font shows the character. White space of any width is a space, the only white space that
/// the font has.
pub(super) fn shown(font: &Font, character: char) -> Shown {
    match font.glyph(character) {
        Some(glyph) => Shown::Glyph(glyph),
        None if is_space(character) => Shown::Glyph(font.space()),
        None => Shown::Code,
    }
}

/// White space of any width. A tab or the end of a line is none: it is shown as its code.
pub(super) fn is_space(character: char) -> bool {
    let ends_a_line = matches!(character, '\u{2028}' | '\u{2029}');
    character == ' ' || (character.is_whitespace() && !character.is_control() && !ends_a_line)
}

/// The text in place of a character that has no glyph.
pub(super) fn code(character: char) -> String {
    match character {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        character => character.escape_unicode().to_string(),
    }
}

/// Whether a program that copies the text may get the character itself, although its code is shown.
/// Not a character that such a program obeys or shows nothing of, and none of a script that is
/// written from right to left, because these would change the order of the text around them.
pub(super) fn is_copied(character: char) -> bool {
    let is_kept_back = matches!(
        character,
        '\u{ad}'
            | '\u{590}'..='\u{8ff}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fe70}'..='\u{feff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
            | '\u{e0000}'..='\u{10ffff}'
    );
    !character.is_control() && !is_kept_back
}

/// The lines of a text that fit into a cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines<'a> {
    pub(super) lines: Vec<&'a str>,
    /// How many characters were left out.
    pub(super) rest: usize,
}

impl Lines<'_> {
    /// The note about what was left out; empty if that is nothing.
    pub(super) fn note(&self) -> String {
        match self.rest {
            0 => String::new(),
            rest => format!("… {} more", grouped(rest as u64)),
        }
    }

    /// How many lines there are, with the note.
    pub(super) fn count(&self) -> usize {
        self.lines.len() + usize::from(self.rest > 0)
    }
}

/// Breaks a text into lines of at most this width, in thousandths of the size. If it has more than
/// `most` lines, the last one has to leave its place to a note.
pub(super) fn wrap<'a>(text: &'a str, font: &Font, width: u32, most: usize) -> Lines<'a> {
    let mut lines = Vec::new();
    let mut left = text;
    while !left.is_empty() && lines.len() < most {
        let (line, rest) = left.split_at(first_line(left, font, width));
        lines.push(line);
        left = rest;
    }
    let mut rest = left.chars().count();
    if rest > 0 {
        rest += lines.pop().map_or(0, |last| last.chars().count());
    }
    Lines { lines, rest }
}

/// How many bytes of the text are its first line. A line ends behind a space or a sign where one is
/// inside of the width, else anywhere. Spaces at its end may stand out.
fn first_line(text: &str, font: &Font, width: u32) -> usize {
    let mut used = 0;
    let mut end = 0;
    for (at, character) in text.char_indices() {
        used += advance(font, character);
        let is_space = is_space(character);
        if used > width && at > 0 && !is_space {
            return if end > 0 { end } else { at };
        }
        if is_space || is_break(character) {
            end = at + character.len_utf8();
        }
    }
    text.len()
}

/// Whether a line may end behind this sign.
fn is_break(character: char) -> bool {
    matches!(
        character,
        '-' | '/' | '.' | '_' | ':' | ';' | ',' | '@' | '&' | '?' | '=' | '|' | '\n' | '–' | '—'
    )
}

/// The width of a character as it is shown, in thousandths of the size.
fn advance(font: &Font, character: char) -> u32 {
    match shown(font, character) {
        Shown::Glyph(glyph) => glyph.advance.into(),
        // The font has all signs of a code.
        Shown::Code => width(font, &code(character)),
    }
}

/// The width of a text as it is shown, in thousandths of the size.
pub(super) fn width(font: &Font, text: &str) -> u32 {
    text.chars().map(|character| advance(font, character)).sum()
}

/// A number as people write it: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::export::pdf::font::{Fonts, Weight};

    proptest! {
        #[test]
        fn lines_are_a_text_and_fit(
            text in "[ -~\\n\u{400}-\u{44f}\u{4e00}-\u{4e2f}]{0,120}",
            room in 2_000_u32..40_000,
            most in 1_usize..8,
        ) {
            let fonts = Fonts::new();
            let font = fonts.of(Weight::Regular);
            let wrapped = wrap(&text, font, room, most);
            let shown = wrapped.lines.concat();
            let all = text.chars().count();
            prop_assert!(text.starts_with(&shown));
            prop_assert_eq!(shown.chars().count() + wrapped.rest, all);
            prop_assert!(wrapped.count() <= most);
            for line in &wrapped.lines {
                let seen = line.trim_end_matches(is_space);
                // A single character that is wider than the line has a line of its own.
                let is_one = seen.chars().count() == 1;
                prop_assert!(is_one || width(font, seen) <= room, "{:?}", line);
            }
        }
    }

    #[test]
    fn a_line_ends_at_a_space_or_a_sign_where_it_can() {
        let fonts = Fonts::new();
        let font = fonts.of(Weight::Regular);
        let room = width(font, "Benutzer Zoë Mül");
        let lines = |text| wrap(text, font, room, 5).lines;
        assert_eq!(lines("Benutzer Zoë Müller"), ["Benutzer Zoë ", "Müller"]);
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("ann.ames@example.com"), ["ann.ames@", "example.com"]);
        let room = width(font, "Benutzername");
        let lines = wrap("Benutzernamenlängen", font, room, 5).lines;
        assert_eq!(lines, ["Benutzername", "nlängen"]);
    }

    #[test]
    fn what_is_cut_is_counted() {
        let fonts = Fonts::new();
        let font = fonts.of(Weight::Regular);
        let text = "word ".repeat(1_000);
        let cut = wrap(&text, font, width(font, "word word "), 3);
        assert_eq!(cut.lines, ["word word "; 2]);
        assert_eq!(cut.note(), "… 4,980 more");
        assert_eq!(cut.count(), 3);
    }
}
