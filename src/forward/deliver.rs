//! The deliveries of one endpoint: one task that reads the log on, makes parcels, sends them and remembers what became of them.
//!
//! What always holds: an entry that the endpoint wants is in the log behind the outbox's places, in a parcel of the durable outbox, was
//! answered with 2xx, or is in the dead letters. Nothing here makes a writer of the log wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::{sync::watch, task::JoinSet, time};

use super::{
    Outcome, Verdict,
    dead_letter::{self, DeadLetter},
    format::{self, Batch, Unencodable},
    outbox::{MOST_PARCELS, Outbox, Parcel},
    sign,
    subscription::{DeliveryOrder, Prepared},
};
use crate::{
    error::{Error, Result},
    query::{AuditReader, Entry, Placed, Tail},
    record::{OwnRecord, Severity, Timestamp},
    store::layout::Layout,
};

/// How often the log is looked at while it is quiet.
const POLL: Duration = Duration::from_millis(10);
/// Entries read at a time.
const READ: usize = 256;
/// Requests at once, and how many of them may be for what failed before.
const AT_ONCE: usize = 4;
const RETRIES_AT_ONCE: usize = 3;
/// The outbox is saved so often at most while deliveries go well.
const SAVE_EVERY: Duration = Duration::from_millis(50);
/// After so long with nothing but failures an endpoint is only probed.
const PARKED_AFTER: i64 = 5 * 24 * 3600 * 1_000_000;
const PROBE_EVERY: i64 = 3600 * 1_000_000;
/// A receiver that acknowledges later is asked so often, and so many times.
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_TIMES: u32 = 30;

/// Writes a record of the log's own.
pub(super) type Recorder = Arc<dyn Fn(OwnRecord) + Send + Sync>;

pub(super) struct Delivery {
    endpoint: Arc<Prepared>,
    layout: Layout,
    reader: AuditReader,
    source: Arc<str>,
    recorder: Recorder,
    outbox: Outbox,
    tail: Option<Tail>,
    /// Read, and not in a parcel yet: waiting for more to come with them.
    gathering: Vec<Placed>,
    gathering_since: Option<Instant>,
    attempts: JoinSet<(String, Attempt)>,
    unsaved: bool,
    last_save: Instant,
}

/// What became of one attempt.
enum Attempt {
    Answered {
        verdict: Verdict,
        told: String,
        count: u64,
    },
    /// It was taken, but so many entries of it were refused for good.
    Rejected {
        count: u64,
        message: String,
    },
    /// It can't be sent, now or later.
    Hopeless {
        why: String,
    },
    /// The log could not be read; it is tried again.
    Unreadable(Error),
}

fn now() -> i64 {
    Timestamp::now().as_micros()
}

impl Delivery {
    pub(super) fn new(endpoint: Prepared, layout: Layout, reader: AuditReader, source: Arc<str>, recorder: Recorder) -> Result<Self> {
        let outbox = Outbox::read(&layout, &endpoint.name)?.unwrap_or_default();
        Ok(Self {
            endpoint: Arc::new(endpoint),
            layout,
            reader,
            source,
            recorder,
            outbox,
            tail: None,
            gathering: Vec::new(),
            gathering_since: None,
            attempts: JoinSet::new(),
            unsaved: false,
            last_save: Instant::now(),
        })
    }

