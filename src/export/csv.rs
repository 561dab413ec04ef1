//! An export as CSV (RFC 4180), for spreadsheets and for programs that read tables.
//!
//! The columns are known before the first row. With details as columns, that takes a first pass
//! over the same entries, which gathers the names. Their number is bounded, and so is memory: a
//! value without a column of its own stays in the column `details`, so nothing is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    mem,
    str::FromStr,
};

use tracing_audit_schema::fields::{DETAILS, FIELDS, Field};

use super::filtered::Filtered;
use crate::{
    entry::json::{Json, Members},
    error::{Error, Result},
    query::RawEntry,
};

/// How many details have a column of their own at most, and how long their names may be in bytes.
const MAX_COLUMNS: usize = 250;
const MAX_NAME: usize = 250;

/// The signs at which a spreadsheet takes a cell for a formula, after OWASP's page on CSV
/// injection, with their full-width forms.
const FORMULAS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

const BOM: &[u8] = "\u{feff}".as_bytes();

/// The form of a CSV file.
///
/// The file is UTF-8 with a comma between cells and CRLF at the end of rows (RFC 4180). The first
/// row has the names of the columns: the fields of an entry in their order, with parts as
/// `actor.id`.
///
/// | columns | cells |
/// |---|---|
/// | `stream`, `seq`, `id`, `timestamp`, `schema_version`, `event_type`, `category`, `action`, `severity`, `source`, `tenant_id` | as in the entry |
/// | `actor.type`, `actor.id`, `actor.name`, `actor.attributes` | attributes as JSON |
/// | `resource.type`, `resource.id`, `resource.name`, `resource.attributes`, `resource.prior_attributes` | attributes as JSON |
/// | `outcome.type`, `outcome.reason`, `outcome.error`, `description` | as in the entry |
/// | `details.…`, `details` | see [`CsvDetails`] |
/// | `tags` | a JSON list |
/// | `ip_address`, `user_agent` | as in the entry |
/// | `context.captured`, `context.module`, `context.environment`, `context.session_id`, `context.request_id`, `context.protocol`, `context.host`, `context.trace_id`, `context.span_id` | as in the entry |
/// | `truncated` | a JSON list |
///
/// A field that an entry doesn't have is an empty cell, and so is `null`. A text that a spreadsheet
/// would take for a formula, because it begins with `=`, `+`, `-`, `@`, a tab or a line end, gets
/// an apostrophe in front. Numbers are left as they are, negative ones too. A NUL becomes U+FFFD.
///
/// ```
/// use tracing_audit::reader::{CsvDetails, CsvOptions, ExportFormat};
///
/// let mut options = CsvOptions::default();
/// options.details = CsvDetails::Columns;
/// options.bom = true; // for Excel
/// let format = ExportFormat::Csv(options);
/// assert_eq!(format.as_str(), "csv");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvOptions {
    /// The form of `details`. Default: one column of JSON.
    pub details: CsvDetails,
    /// Whether the file begins with a byte order mark, without which Excel doesn't know that the
    /// file is UTF-8. Default: no, because other programs take the mark for a part of the first
    /// column's name.
    pub bom: bool,
}

impl CsvOptions {
    pub(super) const DEFAULT: Self = Self {
        details: CsvDetails::Json,
        bom: false,
    };
}

/// The form of an entry's `details` in a CSV file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CsvDetails {
    /// `json`: one column `details`, an object as JSON. The columns are always the same.
    #[default]
    Json,
    /// `columns`: a column for each value that any exported entry has, such as `details.order.id`,
    /// sorted by name. At most 250 values, with names of at most 250 bytes, have columns. Lists are
    /// JSON. The last of these columns, `details`, has all other values, as JSON. The export takes
    /// twice as long, because the log is read twice.
    Columns,
}

impl FromStr for CsvDetails {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "json" => Ok(Self::Json),
            "columns" => Ok(Self::Columns),
            _ => Err(Error::invalid(
                "details",
                format!("{text:?} must be one of json, columns"),
            )),
        }
    }
}

/// Writes the whole file.
pub(super) fn write(wanted: &Filtered, options: CsvOptions, mut out: impl Write) -> io::Result<()> {
    let table = Table::new(match options.details {
        CsvDetails::Json => BTreeSet::new(),
        CsvDetails::Columns => names_of_details(wanted)?,
    });
    if options.bom {
        out.write_all(BOM)?;
    }
    let mut csv = CsvWriter::of(table, out)?;
    wanted.each(|entry| csv.write(entry))?;
    csv.finish()
}

