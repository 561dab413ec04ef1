//! The loop of a dispatcher: which webhooks are to be served, and whether each has its task.

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::{
    blocking::blocking,
    presence::{self, Presence},
    pulse::{self, Pulse},
    reporter::Recorder,
    served::Served,
    stop::Stop,
    task::DeliveryTask,
    tasks::{Failure, Revision, Tasks},
    tidying::Tidying,
};
use crate::{
    entry::{OwnEntry, Severity},
    error::Result,
    log::AuditLog,
    query::AuditReader,
    store::{clock::SystemClock, document::Version, lock::Lock},
    webhook::{
        queue::{
            memory::Memory,
            request::{self, Open},
        },
        settings::stored::{self, Stored},
    },
};

/// How often the webhooks are looked at, and whether another dispatcher has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A task that failed because of this machine (its disk) is begun again after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);
/// A task whose settings can't be used (a file of secrets is missing) is begun again after this.
const PREPARE_AGAIN: Duration = Duration::from_secs(60);

/// The shared parts that every task gets.
pub(super) struct Delivering {
    memory: Arc<Memory>,
    log: AuditLog,
    reader: AuditReader,
    source: Arc<str>,
    recorder: Recorder,
}

/// The webhooks that are to be served, as they were read last.
#[derive(Default)]
struct Known {
    /// The version of their file. `None` reads it again, which also removes the files of webhooks
    /// that are gone.
    version: Option<Version>,
    wanted: Vec<Stored>,
}

impl Delivering {
    pub(super) fn new(log: AuditLog, memory: Arc<Memory>) -> Result<Self> {
        let own = log.clone();
        let recorder: Recorder = Arc::new(move |record: OwnEntry| {
            // The entry need not be durable at once, and waits for nothing: the queue has the same
            // facts.
            let _ = own.store().and_then(|store| store.note(&record));
        });
        Ok(Self {
            memory,
            reader: AuditReader::open(log.dir())?,
            source: log.stream().source().into(),
            log,
            recorder,
        })
    }

