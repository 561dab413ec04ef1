//! `hold`: ranges of time whose entries stay.

use std::io::{self, Write as _};

use tracing_audit::{AuditLog, AuditReader, Timestamp, reader::EntryActor, retention::Hold};

use super::{
    args::{HoldArgs, HoldCommand},
    failure::{Failure, Outcome, warn},
    maintain::with_log,
    output,
    owner::operator,
};

pub(super) fn run(args: &HoldArgs) -> Result<Outcome, Failure> {
    let (HoldCommand::Place { dir, .. }
    | HoldCommand::List { dir, .. }
    | HoldCommand::Release { dir, .. }) = &args.command;
    let dir = &dir.dir;
    let reader = AuditReader::open(dir)?;
    let operator = operator();
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
            let place = |log: &AuditLog| {
                let holds = log.holds().by(&operator);
                holds.place(hold).map_err(Failure::of_flag)
            };
            with_log(dir, place)?;
            writeln!(out, "the hold {name} is placed")?;
        }
        HoldCommand::List { format, .. } => {
            let holds = reader.holds()?;
            if holds.is_empty() {
                warn("there are no holds");
            }
            let row = |hold: &Hold| {
                let time = |time: Option<Timestamp>, none: &str| {
                    time.map_or_else(|| none.to_owned(), output::time)
                };
                [
                    hold.name().to_owned(),
                    time(hold.start(), "the beginning"),
                    time(hold.end(), "no end"),
                    time(hold.placed(), ""),
                    hold.placed_by().map_or_else(String::new, shown),
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
                    "BY",
                    "REASON",
                ],
                row,
            )?;
        }
        HoldCommand::Release { name, .. } => {
            if !with_log(dir, |log| Ok(log.holds().by(&operator).release(name)?))? {
                return Err(Failure::failed(format!(
                    "there is no hold {name:?}; tracing-audit hold list shows all"
                )));
            }
            writeln!(out, "the hold {} is released", output::escaped(name))?;
        }
    }
    Ok(Outcome::Fine)
}

/// The one who placed a hold, by its name, or else by its id.
fn shown(actor: &EntryActor) -> String {
    let known = actor.name.as_ref().or(actor.id.as_ref());
    known.unwrap_or(&actor.kind).clone()
}
