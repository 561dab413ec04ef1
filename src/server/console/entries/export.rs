//! The menu of downloads: for each format the name that the file will have, and about how large it
//! will be.
//!
//! A download has the reads of the log as well, which the page leaves out, so the entries are
//! counted once more, if that is fast. The size is estimated: the entries that the page shows are
//! written in the format, and stand for all.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use flate2::{Compression, write::DeflateEncoder};

use super::answer::Answer;
use crate::{
    entry::Timestamp,
    export::{CsvWriter, ExportFormat},
    query::{RawEntry, StatsQuery},
    server::{
        access::Scope,
        asked::Asked,
        console::{
            selection::{Selection, query},
            text::{bytes, entries},
            visit::Visit,
        },
        problem::Problem,
        state::Asker,
    },
};

/// How long counting the entries of a download may take.
const COUNT_TIME: Duration = Duration::from_millis(300);
/// How much of the entries is compressed for an estimate.
const SAMPLE: usize = 64 * 1024;

pub(in crate::server::console) struct ExportMenu {
    /// How many entries a download has.
    pub(in crate::server::console) count: (String, &'static str),
    pub(in crate::server::console) downloads: Vec<Download>,
}

/// A format to choose.
pub(in crate::server::console) struct Download {
    pub(in crate::server::console) title: &'static str,
    pub(in crate::server::console) query: String,
    /// The name of the file.
    pub(in crate::server::console) name: String,
    /// About how large it will be, if that can be said.
    pub(in crate::server::console) size: Option<String>,
}

impl ExportMenu {
    /// The menu, for a visitor who may download entries.
    pub(super) async fn new(
        visit: &Visit,
        asker: &Asker,
        selection: &Selection,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Option<Self>, Problem> {
        if asker.access.scope < Scope::Export {
            return Ok(None);
        }
        let counts = answer.counts.as_ref();
        let exact = counts.filter(|counts| counts.stats.exact);
        let shown = exact.map(|counts| counts.stats.total);
        let given = selection.parameters(now);
        let (include, mut params): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|(name, _)| name == "include");
        // Later entries aren't on the page, unless the range begins later still.
        let range = Asked::parse(asker, &params)?.into_filter();
        if range.end().is_none() && range.start().is_none_or(|start| start < now) {
            params.push(("end_date".to_owned(), now.to_string()));
        }
        let count = match include.is_empty() {
            true => count(visit, asker, &params).await?,
            false => shown,
        };
        let found = answer.found.as_ref();
        let sample = found.map_or(&[][..], |found| &found.entries);
        let download =
            |format: &str| Download::new(asker, &params, format, count.or(shown), sample);
        Ok(Some(Self {
            count: words(count, shown),
            downloads: ExportFormat::names()
                .map(download)
                .collect::<Result<_, _>>()?,
        }))
    }
}

/// The number of entries in a download, or of those that the page counts; and whether reads of the
/// log are among them.
fn words(count: Option<u64>, shown: Option<u64>) -> (String, &'static str) {
    match (count, shown) {
        (Some(count), _) => (entries(count), "with reads of the log"),
        (None, Some(shown)) => (entries(shown), "reads of the log not counted"),
        (None, None) => ("An unknown number of entries".to_owned(), ""),
    }
}

/// How many entries a download has, reads of the log included; `None` if entries would have to be
/// read for that once more, if it takes too long, or can't be exact.
async fn count(
    visit: &Visit,
    asker: &Asker,
    params: &[(String, String)],
) -> Result<Option<u64>, Problem> {
    let filter = Asked::parse(asker, params)?.into_filter();
    if filter.has_field_filters() {
        return Ok(None);
    }
    let question = StatsQuery {
        filter,
        most_steps: 1,
        top: 0,
        include_access: true,
        ..StatsQuery::default()
    };
    let stats = visit.read_within(COUNT_TIME, move |reader| reader.stats(&question));
    let stats = stats.await?.filter(|stats| stats.exact);
    Ok(stats.map(|stats| stats.total))
}

impl Download {
    fn new(
        asker: &Asker,
        params: &[(String, String)],
        format: &str,
        count: Option<u64>,
        sample: &[RawEntry],
    ) -> Result<Self, Problem> {
        let mut params = params.to_vec();
        params.push(("format".to_owned(), format.to_owned()));
        let asked = Asked::parse(asker, &params)?;
        let size = count.and_then(|count| estimate(asked.format, count, sample));
        Ok(Self {
            title: title(asked.format),
            name: asked.name().to_owned(),
            size: size.map(|size| format!("about {}", bytes(size))),
            query: query(params.iter().map(|(name, value)| (&**name, &**value))),
        })
    }
}

fn title(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Zip => "ZIP, with a manifest",
        ExportFormat::Gzip => "JSON lines, compressed",
        ExportFormat::Ndjson => "JSON lines",
        ExportFormat::Json => "JSON",
        ExportFormat::Csv(_) => "CSV",
        #[cfg(feature = "pdf")]
        ExportFormat::Pdf => "PDF",
    }
}

