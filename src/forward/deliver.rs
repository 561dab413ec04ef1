//! The deliveries of one endpoint: one task that has the log read on, makes parcels, has them sent,
//! and remembers what became of them (`outcome`).
//!
//! What always holds: an entry that the endpoint wants is in the log behind the outbox's places, in
//! a parcel of the outbox, was answered with 2xx, or was put in the dead letters. Whatever touches
//! a disk runs on a thread for that, so no endpoint waits for another's, and no writer of the log
//! waits for anything here.

mod outcome;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time,
};

use self::outcome::Done;
use super::{
    acks::Acks,
    attempt::Job,
    blocking::blocking,
    circuit::Pace,
    gather::{Gathered, Gathering, MOST_PARCELS, Source},
    history::{self, History},
    outbox::{Outbox, document},
    pulse::Pulse,
    queue,
    saves::Saves,
    subscription::{DeliveryOrder, Prepared},
    tell::{Recorder, Tell},
};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    query::AuditReader,
    store::layout::Layout,
};

/// How often it is looked whether something may go now: while something will soon, and otherwise.
const TICK: Duration = Duration::from_millis(10);
const RETRY_TICK: Duration = Duration::from_millis(100);
/// The last attempts are saved so often at most.
const SAVE_HISTORY_EVERY: Duration = Duration::from_secs(1);
/// Attempts under way have so long to end when it is to stop. Those cut off go again, under the
/// same id.
const STOP_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Delivery {
    endpoint: Arc<Prepared>,
    layout: Layout,
    reader: AuditReader,
    source: Arc<str>,
    outbox: Outbox,
    gathering: Gathering,
    attempts: JoinSet<Done>,
    acks: Acks,
    pulse: Pulse,
    pace: Option<Pace>,
    next_key: u64,
    history: History,
    history_saved: Instant,
    saves: Saves,
    tell: Tell,
}

fn now() -> i64 {
    Timestamp::now().as_micros()
}

impl Delivery {
    /// Reads what is kept of the endpoint, so on a thread for that.
    pub(super) fn new(
        endpoint: Prepared,
        layout: Layout,
        reader: AuditReader,
        pulse: Pulse,
        source: Arc<str>,
        recorder: Recorder,
    ) -> Result<Self> {
        let mut outbox = Outbox::read(&layout, &endpoint.key)?.ok_or_else(|| {
            let path = document(&layout, &endpoint.key).path().to_owned();
            Error::damaged(path, "it is gone, and with it how far this endpoint is; remove the subscription, add it again, and replay")
        })?;
        for (key, parcel) in (0..).zip(&mut outbox.parcels) {
            parcel.key = key;
        }
        let changed = outbox.revision != endpoint.revision;
        if changed {
            // Someone did something about it.
            (outbox.revision, outbox.circuit) = (endpoint.revision, Default::default());
            (outbox.status.gone, outbox.status.parked) = (false, false);
            outbox
                .parcels
                .iter_mut()
                .for_each(|parcel| parcel.early = Some(0));
        }
        Ok(Self {
            tell: Tell::new(recorder, &endpoint.name),
            history: History::load(&layout, &endpoint.key),
            gathering: Gathering::new(reader.clone(), layout.clone(), pulse.clone()),
            acks: Acks::new(),
            pulse,
            pace: endpoint.most_per_second.map(Pace::new),
            endpoint: Arc::new(endpoint),
            layout,
            reader,
            source,
            next_key: outbox.parcels.len() as u64,
            outbox,
            attempts: JoinSet::new(),
            history_saved: Instant::now(),
            saves: Saves::new(changed),
        })
    }

