//! Replays that administrators asked for (`state/replays.json`, read by the dispatcher), and their
//! progress.

use serde::{Deserialize, Serialize};

use crate::{
    entry::Timestamp,
    error::Result,
    query::Filter,
    store::{document::Document, layout::Layout},
    webhook::{queue::Queue, settings::stored::Stored},
};

/// A choice of deliveries or entries that are sent again to a webhook.
///
/// A dead letter is sent under the id that it had, with the same entries.
///
/// Of the entries of the log, only those are sent that the webhook's settings select. Each delivery
/// goes under the id that it had, with the same entries. A batch has another id if the replay sends
/// only some of its entries, if the webhook's format or the longest batch was changed since, or if
/// the log no longer knows how it was cut: it remembers about 100,000 batches of a webhook. What a
/// webhook with batches has not got yet is delivered by itself, and is not in a replay.
///
/// ```
/// use tracing_audit::webhook::Replay;
///
/// let week = Replay::entries([
///     ("start_date", "2026-11-16"),
///     ("end_date", "2026-11-22"),
///     ("event_type", "auth.*"),
/// ]);
/// let given_up = Replay::dead_letters();
/// # let _ = (week, given_up);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replay(pub(in crate::webhook) What);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::webhook) enum What {
    DeadLetters,
    Entries(Vec<(String, String)>),
}

/// How far the last replay of a webhook is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The replay's number; a later one of the same log has a higher number.
    pub number: u64,
    /// Whether it has begun, and has ended.
    pub state: ReplayState,
    /// The number of entries that it sends. `None` while they are being counted.
    pub entries: Option<u64>,
    /// How many of them were delivered.
    pub delivered: u64,
    /// How many of them were given up, and are dead letters.
    pub given_up: u64,
}

impl ReplayReport {
    pub(in crate::webhook) fn new(number: u64, state: ReplayState) -> Self {
        Self {
            number,
            state,
            ..Self::default()
        }
    }

    /// Whether it has neither ended nor been cancelled.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, ReplayState::Waiting | ReplayState::Running)
    }
}

/// The state of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayState {
    /// The dispatcher has not begun it yet.
    #[default]
    Waiting,
    /// Its entries are being sent.
    Running,
    /// Each of its entries was delivered or given up.
    Done,
    /// An administrator cancelled it.
    Cancelled,
}

/// The entries and deliveries that a replay would send now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReplayCount {
    /// The number of entries.
    pub entries: u64,
    /// The number of deliveries.
    pub deliveries: u64,
    /// The time of the first of these entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The time of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

impl Replay {
    /// All that was given up and not delivered since.
    pub fn dead_letters() -> Self {
        Self(What::DeadLetters)
    }

    /// The entries of the log that these parameters of a [`Filter`] name, such as `start_date` and
    /// `event_type`.
    pub fn entries<N: Into<String>, V: Into<String>>(
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self(What::Entries(
            parameters
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        ))
    }

    /// [`Error::Invalid`](crate::Error::Invalid) names the parameter that can't be used.
    pub(in crate::webhook) fn check(&self) -> Result<()> {
        match &self.0 {
            What::DeadLetters => Ok(()),
            What::Entries(parameters) => Filter::parse(parameters.clone()).map(drop),
        }
    }
}

/// One request to replay. Numbers only rise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::webhook) struct Asked {
    pub(in crate::webhook) number: u64,
    #[serde(alias = "endpoint")]
    pub(in crate::webhook) webhook: String,
    /// The revision of the settings that the replay was asked for with: an earlier one doesn't
    /// begin it.
    #[serde(default)]
    pub(in crate::webhook) revision: u64,
    pub(in crate::webhook) replay: Replay,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Replays {
    last: u64,
    asked: Vec<Asked>,
}

pub(in crate::webhook) fn document(layout: &Layout) -> Document {
    Document::new(layout, "replays", "replays")
}

/// Asks for a replay that was checked.
pub(in crate::webhook) fn ask(layout: &Layout, webhook: &Stored, replay: Replay) -> Result<()> {
    document(layout).change(|replays: &mut Replays| {
        replays.last += 1;
        replays.asked.push(Asked {
            number: replays.last,
            webhook: webhook.name().to_owned(),
            revision: webhook.revision,
            replay,
        });
        Ok(())
    })
}

/// The last replay that was asked for this webhook, after the one of this number.
pub(in crate::webhook) fn waiting(
    layout: &Layout,
    webhook: &str,
    after: u64,
) -> Result<Option<u64>> {
    let replays: Replays = document(layout).read()?;
    let asked = replays.asked.iter().filter(|one| one.webhook == webhook);
    Ok(asked
        .map(|asked| asked.number)
        .filter(|number| *number > after)
        .max())
}

/// The next replay for a webhook after the one of this number. What its queue on disk has begun
/// is forgotten here: not before, as a death in between would lose it.
pub(in crate::webhook) fn next(
    layout: &Layout,
    webhook: &str,
    key: &str,
    after: u64,
) -> Result<Option<Asked>> {
    let document = document(layout);
    let replays: Replays = document.read()?;
    let of_webhook = |asked: &&Asked| asked.webhook == webhook;
    if replays
        .asked
        .iter()
        .filter(of_webhook)
        .any(|asked| asked.number <= after)
    {
        let begun = Queue::read(layout, key)?.unwrap_or_default().replay;
        document.change(|replays: &mut Replays| {
            replays
                .asked
                .retain(|asked| asked.webhook != webhook || asked.number > begun);
            Ok(())
        })?;
    }
    Ok(replays
        .asked
        .into_iter()
        .find(|asked| asked.webhook == webhook && asked.number > after))
}

/// Forgets what was asked for a webhook, up to the replay of this number.
pub(in crate::webhook) fn forget(layout: &Layout, webhook: &str, last: u64) -> Result<()> {
    let document = document(layout);
    if document.version()?.is_none() {
        return Ok(());
    }
    document.change(|replays: &mut Replays| {
        let stays = |asked: &Asked| asked.webhook != webhook || asked.number > last;
        replays.asked.retain(stays);
        Ok(())
    })
}