    /// Delivers until it is told to stop, as soon as no other process does.
    pub(super) async fn run(self, mut stop: Stop) {
        let Some(lock) = self.take_lock(&mut stop).await else {
            return;
        };
        let pulse = self.start_pulse();
        let mut presence = Presence::begin(&self.source);
        let mut written = Vec::new();
        let mut known = Known::default();
        let mut tasks = Tasks::default();
        let mut tidying = Tidying::default();
        loop {
            let tidied = tidying.go_on(&self.log, &self.reader);
            match self.look(&mut known).await {
                Ok(mut open) => {
                    let ended = self
                        .arrange(&mut tasks, &known.wanted, &mut presence, &pulse)
                        .await;
                    if ended || tidied {
                        known.version = None;
                    }
                    for running in tasks.running() {
                        running.ask(open.remove(&running.revision.key).unwrap_or_default());
                    }
                }
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "the webhooks can't be read: {error}");
                }
            }
            self.show(&presence, &mut written).await;
            if rest(&mut stop).await {
                break;
            }
        }
        let until = *stop.borrow();
        tasks.stop(until).await;
        drop(lock);
    }

    /// Waits until no other process delivers; `None` if it is to stop before that.
    async fn take_lock(&self, stop: &mut Stop) -> Option<Lock> {
        loop {
            match Lock::try_take(&self.log.layout().lock(presence::LOCK)) {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "webhooks can't be delivered: {error}");
                }
            }
            if rest(stop).await {
                return None;
            }
        }
    }

    fn start_pulse(&self) -> Pulse {
        pulse::start(self.reader.files()).unwrap_or_else(|error| {
            // Then the log is read once a second.
            tracing::warn!(target: "tracing_audit", "webhooks are delivered with delay: {error}");
            pulse::none()
        })
    }

    /// Reads the requests of administrators, and the webhooks if they changed.
    async fn look(&self, known: &mut Known) -> Result<Open> {
        let layout = self.log.layout().clone();
        let last = known.version;
        let looked = blocking("reading the webhooks", move || {
            let open = request::open(&layout)?;
            // Before the webhooks: a change meanwhile is found at the next look.
            let version = stored::version(&layout)?;
            let is_known = version.is_some() && version == last;
            let all = match is_known {
                true => None,
                false => Some(stored::all(&layout)?),
            };
            Ok((open, version, all))
        });
        let (open, version, all) = looked.await?;
        if let Some(all) = all {
            known.version = version;
            known.wanted = all.into_iter().filter(|one| !one.paused).collect();
        }
        Ok(open)
    }

    /// Stops tasks whose webhooks were changed or removed, and begins those that are missing.
    /// True if a task has ended.
    async fn arrange(
        &self,
        tasks: &mut Tasks,
        wanted: &[Stored],
        presence: &mut Presence,
        pulse: &Pulse,
    ) -> bool {
        let mut has_ended = false;
        for (name, running) in tasks.take_ended() {
            has_ended = true;
            let revision = running.revision.clone();
            if let Err(failure) = running.ended().await {
                self.note_failure(presence, &name, revision, &failure);
            }
        }
        presence.keep(wanted);
        for running in tasks.running().filter(|running| running.is_prepared()) {
            presence.forget(&running.revision.key);
        }
        tasks.stop_unwanted(wanted);
        for webhook in wanted {
            if !presence.waits(&webhook.key()) {
                tasks.begin(webhook, self.prepare(webhook.clone(), pulse.clone()));
            }
        }
        has_ended
    }

    /// The first work of a webhook's task: it reads certificates, secrets and its queue.
    fn prepare(
        &self,
        webhook: Stored,
        pulse: Pulse,
    ) -> impl FnOnce() -> Result<DeliveryTask> + Send + use<> {
        let reader = self.reader.clone();
        let source = Arc::clone(&self.source);
        let recorder = Arc::clone(&self.recorder);
        let memory = Arc::clone(&self.memory);
        move || {
            let served = Served::new(webhook, reader, source, &memory)?;
            DeliveryTask::new(Arc::new(SystemClock::new()), served, pulse, recorder)
        }
    }

    /// Notes that a webhook can't be served now, and records it if only its settings mend that.
    fn note_failure(
        &self,
        presence: &mut Presence,
        name: &str,
        revision: Revision,
        failure: &Failure,
    ) {
        let reason = failure.reason();
        match failure {
            Failure::Unprepared(_) => {
                if presence.note(revision, reason.clone(), PREPARE_AGAIN) {
                    self.record_unusable(name, reason);
                }
            }
            Failure::Failed(_) | Failure::Panicked(_) => {
                presence.note(revision, reason, BEGIN_AGAIN);
            }
        }
    }

    fn record_unusable(&self, name: &str, reason: String) {
        let record = OwnEntry::new(
            "audit.delivery.failing",
            Severity::Error,
            "A webhook's settings don't work, so nothing is delivered to it",
        );
        (self.recorder)(record.detail("webhook", name).detail("answer", reason));
    }

    /// Shows other processes that this one delivers, and which webhooks it can't serve, if that is
    /// not what was written last.
    async fn show(&self, presence: &Presence, written: &mut Vec<u8>) {
        let text = presence.text();
        if text == *written {
            return;
        }
        let layout = self.log.layout().clone();
        let now = text.clone();
        match blocking("writing which process delivers", move || {
            Presence::write(&layout, &now)
        })
        .await
        {
            Ok(()) => *written = text,
            Err(error) => {
                tracing::warn!(
                    target: "tracing_audit",
                    "the state of the dispatcher can't be written: {error}"
                );
            }
        }
    }
}

/// Waits for the next look; true if it is to stop.
async fn rest(stop: &mut Stop) -> bool {
    let _ = time::timeout(LOOK_EVERY, stop.wait_for(Option::is_some)).await;
    stop.borrow().is_some()
}
