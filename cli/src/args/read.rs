//! The flags of the commands that read a log.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use tracing_audit::reader::{CsvDetails, ExportFormat, Order, StatsField, Step};

use super::{DirArgs, Format, number::number};
use crate::{columns::Column, filter::FilterArgs};

/// Shows entries, the newest first
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit query --actor ann@example.com --start-date 2026-11-01 --end-date 2026-11-30
  tracing-audit query --severity error --severity critical --limit 20
  tracing-audit query --actor '!system' --resource-type secret --ip-address 10.0.0.0/8
  tracing-audit query --q vault --details mode=full --format json | jq '.entries[].id'
  tracing-audit query --event-type 'auth.*' --limit 0 --format csv > logins.csv
  tracing-audit query --id 0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// Show only the entry with this id
    #[arg(long, value_name = "UUID", conflicts_with_all = ["offset", "cursor"])]
    pub(crate) id: Option<String>,
    /// Show at most this many entries; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number::<usize, _>(0..))]
    pub(crate) limit: usize,
    /// desc (newest first), asc (oldest first), or arrival (in the order in which they came into the
    /// log)
    #[arg(
        long,
        value_name = "ORDER",
        default_value_t,
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(["desc", "asc", "arrival"])
            .try_map(|name| name.parse::<Order>())
    )]
    pub(crate) order: Order,
    /// Skip this many entries first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<usize, _>(0..))]
    pub(crate) offset: usize,
    /// Continue after the page that gave this next_cursor
    #[arg(long, conflicts_with = "offset")]
    pub(crate) cursor: Option<String>,
    /// The output's format [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<QueryFormat>,
    /// The columns of a table [default: those that suit the entries and the terminal]
    #[arg(long, value_enum, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) columns: Vec<Column>,
    /// Show entries about reads of the log too (audit.access.*), which are left out otherwise
    #[arg(long)]
    pub(crate) include_access: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// How the entries that were found are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryFormat {
    // For people
    Table,
    // One JSON object a line, each as it is stored
    Ndjson,
    // One JSON document
    Json,
    // A row for each entry, with the columns of an export
    Csv,
}

/// Shows entries as they are written, by any application that shares the directory; ends with
/// Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit tail
  tracing-audit tail -n 0 --severity error --severity critical
  tracing-audit tail --event-type 'auth.*' --format ndjson | jq .actor.name")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// Show this many of the last entries first
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = number::<usize, _>(0..)
    )]
    pub(crate) lines: usize,
    /// The output's format [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The columns of a table [default: those that suit the first entries and the terminal]
    #[arg(long, value_enum, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) columns: Vec<Column>,
    /// Show entries about reads of the log too (audit.access.*), which are left out otherwise
    #[arg(long)]
    pub(crate) include_access: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Counts entries: over time, and the most frequent event types, severities, outcomes, actors and
/// addresses
#[derive(Args, Debug)]
#[command(after_help = "\
The counts are exact. Times are in UTC. A part of the log that can't be read is reported, and makes \
the exit code 1.

Examples:
  tracing-audit stats --start-date 2026-11-01 --end-date 2026-11-30
  tracing-audit stats --event-type auth.login.failed --step hour --start-date 2026-11-21
  tracing-audit stats --top 5 --fields event_type,severity
  tracing-audit stats --outcome failure --format json | jq '.top.actor.values[0].value'")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The length of the steps of time, at most 1000 of them [default: a minute or longer, as suits
    /// the range]
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(Step::ALL.map(|step| step.to_string()))
            .try_map(|name| name.parse::<Step>())
    )]
    pub(crate) step: Option<Step>,
    /// Show this many values of each field; 0 for only the counts over time
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = number::<u16, _>(0..=u16::MAX)
    )]
    pub(crate) top: u16,
    /// Show the values of these fields only, separated by commas [default: all]
    #[arg(
        long,
        value_name = "FIELD",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(StatsField::ALL.map(StatsField::as_str))
            .try_map(|name| name.parse::<StatsField>())
    )]
    pub(crate) fields: Vec<StatsField>,
    /// The output's format [default: table on a terminal, else json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<StatsFormat>,
    /// Count entries about reads of the log too (audit.access.*), which are left out otherwise
    #[arg(long)]
    pub(crate) include_access: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// How counts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    // For people, with bars
    Table,
    // One JSON document
    Json,
}