/// Writes entries as the rows of a CSV file: the columns are those of an export with the default
/// [`CsvOptions`].
///
/// [`AuditReader::export`](crate::AuditReader::export) writes a whole file of a range. A
/// `CsvWriter` is for entries that were found otherwise, such as those of a page.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// # log.run(|| tracing_audit::audit!("user.created").ignore());
/// # log.flush()?;
/// # let reader = tracing_audit::AuditReader::open(log.dir())?;
/// use tracing_audit::{Query, reader::CsvWriter};
///
/// let mut file = Vec::new();
/// let mut csv = CsvWriter::new(&mut file)?;
/// for entry in reader.page(&Query::default())?.entries {
///     csv.write(&entry)?;
/// }
/// csv.finish()?;
/// assert!(file.starts_with(b"stream,seq,id,timestamp,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    table: Table,
    csv: csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the names of the columns.
    ///
    /// # Errors
    ///
    /// The errors of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        Self::of(Table::new(BTreeSet::new()), out)
    }

    fn of(table: Table, out: W) -> io::Result<Self> {
        let mut csv = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        csv.write_record(&table.names).map_err(as_io)?;
        Ok(Self { table, csv })
    }

    /// Writes an entry as a row.
    ///
    /// # Errors
    ///
    /// The errors of `out`, and an error if the entry isn't JSON.
    pub fn write(&mut self, entry: &RawEntry) -> io::Result<()> {
        let row = self.table.row(entry)?;
        let cells = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        self.csv.write_record(cells).map_err(as_io)
    }

    /// Writes what was collected, up to the end of the last row.
    ///
    /// # Errors
    ///
    /// The errors of `out`.
    pub fn finish(mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// The paths of all values in the details of the entries, as far as there may be columns.
fn names_of_details(wanted: &Filtered) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    wanted.read(|entry| {
        let mut members: Members = entry.parse().map_err(io::Error::other)?;
        split(
            details_of(&mut members),
            &mut String::new(),
            &mut |path, _| {
                let has_room = names.len() < MAX_COLUMNS && path.len() <= MAX_NAME;
                if has_room && !path.is_empty() && !names.contains(path) {
                    names.insert(path.to_owned());
                }
                true
            },
        );
        Ok(())
    })?;
    Ok(names)
}

fn details_of(members: &mut Members) -> Json {
    let details = members.get_mut(DETAILS.name);
    details.map(mem::take).unwrap_or_default()
}

/// Gives each value that isn't an object with members to `take`, with its path. What that doesn't
/// take is left, in the objects in which it was.
fn split(
    value: Json,
    path: &mut String,
    take: &mut impl FnMut(&str, &Json) -> bool,
) -> Option<Json> {
    let members = match value {
        Json::Object(members) if !members.is_empty() => members,
        value => return (!take(path, &value)).then_some(value),
    };
    let len = path.len();
    let left = members.into_iter().filter_map(|(name, value)| {
        if len > 0 {
            path.push('.');
        }
        path.push_str(&name);
        let left = split(value, path, take);
        path.truncate(len);
        left.map(|left| (name, left))
    });
    let left: Members = left.collect();
    (!left.is_empty()).then_some(Json::Object(left))
}

/// The columns of a file.
#[derive(Debug)]
struct Table {
    names: Vec<String>,
    columns: Vec<Column>,
    /// The numbers of the columns of details, by their paths.
    details: BTreeMap<String, usize>,
}

/// Where a column's cells come from.
#[derive(Clone, Copy, Debug)]
enum Column {
    Field(&'static Field),
    /// A part of a field, after that field.
    Part(&'static Field, &'static Field),
    Detail,
    /// The details that have no column of their own.
    OtherDetails,
}

impl Table {
    /// A table with a column for each of these details.
    fn new(details: BTreeSet<String>) -> Self {
        const ALL: &[Field] = &FIELDS;
        let mut table = Self {
            names: Vec::new(),
            columns: Vec::new(),
            details: BTreeMap::new(),
        };
        for field in ALL.iter().take_while(|field| field.path != DETAILS.path) {
            table.add_field(field);
        }
        for path in details {
            let number = table.columns.len();
            table.add(format!("{}.{path}", DETAILS.path), Column::Detail);
            table.details.insert(path, number);
        }
        table.add(DETAILS.path.to_owned(), Column::OtherDetails);
        for field in ALL
            .iter()
            .skip_while(|field| field.path != DETAILS.path)
            .skip(1)
        {
            table.add_field(field);
        }
        table
    }

