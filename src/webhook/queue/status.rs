//! How deliveries to a webhook went so far.

use serde::{Deserialize, Serialize};

use crate::{
    entry::{Timestamp, timestamp_micros},
    webhook::{http::answer::cut, queue::attempts::Attempt},
};

/// The results of a webhook so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// The number of entries delivered.
    pub delivered: u64,
    /// The number of entries given up.
    pub dead_lettered: u64,
    /// The number of attempts that failed.
    pub failed_attempts: u64,
    /// The result of the last attempt, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    /// The time at which the last attempt ended.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Timestamp>,
    /// The time since which every attempt has failed; `None` while attempts succeed.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// The time at which a delivery last succeeded.
    #[serde(with = "timestamp_micros", skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<Timestamp>,
    /// The last attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// The number of attempts that failed since one last succeeded.
    pub failures_in_a_row: u64,
    /// When it was last recorded that it fails, by the queue's clock, if it was not since recorded
    /// that it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(alias = "said_failing")]
    pub(in crate::webhook) reported_failing: Option<i64>,
    /// Whether the webhook is only probed once an hour, because it has failed for days.
    pub parked: bool,
    /// Whether the receiver answered that it is gone (410). The log asks again when the webhook is
    /// changed or resumed.
    pub gone: bool,
}

impl Status {
    /// Counts a failed attempt, and keeps what was answered if anything was sent.
    pub(in crate::webhook) fn failed(&mut self, failure: Option<LastFailure>) {
        self.failed_attempts += 1;
        self.failures_in_a_row += 1;
        if failure.is_some() {
            self.last_failure = failure;
        }
    }
}

/// So many bytes of the answer to a failed attempt are kept with it.
const FIRST_WORDS: usize = 200;

/// The last attempt of a webhook that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastFailure {
    /// The time at which it ended.
    pub ended: Timestamp,
    /// The answer's status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The first words of the answer, on one line; if there was none, the reason why.
    pub answer: String,
}

impl LastFailure {
    pub(in crate::webhook) fn new(ended: Timestamp, attempt: &Attempt) -> Self {
        let text = match attempt.answer.trim() {
            "" => &attempt.result,
            answer => answer,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut answer = words.join(" ");
        cut(&mut answer, FIRST_WORDS);
        Self {
            ended,
            status: attempt.status,
            answer,
        }
    }
}