    /// Delivers until it is told to stop; attempts under way are then finished, as long as their timeout allows.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        while !*stop.borrow() && !self.outbox.status.gone {
            if self.outbox.parcels.len() < MOST_PARCELS {
                self.read_on().await?;
            }
            self.start_due();
            tokio::select! {
                Some(done) = self.attempts.join_next() => self.finished(done)?,
                () = time::sleep(POLL) => {}
                _ = stop.changed() => {}
            }
            while let Some(done) = self.attempts.try_join_next() {
                self.finished(done)?;
            }
            if self.unsaved && (self.attempts.is_empty() || self.last_save.elapsed() >= SAVE_EVERY) {
                self.save()?;
            }
        }
        while let Some(done) = self.attempts.join_next().await {
            self.finished(done)?;
        }
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.outbox.save(&self.layout, &self.endpoint.name)?;
        (self.unsaved, self.last_save) = (false, Instant::now());
        Ok(())
    }

    /// Reads what was recorded since, and makes parcels of it.
    async fn read_on(&mut self) -> Result<()> {
        let limit = match self.endpoint.batch {
            Some(batch) => batch.max_entries - self.gathering.len(),
            None => READ.min(MOST_PARCELS - self.outbox.parcels.len()),
        };
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.reader.resume(self.endpoint.filter.clone(), &self.outbox.places)?,
        };
        // The disk may be slow; other endpoints are not to wait for it.
        let (tail, found) = tokio::task::spawn_blocking(move || {
            let found = tail.poll_placed(limit);
            (tail, found)
        })
        .await
        .map_err(|e| Error::damaged(self.layout.root(), format!("reading the log panicked: {e}")))?;
        let found = found?;
        let read_anything = !found.is_empty();
        self.gathering.extend(found.into_iter().filter(|placed| self.endpoint.wants(&placed.entry)));
        let places = tail.places();
        self.tail = Some(tail);
        if self.gathering.is_empty() {
            self.gathering_since = None;
            if read_anything || places != self.outbox.places {
                // Nothing to send: where that was found is no loss if it is forgotten.
                self.outbox.places = places;
                self.unsaved |= read_anything;
            }
            return Ok(());
        }
        let since = *self.gathering_since.get_or_insert_with(Instant::now);
        let ready = self
            .endpoint
            .batch
            .is_none_or(|batch| self.gathering.len() >= batch.max_entries || since.elapsed() >= Duration::from_millis(batch.max_wait_ms));
        if ready {
            let due = now();
            let gathered = std::mem::take(&mut self.gathering);
            self.gathering_since = None;
            let name = &self.endpoint.name;
            if self.endpoint.batch.is_some() {
                self.outbox.parcels.push(Parcel::new(name, gathered, due));
            } else {
                self.outbox.parcels.extend(gathered.into_iter().map(|placed| Parcel::new(name, vec![placed], due)));
            }
            self.outbox.places = places;
            // Their bounds are durable before the first attempt.
            self.save()?;
        }
        Ok(())
    }

    /// Starts the attempts that are due, as many as may be under way.
    fn start_due(&mut self) {
        let (now, status) = (now(), &self.outbox.status);
        let strict = self.endpoint.order == DeliveryOrder::Strict;
        let probing = status.parked;
        if probing && (!self.attempts.is_empty() || status.last_attempt.is_some_and(|last| now < last + PROBE_EVERY && now >= last)) {
            return;
        }
        let most = if strict || probing { 1 } else { AT_ONCE };
        let mut retries = self.outbox.parcels.iter().filter(|parcel| parcel.on_its_way && parcel.attempts > 0).count();
        // Fresh ones first: what failed has slots of its own, and no more.
        let mut order: Vec<usize> = (0..self.outbox.parcels.len().min(if strict { 1 } else { MOST_PARCELS })).collect();
        order.sort_by_key(|at| self.outbox.parcels[*at].attempts > 0);
        for at in order {
            if self.attempts.len() >= most {
                break;
            }
            let parcel = &mut self.outbox.parcels[at];
            // A clock that was set back does not hold a parcel up for longer than the longest delay.
            let due = parcel.due <= now || parcel.due > now + 25 * 3600 * 1_000_000 || probing;
            if parcel.on_its_way || !due || (!strict && parcel.attempts > 0 && retries >= RETRIES_AT_ONCE) {
                continue;
            }
            retries += usize::from(parcel.attempts > 0);
            parcel.on_its_way = true;
            let (endpoint, reader, source) = (Arc::clone(&self.endpoint), self.reader.clone(), Arc::clone(&self.source));
            let (id, places, fresh, attempts) = (parcel.id.clone(), parcel.entries.clone(), parcel.fresh.take(), parcel.attempts);
            self.attempts.spawn(async move {
                let entries = match fresh {
                    Some(entries) => Ok(Some(entries)),
                    None => tokio::task::spawn_blocking(move || places.iter().map(|place| reader.at(place)).collect())
                        .await
                        .unwrap_or_else(|e| Err(Error::damaged("the log", format!("reading it panicked: {e}")))),
                };
                let attempt = match entries {
                    Ok(Some(entries)) => attempt(&endpoint, &source, &id, &entries, attempts + 1).await,
                    Ok(None) => Attempt::Hopeless { why: "retention removed its entries".to_owned() },
                    Err(error) => Attempt::Unreadable(error),
                };
                (id, attempt)
            });
        }
    }

    /// Notes what became of an attempt.
    fn finished(&mut self, done: std::result::Result<(String, Attempt), tokio::task::JoinError>) -> Result<()> {
        let Ok((id, attempt)) = done else {
            // It panicked: its parcel is still there and goes again after a restart.
            return Err(Error::damaged(self.layout.root(), "an attempt of a webhook panicked"));
        };
        let Some(at) = self.outbox.parcels.iter().position(|parcel| parcel.id == id) else { return Ok(()) };
        let (now, entries) = (now(), self.outbox.parcels[at].entries.len() as u64);
        let parcel = &mut self.outbox.parcels[at];
        parcel.on_its_way = false;
        self.unsaved = true;
        let status = &mut self.outbox.status;
        status.last_attempt = Some(now);
        match attempt {
            Attempt::Unreadable(error) => {
                parcel.due = now + 5_000_000;
                status.last_answer = Some(error.to_string());
            }
            Attempt::Hopeless { why } => self.give_up(at, &why)?,
            Attempt::Rejected { count, message } => {
                self.delivered(at);
                let record = self.record("audit.delivery.rejected", Severity::Error, "An endpoint refused entries for good");
                (self.recorder)(record.detail("count", count).detail("why", message));
            }
            Attempt::Answered { verdict, told, count } => {
                status.last_answer = Some(told.clone());
                if verdict != Verdict::Delivered && verdict != Verdict::Split {
                    status.failed_attempts += 1;
                    parcel.attempts += 1;
                }
                debug_assert_eq!(count, entries, "a parcel is sent whole");
                match verdict {
                    Verdict::Delivered => self.delivered(at),
                    Verdict::Retry { after, alert } => {
                        parcel.due = now.saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
                        let first = parcel.attempts == 2 || alert && parcel.attempts == 3;
                        self.failing(now, first, &told);
                    }
                    Verdict::Gone => {
                        status.gone = true;
                        let record = self.record("audit.delivery.gone", Severity::Error, "An endpoint wants no more");
                        (self.recorder)(record.detail("waiting_parcels", self.outbox.parcels.len()));
                    }
                    Verdict::Split => self.split(at)?,
                    Verdict::DeadLetter { why } => self.give_up(at, &why)?,
                    // In strict order nothing overtakes it, so it is tried until someone takes it out.
                    Verdict::Exhausted if self.endpoint.order == DeliveryOrder::Strict => {
                        parcel.due = now + 24 * PROBE_EVERY;
                        self.failing(now, false, &told);
                    }
                    Verdict::Exhausted => self.give_up(at, &format!("all attempts failed, the last with: {told}"))?,
                }
            }
        }
        Ok(())
    }

    fn delivered(&mut self, at: usize) {
        let parcel = self.outbox.parcels.remove(at);
        let status = &mut self.outbox.status;
        status.delivered += parcel.entries.len() as u64;
        let was_failing = status.failing_since.take().is_some();
        let was_parked = std::mem::take(&mut status.parked);
        if was_parked || was_failing && parcel.attempts >= 2 {
            (self.recorder)(self.record("audit.delivery.recovered", Severity::Info, "An endpoint takes entries again"));
        }
    }

    fn failing(&mut self, now: i64, say: bool, told: &str) {
        let status = &mut self.outbox.status;
        let since = *status.failing_since.get_or_insert(now);
        let parked = !status.parked && now.saturating_sub(since) >= PARKED_AFTER;
        status.parked |= parked;
        if parked {
            let record = self.record("audit.delivery.parked", Severity::Error, "An endpoint has failed for days and is only probed");
            (self.recorder)(record.detail("answer", told));
        } else if say {
            let record = self.record("audit.delivery.failing", Severity::Warning, "An endpoint takes no entries");
            (self.recorder)(record.detail("answer", told));
        }
    }

    /// Puts a parcel aside.
    fn give_up(&mut self, at: usize, why: &str) -> Result<()> {
        let parcel = &self.outbox.parcels[at];
        let entries = parcel.entries.iter().filter_map(|place| self.reader.at(place).transpose()).collect::<Result<Vec<_>>>()?;
        let letter = DeadLetter { id: &parcel.id, attempts: parcel.attempts, why, entries: &entries };
        dead_letter::append(&self.layout, &self.endpoint.name, &letter)?;
        let parcel = self.outbox.parcels.remove(at);
        self.outbox.status.dead_lettered += parcel.entries.len() as u64;
        let record = self.record("audit.delivery.dead_lettered", Severity::Error, "Entries could not be delivered and are put aside");
        (self.recorder)(record.detail("webhook_id", parcel.id).detail("count", parcel.entries.len()).detail("why", why));
        Ok(())
    }

    fn split(&mut self, at: usize) -> Result<()> {
        let parcel = self.outbox.parcels.remove(at);
        let entries = parcel.entries.iter().map(|place| self.reader.at(place)).collect::<Result<Option<Vec<Entry>>>>()?;
        match entries {
            Some(entries) => {
                let halves = Parcel::split(&self.endpoint.name, parcel.entries, entries, now());
                self.outbox.parcels.splice(at..at, halves);
                self.save()
            }
            None => {
                self.outbox.parcels.insert(at, parcel);
                self.give_up(at, "retention removed some of its entries")
            }
        }
    }

    fn record(&self, event_type: &'static str, severity: Severity, text: &str) -> OwnRecord {
        OwnRecord::new(event_type, severity, text).detail("endpoint", self.endpoint.name.as_str())
    }
}

