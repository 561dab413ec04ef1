//! `webhook`: which webhooks are told of which events, and how they are doing.

mod settings;
mod show;

use std::io::{self, Write as _};

use super::{
    args::{AddArgs, DirArgs, NamedArgs, ReplayArgs, SetArgs, WebhookArgs, WebhookCommand},
    failure::{Failure, Outcome, warn},
    output::{count, escaped},
};
use crate::{
    AuditLog, AuditReader,
    error::Error,
    store::{check_format, layout::Layout},
    webhook::{self, Administrator, Refusal, Replay, SigningSecret, Webhook, WebhookReport},
};

pub(super) fn run(args: &WebhookArgs) -> Result<Outcome, Failure> {
    use WebhookCommand as C;
    let dir = match &args.command {
        C::Add(add) => &add.dir,
        C::List(list) => &list.dir,
        C::Set(set) => &set.named.dir,
        C::Replay(replay) => &replay.named.dir,
        C::Show(shown) | C::Test(shown) | C::Attempts(shown) | C::DeadLetters(shown) => {
            &shown.named.dir
        }
        C::RotateSecret(named)
        | C::RetireSecrets(named)
        | C::Pause(named)
        | C::Resume(named)
        | C::Remove(named) => &named.dir,
    };
    let layout = Layout::new(&dir.dir);
    check_format(&layout)?;
    let mut out = io::stdout().lock();
    match &args.command {
        C::Add(add) => self::add(&mut out, add)?,
        C::List(list) => show::list(&mut out, &layout, list.format)?,
        C::Show(shown) => {
            let report = found(&layout, &shown.named)?;
            show::one(
                &mut out,
                &report,
                webhook::attempts(&layout, &shown.named.name)?,
                shown.format,
            )?;
        }
        C::Set(set) => change(&mut out, set)?,
        C::Test(shown) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let attempt = with_log(&shown.named.dir, |admin| {
                runtime.block_on(admin.test(&shown.named.name))
            })?;
            show::attempts(&mut out, std::slice::from_ref(&attempt), shown.format)?;
            return Ok(Outcome::problem_if(!attempt.delivered));
        }
        C::Attempts(shown) => {
            found(&layout, &shown.named)?;
            show::attempts(
                &mut out,
                &webhook::attempts(&layout, &shown.named.name)?,
                shown.format,
            )?;
        }
        C::DeadLetters(shown) => {
            found(&layout, &shown.named)?;
            show::dead_letters(&mut out, &layout, &shown.named.name, shown.format)?;
        }
        C::Replay(args) => replay(&mut out, args)?,
        C::RotateSecret(named) => {
            let secret = with_log(&named.dir, |admin| admin.rotate(&named.name))?;
            show_secret(&mut out, &named.name, &secret)?;
            warn("The secrets before it sign as well, until tracing-audit webhook retire-secrets.");
        }
        C::RetireSecrets(named) => {
            let retired = with_log(&named.dir, |admin| admin.retire(&named.name))?;
            writeln!(
                out,
                "{} of the webhook {} retired",
                count(retired as u64, "secret"),
                escaped(&named.name)
            )?;
        }
        C::Pause(named) => act(&mut out, named, "paused", |admin| {
            admin.pause(&named.name, true)
        })?,
        C::Resume(named) => act(&mut out, named, "resumed", |admin| {
            admin.pause(&named.name, false)
        })?,
        C::Remove(named) => act(&mut out, named, "removed", |admin| {
            admin.remove(&named.name)
        })?,
    }
    Ok(Outcome::Fine)
}

fn add(out: &mut impl io::Write, add: &AddArgs) -> Result<(), Failure> {
    let webhook = Webhook::from_settings(&settings::of_add(add)?).map_err(settings::of_flag)?;
    let mut made = None;
    let webhook = if add.unsigned || !add.settings.signing_secret.is_empty() {
        webhook
    } else {
        let secret = made.insert(SigningSecret::random()?);
        webhook.signing_secret(secret.reveal())
    };
    with_log(&add.dir, |admin| admin.add(webhook))?;
    match made {
        Some(secret) => show_secret(out, &add.name, &secret)?,
        None => writeln!(out, "the webhook {} is added", escaped(&add.name))?,
    }
    warn("It is told of what is recorded from now on.");
    Ok(())
}

/// Alone on stdout, so that a script can take it.
fn show_secret(
    out: &mut impl io::Write,
    name: &str,
    secret: &SigningSecret,
) -> Result<(), Failure> {
    match secret.public() {
        None => {
            writeln!(out, "{}", secret.reveal())?;
            out.flush()?;
            warn(&format!(
                "This is a signing secret of the webhook {name}, for its receiver. It is shown only now."
            ));
        }
        Some(public) => {
            writeln!(out, "{public}")?;
            out.flush()?;
            warn(&format!(
                "This is a public key of the webhook {name}, by which its receiver verifies."
            ));
        }
    }
    Ok(())
}

fn change(out: &mut impl io::Write, set: &SetArgs) -> Result<(), Failure> {
    let patch = settings::of_set(set)?;
    let name = &set.named.name;
    with_log(&set.named.dir, |admin| {
        admin.change(name, |found| Ok((found.patched(&patch)?, ())))
    })?;
    Ok(writeln!(out, "the webhook {} is changed", escaped(name))?)
}

fn replay(out: &mut impl io::Write, args: &ReplayArgs) -> Result<(), Failure> {
    let parameters = args.filter.filter()?.params();
    let replay = match (args.dead_letters, parameters.is_empty()) {
        (true, true) => Replay::dead_letters(),
        (false, false) => Replay::entries(parameters),
        (true, false) => {
            return Err(Failure::Usage(
                "--dead-letters: these are all dead letters; leave out the filters".to_owned(),
            ));
        }
        (false, true) => {
            return Err(Failure::Usage(
                "say which entries to send again: --dead-letters, or filters such as --start-date"
                    .to_owned(),
            ));
        }
    };
    let NamedArgs { dir, name } = &args.named;
    with_log(dir, |admin| admin.replay(name, replay))?;
    Ok(writeln!(
        out,
        "the entries are sent to {} again by the process that delivers webhooks",
        escaped(name)
    )?)
}

fn found(layout: &Layout, named: &NamedArgs) -> Result<WebhookReport, Failure> {
    webhook::report(layout, &AuditReader::open(layout.root())?, &named.name)?
        .ok_or_else(|| failure(Refusal::NoSuch(named.name.clone())))
}

fn act(
    out: &mut impl io::Write,
    named: &NamedArgs,
    done: &str,
    act: impl FnOnce(&Administrator<'_>) -> Result<(), Refusal>,
) -> Result<(), Failure> {
    with_log(&named.dir, act)?;
    Ok(writeln!(
        out,
        "the webhook {} is {done}",
        escaped(&named.name)
    )?)
}

fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Error(error @ Error::Invalid { .. }) => settings::of_flag(error),
        other => Failure::failed(other.text()),
    }
}

/// With the log open, for the record of what is done.
fn with_log<T>(
    dir: &DirArgs,
    act: impl FnOnce(&Administrator<'_>) -> Result<T, Refusal>,
) -> Result<T, Failure> {
    let log = AuditLog::of_tool(&dir.dir).open()?;
    let done = act(&Administrator::new(&log)).map_err(failure);
    log.close()?;
    done
}
