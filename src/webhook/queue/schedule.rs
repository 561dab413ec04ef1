//! When a delivery is tried again, and when it is given up: pure, with time and chance given from
//! outside.
//!
//! A delay is never shorter than the schedule's step nor longer than a day. Only a 2xx is a
//! success.

use crate::webhook::http::answer::{Answer, FailureKind, Outcome};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};

/// No wait is longer, whatever the receiver asks for.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(24 * 3600);
/// A receiver that is overloaded gets at least this long, unless no step of the schedule is that
/// long.
const OVERLOAD_FLOOR: Duration = Duration::from_secs(60);
const MAX_STEPS: usize = 100;

/// The delay before each attempt, counted from the end of the one before; the first from when the
/// event is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(Vec<Duration>);

/// The decision after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// Try again so much later. `alert` says that an administrator should look: this will hardly
    /// mend itself.
    Retry {
        after: Duration,
        alert: bool,
    },
    /// The receiver is gone (410): stop, and keep the deliveries that wait.
    Gone,
    /// Too big at once (413): send the halves.
    Split,
    /// It can't be delivered at all.
    DeadLetter {
        reason: String,
    },
    /// The last attempt of the schedule failed.
    Exhausted,
    /// It was taken, and is delivered when that is acknowledged under this number.
    Taken {
        ack: u64,
    },
    /// It was taken, but so many entries of it were refused for good.
    Rejected {
        count: u64,
        message: String,
    },
}

impl Default for Schedule {
    /// The schedule of Standard Webhooks with one more quick step: 11 attempts within about 76
    /// hours.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let steps = [
            0,
            5,
            30,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self(steps.map(Duration::from_secs).to_vec())
    }
}

impl Schedule {
    /// [`Error::Invalid`] for no step, more than 100, or one of more than a day.
    pub(crate) fn new(steps: Vec<Duration>) -> Result<Self> {
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(Error::invalid(
                "schedule_seconds",
                format!(
                    "{} delays; give 1 to {MAX_STEPS}, one for each attempt",
                    steps.len()
                ),
            ));
        }
        if let Some(step) = steps.iter().find(|step| **step > LONGEST_DELAY) {
            return Err(Error::invalid(
                "schedule_seconds",
                format!("a delay of {step:?}; the longest is 24 hours"),
            ));
        }
        Ok(Self(steps))
    }

    /// What to do after the attempt number `attempts` (1 for the first) of a delivery of
    /// `batch_len` events. `chance` is evenly distributed, so that many senders do not come back at
    /// the same moment.
    pub(crate) fn verdict(
        &self,
        answer: &Answer,
        attempts: u32,
        batch_len: usize,
        chance: u32,
    ) -> Verdict {
        match answer.outcome {
            Outcome::Status(200..=299) => Verdict::Delivered,
            Outcome::Status(410) => Verdict::Gone,
            Outcome::Status(413) if batch_len > 1 => Verdict::Split,
            Outcome::Status(413) => Verdict::DeadLetter {
                reason:
                    "the receiver answered 413 to this entry alone: the entry is too large for it"
                        .to_owned(),
            },
            _ => match self.delay(answer, attempts, chance) {
                Some(after) => Verdict::Retry {
                    after,
                    alert: attempts >= 2 && needs_a_human(&answer.outcome),
                },
                None => Verdict::Exhausted,
            },
        }
    }

    /// The delay after so many attempts; `None` after the last.
    pub(crate) fn after(&self, attempts: u32) -> Option<Duration> {
        self.0.get(usize::try_from(attempts).ok()?).copied()
    }

    fn delay(&self, answer: &Answer, attempts: u32, chance: u32) -> Option<Duration> {
        let step = *self.0.get(usize::try_from(attempts).ok()?)?;
        // A quicker schedule was chosen on purpose.
        let longest = self.0.iter().copied().max().unwrap_or_default();
        let floor = if overloaded(&answer.outcome) {
            OVERLOAD_FLOOR.min(longest)
        } else {
            Duration::ZERO
        };
        let asked = answer.retry_after.unwrap_or_default();
        let base = step.max(floor).max(asked).min(LONGEST_DELAY);
        // A fifth of a day in nanoseconds times 2^32 is well within 128 bits, and the quotient
        // within 64.
        let extra = base.as_nanos() / 5 * u128::from(chance) / u128::from(u32::MAX);
        let extra = Duration::from_nanos(u64::try_from(extra).expect("at most a fifth of a day"));
        Some((base + extra).min(LONGEST_DELAY))
    }
}

fn overloaded(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Status(status) => matches!(status, 429 | 502 | 503 | 504),
        Outcome::Failed(failure) => failure.kind == FailureKind::Timeout,
    }
}

/// Whether only a change of settings, on one side or the other, ends the failure, and time doesn't.
fn needs_a_human(outcome: &Outcome) -> bool {
    match outcome {
        // Too slow, too early, too many: these pass.
        Outcome::Status(408 | 425 | 429) => false,
        Outcome::Status(status) => matches!(status, 300..=499),
        Outcome::Failed(failure) => matches!(
            failure.kind,
            FailureKind::Refused | FailureKind::Proxy | FailureKind::Tls
        ),
    }
}

/// How long a receiver that answers with this status asks to be left alone. A `Retry-After` counts
/// only with 429 or 503: with another status, a single answer would silence the webhook for a day.
pub(in crate::webhook) fn asked(status: u16, header: Option<&str>) -> Option<Duration> {
    match status {
        429 | 503 => retry_after(header?, SystemTime::now()),
        _ => None,
    }
}

/// The value of a `Retry-After`: seconds, or an HTTP date in any of its three forms (RFC 9110,
/// 5.6.7). Any other text is ignored, and so is a time that has passed.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    if value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        let seconds: f64 = value.parse().ok()?;
        return Some(
            Duration::try_from_secs_f64(seconds.ceil())
                .map_or(LONGEST_DELAY, |asked| asked.min(LONGEST_DELAY)),
        );
    }
    let then = httpdate::parse_http_date(value).ok()?;
    Some(then.duration_since(now).ok()?.min(LONGEST_DELAY))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