    fn add_field(&mut self, field: &'static Field) {
        if field.parts.is_empty() {
            self.add(field.path.to_owned(), Column::Field(field));
        }
        for part in field.parts {
            self.add(part.path.to_owned(), Column::Part(field, part));
        }
    }

    fn add(&mut self, name: String, column: Column) {
        self.names.push(name);
        self.columns.push(column);
    }

    fn row(&self, entry: &RawEntry) -> io::Result<Vec<Option<String>>> {
        let mut members: Members = entry.parse().map_err(io::Error::other)?;
        let details = details_of(&mut members);
        let mut row = vec![None; self.columns.len()];
        let left = split(details, &mut String::new(), &mut |path, value| {
            // Two values can have one path, if a name has a dot in it: the second is left.
            let number = self.details.get(path);
            match number.and_then(|number| row.get_mut(*number)) {
                Some(free @ None) => {
                    *free = Some(cell(value));
                    true
                }
                _ => false,
            }
        });
        for (column, place) in self.columns.iter().zip(&mut row) {
            let value = match column {
                Column::Detail => continue,
                Column::OtherDetails => left.as_ref(),
                Column::Field(field) => members.get(field.name),
                Column::Part(of, part) => match members.get(of.name) {
                    Some(Json::Object(parts)) => parts.get(part.name),
                    _ => None,
                },
            };
            *place = value.map(cell);
        }
        Ok(row)
    }
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Text(text) if text.starts_with(FORMULAS) => format!("'{}", without_nul(text)),
        Json::Text(text) => without_nul(text),
        // A number, `true`, `false`, or JSON in brackets: none of them is a formula.
        value => value.to_string(),
    }
}

/// Many programs take a NUL for the end of the text.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The kind of an error says whether the client is gone.
fn as_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(details: &str) -> RawEntry {
        let line = format!(
            concat!(
                r#"{{"stream":"a-1","seq":1,"id":"0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11","#,
                r#""timestamp":"2026-11-21T00:00:00.000000Z","schema_version":"1.0","#,
                r#""event_type":"a.b","category":"a","action":"b","severity":"info","source":"x","#,
                r#""actor":{{"type":"user"}},"details":{}}}"#,
            ),
            details
        );
        RawEntry::from_line(line.as_bytes()).unwrap()
    }

    #[test]
    fn details_without_a_column_stay_where_they_were() {
        let names = ["a.b", "c", "d"].map(str::to_owned);
        let table = Table::new(names.into());
        let row = |details| {
            let row = table.row(&entry(details)).unwrap();
            let cells = table.names.iter().zip(row);
            let cells = cells.filter(|(name, _)| name.starts_with("details"));
            cells
                .map(|(_, cell)| cell.unwrap_or_default())
                .collect::<Vec<_>>()
        };
        for (details, expected) in [
            (
                r#"{"a":{"b":1,"x":{"y":2}},"c":[1],"e":null}"#,
                ["1", "[1]", "", r#"{"a":{"x":{"y":2}},"e":null}"#],
            ),
            (
                r#"{"c":{"deep":1},"d":{}}"#,
                ["", "", "{}", r#"{"c":{"deep":1}}"#],
            ),
            // Both have the path `a.b`.
            (
                r#"{"a.b":1,"a":{"b":2}}"#,
                ["1", "", "", r#"{"a":{"b":2}}"#],
            ),
            (r#"{"c":null,"d":true}"#, ["", "", "true", ""]),
            (r#"{}"#, ["", "", "", "{}"]),
        ] {
            assert_eq!(row(details), expected, "{details}");
        }
    }

    #[test]
    fn only_texts_can_be_formulas() {
        for (json, expected) in [
            (r#""=1+1""#, "'=1+1"),
            (r#""+1""#, "'+1"),
            (r#""-5""#, "'-5"),
            (r#""@SUM(A1)""#, "'@SUM(A1)"),
            (r#""\t=1""#, "'\t=1"),
            (r#""\r=1""#, "'\r=1"),
            (r#""＝1""#, "'＝1"),
            (r#""a=1""#, "a=1"),
            (r#""a\u0000b""#, "a\u{fffd}b"),
            ("-5", "-5"),
            ("-1.5e300", "-1.5e+300"),
            ("[\"=1\"]", "[\"=1\"]"),
            ("null", ""),
        ] {
            let value: Json = serde_json::from_str(json).unwrap();
            assert_eq!(cell(&value), expected, "{json}");
        }
    }
}
