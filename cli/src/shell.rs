//! `completions` and `man`: what a shell and its manual know of the program.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{
    args::{Cli, ManArgs},
    failure::{Failure, Outcome},
};

const NAME: &str = "tracing-audit";

/// Writes the completions to stdout.
pub(super) fn completions(shell: Shell) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    io::stdout().lock().write_all(&text)?;
    Ok(Outcome::Fine)
}

/// Writes the manual's pages into a directory, or the first of them to stdout.
pub(super) fn man(args: &ManArgs) -> Result<Outcome, Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.output {
        Some(dir) => pages(&command, NAME, dir)?,
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            io::stdout().lock().write_all(&text)?;
        }
    }
    Ok(Outcome::Fine)
}

/// The page of a command, and of those below it.
fn pages(command: &clap::Command, name: &str, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{name}.1"));
    let cannot = |error| Failure::failed(format!("cannot write {}: {error}", path.display()));
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone()).title(name.to_uppercase());
    page.render(&mut text).map_err(cannot)?;
    fs::write(&path, text).map_err(cannot)?;
    for sub in command.get_subcommands() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            pages(sub, &format!("{name}-{}", sub.get_name()), dir)?;
        }
    }
    Ok(())
}
