//! `webhook`: which endpoints are told of which events, and how they are doing.

use std::io::{self, Write as _};

use serde::Serialize;

use super::{
    args::{DirArgs, WebhookArgs, WebhookCommand},
    failure::{Failure, Outcome, warn},
    output,
};
use crate::{
    AuditLog,
    forward::{self, Batching, DeliveryOrder, Subscription},
    record::Timestamp,
    store::{check_format, layout::Layout},
};

pub(super) fn run(args: &WebhookArgs) -> Result<Outcome, Failure> {
    let dir = match &args.command {
        WebhookCommand::Add(add) => &add.dir,
        WebhookCommand::List { dir, .. }
        | WebhookCommand::Pause { dir, .. }
        | WebhookCommand::Resume { dir, .. }
        | WebhookCommand::Remove { dir, .. }
        | WebhookCommand::DeadLetters { dir, .. } => dir,
    };
    let layout = Layout::new(&dir.dir);
    check_format(&layout)?;
    let mut out = io::stdout().lock();
    match &args.command {
        WebhookCommand::Add(add) => {
            let subscription = subscription(add)?;
            with_log(dir, |log| log.subscribe(subscription).map_err(Failure::of_flag))?;
            writeln!(out, "the webhook {} is added; it is told of what is recorded from now on", output::escaped(&add.name))?;
        }
        WebhookCommand::List { format, .. } => list(&mut out, &layout, *format)?,
        WebhookCommand::Pause { name, .. } => set(dir, name, |log| log.pause_subscription(name, true), "paused")?,
        WebhookCommand::Resume { name, .. } => set(dir, name, |log| log.pause_subscription(name, false), "resumed")?,
        WebhookCommand::Remove { name, .. } => set(dir, name, |log| log.unsubscribe(name), "removed")?,
        WebhookCommand::DeadLetters { name, .. } => {
            let letters = forward::dead_letters(&layout, name)?;
            let terminal = io::IsTerminal::is_terminal(&io::stdout());
            for line in letters.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                out.write_all(&output::json_line(line, terminal))?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(Outcome::Fine)
}

fn subscription(add: &super::args::WebhookAdd) -> Result<Subscription, Failure> {
    let mut subscription = Subscription::new(&add.name, &add.url, &add.event_type)
        .excluding(&add.exclude)
        .severities(add.severity.iter().copied())
        .egress(&add.egress)
        .format(add.format, crate::forward::format::FormatOptions::default());
    if let Some(tenant) = &add.tenant_id {
        subscription = subscription.tenant_id(tenant);
    }
    if let Some(key) = &add.api_key {
        subscription = subscription.api_key(key);
    }
    if let Some(header) = &add.api_key_header {
        subscription = subscription.api_key_header(header);
    }
    for secret in &add.signing_secret {
        subscription = subscription.signing_secret(secret);
    }
    for header in &add.header {
        let Some((name, value)) = header.split_once('=') else {
            return Err(Failure::Usage(format!("--header: {header:?} is not written NAME=VALUE")));
        };
        subscription = subscription.header(name, value);
    }
    if add.allow_http {
        subscription = subscription.allow_http();
    }
    if add.strict {
        subscription = subscription.order(DeliveryOrder::Strict);
    }
    if let Some(entries) = add.batch {
        subscription = subscription.batch(Batching { max_entries: entries, ..Batching::default() });
    }
    if let Some(file) = &add.extra_ca {
        subscription = subscription.extra_ca(file);
    }
    if let Some(file) = &add.identity {
        subscription = subscription.identity(file);
    }
    Ok(subscription)
}

/// What is told of a webhook: no secrets.
#[derive(Serialize)]
struct Listed {
    name: String,
    url: String,
    event_types: Vec<String>,
    state: &'static str,
    waiting_requests: usize,
    #[serde(flatten)]
    status: forward::SubscriptionStatus,
}

fn list(out: &mut impl io::Write, layout: &Layout, format: Option<super::args::Format>) -> Result<(), Failure> {
    let listed: Vec<Listed> = forward::subscriptions(layout)?
        .into_iter()
        .map(|(subscription, status, waiting_requests)| Listed {
            name: subscription.name().to_owned(),
            url: subscription.url().to_owned(),
            event_types: subscription.event_types().to_vec(),
            state: match () {
                () if subscription.is_paused() => "paused",
                () if status.gone => "gone",
                () if status.parked => "parked",
                () if status.failing_since.is_some() => "failing",
                () => "active",
            },
            waiting_requests,
            status,
        })
        .collect();
    if listed.is_empty() {
        warn("there are no webhooks");
    }
    let row = |one: &Listed| {
        let at = one.status.last_attempt.map(|micros| Timestamp::from_micros(micros).to_string()).unwrap_or_default();
        let last = one.status.last_answer.clone().unwrap_or_default();
        let (delivered, waiting) = (one.status.delivered.to_string(), one.waiting_requests.to_string());
        [one.name.clone(), one.state.to_owned(), one.event_types.join(" "), delivered, waiting, format!("{at} {last}"), one.url.clone()]
    };
    Ok(output::list(out, &listed, format, &["NAME", "STATE", "EVENT TYPES", "DELIVERED", "WAITING", "LAST ATTEMPT (UTC)", "URL"], row)?)
}

fn set(dir: &DirArgs, name: &str, act: impl FnOnce(&AuditLog) -> crate::Result<bool>, done: &str) -> Result<(), Failure> {
    if !with_log(dir, |log| Ok(act(log)?))? {
        return Err(Failure::failed(format!("there is no webhook {name:?}")));
    }
    writeln!(io::stdout(), "the webhook {} is {done}", output::escaped(name))?;
    Ok(())
}

/// With the log open, for the record of what is done.
fn with_log<T>(dir: &DirArgs, act: impl FnOnce(&AuditLog) -> Result<T, Failure>) -> Result<T, Failure> {
    let log = AuditLog::of_tool(&dir.dir).open()?;
    let done = act(&log);
    log.close()?;
    done
}
