//! `hold`: ranges of time whose entries stay.

use std::io::{self, Write as _};

use tracing_audit::{AuditReader, Timestamp, retention::Hold};

use super::{
    args::{HoldArgs, HoldCommand},
    failure::{Failure, Outcome, warn},
    maintain::with_log,
    output,
};

pub(super) fn run(args: &HoldArgs) -> Result<Outcome, Failure> {
    let (HoldCommand::Place { dir, .. }
    | HoldCommand::List { dir, .. }
    | HoldCommand::Release { dir, .. }) = &args.command;
    let dir = &dir.dir;
    let reader = AuditReader::open(dir)?;
    let mut out = io::stdout().lock();
    match &args.command {
        HoldCommand::Place {
            name,
            start_date,
            end_date,
            reason,
            ..
        } => {
            let hold = Hold::new(name, start_date, end_date)
                .map_err(Failure::of_flag)?
                .with_reason(reason);
            with_log(dir, |log| log.holds().place(hold).map_err(Failure::of_flag))?;
            writeln!(out, "the hold {name} is placed")?;
        }
        HoldCommand::List { format, .. } => {
            let holds = reader.holds()?;
            if holds.is_empty() {
                warn("there are no holds");
            }
            let row = |hold: &Hold| {
                let time = |time: Option<Timestamp>, none: &str| {
                    time.map_or_else(|| none.to_owned(), |time| time.to_string())
                };
                [
                    hold.name().to_owned(),
                    time(hold.start(), "the beginning"),
                    time(hold.end(), "no end"),
                    time(hold.placed(), ""),
                    hold.reason().to_owned(),
                ]
            };
            output::list(
                &mut out,
                &holds,
                *format,
                &[
                    "NAME",
                    "FROM (UTC)",
                    "UNTIL (UTC)",
                    "PLACED (UTC)",
                    "REASON",
                ],
                row,
            )?;
        }
        HoldCommand::Release { name, .. } => {
            if !with_log(dir, |log| Ok(log.holds().release(name)?))? {
                return Err(Failure::failed(format!("there is no hold {name:?}")));
            }
            writeln!(out, "the hold {} is released", output::escaped(name))?;
        }
    }
    Ok(Outcome::Fine)
}
