//! The commands and their flags, as `--help` shows them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::filter::FilterArgs;
use crate::{forward::format::FormatName, query::Order, record::Severity, server::Scope};

const AFTER: &str = "\
Every flag can also be given as a variable, --start-date as TRACING_AUDIT_START_DATE, or in a TOML file named with --config:
  dir = \"/var/lib/billing/audit\"
  [query]
  limit = 50
A flag is stronger than a variable, and that is stronger than the file.

Exit codes: 0 all is well, 1 a problem was found, 2 the command can't be understood.

Examples:
  tracing-audit query --dir /var/lib/billing/audit --event-type 'auth.*' --outcome failure
  tracing-audit verify --dir /var/lib/billing/audit";

/// Reads, checks, exports and keeps the audit trails that applications write with the tracing-audit crate
///
/// A log is a directory. Reading it never disturbs the applications that write it.
#[derive(Debug, Parser)]
#[command(name = "tracing-audit", version, after_help = AFTER, max_term_width = 110, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// Take flags' values from this TOML file
    // Read before all others, see `config`.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Demo(DemoArgs),
    Serve(ServeArgs),
    Query(QueryArgs),
    Tail(TailArgs),
    Export(ExportArgs),
    Verify(VerifyArgs),
    Catalogue(CatalogueArgs),
    Prune(PruneArgs),
    Hold(HoldArgs),
    Hash(HashArgs),
    HashKey(HashKeyArgs),
    Recover(RecoverArgs),
    Token(TokenArgs),
    Webhook(WebhookArgs),
}

/// Which log.
#[derive(Args, Clone, Debug)]
pub(super) struct DirArgs {
    /// The log's directory
    #[arg(long, value_name = "DIR", env = "TRACING_AUDIT_DIR", default_value = "./audit")]
    pub(super) dir: PathBuf,
}

/// How entries are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // For people
    Table,
    // One JSON object a line, each as it is stored
    Ndjson,
    // One JSON document
    Json,
}

/// Shows entries, the newest first
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit query --actor ann@example.com --start-date 2026-11-01 --end-date 2026-11-30
  tracing-audit query --severity error --severity critical --limit 20
  tracing-audit query --q vault --details mode=full --format json | jq '.entries[].id'
  tracing-audit query --id 0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")]
pub(super) struct QueryArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// Show the one entry with this id
    #[arg(long, value_name = "UUID", conflicts_with_all = ["offset", "cursor"])]
    pub(super) id: Option<String>,
    /// So many entries at most; 0 for all of them
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
    /// desc, the newest first, or asc
    #[arg(long, value_name = "ORDER", default_value_t)]
    pub(super) order: Order,
    /// Leave out so many entries first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) offset: usize,
    /// Go on where a page ended: its next_cursor
    #[arg(long, conflicts_with = "offset")]
    pub(super) cursor: Option<String>,
    /// How to show them [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

/// Shows entries as they are written, by any application that shares the directory; ends with Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit tail
  tracing-audit tail -n 0 --severity error --severity critical
  tracing-audit tail --event-type 'auth.*' --format ndjson | jq .actor.name")]
pub(super) struct TailArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// Show so many of the last entries first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(super) lines: usize,
    /// How to show them [default: table on a terminal, else ndjson]
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

/// How an export is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    // One file of lines per day and stream, and a manifest
    Zip,
    // All lines in one gzip file
    Gz,
    // All lines as they are
    Ndjson,
}

impl ExportFormat {
    /// What a file's name asks for: ZIP unless it says otherwise.
    pub(super) fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Self::Gz,
            Some("ndjson" | "jsonl") => Self::Ndjson,
            _ => Self::Zip,
        }
    }
}

/// Writes a part of the log into one file, which is there whole or not at all
#[derive(Args, Debug)]
#[command(after_help = "\
With only dates nothing is packed anew, so it is about as fast as copying, and a ZIP has one file of lines per day and stream.
With other filters a ZIP has all matching entries in one file.

