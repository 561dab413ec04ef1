//! The deliveries of one endpoint: one task that has the log read on, makes parcels, has them sent, and remembers what became of them.
//!
//! What always holds: an entry that the endpoint wants is in the log behind the outbox's places, in a parcel of the outbox, was answered
//! with 2xx, or is in the dead letters. Whatever touches a disk runs on a thread for that, so no endpoint waits for another's, and no
//! writer of the log waits for anything here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet, spawn_blocking},
    time,
};

use super::{
    Verdict,
    acks::{Acks, Taken},
    attempt::{self, Attempt, Job},
    circuit::Pace,
    gather::{Gathered, Gathering, MOST_PARCELS, Source},
    history::{self, DeliveryAttempt, History},
    outbox::{Outbox, document},
    pulse::Pulse,
    queue,
    saves::Saves,
    subscription::{DeliveryOrder, Prepared},
    tell::{Recorder, Tell},
};
use crate::{
    error::{Error, Result},
    query::{AuditReader, Entry},
    record::Timestamp,
    store::layout::Layout,
};

/// How late what is due may be.
const TICK: Duration = Duration::from_millis(10);
/// The last attempts are saved so often at most.
const SAVE_HISTORY_EVERY: Duration = Duration::from_secs(1);
/// Attempts under way have so long to end when it is to stop. Those cut off go again, under the same id.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// After so long with nothing but failures an endpoint is only probed.
const PARKED_AFTER: i64 = 5 * 24 * 3600 * 1_000_000;
/// What was taken and never acknowledged is sent again after this at the earliest.
const NEVER_ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// In strict order what failed for the last time of its schedule is tried again after this.
const LAST_RESORT: i64 = 24 * 3600 * 1_000_000;
/// That an endpoint fails is recorded so often at most, in microseconds.
const SAY_EVERY: i64 = 300 * 1_000_000;
/// What could not be read is tried again after this, in microseconds.
const READ_AGAIN: i64 = 5_000_000;
/// What waited for an endpoint goes within this time after it is back, in microseconds.
const SPREAD: u64 = 2_000_000;

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

/// An attempt that is over.
struct Done {
    /// The parcel's key.
    key: u64,
    /// The parcel was not due.
    early: bool,
    attempt: Attempt,
    /// What is told of it, if anything was sent.
    told: Option<DeliveryAttempt>,
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
            outbox.parcels.iter_mut().for_each(|parcel| parcel.early = Some(0));
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

    /// Delivers until it is told to stop; attempts under way are then finished, as long as their timeout allows.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        while !*stop.borrow() && !self.outbox.status.gone {
            self.gathering.read_on(&self.endpoint, &self.outbox);
            self.start();
            self.make_room();
            self.tell.of_dead(false);
            self.save();
            self.acks.ask(&self.endpoint);
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finished(done)?,
                gathered = self.gathering.read() => self.gathered(gathered?),
                answered = self.acks.answered() => self.answered(answered?),
                saved = self.saves.saved() => self.saved(saved),
                Ok(()) = self.pulse.changed() => {}
                () = time::sleep(TICK) => {}
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
        let Self { outbox, history, layout, endpoint, .. } = self;
        let last = spawn_blocking(move || {
            // The history is worth no error.
            let _ = history::document(&layout, &endpoint.key).write(&history.text(), false);
            outbox.save(&layout, &endpoint.key)
        });
        last.await.unwrap_or_else(|e| Err(panicked("saving an outbox", &e)))?;
        // An endpoint that wants no more has a delivery that does nothing, until its subscription is changed.
        let _ = stop.wait_for(|stop| *stop).await;
        Ok(())
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
            if parcel.letter.is_some() && self.outbox.parcels.iter().any(|other| other.id == parcel.id) {
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
        while let Some(next) = queue::next(&self.outbox, self.endpoint.order, self.saves.done(), now) {
            if self.pace.as_mut().is_some_and(|pace| !pace.take(now)) {
                return;
            }
            let job = self.job(next.at, next.early);
            let (key, early) = (self.outbox.parcels[next.at].key, next.early);
            self.attempts.spawn(async move {
                let (attempt, told) = job.run().await;
                Done { key, early, attempt, told }
            });
        }
    }