/// Sends entries once.
async fn attempt(endpoint: &Prepared, source: &str, id: &str, entries: &[Entry], number: u32) -> Attempt {
    let batch = Batch { id, source, entries, batched: endpoint.batch.is_some() };
    let encoded = match endpoint.format.encode(&batch) {
        Ok(encoded) => encoded,
        Err(error @ (Unencodable::Entry { .. } | Unencodable::Batch { .. })) => return Attempt::Hopeless { why: error.to_string() },
    };
    let Some(headers) = headers(endpoint, id, &encoded) else {
        return Attempt::Hopeless { why: "its format made a header that HTTP does not allow".to_owned() };
    };
    let answer = endpoint.client.post(&endpoint.url, headers, encoded.body).await;
    let told = match (&answer.outcome, answer.problem()) {
        (Outcome::Status(status), None) => format!("{status} after {} ms", answer.took.as_millis()),
        (_, Some(problem)) => problem,
        (Outcome::Failed(failure), None) => failure.detail.clone(),
    };
    let verdict = endpoint.schedule.verdict(&answer, number, entries.len(), fastrand::u32(..));
    if verdict == Verdict::Delivered {
        match endpoint.format.read_answer(answer.excerpt.as_bytes()) {
            format::Verdict::Rejected { count, message } if count > 0 => return Attempt::Rejected { count, message },
            format::Verdict::Pending { ack } if !acknowledged(endpoint, ack).await => {
                let told = "the receiver took it, and does not say that it has it".to_owned();
                let again = Verdict::Retry { after: Duration::from_secs(60), alert: false };
                return Attempt::Answered { verdict: again, told, count: entries.len() as u64 };
            }
            _ => {}
        }
    }
    Attempt::Answered { verdict, told, count: entries.len() as u64 }
}

