//! The deliveries of one webhook: one task that has the log read, makes deliveries, has them sent,
//! and remembers what became of them (`outcome`).
//!
//! Invariants: an entry that the webhook wants is in the log behind the queue's places, in
//! a delivery of the queue, was answered with 2xx, or was put in the dead letters. Whatever touches
//! a disk runs on a thread for that, so no webhook waits for another's, and no writer of the log
//! waits for anything here.

mod outcome;
mod requests;
mod saving;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time,
};

use self::outcome::Done;
use crate::{
    error::{Error, Result},
    store::clock::Clock,
    webhook::{
        queue::{
            Delivery, Queue,
            attempts::{self, Attempt, History, HistorySaves},
            circuit::Pace,
            clock::QueueClock,
            document,
            memory::Held,
            next::{self, Next},
            request::Request,
            save::Saves,
        },
        run::{
            Stop,
            acks::Acks,
            attempt::{AttemptOutcome, Job},
            blocking::blocking,
            count::Counting,
            pulse::Pulse,
            read::{BatchReader, MOST_DELIVERIES, ReadBatch, Source},
            reporter::{Recorder, Reporter},
            served::Served,
        },
        settings::DeliveryOrder,
    },
};

/// A delivery that is due later is waited for no longer than this at a time, because timers stand
/// still while the machine sleeps.
const CLOCK_CHECK: Duration = Duration::from_secs(60);
/// Nothing is looked at again sooner, whatever is due.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Entries that could not be read are read again after this.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// The attempts under way have so long to end when the receiver answers that it is gone.
const GONE_WITHIN: Duration = Duration::from_secs(15);

pub(in crate::webhook) struct DeliveryTask {
    webhook: Arc<Served>,
    /// The next attempt waits for the memory of others of this webhook.
    lacks_memory: bool,
    queue: Queue,
    clock: QueueClock,
    batches: BatchReader,
    counting: Counting,
    attempts: JoinSet<Done>,
    acks: Acks,
    pulse: Pulse,
    pace: Option<Pace>,
    next_key: u64,
    history: History,
    history_saves: HistorySaves,
    history_saving: Option<JoinHandle<Result<()>>>,
    saves: Saves,
    summary_saved: Instant,
    /// The ids of the deliveries that were given up last.
    given_up: VecDeque<String>,
    reporter: Reporter,
}

impl DeliveryTask {
    /// Reads what is kept of the webhook, so on a thread for that.
    pub(in crate::webhook) fn new(
        clock: Arc<dyn Clock>,
        webhook: Served,
        pulse: Pulse,
        recorder: Recorder,
    ) -> Result<Self> {
        let layout = webhook.layout();
        let mut queue = Queue::read(layout, &webhook.key)?.ok_or_else(|| {
            let path = document(layout, &webhook.key).path().to_owned();
            Error::damaged(
                path,
                "it is gone, and with it the webhook's cursor; remove the \
                webhook, add it again, and replay",
            )
        })?;
        queue.migrate(layout, &webhook.key)?;
        for (key, delivery) in (0..).zip(&mut queue.deliveries) {
            delivery.key = key;
        }
        let clock = queue.resume_clock(clock);
        let changed = queue.revision != webhook.stored.revision;
        if changed {
            // An administrator has changed something, so earlier failures no longer count.
            (queue.revision, queue.circuit) = (webhook.stored.revision, Default::default());
            (queue.status.gone, queue.status.parked) = (false, false);
            queue
                .deliveries
                .iter_mut()
                .for_each(|delivery| delivery.early = Some(0));
        }
        let webhook = Arc::new(webhook);
        Ok(Self {
            reporter: Reporter::new(recorder, &webhook.name),
            history: History::load(webhook.layout(), &webhook.key),
            batches: BatchReader::new(Arc::clone(&webhook), pulse.clone()),
            counting: Counting::default(),
            lacks_memory: false,
            acks: Acks::new(),
            pulse,
            pace: webhook.most_per_second.map(Pace::new),
            webhook,
            next_key: queue.deliveries.len() as u64,
            queue,
            clock,
            attempts: JoinSet::new(),
            history_saves: HistorySaves::new(),
            history_saving: None,
            saves: Saves::new(changed),
            summary_saved: Instant::now(),
            given_up: VecDeque::new(),
        })
    }