/// About how many bytes so many entries have in this format, if these are some of them. `None`
/// without a sample, and for PDF, whose pages are laid out one by one.
fn estimate(format: ExportFormat, count: u64, sample: &[RawEntry]) -> Option<u64> {
    let size = match format {
        ExportFormat::Zip | ExportFormat::Gzip => compressed(&lines(sample)),
        ExportFormat::Ndjson | ExportFormat::Json => Ok(lines(sample).len()),
        ExportFormat::Csv(_) => table(sample),
        #[cfg(feature = "pdf")]
        ExportFormat::Pdf => return None,
    };
    // An entry that isn't JSON has no row in a table; then nothing is said.
    let size = u64::try_from(size.ok()?).ok()?;
    let known = u64::try_from(sample.len()).ok()?;
    size.checked_mul(count)?.checked_div(known)
}

fn lines(sample: &[RawEntry]) -> Vec<u8> {
    let lines = sample.iter().flat_map(|entry| [entry.line(), b"\n"]);
    lines.collect::<Vec<_>>().concat()
}

/// About how many bytes a text has when it is compressed, by its beginning.
fn compressed(text: &[u8]) -> io::Result<usize> {
    let sample = &text[..text.len().min(SAMPLE)];
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(sample)?;
    let deflated = deflated.finish()?.len();
    Ok(deflated * text.len() / sample.len().max(1))
}

/// How many bytes the rows have, without the names of the columns.
fn table(sample: &[RawEntry]) -> io::Result<usize> {
    let write = |entries: &[RawEntry]| {
        let mut file = Vec::new();
        let mut csv = CsvWriter::new(&mut file)?;
        entries.iter().try_for_each(|entry| csv.write(entry))?;
        csv.finish()?;
        Ok::<_, io::Error>(file.len())
    };
    Ok(write(sample)? - write(&[])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: usize) -> Vec<RawEntry> {
        let line = |n| {
            format!(
                "{{\"stream\":\"a-1\",\"seq\":{n},\"id\":\"0193f2a4-7c1e-7d31-9f65-{n:012x}\",\
                 \"timestamp\":\"2025-01-15T10:30:00.123456Z\",\"event_type\":\"a.b\"}}"
            )
        };
        let lines = (10..10 + count).map(line);
        lines
            .map(|line| RawEntry::from_line(line.as_bytes()).unwrap())
            .collect()
    }

    #[test]
    fn the_entries_of_a_page_stand_for_all() {
        let sample = sample(50);
        let plain = lines(&sample).len() as u64;
        let of = |format: &str| estimate(format.parse().unwrap(), 500, &sample).unwrap();
        assert_eq!(of("ndjson"), plain * 10);
        assert!(of("zip") < plain * 5 && of("zip") > 0);
        assert!(of("csv") > 0);
        for format in ExportFormat::names() {
            let format: ExportFormat = format.parse().unwrap();
            assert_eq!(estimate(format, 500, &[]), None);
        }
    }
}
