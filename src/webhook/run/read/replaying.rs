//! Reads the next part of a replay: entries of the log, or dead letters.

use std::{ops::Range, sync::Arc};

use super::{
    ReadBatch, Source,
    past_batches::{PastBatches, Replayed},
    source::{BatchSource, READ},
};
use crate::{
    error::Result,
    query::{Filter, Order, PageStart, Places, Query},
    webhook::{
        queue::{
            Delivery, Replaying,
            dead_letter::{self, At},
            replay::{self, What},
        },
        settings::Batching,
    },
};

/// Dead letters taken up at a time.
const LETTERS: usize = 64;

impl BatchSource {
    /// The next replay, if one was asked for.
    pub(super) fn look_for_replays(&mut self, after: u64) -> Result<ReadBatch> {
        let webhook = &self.webhook;
        let asked = replay::next(webhook.layout(), &webhook.name, &webhook.key, after)?;
        if asked
            .as_ref()
            .is_some_and(|asked| asked.revision > webhook.stored.revision)
        {
            return Ok(ReadBatch::outdated());
        }
        let source = match asked {
            None => Source::Nothing,
            Some(asked) => Source::Replay(
                asked.number,
                Some(match asked.replay.0 {
                    What::DeadLetters => self.all_dead_letters()?,
                    What::Entries(parameters) => Replaying::Entries {
                        parameters,
                        cursor: None,
                    },
                }),
            ),
        };
        self.letters = None;
        self.past = None;
        Ok(ReadBatch::other(source, Vec::new()))
    }

    pub(super) fn replay(
        &mut self,
        number: u64,
        replaying: Replaying,
        cursor: &Places,
    ) -> Result<ReadBatch> {
        let (deliveries, left) = match replaying {
            Replaying::DeadLetters {
                generation,
                from,
                to,
            } => self.replay_letters(generation, from..to)?,
            Replaying::Entries {
                parameters,
                cursor: page,
            } => self.replay_entries(parameters, page, cursor)?,
        };
        Ok(ReadBatch::other(Source::Replay(number, left), deliveries))
    }

    /// From the first dead letter there is now to the last.
    fn all_dead_letters(&self) -> Result<Replaying> {
        let (layout, key) = (self.webhook.layout(), &self.webhook.key);
        Ok(Replaying::DeadLetters {
            generation: dead_letter::generation(layout, key)?,
            from: 0,
            to: dead_letter::end(layout, key)?,
        })
    }

    fn replay_letters(
        &mut self,
        generation: u64,
        places: Range<u64>,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let webhook = Arc::clone(&self.webhook);
        let (layout, key) = (webhook.layout(), &webhook.key);
        if dead_letter::generation(layout, key)? != generation {
            // The file was written anew, so they stand elsewhere: those that are still dead go.
            self.letters = None;
            return Ok((Vec::new(), Some(self.all_dead_letters()?)));
        }
        let mut all = match self.letters.take() {
            Some(letters) => letters,
            None => dead_letter::index(layout, key)?,
        };
        all.retain(|at| places.contains(&at.offset));
        all.sort_unstable_by_key(|at| at.offset);
        let letters: Vec<At> = all.iter().copied().take(LETTERS).collect();
        let more = all.len() > LETTERS;
        self.letters = more.then_some(all);
        let next = letters.last().map_or(places.end, |at| at.offset + 1);
        let mut deliveries = Vec::new();
        for at in letters {
            let letter = dead_letter::read(layout, key, at)?;
            deliveries.extend(letter.map(|letter| {
                Delivery::again(letter.delivery_id.clone(), letter.contents(), true)
            }));
        }
        let left = more.then_some(Replaying::DeadLetters {
            generation,
            from: next,
            to: places.end,
        });
        Ok((deliveries, left))
    }

    fn replay_entries(
        &mut self,
        parameters: Vec<(String, String)>,
        page: Option<String>,
        cursor: &Places,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let webhook = Arc::clone(&self.webhook);
        let filter = Filter::parse(parameters.clone())?;
        let start = page.map_or(PageStart::First, PageStart::Cursor);
        let page = webhook.reader.page(&Query {
            filter: filter.clone(),
            order: Order::Asc,
            limit: replay_page(webhook.batch),
            start,
            include_access: true,
            ..Query::default()
        })?;
        let replayed = Replayed::of(&webhook, &filter, cursor);
        let mut wanted = page.entries;
        wanted.retain(|entry| replayed.takes(entry));
        // The entries that were just read are looked up as well.
        webhook.made.write();
        let past = self.past.take();
        let mut past =
            past.unwrap_or_else(|| PastBatches::new(&webhook.key, webhook.reader.clone()));
        let bundles = past.bundles(&replayed, &wanted);
        let deliveries = bundles
            .into_iter()
            .map(|entries| Delivery::looked_up(&webhook.name, entries));
        let deliveries = self.with_bodies(deliveries);
        let left = page.has_more.then_some(Replaying::Entries {
            parameters,
            cursor: Some(page.next_cursor),
        });
        self.past = left.is_some().then_some(past);
        Ok((deliveries, left))
    }
}

/// So many entries of the log make a page of a replay: as many as full batches have.
pub(in crate::webhook) fn replay_page(batch: Option<Batching>) -> usize {
    batch.map_or(READ, |batch| {
        READ.next_multiple_of(batch.max_entries.max(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::AuditLog,
        query::AuditReader,
        webhook::{
            Replay, Webhook,
            queue::memory::Memory,
            run::{pulse, read::BatchReader, served::Served},
            settings::stored,
        },
    };

    #[test]
    fn a_replay_is_not_begun_by_earlier_settings_than_those_that_it_was_asked_for_with() {
        let log = AuditLog::for_tests();
        let webhook = || Webhook::new("siem", "https://example.com/", ["*"]);
        let stored = || stored::find(log.layout(), "siem").unwrap().unwrap();
        log.webhooks().add(webhook()).unwrap();
        let before = stored();
        log.webhooks().set(webhook().excluding(["b.*"])).unwrap();
        log.webhooks()
            .replay("siem", Replay::dead_letters())
            .unwrap();
        let begins = |webhook| {
            let reader = AuditReader::open(log.dir()).unwrap();
            let webhook = Served::new(webhook, reader, "a".into(), &Arc::<Memory>::default());
            let mut batches = BatchReader::new(Arc::new(webhook.unwrap()), pulse::none());
            let source = batches.log_reader.as_mut().unwrap();
            let found = source.look_for_replays(0).unwrap();
            matches!(found.source, Source::Replay(1, Some(_)))
        };
        assert!(!begins(before));
        assert!(begins(stored()));
    }
}
