//! Counts the entries and deliveries of a replay in one pass over the log, or over the dead
//! letters, and changes nothing.

use std::{ops::ControlFlow, sync::Arc};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, Places, RawEntry},
    store::layout::Layout,
    webhook::{
        queue::{
            Queue, Replaying, dead_letter,
            replay::{Replay, ReplayCount, What},
        },
        run::{
            blocking::ended,
            read::{
                past_batches::{PastBatches, Replayed},
                replaying::replay_page,
            },
            served::Served,
        },
        settings::stored::Stored,
    },
};

/// Counts what a replay of this webhook would send now.
pub(in crate::webhook) fn count(
    reader: &AuditReader,
    webhook: &Stored,
    replay: &Replay,
) -> Result<ReplayCount> {
    let layout = reader.layout();
    let key = webhook.key();
    match &replay.0 {
        What::DeadLetters => count_dead_letters(layout, &key),
        What::Entries(parameters) => {
            let replayed = Replayed {
                webhook: webhook.name(),
                filter: &Filter::parse(parameters.clone())?,
                selection: &webhook.selection()?,
                batch: webhook.batch,
                format: &webhook.format_digest(),
                cursor: &Queue::read(layout, &key)?.unwrap_or_default().cursor,
            };
            count_entries(reader, &key, &replayed)
        }
    }
}

fn count_dead_letters(layout: &Layout, key: &str) -> Result<ReplayCount> {
    let mut count = ReplayCount::default();
    for at in dead_letter::index(layout, key)? {
        let Some(letter) = dead_letter::read(layout, key, at)? else {
            continue;
        };
        let contents = letter.contents();
        count.deliveries += 1;
        count.entries += contents.len() as u64;
        let times = contents.times().map(Timestamp::from_micros);
        for time in times {
            count.first = Some(count.first.map_or(time, |first| first.min(time)));
            count.last = Some(count.last.map_or(time, |last| last.max(time)));
        }
    }
    Ok(count)
}

fn count_entries(reader: &AuditReader, key: &str, replayed: &Replayed<'_>) -> Result<ReplayCount> {
    let mut count = ReplayCount::default();
    let mut past = PastBatches::new(key, reader.clone());
    // The replay goes on by pages, and no new delivery has entries of two of them.
    let mut page = Vec::new();
    let mut read = 0;
    let mut end_page = |page: &mut Vec<RawEntry>| {
        let bundles = past.bundles(replayed, page);
        count.deliveries += bundles.len() as u64;
        page.clear();
    };
    let mut entries = 0;
    let mut first = None;
    let mut last = None;
    reader.each(replayed.filter, Order::Asc, |entry: RawEntry| {
        if replayed.takes(&entry) {
            entries += 1;
            first.get_or_insert(entry.timestamp());
            last = Some(entry.timestamp());
            page.push(entry);
        }
        read += 1;
        if read == replay_page(replayed.batch) {
            read = 0;
            end_page(&mut page);
        }
        ControlFlow::Continue(())
    })?;
    end_page(&mut page);
    Ok(ReplayCount {
        entries,
        first,
        last,
        ..count
    })
}

/// Counts the replay that is under way, while that goes on.
#[derive(Default)]
pub(in crate::webhook) struct Counting(Option<JoinHandle<(u64, Option<u64>)>>);

impl Counting {
    /// Begins to count what is left of the replay of this number.
    pub(in crate::webhook) fn begin(
        &mut self,
        number: u64,
        replaying: &Replaying,
        cursor: &Places,
        webhook: &Arc<Served>,
    ) {
        let replaying = replaying.clone();
        let cursor = cursor.clone();
        let webhook = Arc::clone(webhook);
        let count = move || match replaying {
            Replaying::DeadLetters { .. } => count_dead_letters(webhook.layout(), &webhook.key),
            Replaying::Entries { parameters, .. } => {
                let filter = Filter::parse(parameters)?;
                let replayed = Replayed::of(&webhook, &filter, &cursor);
                count_entries(&webhook.reader, &webhook.key, &replayed)
            }
        };
        // Without a count, the replay goes on and shows how much it has sent.
        let counting = move || (number, count().ok().map(|count| count.entries));
        self.0 = Some(spawn_blocking(counting));
    }

    /// Waits for the count: the replay's number, and its entries. For ever if nothing is counted.
    pub(in crate::webhook) async fn counted(&mut self) -> (u64, Option<u64>) {
        // After a panic there is no count either, and no replay has the number zero.
        ended(&mut self.0).await.unwrap_or_default()
    }
}
