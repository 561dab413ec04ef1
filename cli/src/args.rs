//! The commands and their flags, as `--help` shows them.

mod keep;
mod number;
mod read;
mod serve;
mod webhook;

use std::path::PathBuf;

use clap::{Arg, Args, Command as Definition, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub(super) use keep::{
    HashArgs, HashKeyArgs, HashKeyCommand, HoldArgs, HoldCommand, PruneArgs, RecoverArgs,
};
pub(super) use read::{
    CatalogueArgs, CatalogueFormat, ExportArgs, QueryArgs, QueryFormat, ReportFormat, StatsArgs,
    StatsFormat, TailArgs, VerifyArgs,
};
pub(super) use serve::{DemoArgs, LogFormat, ServeArgs, TokenArgs, TokenCommand};
pub(super) use webhook::{
    AddArgs, DeliveryArgs, Flag, Given, NamedArgs, ReplayArgs, ResendArgs, SetArgs, SkipArgs,
    WebhookArgs, WebhookCommand,
};

const AFTER: &str = "\
Every flag can also be given as an environment variable (--start-date as \
TRACING_AUDIT_START_DATE) or in a TOML file named with --config:
  dir = \"/var/lib/billing/audit\"
  [query]
  limit = 50
A flag overrides a variable, and a variable overrides the file.

Exit codes: 0 all is well, 1 a problem was found, 2 the command can't be understood.

Examples:
  tracing-audit query --dir /var/lib/billing/audit --event-type 'auth.*' --outcome failure
  tracing-audit verify --dir /var/lib/billing/audit";

/// Reads, checks, exports and keeps the audit trails that applications write with the tracing-audit
/// crate
///
/// A log is a directory. Reading it never disturbs the applications that write it.
#[derive(Debug, Parser)]
#[command(
    name = "tracing-audit",
    version,
    after_help = AFTER,
    max_term_width = 110
)]
pub(super) struct Cli {
    /// Read the values of flags from this TOML file
    // `config` reads this flag before all others.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// The definition of all commands and flags.
    pub(super) fn definition() -> Definition {
        with_negative_numbers(Self::command())
    }
}

/// Lets all flags take a value like -1, so that the error says what the flag takes. Otherwise clap
/// reads -1 as a flag, and its error is about an unknown one.
fn with_negative_numbers(command: Definition) -> Definition {
    let allow = |arg: Arg| match arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    command
        .mut_args(allow)
        .mut_subcommands(with_negative_numbers)
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Demo(DemoArgs),
    Serve(ServeArgs),
    Query(QueryArgs),
    Tail(TailArgs),
    Stats(StatsArgs),
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
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Prints a script with which a shell completes commands and flags
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit completions bash > /etc/bash_completion.d/tracing-audit
  tracing-audit completions zsh > ~/.zfunc/_tracing-audit
  tracing-audit completions fish > ~/.config/fish/completions/tracing-audit.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// Prints the manual page of the program, or writes a page for each command into a directory
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tracing-audit man | man -l -
  tracing-audit man --output /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory, which must exist
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

/// The log that a command is for.
#[derive(Args, Clone, Debug)]
pub(super) struct DirArgs {
    /// The log's directory
    #[arg(
        long,
        value_name = "DIR",
        env = "TRACING_AUDIT_DIR",
        default_value = "./audit"
    )]
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
