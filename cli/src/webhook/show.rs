//! Webhooks, attempts and dead letters on stdout: tables for people, JSON for programs.

use std::{
    fmt,
    io::{self, Write},
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use tracing_audit::{
    AuditReader, Timestamp,
    webhook::{
        Attempt, DeadLetter, DeliveryReport, DeliveryState, ReplayReport, ReplayState,
        WebhookReport,
    },
};

use crate::{
    args::Format,
    failure::{Failure, warn},
    output,
};

/// How many attempts `show` has.
const LAST: usize = 5;

pub(super) fn list(
    out: &mut impl Write,
    reader: &AuditReader,
    format: Option<Format>,
) -> Result<(), Failure> {
    let reports = reader.webhooks()?;
    if reports.is_empty() {
        warn("there are no webhooks");
    }
    match reader.webhook_dispatcher()? {
        Some(who) if output::format(format) == Format::Table => writeln!(
            out,
            "{} delivers: process {} on {}, since {}",
            output::escaped(&who.source),
            who.pid,
            output::escaped(&who.host),
            who.since
        )?,
        Some(_) => {}
        None if reports.is_empty() => {}
        None => warn(
            "nobody delivers: start an application that does, or tracing-audit serve; until then \
             everything waits",
        ),
    }
    Ok(output::list(out, &reports, format, &COLUMNS, row)?)
}

const COLUMNS: [&str; 10] = [
    "NAME",
    "STATE",
    "DELIVERED",
    "LAST SUCCESS (UTC)",
    "LAST FAILURE (UTC)",
    "IN A ROW",
    "NEXT ATTEMPT (UTC)",
    "BEHIND",
    "DEAD LETTERS",
    "URL",
];

/// All that is needed to understand why a webhook fails.
fn row(report: &WebhookReport) -> [String; 10] {
    let (one, status) = (&report.webhook, &report.status);
    let time = |time: Option<Timestamp>| time.map(output::time).unwrap_or_default();
    let failure = status.last_failure.as_ref().map(|last| {
        let status = last.status.map(|status| format!("{status}: "));
        let status = status.unwrap_or_default();
        format!("{} {status}{}", output::time(last.ended), last.answer)
    });
    let letters = report.dead_letters.map(|count| count.to_string());
    [
        one.name().to_owned(),
        state_and_replay(report),
        status.delivered.to_string(),
        time(status.last_delivered),
        failure.unwrap_or_default(),
        status.failures_in_a_row.to_string(),
        time(report.next_attempt),
        report
            .behind_seconds()
            .map_or_else(|| "unknown".to_owned(), span),
        letters.unwrap_or_else(|| "unknown".to_owned()),
        one.shown_url(),
    ]
}

/// The state and its reason, and the progress of a replay that is under way.
fn state_and_replay(report: &WebhookReport) -> String {
    let state = report.state();
    let state = report
        .reason()
        .map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
    match &report.replay {
        Some(replay) if replay.is_under_way() => format!("{state}; replay {}", progress(replay)),
        _ => state,
    }
}

/// How far a replay is.
fn progress(replay: &ReplayReport) -> String {
    let state = match replay.state {
        ReplayState::Waiting => return "waits".to_owned(),
        ReplayState::Running => "is under way",
        ReplayState::Done => "is done",
        _ => "was cancelled",
    };
    let of = replay.entries.map(|all| format!(" of {all}"));
    format!(
        "{state}: {}{} delivered, {} given up",
        replay.delivered,
        of.unwrap_or_default(),
        replay.given_up
    )
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn one(
    out: &mut impl Write,
    report: &WebhookReport,
    attempts: Vec<Attempt>,
    format: Option<Format>,
) -> Result<(), Failure> {
    let last = &attempts[..attempts.len().min(LAST)];
    if output::format(format) != Format::Table {
        let shown = Shown {
            report,
            attempts: last,
        };
        return Ok(json_line(out, &shown)?);
    }
    let lines = lines(report).map_err(io::Error::other)?;
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, text) in &lines {
        writeln!(out, "{name:<width$}  {}", output::escaped(text))?;
    }
    if !last.is_empty() {
        writeln!(out)?;
        self::attempts(out, last, Some(Format::Table))?;
    }
    Ok(())
}

/// A webhook and its last attempts, as one JSON object.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a WebhookReport,
    attempts: &'a [Attempt],
}

/// The lines about a webhook: names and texts, in their order.
fn lines(report: &WebhookReport) -> serde_json::Result<Vec<(String, String)>> {
    let Lines(values) = serde_json::from_slice(&serde_json::to_vec(report)?)?;
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(texts) if texts.iter().all(Value::is_string) => {
            let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
            Some(texts.join(" "))
        }
        value => Some(value.to_string()),
    };
    let lines = values.into_iter().filter_map(|(name, value)| {
        let text = match &report.replay {
            Some(replay) if name == "replay" => progress(replay),
            _ => text(value)?,
        };
        Some((name, text))
    });
    Ok(lines.collect())
}

