//! Bytes that every matching line contains: a line or a block without them needs no closer look.
//!
//! A needle never misses a line that matches; that what it finds does match is for the filter to
//! say.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// Enough for a KiB of text that differs in case, in any script.
const LIMIT: usize = 64 << 20;

/// Bytes to look for.
#[derive(Clone, Debug)]
pub(super) enum Needle {
    Exact(Box<memmem::Finder<'static>>),
    /// Lower-case ASCII, found in lower-case text: much faster than a pattern, which stops at
    /// whatever begins as it does.
    Lower(Box<memmem::Finder<'static>>),
    /// One of several texts, or a text whatever its case.
    Pattern(Regex),
}

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Haystack<'a> {
    pub(super) plain: &'a [u8],
    /// The same in lower case (ASCII only), if [`Needle::Lower`] is looked for.
    pub(super) lower: &'a [u8],
}

impl Needle {
    /// Any of these. `None` if one of them is empty and so is everywhere.
    pub(super) fn any(mut options: Vec<Vec<u8>>) -> Option<Self> {
        if options.is_empty() || options.iter().any(Vec::is_empty) {
            return None;
        }
        if options.len() == 1 {
            return options.pop().map(|bytes| Self::Exact(finder(&bytes)));
        }
        let options: Vec<_> = options
            .iter()
            .map(|bytes| regex::escape(&String::from_utf8_lossy(bytes)))
            .collect();
        Self::pattern(&options.join("|"))
    }

    /// A needle that finds what this pattern does. `None` if the pattern is too long.
    pub(super) fn pattern(pattern: &str) -> Option<Self> {
        built(pattern).map(Self::Pattern)
    }

    /// Any of these texts, in whatever case.
    pub(super) fn ignoring_case(texts: &[&str]) -> Option<Self> {
        match texts {
            [text] if text.is_ascii() => {
                Some(Self::Lower(finder(text.to_ascii_lowercase().as_bytes())))
            }
            _ => {
                let patterns: Vec<_> = texts.iter().map(|text| any_case(text)).collect();
                Self::pattern(&patterns.join("|"))
            }
        }
    }

    /// Whether it is in this text.
    pub(super) fn is_in(&self, text: Haystack<'_>) -> bool {
        self.find(text, 0).is_some()
    }

    /// Gives each line that has it, without its LF.
    pub(super) fn each_line<'a>(&self, lines: Haystack<'a>, give: &mut dyn FnMut(Haystack<'a>)) {
        lines.each_line_at(|from| self.find(lines, from), give);
    }

    /// Where it is, at this byte or after it.
    fn find(&self, text: Haystack<'_>, from: usize) -> Option<usize> {
        let found = match self {
            Self::Exact(finder) => finder.find(text.plain.get(from..)?),
            Self::Lower(finder) => finder.find(text.lower.get(from..)?),
            Self::Pattern(regex) => regex
                .find(text.plain.get(from..)?)
                .map(|found| found.start()),
        };
        found.map(|at| from + at)
    }
}

impl<'a> Haystack<'a> {
    /// Gives each line, without its LF.
    pub(super) fn each_line(self, give: &mut dyn FnMut(Self)) {
        self.each_line_at(Some, give);
    }

    /// Gives each line in which `next` finds something at this byte or after it.
    fn each_line_at(self, next: impl Fn(usize) -> Option<usize>, give: &mut dyn FnMut(Self)) {
        let mut from = 0;
        while from < self.plain.len()
            && let Some(at) = next(from)
        {
            let (before, behind) = self.plain.split_at_checked(at).unwrap_or((self.plain, &[]));
            let start = memchr::memrchr(b'\n', before).map_or(0, |lf| lf + 1);
            let end = memchr::memchr(b'\n', behind).map_or(self.plain.len(), |lf| at + lf);
            give(Self {
                plain: self.plain.get(start..end).unwrap_or_default(),
                lower: self.lower.get(start..end).unwrap_or_default(),
            });
            from = end + 1;
        }
    }
}

fn finder(bytes: &[u8]) -> Box<memmem::Finder<'static>> {
    Box::new(memmem::Finder::new(bytes).into_owned())
}

/// A pattern of this text, in whatever case. `None` if it is too long.
pub(super) fn ignoring_case(text: &str) -> Option<Regex> {
    built(&any_case(text))
}

/// ASCII is the same as ASCII only: `K` is not the sign for kelvin.
fn any_case(text: &str) -> String {
    let flags = if text.is_ascii() { "i-u" } else { "i" };
    format!("(?{flags}:{})", regex::escape(text))
}

fn built(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(LIMIT).build().ok()
}
