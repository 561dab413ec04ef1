//! Counts the entries and deliveries of a replay in one pass over the log, or over the dead
//! letters, and changes nothing.

use std::{future::pending, ops::ControlFlow, sync::Arc};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    entry::Timestamp,
    error::Result,
    query::{AuditReader, Filter, Order, RawEntry},
    store::layout::Layout,
    webhook::{
        queue::{
            Replaying,
            body::LONGEST,
            dead_letter,
            replay::{Replay, ReplayCount, What},
        },
        run::read::{bundles, replaying::replay_page},
        settings::{Batching, Prepared, Selection, stored::Stored},
    },
};

/// Counts what a replay of this webhook would send now.
pub(in crate::webhook) fn count(
    layout: &Layout,
    reader: &AuditReader,
    webhook: &Stored,
    replay: &Replay,
) -> Result<ReplayCount> {
    match &replay.0 {
        What::DeadLetters => count_dead_letters(layout, &webhook.key()),
        What::Entries(parameters) => {
            let selection = webhook.selection()?;
            count_entries(reader, &selection, webhook.batch, parameters.clone())
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

fn count_entries(
    reader: &AuditReader,
    selection: &Selection,
    batch: Option<Batching>,
    parameters: Vec<(String, String)>,
) -> Result<ReplayCount> {
    let mut count = ReplayCount::default();
    // The replay goes on by pages, and no delivery has entries of two of them.
    let mut page = Vec::new();
    let mut read = 0;
    let mut end_page = |page: &mut Vec<usize>| {
        count.deliveries += bundles(std::mem::take(page), batch, LONGEST, |len| *len).len() as u64;
    };
    let mut entries = 0;
    let mut first = None;
    let mut last = None;
    let filter = Filter::parse(parameters)?;
    reader.each(&filter, Order::Asc, |entry: RawEntry| {
        if selection.selects(&entry) {
            page.push(entry.line().len());
            entries += 1;
            first.get_or_insert(entry.timestamp());
            last = Some(entry.timestamp());
        }
        read += 1;
        if read == replay_page(batch) {
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
pub(in crate::webhook) struct Counting(Option<(u64, JoinHandle<Result<u64>>)>);

impl Counting {
    /// Begins to count what is left of the replay of this number.
    pub(in crate::webhook) fn begin(
        &mut self,
        number: u64,
        replaying: &Replaying,
        webhook: &Arc<Prepared>,
        layout: &Layout,
        reader: &AuditReader,
    ) {
        let replaying = replaying.clone();
        let webhook = Arc::clone(webhook);
        let layout = layout.clone();
        let reader = reader.clone();
        let counting = spawn_blocking(move || {
            let count = match replaying {
                Replaying::DeadLetters { .. } => count_dead_letters(&layout, &webhook.key)?,
                Replaying::Entries { parameters, .. } => {
                    count_entries(&reader, &webhook.selection, webhook.batch, parameters)?
                }
            };
            Ok(count.entries)
        });
        self.0 = Some((number, counting));
    }

    /// Waits for the count: the replay's number, and its entries. For ever if nothing is counted.
    pub(in crate::webhook) async fn counted(&mut self) -> (u64, Option<u64>) {
        let Some((number, counting)) = &mut self.0 else {
            return pending().await;
        };
        let number = *number;
        let counted = counting.await;
        self.0 = None;
        // Without a count, the replay goes on and shows how much it has sent.
        (number, counted.ok().and_then(Result::ok))
    }
}
