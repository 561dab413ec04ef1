//! The flags of the commands that keep a log in order: retention, holds, keys, recovery.

use clap::{Args, Subcommand};

use super::{DirArgs, Format, number::number};

/// Removes sealed files that are past their retention, and records that in the log
///
/// A file is removed when its newest entry is old enough. Applications prune by themselves; this
/// command is for a log whose applications don't run.
///
/// The command trusts the machine's clock only after the clock has run steadily from one run of
/// this command to the next, or while an application had the log open. If no application runs and
/// the machine restarts between any two runs, check the clock yourself and give --trust-clock.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit prune --retention-days 90 --dry-run
  tracing-audit prune --retention-days 365 --max-bytes 10000000000")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// Remove files whose newest entry is older than N days
    #[arg(long, value_name = "N", value_parser = number::<u32, _>(1..))]
    pub(crate) retention_days: Option<u32>,
    /// Remove the oldest files, whatever their age, until the sealed files take at most this many
    /// bytes
    #[arg(long, value_name = "BYTES", value_parser = number::<u64, _>(0..))]
    pub(crate) max_bytes: Option<u64>,
    /// Remove the oldest files, whatever their age, until at least this many bytes are free on the
    /// disk
    #[arg(long, value_name = "BYTES", value_parser = number::<u64, _>(0..))]
    pub(crate) min_free_bytes: Option<u64>,
    /// Trust this machine's clock at once: you have checked that it is right. Without this flag,
    /// after the clock jumped or the machine was off, files past --retention-days stay until the
    /// machine has run steadily for as long, three days at most
    #[arg(long, requires = "retention_days")]
    pub(crate) trust_clock: bool,
    /// Only show which files would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Keeps the entries of a range of time, whatever the retention: a legal hold
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit hold place --name case-17 \\
    --start-date 2026-10-01 --end-date 2026-10-31 --reason 'Acme v. Example'
  tracing-audit hold list
  tracing-audit hold release case-17")]
pub(crate) struct HoldArgs {
    #[command(subcommand)]
    pub(crate) command: HoldCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Holds the entries of a range of time, from now on
    Place {
        #[command(flatten)]
        dir: DirArgs,
        /// The hold's name: letters, digits, '.', '_' and '-'
        #[arg(long)]
        name: String,
        /// The first UTC day, or RFC 3339 instant, that is held [default: from the beginning]
        #[arg(
            long,
            value_name = "DATE",
            default_value = "",
            hide_default_value = true
        )]
        start_date: String,
        /// The last UTC day that is held, or the first RFC 3339 instant that isn't [default:
        /// without an end]
        #[arg(
            long,
            value_name = "DATE",
            default_value = "",
            hide_default_value = true
        )]
        end_date: String,
        /// Why the entries are held, and for whom
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Shows all holds
    List {
        #[command(flatten)]
        dir: DirArgs,
        /// The output's format [default: table on a terminal, else ndjson]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Ends a hold: retention applies to its entries again
    Release {
        #[command(flatten)]
        dir: DirArgs,
        /// The hold's name
        name: String,
    },
}

/// Shows the hash that the log has in place of a value, to search for it
///
/// Prints one line for each of the log's keys, the current key first. Reads the keys from the log's
/// directory; an application that was given keys of its own computes its hashes itself.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit hash ann@example.com
  tracing-audit query --details email=\"$(tracing-audit hash ann@example.com | head -1)\"")]
pub(crate) struct HashArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// The value [default: a line of stdin, which leaves no trace in the shell's history]
    pub(crate) value: Option<String>,
}

/// Manages the keys of hashed values
#[derive(Args, Debug)]
pub(crate) struct HashKeyArgs {
    #[command(subcommand)]
    pub(crate) command: HashKeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HashKeyCommand {
    /// Makes a new key, which applications use from their next start on; older keys are kept for
    /// searching
    Rotate {
        #[command(flatten)]
        dir: DirArgs,
        /// The key's name: letters, digits, '.', '_' and '-'; every hash begins with it
        name: String,
    },
    /// Shows the names of all keys, the current one last
    List {
        #[command(flatten)]
        dir: DirArgs,
    },
}

/// Recovers the streams of applications that ended without closing their log; no event is lost
///
/// The next application that opens the directory does the same; this command is for a directory
/// that no application opens again soon.
#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
}
