//! `webhook`: which webhooks get which events, and how they are doing.

mod deliveries;
mod settings;
mod show;

use std::io::{self, Write as _};

use tracing_audit::{
    AuditReader,
    webhook::{SigningSecret, Webhook, WebhookReport, Webhooks},
};

use super::{
    args::{AddArgs, NamedArgs, SetArgs, WebhookArgs, WebhookCommand},
    failure::{Failure, Outcome, warn},
    maintain,
    output::{count, escaped},
    owner::operator,
};

pub(super) fn run(args: &WebhookArgs) -> Result<Outcome, Failure> {
    use WebhookCommand as C;
    let dir = match &args.command {
        C::Add(add) => &add.dir,
        C::List(list) => &list.dir,
        C::Set(set) => &set.named.dir,
        C::Replay(replay) => &replay.named.dir,
        C::Deliveries(delivery) => &delivery.shown.named.dir,
        C::Resend(resend) => &resend.named.dir,
        C::Skip(skip) => &skip.named.dir,
        C::Show(shown) | C::Test(shown) | C::Attempts(shown) | C::DeadLetters(shown) => {
            &shown.named.dir
        }
        C::RotateSecret(named)
        | C::RetireSecrets(named)
        | C::Pause(named)
        | C::Resume(named)
        | C::TakeOver(named)
        | C::Remove(named) => &named.dir,
    };
    let reader = AuditReader::open(&dir.dir)?;
    let mut out = io::stdout().lock();
    match &args.command {
        C::Add(add) => self::add(&mut out, add)?,
        C::List(list) => show::list(&mut out, &reader, list.format)?,
        C::Show(shown) => {
            let report = found(&reader, &shown.named)?;
            let attempts = reader.attempts(&shown.named.name)?;
            show::one(&mut out, &report, attempts, shown.format)?;
        }
        C::Set(set) => change(&mut out, set)?,
        C::Test(shown) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let attempt = of_webhook(&shown.named, |webhooks, name| {
                let tested = runtime.block_on(webhooks.test(name));
                tested.map_err(|error| settings::of_flag(&[], error))
            })?;
            show::attempts(&mut out, std::slice::from_ref(&attempt), shown.format)?;
            return Ok(Outcome::problem_if(!attempt.delivered));
        }
        C::Attempts(shown) => {
            found(&reader, &shown.named)?;
            let attempts = reader.attempts(&shown.named.name)?;
            show::attempts(&mut out, &attempts, shown.format)?;
        }
        C::DeadLetters(shown) => {
            found(&reader, &shown.named)?;
            show::dead_letters(&mut out, &reader, &shown.named.name, shown.format)?;
        }
        C::Replay(args) => return deliveries::replay(&mut out, &reader, args),
        C::Deliveries(args) => deliveries::show(&mut out, &reader, args)?,
        C::Resend(args) => deliveries::resend(&mut out, &reader, args)?,
        C::Skip(args) => deliveries::skip(&mut out, &reader, args)?,
        C::RotateSecret(named) => {
            let secret = of_webhook(named, |webhooks, name| {
                webhooks
                    .rotate_secret(name)
                    .map_err(|error| settings::of_flag(&[], error))
            })?;
            show_secret(&mut out, &named.name, &secret)?;
            warn(
                "Older secrets sign as well, until tracing-audit webhook retire-secrets ends them.",
            );
        }
        C::RetireSecrets(named) => {
            let retired = of_webhook(named, |webhooks, name| {
                webhooks
                    .retire_secrets(name)
                    .map_err(|error| settings::of_flag(&[], error))
            })?;
            writeln!(
                out,
                "{} of the webhook {} retired",
                count(retired as u64, "secret"),
                escaped(&named.name)
            )?;
        }
        C::Pause(named) => act(&mut out, named, "paused", |webhooks, name| {
            webhooks.pause(name)
        })?,
        C::Resume(named) => act(&mut out, named, "resumed", |webhooks, name| {
            webhooks.resume(name)
        })?,
        C::TakeOver(named) => act(&mut out, named, "taken over", |webhooks, name| {
            webhooks.take_over(name)
        })?,
        C::Remove(named) => act(&mut out, named, "removed", |webhooks, name| {
            webhooks.remove(name)
        })?,
    }
    Ok(Outcome::Fine)
}

fn add(out: &mut impl io::Write, add: &AddArgs) -> Result<(), Failure> {
    let settings = settings::of_flags(&add.settings.0)?;
    let of_flag = |error| settings::of_flag(&add.settings.0, error);
    let webhook = Webhook::from_settings(&settings).map_err(of_flag)?;
    let name = webhook.name().to_owned();
    let mut made = None;
    let webhook = if add.unsigned || settings.contains_key("signing_secrets") {
        webhook
    } else {
        let secret = made.insert(SigningSecret::random()?);
        webhook.signing_secret(secret.reveal())
    };
    let operator = operator();
    maintain::with_log(&add.dir.dir, |log| {
        let webhooks = log.webhooks().by(&operator);
        webhooks.add(webhook).map_err(of_flag)
    })?;
    match made {
        Some(secret) => show_secret(out, &name, &secret)?,
        None => writeln!(out, "the webhook {} is added", escaped(&name))?,
    }
    warn("The webhook gets the entries that are recorded from now on.");
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
                "This is a signing secret of the webhook {name}, for its receiver. The secret is \
                 shown only now."
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
    let named = &set.named;
    let operator = operator();
    maintain::with_log(&named.dir.dir, |log| {
        let changed = log.webhooks().by(&operator).patch(&named.name, &patch);
        match changed.map_err(|error| settings::of_flag(&set.settings.0, error))? {
            true => Ok(()),
            false => Err(no_such(&named.name)),
        }
    })?;
    Ok(writeln!(
        out,
        "the webhook {} is changed",
        escaped(&named.name)
    )?)
}

fn found(reader: &AuditReader, named: &NamedArgs) -> Result<WebhookReport, Failure> {
    reader
        .webhook(&named.name)?
        .ok_or_else(|| no_such(&named.name))
}

/// Does something to a webhook, which says whether there is one of this name.
fn act(
    out: &mut impl io::Write,
    named: &NamedArgs,
    done: &str,
    act: impl FnOnce(&Webhooks<'_>, &str) -> tracing_audit::Result<bool>,
) -> Result<(), Failure> {
    of_webhook(named, |webhooks, name| {
        let is_there = act(webhooks, name).map_err(|error| settings::of_flag(&[], error))?;
        Ok(is_there.then_some(()))
    })?;
    Ok(writeln!(
        out,
        "the webhook {} is {done}",
        escaped(&named.name)
    )?)
}

/// Does something to a webhook, with the log open; `None` says that there is none of this name.
fn of_webhook<T>(
    named: &NamedArgs,
    act: impl FnOnce(&Webhooks<'_>, &str) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let operator = operator();
    maintain::with_log(&named.dir.dir, |log| {
        let webhooks = log.webhooks().by(&operator);
        act(&webhooks, &named.name)?.ok_or_else(|| no_such(&named.name))
    })
}

fn no_such(name: &str) -> Failure {
    Failure::failed(format!(
        "there is no webhook {name:?}; tracing-audit webhook list shows all"
    ))
}
