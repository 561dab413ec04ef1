//! What must stand somewhere in a line, or in a block, before it is worth a closer look.
//!
//! A needle never misses a line that matches; that what it finds does match is for the filter to say.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// Bytes to look for.
#[derive(Clone, Debug)]
pub(super) enum Needle {
    Exact(Box<memmem::Finder<'static>>),
    /// One of several, or whatever the case.
    Pattern(Regex),
}

impl Needle {
    /// Any of these. `None` if one of them is empty and so is everywhere.
    pub(super) fn any(mut options: Vec<Vec<u8>>) -> Option<Self> {
        if options.is_empty() || options.iter().any(Vec::is_empty) {
            return None;
        }
        if options.len() == 1 {
            return options.pop().map(|bytes| Self::Exact(Box::new(memmem::Finder::new(&bytes).into_owned())));
        }
        let options: Vec<_> = options.iter().map(|bytes| regex::escape(&String::from_utf8_lossy(bytes))).collect();
        RegexBuilder::new(&options.join("|")).size_limit(LIMIT).build().ok().map(Self::Pattern)
    }

    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(finder) => finder.find(bytes),
            Self::Pattern(regex) => regex.find(bytes).map(|found| found.start()),
        }
    }
}

/// Enough for a KiB of text that differs in case, in any script.
const LIMIT: usize = 64 << 20;

/// This text, in whatever case. `None` if it is too long to look for.
pub(super) fn ignoring_case(text: &str) -> Option<Regex> {
    RegexBuilder::new(&regex::escape(text)).case_insensitive(true).size_limit(LIMIT).build().ok()
}
