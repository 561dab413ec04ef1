//! The forms of an export.

use std::{path::Path, str::FromStr};

use super::csv::{CsvDetails, CsvOptions};
use crate::error::{Error, Result};

/// The form of an export.
///
/// ```
/// use tracing_audit::reader::ExportFormat;
///
/// assert_eq!("gz".parse::<ExportFormat>()?, ExportFormat::Gzip);
/// assert_eq!(ExportFormat::of_file("november.zip")?, ExportFormat::Zip);
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// `zip`: a ZIP file with one file of lines for each day and stream, and with `manifest.json`,
    /// which is the first file of the archive, or with filters on fields the last.
    Zip,
    /// `gz`: all lines in one gzip file.
    Gzip,
    /// `ndjson`: the lines as they are.
    Ndjson,
    /// `json`: one JSON list of the entries as they are.
    Json,
    /// `csv`: a table, an entry a row.
    Csv(CsvOptions),
    /// `pdf`: a document for people, with a title page and a table; PDF/A-2u. It has the time, the
    /// event type, the actor, the resource, the outcome, the severity, the address, the description
    /// and the id of each entry. [The guide](crate::guide::exports) says how texts look in it.
    #[cfg(feature = "pdf")]
    Pdf,
}

/// Each format, with the endings of its files.
const FORMATS: &[(ExportFormat, &[&str])] = &[
    (ExportFormat::Zip, &["zip"]),
    (ExportFormat::Gzip, &["gz"]),
    (ExportFormat::Ndjson, &["jsonl", "ndjson"]),
    (ExportFormat::Json, &["json"]),
    (ExportFormat::Csv(CsvOptions::DEFAULT), &["csv"]),
    #[cfg(feature = "pdf")]
    (ExportFormat::Pdf, &["pdf"]),
];

impl FromStr for ExportFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut formats = FORMATS.iter().map(|(format, _)| *format);
        let known = formats.find(|format| format.as_str() == text);
        known.ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            let names = names.join(", ");
            Error::invalid("format", format!("{text:?} must be one of {names}"))
        })
    }
}

impl ExportFormat {
    /// The names of all formats.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().map(|(format, _)| format.as_str())
    }

    /// The format that the ending of a file's name says, whatever its case: `.zip`, `.gz`,
    /// `.jsonl`, `.ndjson`, `.json`, `.csv` or, with the feature `pdf`, `.pdf`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for any other name; it lists the endings.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        let has = |ending: &&str| {
            name.strip_suffix(*ending)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        let mut formats = FORMATS.iter();
        let known = formats.find(|(_, endings)| endings.iter().any(has));
        known.map(|(format, _)| *format).ok_or_else(|| {
            let endings: Vec<_> = FORMATS.iter().map(|(_, of)| of.join(", .")).collect();
            let endings = endings.join(", .");
            let problem = format!(
                "the name of {} doesn't say the format; end it in one of .{endings}, or give the \
                 format",
                path.display()
            );
            Error::invalid("output", problem)
        })
    }

    /// The format's name, as it is parsed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gzip => "gz",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Csv(_) => "csv",
            #[cfg(feature = "pdf")]
            Self::Pdf => "pdf",
        }
    }

    /// Whether a range of time can be put together of the blocks of sealed files as they are. All
    /// other formats are made entry by entry.
    pub(crate) fn is_copied(self) -> bool {
        matches!(self, Self::Zip | Self::Gzip)
    }

    /// Whether a file shows by itself that its end is missing. Lines and rows just end.
    #[cfg(feature = "server")]
    pub(crate) fn shows_its_end(self) -> bool {
        !matches!(self, Self::Ndjson | Self::Csv(_))
    }

    /// Whether people can read a file of it as it is.
    #[cfg(feature = "server")]
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Ndjson | Self::Json | Self::Csv(_))
    }

    /// How often the log is read for it.
    pub(super) fn passes(self) -> u64 {
        match self {
            Self::Csv(options) if options.details == CsvDetails::Columns => 2,
            _ => 1,
        }
    }

    /// The ending of a download's name, without its dot.
    #[cfg(feature = "server")]
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gzip => "jsonl.gz",
            Self::Ndjson => "jsonl",
            Self::Json => "json",
            Self::Csv(_) => "csv",
            #[cfg(feature = "pdf")]
            Self::Pdf => "pdf",
        }
    }

    #[cfg(feature = "server")]
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Zip => "application/zip",
            Self::Gzip => "application/gzip",
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv(_) => "text/csv; charset=utf-8; header=present",
            #[cfg(feature = "pdf")]
            Self::Pdf => "application/pdf",
        }
    }
}

#[cfg(all(test, not(feature = "pdf")))]
mod tests {
    use super::*;

    #[test]
    fn without_its_feature_pdf_is_an_unknown_format() {
        let error = "pdf".parse::<ExportFormat>().unwrap_err().to_string();
        let known = "\"pdf\" must be one of zip, gz, ndjson, json, csv";
        assert!(error.ends_with(known), "{error}");
        assert!(ExportFormat::of_file("audit.pdf").is_err());
    }
}
