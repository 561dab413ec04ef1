//! How an export is packed.

use std::str::FromStr;

use crate::error::{Error, Result};

/// The form of an export.
///
/// ```
/// use tracing_audit::reader::ExportFormat;
///
/// assert_eq!("gz".parse::<ExportFormat>()?, ExportFormat::Gzip);
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// `zip`: a ZIP file of one file of lines for each day and stream, and a manifest. With filters
    /// on fields, all lines are in one file.
    Zip,
    /// `gz`: all lines in one gzip file.
    Gzip,
    /// `ndjson`: the lines as they are.
    Ndjson,
}

impl FromStr for ExportFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = [Self::Zip, Self::Gzip, Self::Ndjson]
            .into_iter()
            .find(|format| format.as_str() == text);
        known.ok_or_else(|| {
            Error::invalid("format", format!("{text:?} is not one of zip, gz, ndjson"))
        })
    }
}

impl ExportFormat {
    /// The format's name, as it is parsed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gzip => "gz",
            Self::Ndjson => "ndjson",
        }
    }
}
