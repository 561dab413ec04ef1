//! The names of log files, and nothing but them.

use std::{fmt, str::FromStr};

use crate::{
    entry::{Day, StreamId, Timestamp},
    error::Error,
};

/// The name of a log file, without folder and ending: when it was born, its stream, and its number
/// in the stream, as in `20261121T101500.123456Z-billing-7f3a9c-00000042`. The live file, its
/// sealed twin and its index share it.
///
/// Ordered by birth, then stream, then number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileStem {
    /// When the file was created.
    pub(crate) born: Timestamp,
    /// The stream whose lines it holds.
    pub(crate) stream: StreamId,
    /// 1 for the stream's first file, and so on.
    pub(crate) number: u32,
}

impl FileStem {
    /// The day it is filed under: that of its birth.
    pub(crate) fn day(&self) -> Day {
        self.born.day()
    }

    /// Reads a whole file name, which must be exactly a stem and `ending`; anything else is not
    /// ours.
    pub(crate) fn parse(name: &str, ending: &str) -> Option<Self> {
        name.strip_suffix(ending)?.parse().ok()
    }
}

impl fmt::Display for FileStem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{:08}",
            self.born.compact(),
            self.stream,
            self.number
        )
    }
}

impl FromStr for FileStem {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::invalid(
                "file name",
                format!("{text:?} is not like 20261121T101500.123456Z-billing-7f3a9c-00000042"),
            )
        })
    }
}

fn parse(text: &str) -> Option<FileStem> {
    let born = Timestamp::parse_compact(text.get(..23)?)?;
    let (stream, number) = text.get(23..)?.strip_prefix('-')?.rsplit_once('-')?;
    if number.len() != 8 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(FileStem {
        born,
        stream: stream.parse().ok()?,
        number: number.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_whole_or_not_at_all() {
        let name = "20261121T101500.123456Z-certify-core-7f3a9c-00000042.jsonl";
        let stem = FileStem::parse(name, ".jsonl").unwrap();
        assert_eq!(
            (stem.stream.as_str(), stem.stream.source(), stem.number),
            ("certify-core-7f3a9c", "certify-core", 42)
        );
        assert_eq!(format!("{stem}.jsonl"), name);
        for foreign in [
            "20261121T101500.123456Z-billing-7f3a9c-00000042.jsonl.gz",
            "20261121T101500.123456Z-billing-7f3a9c-42.jsonl",
            "20261121T101500.123456Z-billing-7F3A9C-00000042.jsonl",
            "20261121T101500.123456Z-../x-7f3a9c-00000042.jsonl",
            "20261121T101500.123456Z-7f3a9c-00000042.jsonl",
            "20261121T101500.123456Z-billing-7f3a9c-00000042 (copy).jsonl",
            "MANIFEST.json",
        ] {
            assert_eq!(FileStem::parse(foreign, ".jsonl"), None, "{foreign}");
        }
    }
}