Examples:
  tracing-audit export --start-date 2026-11-01 --end-date 2026-11-30 --output november.zip
  tracing-audit export --actor ann@example.com --output ann.jsonl
  tracing-audit export --start-date 2026-11-21 --format gz --output - | ssh backup 'cat > audit.jsonl.gz'")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// The file to write, in the place of what is there; - for stdout
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// How to pack it [default: as the file's name ends, else zip]
    #[arg(long, value_enum)]
    pub(super) format: Option<ExportFormat>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

/// Checks that the log is whole: every file, every number, nothing that doesn't belong there
///
/// Reads all of it and changes nothing. Prints a line for each finding; a problem makes the exit code 1, a note doesn't.
#[derive(Args, Debug)]
#[command(after_help = "\
What is checked:
  - each sealed file is gzip to its last byte, each line in it an entry, its index true, its SHA-256 that of its sealing
  - each stream's entries are numbered without a gap, across its files; a beginning that retention removed is only noted
  - nothing foreign is among the sealed files, and no damaged journal was left over

Examples:
  tracing-audit verify --dir /var/lib/billing/audit
  tracing-audit verify --format json | jq '.findings[] | select(.level == \"problem\")'")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// How to show the findings
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: ReportFormat,
}

/// How the catalogue is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CatalogueFormat {
    // For people
    Table,
    // What --file and --against read
    Json,
    // For documents
    Markdown,
}

/// Lists the event types that applications record here, with their fields and where in the source they are
///
/// Applications leave their catalogue beside the log when they open it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit catalogue --format markdown > EVENTS.md
  tracing-audit catalogue --format json > catalogue.json
  tracing-audit catalogue --against catalogue.json    (in CI: code 1 and a line for each breaking change)
  tracing-audit catalogue --schema auth.login.failed")]
pub(super) struct CatalogueArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// Take the catalogue from this JSON file, not from the log's directory
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Compare with this older catalogue: tell what is gone or of another kind, and end with code 1 if anything is
    #[arg(long, value_name = "FILE", conflicts_with = "schema")]
    pub(super) against: Option<PathBuf>,
    /// Show the JSON Schema of this event type's records
    #[arg(long, value_name = "EVENT_TYPE")]
    pub(super) schema: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: CatalogueFormat,
}

/// Removes sealed files that are past their retention, and records that in the log
///
/// A file goes when the youngest entry in it is old enough. Applications prune by themselves; this is for those that don't run.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit prune --retention-days 90 --dry-run
  tracing-audit prune --retention-days 365 --max-bytes 10000000000")]
pub(super) struct PruneArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// Remove what is older than so many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) retention_days: Option<u32>,
    /// Remove the oldest files, however young, while the sealed files take more than so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(super) max_bytes: Option<u64>,
    /// Remove the oldest files, however young, while fewer bytes than these are free on the disk
    #[arg(long, value_name = "BYTES")]
    pub(super) min_free_bytes: Option<u64>,
    /// Only show what would go
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Keeps entries of a range of time, whatever their retention says: a legal hold
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit hold place --name case-17 --start-date 2026-10-01 --end-date 2026-10-31 --reason 'Acme v. Example'
  tracing-audit hold list
  tracing-audit hold release case-17")]
pub(super) struct HoldArgs {
    #[command(subcommand)]
    pub(super) command: HoldCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum HoldCommand {
    /// Holds the entries of a range of time, from now on
    Place {
        #[command(flatten)]
        dir: DirArgs,
        /// What to call it: letters, digits, '.', '_' and '-'
        #[arg(long)]
        name: String,
        /// The first UTC day, or RFC 3339 instant, that is held [default: from the beginning]
        #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
        start_date: String,
        /// The last UTC day that is held, or the first RFC 3339 instant that isn't [default: without an end]
        #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
        end_date: String,
        /// Why, and for whom
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Shows all holds
    List {
        #[command(flatten)]
        dir: DirArgs,
        /// How to show them [default: table on a terminal, else ndjson]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Ends a hold
    Release {
        #[command(flatten)]
        dir: DirArgs,
        /// Its name
        name: String,
    },
}

/// Shows what the log has for a value that an application hashed, to search for that
///
/// One line for each of the log's keys, the current one first. Needs the keys in the log's directory; an application that was given
/// keys of its own computes this itself.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit hash ann@example.com
  tracing-audit query --details email=\"$(tracing-audit hash ann@example.com | head -1)\"")]
pub(super) struct HashArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// The value [default: a line of stdin, which leaves no trace in the shell's history]
    pub(super) value: Option<String>,
}

