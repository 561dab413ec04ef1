//! What an administrator wants sent again: `state/replays.json`, read by the dispatcher, and how far
//! that is.

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    query::Filter,
    store::{document::Document, layout::Layout},
    webhook::queue::Queue,
};

/// A choice of deliveries or entries that are sent again to a webhook, under the ids that they had.
///
/// Only what the webhook wants is sent. In batches, what was in one before may come in another
/// now, whose id is then another.
///
/// ```
/// use tracing_audit::webhook::Replay;
///
/// let week = Replay::entries([("start_date", "2026-11-16"), ("end_date", "2026-11-22"), ("event_type", "auth.*")]);
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
pub(in crate::webhook) fn ask(layout: &Layout, webhook: &str, replay: Replay) -> Result<()> {
    document(layout).change(|replays: &mut Replays| {
        replays.last += 1;
        replays.asked.push(Asked {
            number: replays.last,
            webhook: webhook.to_owned(),
            replay,
        });
        Ok(())
    })
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

/// Forgets what was asked for a webhook.
pub(in crate::webhook) fn forget(layout: &Layout, webhook: &str) -> Result<()> {
    let document = document(layout);
    if document.version()?.is_none() {
        return Ok(());
    }
    document.change(|replays: &mut Replays| {
        replays.asked.retain(|asked| asked.webhook != webhook);
        Ok(())
    })
}
