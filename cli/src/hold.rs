//! `hold`: ranges of time whose entries stay.

use std::io::{self, Write as _};

use tracing_audit::{AuditReader, Hold};

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
                .reason(reason);
            with_log(dir, |log| log.place_hold(hold).map_err(Failure::of_flag))?;
            writeln!(out, "the hold {name} is placed")?;
        }
        HoldCommand::List { format, .. } => {
            let holds = reader.holds()?;
            if holds.is_empty() {
                warn("there are no holds");
            }
            let row = |hold: &Hold| {
                let (start, end) = (
                    hold.start().unwrap_or("the beginning"),
                    hold.end().unwrap_or("no end"),
                );
                [
                    hold.name(),
                    start,
                    end,
                    hold.placed().unwrap_or_default(),
                    hold.why(),
                ]
                .map(str::to_owned)
            };
            output::list(
                &mut out,
                &holds,
                *format,
                &["NAME", "FROM (UTC)", "UNTIL (UTC)", "PLACED (UTC)", "WHY"],
                row,
            )?;
        }
        HoldCommand::Release { name, .. } => {
            if !with_log(dir, |log| Ok(log.release_hold(name)?))? {
                return Err(Failure::failed(format!("there is no hold {name:?}")));
            }
            writeln!(out, "the hold {} is released", output::escaped(name))?;
        }
    }
    Ok(Outcome::Fine)
}