/// Manages the keys of hashed values
#[derive(Args, Debug)]
pub(super) struct HashKeyArgs {
    #[command(subcommand)]
    pub(super) command: HashKeyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum HashKeyCommand {
    /// Makes a new key, which applications use from their next start on; the old ones are kept for searching
    Rotate {
        #[command(flatten)]
        dir: DirArgs,
        /// What to call it: letters, digits, '.', '_' and '-'; it stands in every hash
        name: String,
    },
    /// Shows the names of all keys, the current one last
    List {
        #[command(flatten)]
        dir: DirArgs,
    },
}

/// Completes what applications left that ended without closing their log: no event in it is lost
///
/// The next application that opens the directory does the same; this is for when none will.
#[derive(Args, Debug)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
}

/// How a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    // For people
    Text,
    // One JSON document
    Json,
}

/// Runs a credential manager that writes an audit trail, with users at work, to look at
///
/// Prints where it is, a token, and what to try. At the end its log is checked.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// The log's directory [default: a new one among the system's temporary files]
    // Neither a variable nor the configuration file sets it: they name the log of an application.
    #[arg(long = "dir", value_name = "DIR")]
    pub(super) demo_dir: Option<PathBuf>,
    /// The address to listen on; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// Requests in a second, more or less
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    pub(super) rate: f64,
    /// End after so many seconds [default: with Ctrl-C]
    #[arg(long = "for", value_name = "SECONDS")]
    pub(super) run_for: Option<u64>,
    /// Be the second instance
    #[arg(long, hide = true)]
    pub(super) instance: bool,
    /// Be the worker
    #[arg(long, hide = true)]
    pub(super) worker: bool,
}

/// Serves the HTTP API of a log that applications write
///
/// Reads are recorded in the log. Requests need a token, see `tracing-audit token create`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit serve --dir /var/lib/billing/audit
  curl -H \"Authorization: Bearer $TOKEN\" 'http://127.0.0.1:8080/audit/entries?event_type=auth.*&limit=10'")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// The address to listen on; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Listen beyond loopback without TLS: for behind a proxy that speaks it
    #[arg(long)]
    pub(super) allow_plain_http: bool,
    /// Where the API is
    #[arg(long, value_name = "PATH", default_value = "/audit")]
    pub(super) path: String,
    /// Refuse more requests at once than these
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(super) max_requests: usize,
    /// Refuse more downloads at once than these
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) max_downloads: usize,
    /// Answer /metrics without a token
    #[arg(long)]
    pub(super) open_metrics: bool,
}

