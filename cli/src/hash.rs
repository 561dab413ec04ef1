//! `hash` and `hash-key`: finding entries by a value that the log has only as a keyed hash.

use std::io::{self, Write as _};

use tracing_audit::AuditReader;

use super::{
    args::{HashArgs, HashKeyArgs, HashKeyCommand},
    failure::{Failure, Outcome},
    maintain,
};

pub(super) fn run(args: &HashArgs) -> Result<Outcome, Failure> {
    let keys = AuditReader::open(&args.dir.dir)?.hash_keys()?;
    if keys.is_empty() {
        return Err(Failure::failed(
            "this directory has no keys: no application has hashed a value with a key of this log",
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
    let reader = AuditReader::open(&dir.dir)?;
    let mut out = io::stdout().lock();
    match &args.command {
        HashKeyCommand::Rotate { name, .. } => {
            maintain::with_log(&dir.dir, |log| {
                log.rotate_hash_key(name).map_err(Failure::of_flag)
            })?;
            writeln!(
                out,
                "each application hashes values with the key {name} from its next start on"
            )?;
        }
        HashKeyCommand::List { .. } => {
            for key in reader.hash_keys()? {
                writeln!(out, "{}", key.name())?;
            }
        }
    }
    Ok(Outcome::Fine)
}