/// Asks a receiver until it says that it has what it took.
async fn acknowledged(endpoint: &Prepared, ack: u64) -> bool {
    for _ in 0..ASK_TIMES {
        let Some(question) = endpoint.format.ask(endpoint.url.as_str(), &[ack]) else { return true };
        let (Ok(url), Some(headers)) = (question.url.parse(), headers(endpoint, "", &question.request)) else { return false };
        let answer = endpoint.client.post(&url, headers, question.request.body).await;
        if endpoint.format.read_acks(answer.excerpt.as_bytes()).contains(&ack) {
            return true;
        }
        time::sleep(ASK_EVERY).await;
    }
    false
}

/// The headers of one request; signed if it has an id.
fn headers(endpoint: &Prepared, id: &str, encoded: &format::Encoded) -> Option<HeaderMap> {
    let mut headers = endpoint.fixed.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&encoded.content_type).ok()?);
    for (name, value) in &encoded.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
    }
    if !id.is_empty() {
        let timestamp = now() / 1_000_000;
        headers.insert("webhook-id", HeaderValue::from_str(id).ok()?);
        headers.insert("webhook-timestamp", timestamp.into());
        if !endpoint.signing.is_empty() {
            let signature = sign::sign(&endpoint.signing, id, timestamp, &encoded.body);
            headers.insert("webhook-signature", HeaderValue::from_str(&signature).ok()?);
        }
    }
    Some(headers)
}
