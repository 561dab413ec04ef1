//! What an administrator wants sent again: `state/replays.json`, read by who forwards, and how far
//! that is.

use serde::{Deserialize, Serialize};

use super::outbox::Outbox;
use crate::{
    error::Result,
    query::Filter,
    store::{document::Document, layout::Layout},
};

/// What is to be sent again to an endpoint, under the ids that it had.
///
/// Only what the subscription wants is sent. In batches, what was in one before may come in another
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
pub struct Replay(pub(super) What);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
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
    pub(super) fn check(&self) -> Result<()> {
        match &self.0 {
            What::DeadLetters => Ok(()),
            What::Entries(parameters) => Filter::parse(parameters.clone()).map(drop),
        }
    }
}

/// One request to replay. Numbers only rise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) endpoint: String,
    pub(super) replay: Replay,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Replays {
    last: u64,
    asked: Vec<Asked>,
}

pub(super) fn document(layout: &Layout) -> Document {
    Document::new(layout, "replays", "replays")
}

/// Asks for a replay that was checked.
pub(super) fn ask(layout: &Layout, endpoint: &str, replay: Replay) -> Result<()> {
    document(layout).change(|replays: &mut Replays| {
        replays.last += 1;
        replays.asked.push(Asked {
            number: replays.last,
            endpoint: endpoint.to_owned(),
            replay,
        });
        Ok(())
    })
}

/// The next replay for an endpoint after the one of this number. What its outbox on disk has begun
/// is forgotten here: not before, as a death in between would lose it.
pub(super) fn next(
    layout: &Layout,
    endpoint: &str,
    key: &str,
    after: u64,
) -> Result<Option<Asked>> {
    let document = document(layout);
    let replays: Replays = document.read()?;
    let of_endpoint = |asked: &&Asked| asked.endpoint == endpoint;
    if replays
        .asked
        .iter()
        .filter(of_endpoint)
        .any(|asked| asked.number <= after)
    {
        let begun = Outbox::read(layout, key)?.unwrap_or_default().replay;
        document.change(|replays: &mut Replays| {
            replays
                .asked
                .retain(|asked| asked.endpoint != endpoint || asked.number > begun);
            Ok(())
        })?;
    }
    Ok(replays
        .asked
        .into_iter()
        .find(|asked| asked.endpoint == endpoint && asked.number > after))
}

/// Forgets what was asked for an endpoint.
pub(super) fn forget(layout: &Layout, endpoint: &str) -> Result<()> {
    let document = document(layout);
    if document.version()?.is_none() {
        return Ok(());
    }
    document.change(|replays: &mut Replays| {
        replays.asked.retain(|asked| asked.endpoint != endpoint);
        Ok(())
    })
}