/// The members of a JSON object, and then those of its member `status`.
struct Lines(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Lines;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Lines, A::Error> {
                let mut lines = Vec::new();
                let mut status = Vec::new();
                while let Some(name) = members.next_key::<String>()? {
                    match name.as_str() {
                        "status" => status = members.next_value::<Lines>()?.0,
                        _ => lines.push((name, members.next_value()?)),
                    }
                }
                lines.append(&mut status);
                Ok(Lines(lines))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

pub(super) fn attempts(
    out: &mut impl Write,
    attempts: &[Attempt],
    format: Option<Format>,
) -> Result<(), Failure> {
    if attempts.is_empty() {
        warn("no attempts have been made for this webhook yet");
    }
    let row = |one: &Attempt| {
        let came = if one.delivered { "delivered" } else { "failed" };
        [
            output::time(one.ended),
            came.to_owned(),
            one.attempt.to_string(),
            one.entries.to_string(),
            one.delivery_id.clone(),
            one.result.clone(),
        ]
    };
    Ok(output::list(
        out,
        attempts,
        format,
        &[
            "ENDED (UTC)",
            "STATE",
            "ATTEMPT",
            "ENTRIES",
            "DELIVERY ID",
            "RESULT",
        ],
        row,
    )?)
}

/// One delivery: its state, its request as HTTP has it, and its attempts.
pub(super) fn delivery(
    out: &mut impl Write,
    delivery: &DeliveryReport,
    format: Option<Format>,
) -> Result<(), Failure> {
    if output::format(format) != Format::Table {
        return Ok(json_line(out, delivery)?);
    }
    let state = match delivery.state {
        DeliveryState::Waiting => "waits for its next attempt",
        DeliveryState::DeadLetter => "is a dead letter",
        DeliveryState::Delivered => "was delivered",
        _ => "neither waits nor was delivered",
    };
    let id = output::escaped(&delivery.delivery_id).into_owned();
    let entries = output::count(delivery.entries as u64, "entry");
    writeln!(out, "{id}, with {entries}, {state}")?;
    if let Some(problem) = &delivery.problem {
        writeln!(
            out,
            "its request can't be shown: {}",
            output::escaped(problem)
        )?;
    }
    if let Some(request) = &delivery.request {
        writeln!(out, "\nPOST {}", output::escaped(&request.url))?;
        for (name, value) in &request.headers {
            writeln!(out, "{}: {}", output::escaped(name), output::escaped(value))?;
        }
        writeln!(out, "\n{}", output::escaped(&request.body))?;
    }
    for attempt in &delivery.attempts {
        let result = output::escaped(&attempt.result);
        writeln!(
            out,
            "\nattempt {} ended {}: {result}",
            attempt.attempt, attempt.ended
        )?;
        if !attempt.answer.is_empty() {
            writeln!(out, "{}", output::escaped(&attempt.answer))?;
        }
    }
    Ok(())
}

pub(super) fn dead_letters(
    out: &mut impl Write,
    reader: &AuditReader,
    name: &str,
    format: Option<Format>,
) -> Result<(), Failure> {
    // A few at a time: together they can be more than memory.
    const AT_ONCE: usize = 50;
    let format = output::format(format);
    let mut skip = 0;
    let mut rows = Vec::new();
    loop {
        let letters = reader.dead_letters(name, skip, AT_ONCE)?;
        if letters.is_empty() {
            break;
        }
        skip += letters.len();
        for letter in letters {
            match format {
                Format::Table => rows.push(letter_row(&letter)),
                Format::Ndjson | Format::Json => json_line(out, &letter)?,
            }
        }
    }
    if format == Format::Table && rows.is_empty() {
        warn("there are no dead letters");
    }
    if !rows.is_empty() {
        output::list(
            out,
            &rows,
            Some(Format::Table),
            &[
                "GIVEN UP (UTC)",
                "ATTEMPTS",
                "ENTRIES",
                "MISSING",
                "DELIVERY ID",
                "REASON",
            ],
            Clone::clone,
        )?;
    }
    Ok(())
}

fn letter_row(letter: &DeadLetter) -> [String; 6] {
    [
        output::time(letter.given_up),
        letter.attempts.to_string(),
        (letter.entries.len() + letter.missing).to_string(),
        letter.missing.to_string(),
        letter.delivery_id.clone(),
        letter.reason.clone(),
    ]
}

fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let terminal = io::IsTerminal::is_terminal(&io::stdout());
    out.write_all(&output::json_line(&serde_json::to_vec(value)?, terminal))?;
    out.write_all(b"\n")
}