/// Writes a part of the log into one file, which appears complete or not at all
///
/// Reads of the log (audit.access.*) are included; leave them out with --event-type
/// '!audit.access.*'.
///
/// If a part of the log can't be read, or is removed meanwhile, no file appears, and the exit code
/// is 1. A pipe or a device is written to directly, so it may have got a part by then. A symbolic
/// link stays, and the file that it leads to is written.
#[derive(Args, Debug)]
#[command(after_help = "\
With no filters but dates, compressed data is copied as it is, about as fast as files are copied.
A ZIP has one file per day and stream, and manifest.json.
A CSV file has a column for each field of an entry. A text that a spreadsheet would take for a
formula gets an apostrophe in front.
A PDF file has a title page and a table of the entries, without their details. It names the user who
asked for it.

Examples:
  tracing-audit export --start-date 2026-11-01 --end-date 2026-11-30 --output november.zip
  tracing-audit export --actor ann@example.com --output ann.jsonl
  tracing-audit export --severity error --csv-details columns --csv-bom --output errors.csv
  tracing-audit export --start-date 2026-11-01 --end-date 2026-11-30 --output november.pdf
  tracing-audit export --start-date 2026-11-21 --format gz --output - |
    ssh backup 'cat > audit.jsonl.gz'")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The file to write, replacing an existing one; its ending says the format (.zip, .gz,
    /// .jsonl, .ndjson, .json, .csv or .pdf); - for stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The file's format [default: by the ending of its name; zip on stdout]
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(ExportFormat::names())
            .try_map(|name| name.parse::<ExportFormat>())
    )]
    pub(crate) format: Option<ExportFormat>,
    /// The details of entries in a CSV file: one column of JSON (json), or a column for each of them
    /// (columns), for which the log is read twice [default: json]
    #[arg(
        long,
        value_name = "FORM",
        value_parser = PossibleValuesParser::new(["json", "columns"])
            .try_map(|name| name.parse::<CsvDetails>())
    )]
    pub(crate) csv_details: Option<CsvDetails>,
    /// Begin a CSV file with a byte order mark, by which Excel knows that the file is UTF-8
    #[arg(long)]
    pub(crate) csv_bom: bool,
    /// Don't print on stderr how many entries the file has, and the times of the first and the last
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Checks that the log is whole: every file, every entry's number, and no foreign files
///
/// Reads the whole log and changes nothing. Prints a line for each finding; a problem makes the
/// exit code 1, a note doesn't.
#[derive(Args, Debug)]
#[command(after_help = "\
Checks:
  - each sealed file is gzip to its last byte, each line in it is an entry, and its
    index and SHA-256 are right
  - each stream's entries are there once, in order, without a gap, across its files;
    a missing first entry is a problem, too
  - entries that the log itself records as removed by retention, lost or dropped are
    a note
  - there are no foreign files among the sealed and live files, and no damaged
    journal was left over
The check can't find out whether a stream that was closed in order has lost its last files \
together with their indexes.

Examples:
  tracing-audit verify --dir /var/lib/billing/audit
  tracing-audit verify --format json | jq '.findings[] | select(.level == \"problem\")'")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The output's format
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// How the catalogue is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CatalogueFormat {
    // For people
    Table,
    // For --file and --against
    Json,
    // For documents
    Markdown,
}

/// Lists the event types that applications record in this log, with their fields and their places
/// in the source
///
/// Applications write their catalogue into the log's directory when they open the log.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit catalogue --format markdown > EVENTS.md
  tracing-audit catalogue --format json > catalogue.json
  # in CI: exits with 1, and prints a line for each breaking change
  tracing-audit catalogue --against catalogue.json
  tracing-audit catalogue --schema auth.login.failed")]
pub(crate) struct CatalogueArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// Take the catalogue from this JSON file, not from the log's directory
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Compare with this older catalogue: report event types and fields that are gone or have
    /// another kind, and exit with code 1 if there are any
    #[arg(long, value_name = "FILE", conflicts_with = "schema")]
    pub(crate) against: Option<PathBuf>,
    /// Show the JSON Schema of this event type's entries
    #[arg(long, value_name = "EVENT_TYPE")]
    pub(crate) schema: Option<String>,
    /// The output's format
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: CatalogueFormat,
}

/// How a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    // For people
    Text,
    // One JSON document
    Json,
}