/// Manages the tokens by which the HTTP API knows who asks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit token create --name splunk --scope export --expires 2027-01-01
  tracing-audit token list
  tracing-audit token revoke 4f1c09aa")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    pub(super) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and shows it, this once
    Create {
        #[command(flatten)]
        dir: DirArgs,
        /// What to call it in lists, and in the records of what is done with it
        #[arg(long)]
        name: String,
        /// read, export (which can read as well) or admin (which can do all)
        #[arg(long, default_value = "read")]
        scope: Scope,
        /// Show it only the entries of this tenant
        #[arg(long, value_name = "ID")]
        tenant_id: Option<String>,
        /// The UTC day whose beginning, or the RFC 3339 instant which, ends it [default: it doesn't end]
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// Shows all tokens, without their secrets
    List {
        #[command(flatten)]
        dir: DirArgs,
        /// How to show them [default: table on a terminal, else ndjson]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Ends a token, within a second
    Revoke {
        #[command(flatten)]
        dir: DirArgs,
        /// The token's id, as listed
        id: String,
    },
}

/// Manages the endpoints that are told of events
///
/// An application that forwards, or `tracing-audit serve`, sends them; among those that share the directory, one does.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit webhook add --name siem --url https://siem.example.com/hooks --event-type 'auth.*' --signing-secret file:/run/secrets/siem
  tracing-audit webhook list
  tracing-audit webhook pause siem")]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    pub(super) command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Tells an endpoint of what is recorded from now on
    Add(Box<WebhookAdd>),
    /// Shows all webhooks and how they are doing, without their secrets
    List {
        #[command(flatten)]
        dir: DirArgs,
        /// How to show them [default: table on a terminal, else ndjson]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Holds deliveries back; what is recorded meanwhile waits in the log
    Pause {
        #[command(flatten)]
        dir: DirArgs,
        /// Its name
        name: String,
    },
    /// Lets deliveries go on
    Resume {
        #[command(flatten)]
        dir: DirArgs,
        /// Its name
        name: String,
    },
    /// Ends a webhook; what waits for it is not sent
    Remove {
        #[command(flatten)]
        dir: DirArgs,
        /// Its name
        name: String,
    },
    /// Shows what could not be delivered, a line of JSON for each request
    DeadLetters {
        #[command(flatten)]
        dir: DirArgs,
        /// The webhook's name
        name: String,
    },
}

/// A webhook to be added. A secret is its text, or env:NAME or file:/path, read when forwarding begins.
#[derive(Args, Debug)]
pub(super) struct WebhookAdd {
    #[command(flatten)]
    pub(super) dir: DirArgs,
    /// What to call it: letters, digits, '_' and '-'
    #[arg(long)]
    pub(super) name: String,
    /// Where to send to
    #[arg(long)]
    pub(super) url: String,
    /// An event type, all below auth.*, or *; repeatable
    #[arg(long, value_name = "TYPE", required = true)]
    pub(super) event_type: Vec<String>,
    /// Event types to leave out; repeatable
    #[arg(long, value_name = "TYPE")]
    pub(super) exclude: Vec<String>,
    /// Only this severity; repeatable
    #[arg(long)]
    pub(super) severity: Vec<Severity>,
    /// Only this tenant's entries
    #[arg(long, value_name = "ID")]
    pub(super) tenant_id: Option<String>,
    /// native, cloudevents, cloudevents-binary, cloudevents-batch, splunk-hec or otlp
    #[arg(long, default_value_t)]
    pub(super) format: FormatName,
    /// The key that the endpoint wants, sent as Authorization: Bearer
    #[arg(long, value_name = "SECRET")]
    pub(super) api_key: Option<String>,
    /// Another header for the key
    #[arg(long, value_name = "NAME")]
    pub(super) api_key_header: Option<String>,
    /// Sign by Standard Webhooks with this whsec_… or whsk_… secret; repeatable, for rotation
    #[arg(long, value_name = "SECRET")]
    pub(super) signing_secret: Vec<String>,
    /// A header for each request, NAME=VALUE; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) header: Vec<String>,
    /// Let the URL be http://, which anyone on the way can read
    #[arg(long)]
    pub(super) allow_http: bool,
    /// What may be reached: public (the default), private, loopback, an address, a network or a host name; repeatable
    #[arg(long, value_name = "WHAT")]
    pub(super) egress: Vec<String>,
    /// Keep each stream's order, whatever fails: one request at a time
    #[arg(long)]
    pub(super) strict: bool,
    /// Send so many entries in one request, at most
    #[arg(long, value_name = "N")]
    pub(super) batch: Option<usize>,
    /// A PEM file of certificates to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub(super) extra_ca: Option<PathBuf>,
    /// A PEM file of our own certificate chain and key
    #[arg(long, value_name = "FILE")]
    pub(super) identity: Option<PathBuf>,
}