    /// Makes room for what is fresh, where an endpoint takes other entries and there are too many that it does not take.
    fn make_room(&mut self) {
        let parcels = &self.outbox.parcels;
        if parcels.len() < MOST_PARCELS || self.endpoint.order == DeliveryOrder::Strict || self.outbox.circuit.is_open() {
            return;
        }
        let leaving = parcels.iter().enumerate().filter(|(_, parcel)| parcel.attempts >= 2 && !parcel.on_its_way);
        let Some((at, _)) = leaving.max_by_key(|(_, parcel)| parcel.attempts) else { return };
        self.give_up(at, format!("it failed, others did not, and {MOST_PARCELS} requests waited"));
    }

    /// Puts a parcel aside without trying it once more.
    fn give_up(&mut self, at: usize, why: String) {
        let (job, key) = (self.job(at, false), self.outbox.parcels[at].key);
        self.attempts.spawn(async move { Done { key, early: false, attempt: job.give_up(why).await, told: None } });
    }

    fn job(&mut self, at: usize, early: bool) -> Job {
        let parcel = &mut self.outbox.parcels[at];
        (parcel.on_its_way, parcel.early) = (true, None);
        Job::new(Arc::clone(&self.endpoint), Arc::clone(&self.source), self.reader.clone(), self.layout.clone(), parcel, early)
    }

    /// Notes what became of an attempt.
    fn finished(&mut self, done: std::result::Result<Done, JoinError>) -> Result<()> {
        // After a panic its parcel is still there and goes again when the delivery begins anew.
        let Done { key, early, attempt, told } = done.map_err(|e| panicked("an attempt of a webhook", &e))?;
        let Some(at) = self.outbox.parcels.iter().position(|parcel| parcel.key == key) else { return Ok(()) };
        let now = now();
        let parcel = &mut self.outbox.parcels[at];
        (parcel.on_its_way, parcel.taken) = (false, false);
        self.saves.unsaved = true;
        // What is wrong with one request says nothing of others.
        let of_entries = matches!(told.as_ref().and_then(|told| told.status), Some(400 | 406 | 409 | 411 | 413 | 414 | 415 | 422));
        if let Some(told) = told {
            (self.outbox.status.last_attempt, self.outbox.status.last_answer) = (Some(now), Some(told.result.clone()));
            self.history.push(told);
        }
        match attempt {
            Attempt::Delivered => self.delivered(at, now),
            Attempt::Taken { ack } => {
                (parcel.on_its_way, parcel.taken) = (true, true);
                self.acks.add(key, early, ack);
            }
            Attempt::Rejected { count, message } => {
                self.delivered(at, now);
                self.tell.rejected(count, message);
            }
            Attempt::GivenUp { why, failed } => {
                self.given_up(at, &why);
                if failed {
                    self.outbox.status.failed_attempts += 1;
                    self.failing(now, None, false, of_entries);
                }
            }
            Attempt::Split(entries) => self.split(at, entries, now),
            Attempt::Unreadable(error) => {
                self.outbox.parcels[at].due = now + READ_AGAIN;
                self.outbox.status.last_answer = Some(error.to_string());
            }
            Attempt::Failed { verdict, retry_after } => {
                self.outbox.status.failed_attempts += 1;
                let parcel = &mut self.outbox.parcels[at];
                if !early {
                    parcel.attempts += 1;
                    let after = match verdict {
                        Verdict::Retry { after, .. } => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
                        _ => LAST_RESORT,
                    };
                    parcel.due = now.saturating_add(after);
                }
                let alert = matches!(verdict, Verdict::Retry { alert: true, .. });
                self.failing(now, retry_after, alert, of_entries);
                if verdict == Verdict::Gone {
                    self.outbox.status.gone = true;
                    self.tell.gone(self.outbox.parcels.len());
                }
            }
        }
        Ok(())
    }

