//! The state that outlives the process, or is for administrators: when the queue, the batches in
//! it, its summary and the last attempts are saved.

use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::DeliveryTask;
use crate::{
    error::Result,
    store::document::Document,
    webhook::queue::{
        Delivery, attempts, document, next,
        summary::{self, Summary},
    },
};

impl DeliveryTask {
    /// Has the line of a delivery that was made kept with the next save, if it is a batch.
    pub(super) fn note_batch(&self, delivery: &mut Delivery) {
        if let Some(line) = delivery.line.take() {
            self.webhook.made.note(&line);
        }
    }

    /// When the last attempts are to be saved. A save that is under way is given a second to end.
    pub(super) fn history_due(&self, now: Instant) -> Option<Instant> {
        let due = self.history_saves.due(self.queue.circuit.is_open())?;
        let saving = self.history_saving.as_ref();
        match saving.is_some_and(|saving| !saving.is_finished()) {
            true => Some(due.max(now + Duration::from_secs(1))),
            false => Some(due),
        }
    }

    /// When the summary is to be saved, unless the queue, which has changed, is saved before.
    pub(super) fn summary_due(&self) -> Option<Instant> {
        let has_changed = !self.saves.are_done();
        has_changed.then(|| self.saves.last().max(self.summary_saved) + summary::EVERY)
    }

    /// Begins to save the summary, if it is time.
    pub(super) fn save_summary(&mut self, now: Instant) -> Option<JoinHandle<Result<()>>> {
        self.summary_due().filter(|due| *due <= now)?;
        self.summary_saved = now;
        let summary = Summary::new(&self.queue, self.webhook.order, &self.clock);
        let document = summary::document(self.webhook.layout(), &self.webhook.key);
        let write = move || document.write(&Document::text(&summary), false);
        Some(spawn_blocking(write))
    }

    /// Begins to save what changed, if it is time.
    pub(super) fn save(&mut self) {
        let now = Instant::now();
        let failing = self.queue.circuit.is_open();
        self.saves.failing = failing;
        self.saves.awaited =
            next::waits_for_save(&self.queue, self.webhook.order, self.saves.done());
        if self.saves.is_time(now) {
            self.queue.clock = Some(self.clock.moment());
            let document = document(self.webhook.layout(), &self.webhook.key);
            let text = self.queue.text();
            self.saves.begin(document, text, &self.webhook.made, now);
        }
        // The summary is worth no error.
        let _ = self.save_summary(now);
        if self.history_due(now).is_some_and(|due| due <= now) {
            let document = attempts::document(self.webhook.layout(), &self.webhook.key);
            let text = self.history.text();
            self.history_saves.saved(text.len(), failing, now);
            self.history_saving = Some(spawn_blocking(move || document.write(&text, false)));
        }
    }

    pub(super) fn saved(&self, saved: Result<()>) {
        if let Err(error) = saved {
            tracing::warn!(
                target: "tracing_audit",
                "the state of the webhook {:?} is saved again: {error}",
                self.webhook.name
            );
        }
    }
}
