//! Webhooks, attempts and dead letters as pages show them: without secrets, and texts of receivers
//! as texts.

use super::spark::Spark;
use crate::{
    entry::{Timestamp, json::Json},
    server::console::text::{Time, format, number, shown, shown_lines},
    webhook::{Attempt, DeadLetter, WebhookReport},
};

/// A webhook in the list.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) event_types: String,
    pub(super) state: &'static str,
    /// The class that colours the state.
    pub(super) kind: &'static str,
    /// How long the oldest entry has waited.
    pub(super) behind: String,
    pub(super) dead_letters: usize,
    pub(super) spark: Option<Spark>,
    pub(super) last_answer: Option<String>,
}

impl Row {
    pub(super) fn new(report: &WebhookReport, attempts: &[Attempt], now: Timestamp) -> Self {
        let settings = report.webhook.shown();
        let text = |name| settings.get(name).map(plain).unwrap_or_default();
        let state = report.state();
        Self {
            name: shown(report.webhook.name()),
            url: text("url"),
            event_types: text("event_types"),
            state,
            kind: match state {
                "active" => "success",
                "paused" => "unknown",
                _ => "failure",
            },
            behind: behind(report, now),
            dead_letters: report.dead_letters.unwrap_or_default(),
            spark: Spark::new(attempts),
            last_answer: report.status.last_answer.as_deref().map(shown),
        }
    }
}

fn behind(report: &WebhookReport, now: Timestamp) -> String {
    let Some(seconds) = report.behind_seconds() else {
        return "not known".to_owned();
    };
    let since = [report.oldest_waiting, report.unread_since];
    match since.into_iter().flatten().min() {
        // Entries of the last seconds are about to be delivered.
        Some(since) if seconds >= 5.0 => {
            let ago = Time::new(since, now).ago;
            ago.trim_end_matches(" ago").to_owned()
        }
        _ => "up to date".to_owned(),
    }
}

/// How a webhook is doing.
pub(super) struct State {
    pub(super) reason: Option<String>,
    pub(super) declared_in: Option<String>,
    pub(super) is_paused: bool,
    /// How many secrets sign its requests.
    pub(super) secrets: usize,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) replay: Option<String>,
}

impl State {
    pub(super) fn new(report: &WebhookReport, now: Timestamp) -> Self {
        let said = report.shown();
        let reason = said.get("problem").or_else(|| said.get("reason"));
        let status = &report.status;
        let time = |time: Option<Timestamp>| match time {
            Some(time) => Time::new(time, now).ago,
            None => "–".to_owned(),
        };
        Self {
            reason: reason.map(plain),
            declared_in: report.declared_in().map(shown),
            is_paused: report.is_paused(),
            secrets: match report.webhook.shown().get("signing_secrets") {
                Some(Json::List(secrets)) => secrets.len(),
                _ => 0,
            },
            facts: vec![
                ("Behind", behind(report, now)),
                (
                    "Deliveries that wait",
                    number(report.waiting_deliveries as u64),
                ),
                ("Last attempt", time(status.last_attempt)),
                ("Last delivered", time(status.last_delivered)),
                (
                    "Next attempt",
                    report
                        .next_attempt
                        .map_or("–".to_owned(), |at| format(at, "%b %-d, %H:%M:%S UTC")),
                ),
                ("Entries delivered", number(status.delivered)),
                ("Entries given up", number(status.dead_lettered)),
                ("Failed attempts", number(status.failed_attempts)),
                ("Failures in a row", number(status.failures_in_a_row)),
            ],
            replay: report.replay.as_ref().map(|replay| {
                let state = plain(&Json::of(&replay.state));
                let of = replay
                    .entries
                    .map_or("an unknown number".to_owned(), number);
                let (done, given_up) = (number(replay.delivered), number(replay.given_up));
                format!("{state}: {done} of {of} entries delivered, {given_up} given up")
            }),
        }
    }
}

impl State {
    /// An explanation of the secrets, and of how to replace one.
    pub(super) fn signing(&self) -> &'static str {
        match self.secrets {
            0 => {
                "Requests aren't signed. With a secret, the receiver can verify where they come from."
            }
            1 => {
                "Requests are signed with this secret. To replace it, make a new one, give the \
                 receiver the secret or the public key that is shown then, and stop signing with \
                 this one when the receiver has switched."
            }
            _ => {
                "Requests are signed with each of these secrets, so the receiver can verify with \
                 any of them. When it uses the newest, choose “Sign with the newest only”."
            }
        }
    }
}

/// A setting and its value.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// The settings, without secrets.
pub(super) fn settings(report: &WebhookReport) -> Vec<Setting> {
    let all = report.webhook.shown();
    let setting = |(name, value): (String, Json)| Setting {
        value: plain(&value),
        name,
    };
    let is_said = |(name, value): &(String, Json)| {
        // The secrets are counted beside the button that rotates them.
        !matches!(name.as_str(), "name" | "signing_secrets")
            && !matches!(value.to_string().as_str(), "null" | "{}" | "[]")
    };
    all.into_iter().filter(is_said).map(setting).collect()
}

/// A value as people read it.
fn plain(value: &Json) -> String {
    match value {
        Json::Text(text) => shown(text),
        Json::List(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        // So a secret is shown.
        value if value.to_string() == r#"{"set":true}"# => "set".to_owned(),
        Json::Object(members) => {
            let member =
                |(name, value): (String, Json)| format!("{}: {}", shown(&name), plain(&value));
            members
                .clone()
                .into_iter()
                .map(member)
                .collect::<Vec<_>>()
                .join(", ")
        }
        value => shown(&value.to_string()),
    }
}

/// An attempt.
pub(super) struct Delivered {
    pub(super) ended: Time,
    pub(super) is_taken: bool,
    pub(super) result: String,
    pub(super) status: Option<u16>,
    pub(super) attempt: u32,
    pub(super) entries: usize,
    pub(super) took: String,
    pub(super) answer: String,
    pub(super) delivery_id: String,
}

impl Delivered {
    pub(super) fn new(attempt: &Attempt, now: Timestamp) -> Self {
        Self {
            ended: Time::new(attempt.ended, now),
            is_taken: attempt.delivered,
            result: shown(&attempt.result),
            status: attempt.status,
            attempt: attempt.attempt,
            entries: attempt.entries,
            took: format!("{} ms", number(attempt.took_ms)),
            answer: shown_lines(&attempt.answer),
            delivery_id: shown(&attempt.delivery_id),
        }
    }
}

/// A dead letter.
pub(super) struct GivenUp {
    pub(super) time: Time,
    pub(super) reason: String,
    pub(super) attempts: u32,
    pub(super) entries: usize,
    /// The page of the first of its entries, if the log still has that.
    pub(super) first: Option<String>,
    /// How many of its entries the log no longer has.
    pub(super) missing: usize,
    pub(super) delivery_id: String,
}

impl GivenUp {
    pub(super) fn new(letter: &DeadLetter, now: Timestamp) -> Self {
        let first = letter.entries.first();
        Self {
            time: Time::new(letter.given_up, now),
            reason: shown(&letter.reason),
            attempts: letter.attempts,
            entries: letter.entries.len() + letter.missing,
            first: first.map(|entry| format!("entry/{}", entry.id())),
            missing: letter.missing,
            delivery_id: shown(&letter.delivery_id),
        }
    }
}