    /// What was acknowledged is delivered; what never was goes again.
    fn answered(&mut self, (done, never): (Vec<Taken>, Vec<Taken>)) {
        for taken in done {
            let Some(parcel) = self.outbox.parcels.iter_mut().find(|parcel| parcel.key == taken.key) else { continue };
            parcel.taken = false;
            let (layout, key) = (self.layout.clone(), self.endpoint.key.clone());
            let noted = attempt::noted(layout, key, parcel.id.clone(), parcel.letter, Attempt::Delivered);
            self.attempts.spawn(async move { Done { key: taken.key, early: taken.early, attempt: noted.await, told: None } });
        }
        for taken in never {
            let told = "the receiver took it, and did not say that it has it";
            self.outbox.status.last_answer = Some(told.to_owned());
            let Some(at) = self.outbox.parcels.iter().position(|parcel| parcel.key == taken.key) else { continue };
            self.outbox.parcels[at].taken = false;
            let kept = taken.early || self.endpoint.order == DeliveryOrder::Strict;
            match self.endpoint.schedule.after(self.outbox.parcels[at].attempts + 1) {
                None if !kept => self.give_up(at, format!("all attempts failed; in the last {told}")),
                after => {
                    let after = after.unwrap_or(NEVER_ACKNOWLEDGED).max(NEVER_ACKNOWLEDGED);
                    let attempt = Attempt::Failed { verdict: Verdict::Retry { after, alert: false }, retry_after: None };
                    self.attempts.spawn(async move { Done { key: taken.key, early: taken.early, attempt, told: None } });
                }
            }
        }
    }

    fn delivered(&mut self, at: usize, now: i64) {
        let Some(parcel) = self.outbox.parcels.remove(at) else { return };
        let status = &mut self.outbox.status;
        status.delivered += parcel.count as u64;
        status.failing_since = None;
        let was_parked = std::mem::take(&mut status.parked);
        if status.said_failing.take().is_some() || was_parked {
            self.tell.recovered();
        }
        if self.outbox.circuit.succeeded() {
            // Not all at the same moment, for an endpoint that has just come back.
            for waiting in self.outbox.parcels.iter_mut().filter(|parcel| parcel.attempts > 0) {
                waiting.early = Some(now + fastrand::u64(..SPREAD) as i64);
            }
        }
    }

    fn failing(&mut self, now: i64, retry_after: Option<Duration>, alert: bool, of_entries: bool) {
        let status = &mut self.outbox.status;
        let told = status.last_answer.clone().unwrap_or_default();
        let since = *status.failing_since.get_or_insert(now);
        let parked = !status.parked && now.saturating_sub(since) >= PARKED_AFTER;
        status.parked |= parked;
        let opened = !of_entries && self.outbox.circuit.failed(now, retry_after, status.parked, fastrand::u32(..));
        if parked {
            self.tell.parked(&told);
        } else if (opened || alert) && self.outbox.status.said_failing.is_none_or(|said| !(said..said + SAY_EVERY).contains(&now)) {
            self.outbox.status.said_failing = Some(now);
            self.tell.failing(&told);
        }
    }

    /// Notes that a parcel was put aside.
    fn given_up(&mut self, at: usize, why: &str) {
        let Some(parcel) = self.outbox.parcels.remove(at) else { return };
        self.outbox.status.dead_lettered += parcel.count as u64;
        self.tell.dead(parcel.id, parcel.count, why);
    }

    fn split(&mut self, at: usize, entries: Vec<Entry>, now: i64) {
        let Some(parcel) = self.outbox.parcels.remove(at) else { return };
        for (offset, mut half) in parcel.split(&self.endpoint.name, entries, now).into_iter().enumerate() {
            (half.key, half.save) = (self.next_key, self.saves.next());
            self.next_key += 1;
            self.outbox.parcels.insert(at + offset, half);
        }
        self.saves.soon = true;
    }

    /// Begins to save what changed, if it is time.
    fn save(&mut self) {
        if self.saves.is_time() {
            self.saves.begin(document(&self.layout, &self.endpoint.key), self.outbox.text());
        }
        if self.history.unsaved && self.history_saved.elapsed() >= SAVE_HISTORY_EVERY {
            (self.history.unsaved, self.history_saved) = (false, Instant::now());
            let (text, document) = (self.history.text(), history::document(&self.layout, &self.endpoint.key));
            drop(spawn_blocking(move || document.write(&text, false)));
        }
    }

    fn saved(&self, saved: Result<()>) {
        if let Err(error) = saved {
            tracing::warn!(target: "tracing_audit", "the state of the webhook {:?} is saved again: {error}", self.endpoint.name);
        }
    }
}

pub(super) fn panicked(what: &str, error: &JoinError) -> Error {
    Error::damaged("the forwarder", format!("{what} panicked: {error}"))
}
