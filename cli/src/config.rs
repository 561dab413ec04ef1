//! Where a flag's value comes from when the flag isn't given: a `TRACING_AUDIT_*` variable, or else
//! the configuration file.
//!
//! Both become part of the command's definition before anything is parsed, so a value is checked
//! alike wherever it comes from.
//!
//! ```toml
//! dir = "/var/lib/billing/audit"      # for each command that has --dir, but never for `demo`
//! [query]
//! limit = 50                          # for this command
//! severity = ["error", "critical"]    # a flag that can be repeated
//! [[webhooks]]                        # for `serve`: no flag, but a webhook that is declared
//! name = "siem"
//! ```
//!
//! A variable that is empty is as one that is not set.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{ArgAction, Command, builder::Resettable};
use toml::{Table, Value};

use super::failure::Failure;

/// The variables of all flags begin with this.
const PREFIX: &str = "TRACING_AUDIT_";
/// Writes events of its own making, so it takes a directory only from its own
/// command line.
const DEMO: &str = "demo";
/// These take their settings from the command line alone: a filter for `query` must not change a
/// webhook.
const ONLY_FLAGS: [&str; 2] = ["set", "replay"];
/// The tables of `serve`, which aren't flags.
const WEBHOOKS: &str = "webhooks";

/// Adds the variables and what the configuration file says to the flags of all commands.
pub(super) fn prepare(command: Command, args: &[OsString]) -> Result<Command, Failure> {
    let mut command = command.mut_subcommands(with_variables);
    let Some(path) = config_file(args) else {
        return Ok(command);
    };
    let mut table = read(&path)?;
    table.remove(WEBHOOKS);
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    // The values of one command are set later, so they override these.
    for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        let mut known = false;
        for name in names.iter().filter(|name| *name != DEMO) {
            known |= set(&mut command, name, key, value).map_err(wrong)?;
        }
        if !known {
            return Err(wrong(format!("no command has a flag --{key}")));
        }
    }
    for (name, table) in table
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_table()?)))
    {
        if !names.contains(name) {
            return Err(wrong(format!(
                "there is no command [{name}]; there are {}",
                names.join(", ")
            )));
        }
        for (key, value) in table {
            if !set(&mut command, name, key, value).map_err(wrong)? {
                return Err(wrong(format!("the command [{name}] has no flag --{key}")));
            }
        }
    }
    Ok(command)
}

/// Reads the file. An error doesn't quote the line that is wrong, because a secret may be in it.
fn read(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("--config: cannot read {}: {e}", path.display())))?;
    text.parse().map_err(|e: toml::de::Error| {
        let before = e
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Failure::Usage(format!(
            "{}: line {line}, column {column}: {}",
            path.display(),
            e.message()
        ))
    })
}

/// The webhooks that the configuration file declares, with where that is. `None` without such a
/// file, and for one that doesn't speak of webhooks: `webhooks = []` says that there are none.
pub(super) fn webhooks(args: &[OsString]) -> Result<Option<(PathBuf, Vec<Table>)>, Failure> {
    let Some(path) = config_file(args) else {
        return Ok(None);
    };
    let tables = match read(&path)?.remove(WEBHOOKS) {
        None => return Ok(None),
        Some(Value::Array(tables)) => tables
            .into_iter()
            .map(|table| match table {
                Value::Table(table) => Ok(table),
                _ => Err(Failure::Usage(format!(
                    "{}: {WEBHOOKS} is a list of tables, [[{WEBHOOKS}]]",
                    path.display()
                ))),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => {
            return Err(Failure::Usage(format!(
                "{}: {WEBHOOKS} is a list of tables, [[{WEBHOOKS}]]",
                path.display()
            )));
        }
    };
    // Its links aren't followed: what they lead to can have another name after each change.
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(Some((path, tables)))
}

fn with_variables(command: Command) -> Command {
    if ONLY_FLAGS.contains(&command.get_name()) {
        return command.mut_args(without_empty_variable);
    }
    command
        .mut_args(with_variable)
        .mut_subcommands(with_variables)
}

fn with_variable(arg: clap::Arg) -> clap::Arg {
    let Some(long) = arg
        .get_long()
        .filter(|long| !matches!(*long, "help" | "version"))
    else {
        return arg;
    };
    if arg.get_id() == "demo_dir" {
        return arg;
    }
    // An argument that names its own variable keeps it.
    if arg.get_env().is_some() {
        return without_empty_variable(arg);
    }
    let variable = format!("{PREFIX}{}", long.to_ascii_uppercase().replace('-', "_"));
    without_empty_variable(arg.env(variable).hide_env(true))
}

/// An empty variable is as one that isn't set.
fn without_empty_variable(arg: clap::Arg) -> clap::Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    match value.is_some_and(|value| value.is_empty()) {
        true => arg.env(Resettable::Reset),
        false => arg,
    }
}

/// Where the file is, if one is asked for: that must be known before the rest is parsed.
fn config_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os(format!("{PREFIX}CONFIG"))
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Gives the flag of this command, and of those below it, another default. Says whether there is
/// such a flag.
fn set(command: &mut Command, name: &str, key: &str, value: &Value) -> Result<bool, String> {
    let texts = match value {
        Value::Array(values) => values
            .iter()
            .map(|value| text(key, value))
            .collect::<Result<Vec<_>, _>>()?,
        value => vec![text(key, value)?],
    };
    match command.find_subcommand_mut(name) {
        Some(sub) => set_below(sub, key, &texts),
        None => Ok(false),
    }
}

fn set_below(command: &mut Command, key: &str, texts: &[String]) -> Result<bool, String> {
    let only_flags = ONLY_FLAGS.contains(&command.get_name()) && key != "dir";
    let settable = |arg: &&clap::Arg| {
        arg.get_long() == Some(key) && !matches!(key, "help" | "version") && !only_flags
    };
    let flag = command.get_arguments().find(settable);
    let mut known = flag.is_some();
    if let Some(flag) = flag {
        if texts.len() != 1 && !matches!(flag.get_action(), ArgAction::Append) {
            return Err(format!("{key} takes one value"));
        }
        let id = flag.get_id().clone();
        *command = std::mem::take(command)
            .mut_arg(id, |arg| arg.required(false).default_values(texts.to_vec()));
    }
    for sub in command.get_subcommands_mut() {
        known |= set_below(sub, key, texts)?;
    }
    Ok(known)
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(yes) => Ok(yes.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        Value::Array(_) | Value::Table(_) => Err(format!(
            "{key} takes a text, a number, true or false, or a list of these"
        )),
    }
}