    /// Delivers until it is told to stop; attempts under way are then finished, as long as their
    /// timeout allows.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        while !*stop.borrow() && !self.outbox.status.gone {
            self.gathering.read_on(&self.endpoint, &self.outbox);
            self.start();
            self.make_room();
            self.tell.of_dead(false);
            self.save();
            self.acks.ask(&self.endpoint);
            let tick = self.tick();
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finished(done)?,
                gathered = self.gathering.read() => self.gathered(gathered?),
                answered = self.acks.answered() => self.answered(answered?),
                saved = self.saves.saved() => self.saved(saved),
                Ok(()) = self.pulse.changed() => {}
                () = time::sleep(tick) => {}
                _ = stop.changed() => {}
            }
            while let Some(done) = self.attempts.try_join_next() {
                self.finished(done)?;
            }
        }
        let patience = time::Instant::now() + STOP_WITHIN;
        while let Ok(Some(done)) = time::timeout_at(patience, self.attempts.join_next()).await {
            self.finished(done)?;
        }
        self.tell.of_dead(true);
        if self.saves.are_under_way() {
            let saved = self.saves.saved().await;
            self.saved(saved);
        }
        let Self {
            outbox,
            history,
            layout,
            endpoint,
            ..
        } = self;
        blocking("saving an outbox", move || {
            // The history is worth no error.
            let _ = history::document(&layout, &endpoint.key).write(&history.text(), false);
            outbox.save(&layout, &endpoint.key)
        })
        .await?;
        // An endpoint that wants no more has a delivery that does nothing, until its subscription
        // is changed.
        let _ = stop.wait_for(|stop| *stop).await;
        Ok(())
    }

    /// How long nothing need be looked at that doesn't say so by itself, as the log does, an
    /// attempt, a read or a save.
    fn tick(&self) -> Duration {
        // What may go at once has gone, unless the pace held it back.
        let soon = now().saturating_add(RETRY_TICK.as_micros() as i64);
        let goes_soon =
            || queue::next(&self.outbox, self.endpoint.order, self.saves.done(), soon).is_some();
        if self.gathering.is_waiting() || self.saves.are_wanted() || goes_soon() {
            TICK
        } else {
            RETRY_TICK
        }
    }

    /// Takes in what was read: parcels are made of it.
    fn gathered(&mut self, gathered: Gathered) {
        let batched = self.endpoint.batch.is_some();
        let save = if batched { self.saves.next() } else { 0 };
        self.saves.soon |= batched && !gathered.parcels.is_empty();
        self.saves.unsaved |= !gathered.parcels.is_empty();
        self.tell.unreadable(&gathered.problems);
        for mut parcel in gathered.parcels {
            // A dead letter can be asked for twice.
            if parcel.letter.is_some()
                && self
                    .outbox
                    .parcels
                    .iter()
                    .any(|other| other.id == parcel.id)
            {
                continue;
            }
            (parcel.key, parcel.save) = (self.next_key, save);
            self.next_key += 1;
            self.outbox.parcels.push_back(parcel);
        }
        match gathered.source {
            Source::Log(Some(places)) => {
                self.saves.moved |= places != self.outbox.places;
                self.outbox.places = places;
            }
            Source::Log(None) | Source::Nothing => {}
            Source::Replay(number, replaying) => {
                (self.outbox.replay, self.outbox.replaying) = (number, replaying);
                self.saves.unsaved = true;
            }
        }
    }

    /// Starts the attempts that may be, as many as may be under way.
    fn start(&mut self) {
        let now = now();
        while let Some(next) =
            queue::next(&self.outbox, self.endpoint.order, self.saves.done(), now)
        {
            if self.pace.as_mut().is_some_and(|pace| !pace.take(now)) {
                return;
            }
            let job = self.job(next.at, next.early);
            let (key, early) = (self.outbox.parcels[next.at].key, next.early);
            self.attempts.spawn(async move {
                let (attempt, told) = job.run().await;
                Done {
                    key,
                    early,
                    attempt,
                    told,
                }
            });
        }
    }

    /// Makes room for what is fresh, where an endpoint takes other entries and there are too many
    /// that it does not take.
    fn make_room(&mut self) {
        let parcels = &self.outbox.parcels;
        if parcels.len() < MOST_PARCELS
            || self.endpoint.order == DeliveryOrder::Strict
            || self.outbox.circuit.is_open()
        {
            return;
        }
        let leaving = parcels
            .iter()
            .enumerate()
            .filter(|(_, parcel)| parcel.attempts >= 2 && !parcel.on_its_way);
        let Some((at, _)) = leaving.max_by_key(|(_, parcel)| parcel.attempts) else {
            return;
        };
        self.give_up(
            at,
            format!("it failed, others did not, and {MOST_PARCELS} requests waited"),
        );
    }

    /// Puts a parcel aside without trying it once more.
    fn give_up(&mut self, at: usize, why: String) {
        let (job, key) = (self.job(at, false), self.outbox.parcels[at].key);
        self.attempts.spawn(async move {
            Done {
                key,
                early: false,
                attempt: job.give_up(why).await,
                told: None,
            }
        });
    }

    fn job(&mut self, at: usize, early: bool) -> Job {
        let parcel = &mut self.outbox.parcels[at];
        (parcel.on_its_way, parcel.early) = (true, None);
        Job::new(
            Arc::clone(&self.endpoint),
            Arc::clone(&self.source),
            self.reader.clone(),
            self.layout.clone(),
            parcel,
            early,
        )
    }

    /// Begins to save what changed, if it is time.
    fn save(&mut self) {
        if self.saves.is_time() {
            self.saves.begin(
                document(&self.layout, &self.endpoint.key),
                self.outbox.text(),
            );
        }
        if self.history.unsaved && self.history_saved.elapsed() >= SAVE_HISTORY_EVERY {
            (self.history.unsaved, self.history_saved) = (false, Instant::now());
            let (text, document) = (
                self.history.text(),
                history::document(&self.layout, &self.endpoint.key),
            );
            drop(spawn_blocking(move || document.write(&text, false)));
        }
    }

    fn saved(&self, saved: Result<()>) {
        if let Err(error) = saved {
            tracing::warn!(target: "tracing_audit", "the state of the webhook {:?} is saved again: {error}", self.endpoint.name);
        }
    }
}
