//! Reads the next part of a replay: entries of the log, or dead letters.

use std::ops::Range;

use super::{
    BatchSource, READ, ReadBatch, Source,
    past_batches::{PastBatches, Replayed},
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
        settings::{Batching, Prepared},
    },
};

/// Dead letters taken up at a time.
const LETTERS: usize = 64;

impl BatchSource {
    /// The next replay, if one was asked for.
    pub(super) fn look_for_replays(&mut self, webhook: &Prepared, after: u64) -> Result<ReadBatch> {
        let asked = replay::next(&self.layout, &webhook.name, &webhook.key, after)?;
        if asked
            .as_ref()
            .is_some_and(|asked| asked.revision > webhook.revision)
        {
            return Ok(ReadBatch::outdated());
        }
        let source = match asked {
            None => Source::Nothing,
            Some(asked) => Source::Replay(
                asked.number,
                Some(match asked.replay.0 {
                    What::DeadLetters => self.all_dead_letters(webhook)?,
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
        webhook: &Prepared,
        number: u64,
        replaying: Replaying,
        cursor: &Places,
    ) -> Result<ReadBatch> {
        let (deliveries, left) = match replaying {
            Replaying::DeadLetters {
                generation,
                from,
                to,
            } => self.replay_letters(webhook, generation, from..to)?,
            Replaying::Entries {
                parameters,
                cursor: page,
            } => self.replay_entries(webhook, parameters, page, cursor)?,
        };
        Ok(ReadBatch::other(Source::Replay(number, left), deliveries))
    }

    /// From the first dead letter there is now to the last.
    fn all_dead_letters(&self, webhook: &Prepared) -> Result<Replaying> {
        Ok(Replaying::DeadLetters {
            generation: dead_letter::generation(&self.layout, &webhook.key)?,
            from: 0,
            to: dead_letter::end(&self.layout, &webhook.key)?,
        })
    }

    fn replay_letters(
        &mut self,
        webhook: &Prepared,
        generation: u64,
        places: Range<u64>,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let (layout, key) = (&self.layout, &webhook.key);
        if dead_letter::generation(layout, key)? != generation {
            // The file was written anew, so they stand elsewhere: those that are still dead go.
            self.letters = None;
            return Ok((Vec::new(), Some(self.all_dead_letters(webhook)?)));
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
        webhook: &Prepared,
        parameters: Vec<(String, String)>,
        page: Option<String>,
        cursor: &Places,
    ) -> Result<(Vec<Delivery>, Option<Replaying>)> {
        let filter = Filter::parse(parameters.clone())?;
        let start = page.map_or(PageStart::First, PageStart::Cursor);
        let page = self.reader.page(&Query {
            filter: filter.clone(),
            order: Order::Asc,
            limit: replay_page(webhook.batch),
            start,
            include_access: true,
            ..Query::default()
        })?;
        let replayed = Replayed::of(webhook, &filter, cursor);
        let mut wanted = page.entries;
        wanted.retain(|entry| replayed.takes(entry));
        // The entries that were just read are looked up as well.
        self.made.write();
        let mut past = self
            .past
            .take()
            .unwrap_or_else(|| PastBatches::new(self.made.path().to_owned(), self.reader.clone()));
        let bundles = past.bundles(&replayed, &wanted);
        let deliveries = bundles
            .into_iter()
            .map(|entries| Delivery::looked_up(&webhook.name, entries));
        let deliveries = self.with_bodies(webhook, deliveries);
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
    use std::sync::Arc;

    use super::*;
    use crate::{
        log::AuditLog,
        query::AuditReader,
        webhook::{
            Replay, Webhook,
            queue::{batches::Batches, memory::Memory},
            run::{pulse, read::BatchReader},
            settings::stored,
        },
    };

    #[test]
    fn a_replay_is_not_begun_by_earlier_settings_than_those_that_it_was_asked_for_with() {
        let log = AuditLog::for_tests();
        let webhook = || Webhook::new("siem", "https://example.com/", ["*"]);
        let prepared = || {
            let stored = stored::find(log.layout(), "siem").unwrap().unwrap();
            stored.prepare().unwrap()
        };
        log.webhooks().add(webhook()).unwrap();
        let before = prepared();
        log.webhooks().set(webhook().excluding(["b.*"])).unwrap();
        log.webhooks()
            .replay("siem", Replay::dead_letters())
            .unwrap();
        let reader = AuditReader::open(log.dir()).unwrap();
        let pulse = pulse::none();
        let made = Arc::new(Batches::new(log.layout(), "siem.1", reader.clone()));
        let mut batches = BatchReader::new(
            reader,
            log.layout().clone(),
            pulse,
            "a".into(),
            Arc::<Memory>::default().share(),
            made,
        );
        let source = batches.log_reader.as_mut().unwrap();
        let mut begins = |webhook: &Prepared| {
            let found = source.look_for_replays(webhook, 0).unwrap();
            matches!(found.source, Source::Replay(1, Some(_)))
        };
        assert!(!begins(&before));
        assert!(begins(&prepared()));
    }
}