    /// Delivers until it is told to stop. Attempts under way may then end until the instant that it
    /// is told. Those that don't are cut off, and go again under the same id, as if they had not
    /// been made.
    pub(in crate::webhook) async fn run(
        mut self,
        mut stop: Stop,
        mut requests: watch::Receiver<Vec<Request>>,
    ) -> Result<()> {
        self.count_replay();
        self.asked(&requests.borrow_and_update().clone());
        while stop.borrow().is_none() && !self.queue.status.gone {
            self.clock.count_sleep();
            self.webhook.share.fails(self.queue.circuit.is_open());
            let saved = self.saves.are_done();
            self.batches.read_on(&self.queue, saved);
            self.drop_cancelled();
            self.give_up_skipped();
            self.start();
            self.make_room();
            self.reporter.of_losses(false);
            self.save();
            self.acks.ask(&self.webhook);
            let wait = self.wait();
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finished(done)?,
                read = self.batches.read() => self.take_in(read?),
                answered = self.acks.answered() => self.answered(answered?),
                saved = self.saves.saved() => self.saved(saved),
                (number, entries) = self.counting.counted() => self.counted(number, entries),
                Ok(()) = requests.changed() => {
                    let asked = requests.borrow_and_update().clone();
                    self.asked(&asked);
                }
                Ok(()) = self.pulse.changed() => {}
                () = time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                _ = stop.changed() => {}
            }
            while let Some(done) = self.attempts.try_join_next() {
                self.finished(done)?;
            }
        }
        let gone_until = time::Instant::now() + GONE_WITHIN;
        loop {
            let until = stop.borrow_and_update().unwrap_or(gone_until);
            tokio::select! {
                done = time::timeout_at(until, self.attempts.join_next()) => match done {
                    Ok(Some(done)) => self.finished(done)?,
                    Ok(None) | Err(_) => break,
                },
                Ok(()) = stop.changed() => {}
            }
        }
        self.reporter.of_losses(true);
        if self.saves.are_under_way() {
            let saved = self.saves.saved().await;
            self.saved(saved);
        }
        self.queue.clock = Some(self.clock.moment());
        let Self {
            queue,
            history,
            webhook,
            ..
        } = self;
        blocking("saving a queue", move || {
            let (layout, key) = (webhook.layout(), &webhook.key);
            webhook.made.write();
            // The history is worth no error.
            let _ = attempts::document(layout, key).write(&history.text(), false);
            queue.save(layout, key)
        })
        .await?;
        // The task of a receiver that is gone does nothing more, until the webhook is changed.
        let _ = stop.wait_for(Option::is_some).await;
        Ok(())
    }

    /// How long nothing is due. The wait ends early when the log grows, or when an attempt, a read,
    /// a save or a question to the receiver ends.
    fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        let due = [
            self.batches.due(&self.queue),
            self.saves.due(),
            self.summary_due(),
            self.history_due(now),
            self.acks.due(),
            self.reporter.due(),
        ];
        let waits = due.into_iter().flatten();
        let waits = waits.map(|due| due.saturating_duration_since(now));
        let wait = waits.chain(self.next_goes_in()).min();
        wait.map(|wait| wait.max(SHORTEST_WAIT))
    }

    /// How long it takes until a delivery may go, if only time has to pass.
    fn next_goes_in(&self) -> Option<Duration> {
        let now = self.clock.now();
        let goes_at = match &self.pace {
            // The end of an attempt that holds the memory is noticed by itself.
            Some(pace) if !self.lacks_memory && self.next(now).is_some() => pace.next(),
            _ => next::wakes_at(&self.queue, self.webhook.order, self.saves.done())
                .filter(|at| *at > now)?,
        };
        let micros = u64::try_from(goes_at.saturating_sub(now)).unwrap_or_default();
        Some(Duration::from_micros(micros).min(CLOCK_CHECK))
    }

    /// Takes in what was read: deliveries are made of it.
    fn take_in(&mut self, read: ReadBatch) {
        let replay = match read.source {
            // It was cancelled meanwhile.
            Source::Replay(number, _) if number <= self.queue.cancelled => return,
            Source::Replay(number, _) => number,
            _ => 0,
        };
        let batched = self.webhook.batch.is_some();
        let save = if batched { self.saves.next() } else { 0 };
        self.saves.soon |= batched && !read.deliveries.is_empty();
        self.saves.unsaved |= !read.deliveries.is_empty();
        self.reporter.unreadable(&read.problems);
        for mut delivery in read.deliveries {
            // A dead letter can be asked for twice.
            let mut others = self.queue.deliveries.iter_mut();
            if delivery.dead
                && let Some(waiting) = others.find(|other| other.id == delivery.id)
            {
                waiting.replay = replay;
                continue;
            }
            self.note_batch(&mut delivery);
            (delivery.save, delivery.replay) = (save, replay);
            self.enter(self.queue.deliveries.len(), delivery);
        }
        match read.source {
            Source::Log(Some(places)) => {
                self.saves.moved |= places != self.queue.cursor;
                self.queue.cursor = places;
            }
            Source::Log(None) | Source::Nothing | Source::Outdated => {}
            Source::Replay(number, replaying) => {
                (self.queue.replay, self.queue.replaying) = (number, replaying);
                self.note_replay(number);
                self.saves.unsaved = true;
            }
        }
    }

    /// Puts a delivery that is due now into the queue.
    fn enter(&mut self, at: usize, delivery: Delivery) {
        let delivery = Delivery {
            key: self.next_key,
            due: self.clock.now(),
            ..delivery
        };
        self.next_key += 1;
        self.queue.deliveries.insert(at, delivery);
    }

    /// The delivery that may go next at this time.
    fn next(&self, now: i64) -> Option<Next> {
        let webhook = &self.webhook;
        let saved = self.saves.done();
        next::next(&self.queue, webhook.order, webhook.concurrency, saved, now)
    }

    /// Starts the attempts that may be, as many as may be under way.
    fn start(&mut self) {
        let now = self.clock.now();
        self.lacks_memory = false;
        while let Some(next) = self.next(now) {
            if !self.has_memory(next.at) {
                self.lacks_memory = true;
                return;
            }
            if self.pace.as_mut().is_some_and(|pace| !pace.take(now)) {
                return;
            }
            let held = self.hold(next.at);
            let job = self.job(next.at, next.early, held);
            let (key, early) = (self.queue.deliveries[next.at].key, next.early);
            self.spawn(key, early, job.run());
        }
    }

    /// The memory that the body of a delivery is expected to take, beside its entries, if it is
    /// still to be made.
    fn needs(&self, at: usize) -> Option<usize> {
        let delivery = &self.queue.deliveries[at];
        let lines = delivery.contents.bytes();
        let body = delivery.body.as_ref();
        body.is_none()
            .then(|| lines + self.webhook.share.expected(lines))
    }

    /// Whether there is memory for an attempt. If there isn't, the bodies of deliveries that only
    /// wait are dropped, the last ones first. If the webhook holds no other memory, the attempt may
    /// go in any case.
    fn has_memory(&mut self, at: usize) -> bool {
        let Some(needs) = self.needs(at) else {
            return true;
        };
        let mut waiting = self.queue.deliveries.iter_mut().rev();
        while !self.webhook.share.has_room(needs) {
            match waiting.find(|delivery| delivery.body.is_some()) {
                Some(delivery) => delivery.body = None,
                None => return self.webhook.share.held() == 0,
            }
        }
        true
    }

    fn hold(&self, at: usize) -> Option<Held> {
        Some(self.webhook.share.hold(self.needs(at)?))
    }

    /// Makes room for what is fresh, where a webhook takes other entries and there are too many
    /// that it does not take.
    fn make_room(&mut self) {
        let deliveries = &self.queue.deliveries;
        if deliveries.len() < MOST_DELIVERIES
            || self.webhook.order == DeliveryOrder::Strict
            || self.queue.circuit.is_open()
        {
            return;
        }
        let leaving = deliveries
            .iter()
            .enumerate()
            .filter(|(_, delivery)| delivery.attempts >= 2 && !delivery.in_flight);
        let Some((at, _)) = leaving.max_by_key(|(_, delivery)| delivery.attempts) else {
            return;
        };
        self.give_up(
            at,
            format!(
                "it failed while others succeeded, and {MOST_DELIVERIES} deliveries were \
                waiting"
            ),
        );
    }

    /// Gives a delivery up without another attempt.
    fn give_up(&mut self, at: usize, reason: String) {
        let (job, key) = (self.job(at, false, None), self.queue.deliveries[at].key);
        self.spawn(key, false, async move {
            let outcome = job.give_up(reason).await;
            if let AttemptOutcome::Unreadable(_) = outcome {
                time::sleep(READ_AGAIN).await;
            }
            (outcome, None)
        });
    }

    /// The result of the future is noted as the outcome of the delivery of this key.
    fn spawn(
        &mut self,
        key: u64,
        early: bool,
        attempt: impl Future<Output = (AttemptOutcome, Option<Attempt>)> + Send + 'static,
    ) {
        self.attempts.spawn(async move {
            let (attempt, told) = attempt.await;
            Done {
                key,
                early,
                attempt,
                told,
            }
        });
    }

    fn job(&mut self, at: usize, early: bool, held: Option<Held>) -> Job {
        let delivery = &mut self.queue.deliveries[at];
        (delivery.in_flight, delivery.early) = (true, None);
        let (body, contents) = (delivery.body.take(), delivery.contents.clone());
        Job {
            webhook: Arc::clone(&self.webhook),
            id: delivery.id.clone(),
            number: delivery.attempts + 1,
            early,
            body,
            held,
            contents,
            dead: delivery.dead,
        }
    }
}
