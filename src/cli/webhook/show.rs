//! Webhooks, attempts and dead letters on stdout: tables for people, JSON for programs.

use std::io::{self, Write};

use crate::{
    cli::{
        args::Format,
        failure::{Failure, warn},
        output,
    },
    query::AuditReader,
    record::json::Json,
    store::layout::Layout,
    webhook::{self, Attempt, DeadLetter, WebhookReport},
};

/// How many attempts `show` has.
const LAST: usize = 5;

pub(super) fn list(
    out: &mut impl Write,
    layout: &Layout,
    format: Option<Format>,
) -> Result<(), Failure> {
    let reports = webhook::reports(layout, &AuditReader::open(layout.root())?)?;
    if reports.is_empty() {
        warn("there are no webhooks");
    }
    let row = |report: &WebhookReport| {
        let (one, status) = (&report.webhook, &report.status);
        let waiting = match report.waiting_deliveries {
            0 => "0".to_owned(),
            waiting => format!("{waiting}, for {}", span(report.lag_seconds())),
        };
        let (types, last) = (
            one.event_types().join(" "),
            status.last_answer.clone().unwrap_or_default(),
        );
        let (name, state, behind) = (
            one.name().to_owned(),
            report.state().to_owned(),
            report
                .behind_seconds()
                .map_or_else(|| "unknown".to_owned(), span),
        );
        [
            name,
            state,
            types,
            status.delivered.to_string(),
            waiting,
            behind,
            last,
            one.url().to_owned(),
        ]
    };
    let columns = [
        "NAME",
        "STATE",
        "EVENT TYPES",
        "DELIVERED",
        "WAITING",
        "BEHIND",
        "LAST ATTEMPT",
        "URL",
    ];
    Ok(output::list(out, &reports, format, &columns, row)?)
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
    let mut told = report.told();
    if output::format(format) != Format::Table {
        let last: Vec<_> = attempts.into_iter().take(LAST).collect();
        told.add("attempts", &last);
        return Ok(json_line(out, &told)?);
    }
    let (status, mut told): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(name, _)| name == "status");
    for (_, status) in status {
        if let Json::Object(status) = status {
            told.extend(status);
        }
    }
    let width = told.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &told {
        let text = match value {
            Json::Null => continue,
            Json::Text(text) => text.clone(),
            Json::List(texts) if texts.iter().all(|text| text.as_str().is_some()) => texts
                .iter()
                .filter_map(Json::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            value => value.to_string(),
        };
        writeln!(out, "{name:<width$}  {}", output::escaped(&text))?;
    }
    if !attempts.is_empty() {
        writeln!(out)?;
        let attempts: Vec<_> = attempts.into_iter().take(LAST).collect();
        self::attempts(out, &attempts, Some(Format::Table))?;
    }
    Ok(())
}

pub(super) fn attempts(
    out: &mut impl Write,
    attempts: &[Attempt],
    format: Option<Format>,
) -> Result<(), Failure> {
    if attempts.is_empty() {
        warn("nothing was sent to this webhook yet");
    }
    let row = |one: &Attempt| {
        let came = if one.delivered { "delivered" } else { "failed" };
        [
            one.ended.clone(),
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
            "CAME OF IT",
            "ATTEMPT",
            "ENTRIES",
            "DELIVERY ID",
            "RESULT",
        ],
        row,
    )?)
}

pub(super) fn dead_letters(
    out: &mut impl Write,
    layout: &Layout,
    name: &str,
    format: Option<Format>,
) -> Result<(), Failure> {
    // A few at a time: together they can be more than memory.
    const AT_ONCE: usize = 50;
    let reader = AuditReader::open(layout.root())?;
    let (mut skip, total) = (0, webhook::dead_letters(layout, &reader, name, 0, 0)?.0);
    let format = output::format(format);
    if format == Format::Table && total == 0 {
        warn("there are no dead letters");
    }
    let mut rows = Vec::new();
    while skip < total {
        let (_, letters) = webhook::dead_letters(layout, &reader, name, skip, AT_ONCE)?;
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
    if !rows.is_empty() {
        output::list(
            out,
            &rows,
            Some(Format::Table),
            &[
                "GIVEN UP (UTC)",
                "ATTEMPTS",
                "ENTRIES",
                "DELIVERY ID",
                "REASON",
            ],
            Clone::clone,
        )?;
    }
    Ok(())
}

fn letter_row(letter: &DeadLetter) -> [String; 5] {
    [
        letter.given_up.clone(),
        letter.attempts.to_string(),
        (letter.entries.len() + letter.missing).to_string(),
        letter.delivery_id.clone(),
        letter.reason.clone(),
    ]
}

fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let terminal = io::IsTerminal::is_terminal(&io::stdout());
    out.write_all(&output::json_line(&serde_json::to_vec(value)?, terminal))?;
    out.write_all(b"\n")
}
