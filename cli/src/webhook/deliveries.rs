//! Deliveries of a webhook: replayed, sent again, or given up, by the process that delivers.

use std::{io, thread, time::Duration};

use tracing_audit::{
    AuditReader, Error,
    webhook::{Replay, ReplayReport, ReplayState},
};

use super::{found, no_such, of_webhook};
use crate::{
    args::{DeliveryArgs, NamedArgs, ReplayArgs, ResendArgs, SkipArgs},
    failure::{Failure, Outcome, warn},
    output::{count, escaped},
    progress,
    webhook::show,
};

/// The pause between two looks at how far a replay is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn show(
    out: &mut impl io::Write,
    reader: &AuditReader,
    args: &DeliveryArgs,
) -> Result<(), Failure> {
    let name = &args.shown.named.name;
    let delivery = reader.delivery(name, &args.id);
    let delivery = delivery
        .map_err(|error| of_id(error, "--id"))?
        .ok_or_else(|| no_such(name))?;
    show::delivery(out, &delivery, args.shown.format)
}

pub(super) fn resend(
    out: &mut impl io::Write,
    reader: &AuditReader,
    args: &ResendArgs,
) -> Result<(), Failure> {
    of_webhook(&args.named, |webhooks, name| {
        let resent = webhooks.resend(name, &args.id);
        let resent = resent.map_err(|error| of_id(error, "the delivery's id"))?;
        Ok(resent.then_some(()))
    })?;
    writeln!(
        out,
        "the delivery {} is sent to {} again",
        escaped(&args.id),
        escaped(&args.named.name)
    )?;
    say_when(reader, &args.named)
}

pub(super) fn skip(
    out: &mut impl io::Write,
    reader: &AuditReader,
    args: &SkipArgs,
) -> Result<(), Failure> {
    let skipped = of_webhook(&args.named, |webhooks, name| {
        let skipped = webhooks.skip(name, args.id.as_deref());
        skipped.map_err(|error| of_id(error, "--id"))
    })?;
    writeln!(
        out,
        "the delivery {} of the webhook {} becomes a dead letter",
        escaped(&skipped),
        escaped(&args.named.name)
    )?;
    say_when(reader, &args.named)
}

pub(super) fn replay(
    out: &mut impl io::Write,
    reader: &AuditReader,
    args: &ReplayArgs,
) -> Result<Outcome, Failure> {
    let parameters = args.filter.filter()?.params();
    if args.cancel {
        return cancel(out, reader, args, !parameters.is_empty());
    }
    let replay = match (args.dead_letters, parameters.is_empty()) {
        (true, true) => Replay::dead_letters(),
        (false, false) => Replay::entries(parameters),
        (true, false) => {
            return Err(Failure::Usage(
                "--dead-letters: filters can't choose among dead letters; leave out the \
                 filters"
                    .to_owned(),
            ));
        }
        (false, true) => {
            return Err(Failure::Usage(
                "no entries to send again were chosen; give --dead-letters, or filters such as \
                 --start-date"
                    .to_owned(),
            ));
        }
    };
    if args.dry_run {
        return dry_run(out, args, &replay);
    }
    of_webhook(&args.named, |webhooks, name| {
        let asked = webhooks.replay(name, replay);
        Ok(asked
            .map_err(|error| super::settings::of_flag(&[], error))?
            .then_some(()))
    })?;
    writeln!(
        out,
        "the entries are sent to {} again by the process that delivers webhooks",
        escaped(&args.named.name)
    )?;
    say_when(reader, &args.named)?;
    if args.wait {
        return wait(out, reader, &args.named);
    }
    Ok(Outcome::Fine)
}

fn dry_run(
    out: &mut impl io::Write,
    args: &ReplayArgs,
    replay: &Replay,
) -> Result<Outcome, Failure> {
    let found = of_webhook(&args.named, |webhooks, name| {
        let counted = webhooks.count_replay(name, replay);
        counted.map_err(|error| super::settings::of_flag(&[], error))
    })?;
    let entries = count(found.entries, "entry");
    let deliveries = match found.deliveries {
        1 => "1 delivery".to_owned(),
        many => format!("{many} deliveries"),
    };
    write!(out, "{entries} would be sent again, in {deliveries}")?;
    if let (Some(first), Some(last)) = (found.first, found.last) {
        write!(out, ", from {first} to {last}")?;
    }
    writeln!(out)?;
    Ok(Outcome::Fine)
}

fn cancel(
    out: &mut impl io::Write,
    reader: &AuditReader,
    args: &ReplayArgs,
    has_filter: bool,
) -> Result<Outcome, Failure> {
    if has_filter {
        let problem = "--cancel: filters can't choose among replays; leave out the filters";
        return Err(Failure::Usage(problem.to_owned()));
    }
    of_webhook(&args.named, |webhooks, name| {
        Ok(webhooks.cancel_replay(name)?.then_some(()))
    })?;
    writeln!(
        out,
        "the replay of the webhook {} is cancelled",
        escaped(&args.named.name)
    )?;
    say_when(reader, &args.named)?;
    Ok(Outcome::Fine)
}

/// Waits until no replay of the webhook is under way, and shows the progress meanwhile.
fn wait(
    out: &mut impl io::Write,
    reader: &AuditReader,
    named: &NamedArgs,
) -> Result<Outcome, Failure> {
    let bar = progress::entries("replaying");
    let last = loop {
        let Some(replay) = found(reader, named)?.replay else {
            break ReplayReport::default();
        };
        bar.set_length(replay.entries.unwrap_or_default());
        bar.set_position(replay.delivered + replay.given_up);
        if !replay.is_under_way() {
            break replay;
        }
        thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    let of = last.entries.map(|all| format!(" of {all}"));
    write!(
        out,
        "{}{} {} delivered, {} given up",
        last.delivered,
        of.unwrap_or_default(),
        if last.delivered == 1 {
            "entry was"
        } else {
            "entries were"
        },
        last.given_up
    )?;
    let is_cancelled = last.state == ReplayState::Cancelled;
    let end = if is_cancelled {
        "; the replay was cancelled"
    } else {
        ""
    };
    writeln!(out, "{end}")?;
    Ok(Outcome::problem_if(is_cancelled || last.given_up > 0))
}

/// Warns if the request has to wait.
fn say_when(reader: &AuditReader, named: &NamedArgs) -> Result<(), Failure> {
    if reader.webhook_dispatcher()?.is_none() {
        warn(
            "Nobody delivers now, so this waits: start an application that does, or tracing-audit \
             serve.",
        );
    } else if found(reader, named)?.is_paused() {
        warn("The webhook is paused, so this waits until it is resumed.");
    }
    Ok(())
}

/// An error about a delivery's id calls it as the command line does.
fn of_id(error: Error, called: &str) -> Failure {
    match error {
        Error::Invalid { parameter, problem } if parameter == "delivery_id" => {
            Failure::Usage(format!("{called}: {problem}"))
        }
        error => error.into(),
    }
}
