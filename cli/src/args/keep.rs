//! Flags of what keeps a log: retention, holds, keys, recovery.

use clap::{Args, Subcommand};

use super::{DirArgs, Format};

/// Removes sealed files that are past their retention, and records that in the log
///
/// A file goes when the youngest entry in it is old enough. Applications prune by themselves; this
/// is for those that don't run.
///
/// Age goes by the time that this machine's clock has proved, run by run and while an application
/// has the log open. Where no application runs and the machine restarts between any two runs,
/// nothing can prove it: check the clock and give --trust-clock.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit prune --retention-days 90 --dry-run
  tracing-audit prune --retention-days 365 --max-bytes 10000000000")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
    /// Remove what is older than so many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retention_days: Option<u32>,
    /// Remove the oldest files, however young, while the sealed files take more than so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<u64>,
    /// Remove the oldest files, however young, while fewer bytes than these are free on the disk
    #[arg(long, value_name = "BYTES")]
    pub(crate) min_free_bytes: Option<u64>,
    /// Trust this machine's clock at once: you have checked that it is right. Without this, a clock
    /// that jumped or a machine that was off must keep on for as long, three days at most, before
    /// files that are past --retention-days by it are removed
    #[arg(long, requires = "retention_days")]
    pub(crate) trust_clock: bool,
    /// Only show what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Keeps entries of a range of time, whatever their retention says: a legal hold
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit hold place --name case-17 --start-date 2026-10-01 --end-date 2026-10-31 --reason 'Acme v. Example'
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
        /// What to call it: letters, digits, '.', '_' and '-'
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
/// One line for each of the log's keys, the current one first. Needs the keys in the log's
/// directory; an application that was given keys of its own computes this itself.
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
    /// Makes a new key, which applications use from their next start on; the old ones are kept for
    /// searching
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
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,
}
