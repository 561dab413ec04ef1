//! The `tracing-audit` program: an operator's work on a log, from a shell.
//!
//! In come flags, `TRACING_AUDIT_*` variables and a configuration file; out come answers on stdout,
//! messages on stderr, and an exit code: 0 all is well, 1 a problem was found, 2 the command can't
//! be understood. Always true: nothing from an entry reaches a terminal unescaped, no
//! half-written output file is left behind, and a reader that goes away (`| head`) isn't an error.
//!
//! The program works on logs only through the public interface of the crate `tracing-audit`.

mod args;
mod catalogue;
mod columns;
mod config;
#[allow(
    unsafe_code,
    reason = "each call of `audit!` has a static that the linker gathers, which this lint counts \
              as unsafe"
)]
mod demo;
mod export;
mod exported;
mod failure;
mod filter;
mod hash;
mod hold;
mod maintain;
mod messages;
mod output;
mod output_file;
mod owner;
mod progress;
mod prune;
mod query;
mod recover;
mod rows;
mod serve;
mod shell;
mod stats;
mod stop;
mod tail;
mod token;
mod verify;
mod webhook;

use std::{ffi::OsString, process::ExitCode};

use clap::FromArgMatches as _;

use self::{
    args::{Cli, Command},
    failure::{Failure, Outcome},
};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(failure) => return failure.report(),
    };
    match run(&cli.command, &args) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::ProblemFound) => ExitCode::from(1),
        Err(failure) => failure.report(),
    }
}

fn parse(args: &[OsString]) -> Result<Cli, Failure> {
    let command = config::prepare(Cli::definition(), args)?;
    let matches = command.try_get_matches_from(args)?;
    Ok(Cli::from_arg_matches(&matches)?)
}

fn run(command: &Command, line: &[OsString]) -> Result<Outcome, Failure> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args, config::webhooks(line)?),
        Command::Query(args) => query::run(args),
        Command::Tail(args) => tail::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Export(args) => export::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Catalogue(args) => catalogue::run(args),
        Command::Prune(args) => prune::run(args),
        Command::Hash(args) => hash::run(args),
        Command::HashKey(args) => hash::run_key(args),
        Command::Hold(args) => hold::run(args),
        Command::Recover(args) => recover::run(args),
        Command::Webhook(args) => webhook::run(args),
        Command::Token(args) => token::run(args),
        Command::Completions(args) => shell::completions(args.shell),
        Command::Man(args) => shell::man(args),
    }
}
