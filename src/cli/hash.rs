//! `hash` and `hash-key`: finding entries by a value that the log has only as a keyed hash.

use std::io::{self, Write as _};

use super::{
    args::{HashArgs, HashKeyArgs, HashKeyCommand},
    failure::{Failure, Outcome},
};
use crate::{
    AuditLog,
    store::{check_format, keys, layout::Layout},
};

pub(super) fn run(args: &HashArgs) -> Result<Outcome, Failure> {
    let layout = Layout::new(&args.dir.dir);
    check_format(&layout)?;
    let keys = keys::hash_keys(&layout)?;
    if keys.is_empty() {
        return Err(Failure::failed(
            "there are no keys in this directory: no application hashed anything with one of its keys",
        ));
    }
    let value = match &args.value {
        Some(value) => value.clone(),
        None => io::stdin().lines().next().transpose()?.unwrap_or_default(),
    };
    let mut out = io::stdout().lock();
    for key in keys.iter().rev() {
        writeln!(out, "{}", key.hash(&value))?;
    }
    Ok(Outcome::Fine)
}

pub(super) fn run_key(args: &HashKeyArgs) -> Result<Outcome, Failure> {
    let (HashKeyCommand::Rotate { dir, .. } | HashKeyCommand::List { dir }) = &args.command;
    let layout = Layout::new(&dir.dir);
    check_format(&layout)?;
    let mut out = io::stdout().lock();
    match &args.command {
        HashKeyCommand::Rotate { name, .. } => {
            let log = AuditLog::of_tool(&dir.dir).open()?;
            let rotated = log.rotate_hash_key(name);
            log.close()?;
            rotated.map_err(Failure::of_flag)?;
            writeln!(
                out,
                "values are hashed with the key {name}, by each application from its next start on"
            )?;
        }
        HashKeyCommand::List { .. } => {
            for key in keys::hash_keys(&layout)? {
                writeln!(out, "{}", key.name())?;
            }
        }
    }
    Ok(Outcome::Fine)
}
