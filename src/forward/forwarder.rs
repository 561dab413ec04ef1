//! Who forwards: one process of those that share a directory, on a thread of its own.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::watch,
    task::{JoinHandle as Task, spawn_blocking},
    time,
};

use super::{
    blocking::{blocking, panicked},
    dead_letter::prune::Pruning,
    deliver::Delivery,
    manage,
    pulse::{self, Pulse},
    subscription::Subscription,
    tell::Recorder,
};
use crate::{
    error::{Error, Result},
    journal::Process,
    log::AuditLog,
    query::AuditReader,
    record::{OwnRecord, Severity},
    store::{layout::Layout, lock::Lock},
};

/// How often the subscriptions are looked at, and whether another process that forwarded has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A delivery that failed for a reason of this machine's (the disk) is begun anew after this; one
/// whose settings can't be used (a secret's file is not there), after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);
const UNUSABLE: Duration = Duration::from_secs(60);

/// Forwards events to subscriptions for as long as it lives. Made by [`AuditLog::forward`].
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// use tracing_audit::webhook::Subscription;
///
/// log.subscribe(Subscription::new("siem", "https://siem.example.com/hooks/audit", ["auth.*"]))?;
/// let forwarder = log.forward()?; // hold it as long as the application runs
///
/// for report in log.subscriptions()? {
///     println!("{}: {} requests wait", report.subscription.name(), report.waiting_requests);
/// }
/// drop(forwarder); // before the log is closed
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    process: Process,
    /// Until it is dropped.
    thread: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Forwarder {
    pub(crate) fn start(log: &AuditLog) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let layout = log.layout().clone();
        let reader = AuditReader::open(layout.root())?;
        let log = log.clone();
        let source: Arc<str> = log.stream().source().into();
        let own = log.clone();
        let recorder: Recorder = Arc::new(move |record: OwnRecord| {
            // It need not be durable at once, and waits for nothing: what it tells of is also in
            // the outbox.
            let _ = own.store().and_then(|store| store.note(&record));
        });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(64)
            .build();
        let runtime = runtime.map_err(Error::io("start forwarding from", layout.root()))?;
        let forwarding = Forwarding {
            log,
            layout: layout.clone(),
            reader,
            source,
            recorder,
        };
        let thread = thread::Builder::new()
            .name("audit-forward".into())
            .spawn(move || {
                runtime.block_on(forwarding.run(stopped));
                // A lookup of a name or a read of a long log may be under way, which nobody waits
                // for any more.
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(Error::io("start a thread for", layout.root()))?;
        Ok(Self {
            process: Process::current(),
            thread: Some((stop, thread)),
        })
    }
}

impl Drop for Forwarder {
    /// Lets attempts under way end, 15 seconds at most, and keeps what became of them.
    fn drop(&mut self) {
        let Some((stop, thread)) = self.thread.take() else {
            return;
        };
        if !self.process.is_current() {
            // In a child by `fork` there is no such thread, and its locks may be held for ever.
            mem::forget((stop, thread));
            return;
        }
        let _ = stop.send(true);
        let _ = thread.join();
    }
}

struct Forwarding {
    log: AuditLog,
    layout: Layout,
    reader: AuditReader,
    source: Arc<str>,
    recorder: Recorder,
}

/// The subscriptions that can't be served now, by name.
#[derive(Default)]
struct Unusable {
    /// What did not work out is not begun again at once.
    until: HashMap<String, Instant>,
    /// Why, as it was recorded last.
    said: HashMap<String, String>,
}

/// The delivery of one subscription, under its name.
type Deliveries = HashMap<String, Running>;

struct Running {
    /// Which subscription of the name, and which state of its settings.
    id: String,
    revision: u64,
    stop: watch::Sender<bool>,
    task: Task<Result<()>>,
}

impl Forwarding {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let lock = loop {
            match Lock::try_take(&self.layout.lock("forward")) {
                Ok(Some(lock)) => break lock,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "webhooks can't be forwarded: {error}")
                }
            }
            if self.rest(&mut stop).await {
                return;
            }
        };
        let pulse = match pulse::start(self.reader.files()) {
            Ok(pulse) => pulse,
            Err(error) => {
                // Then the log is read once a second.
                tracing::warn!(target: "tracing_audit", "webhooks are forwarded with delay: {error}");
                watch::channel(0).1
            }
        };
        let mut deliveries = Deliveries::new();
        let (mut unusable, mut pruning) = (Unusable::default(), Pruning::default());
        loop {
            pruning.go_on(&self.log);
            unusable.until.retain(|_, time| *time > Instant::now());
            match self.wanted().await {
                Ok(wanted) => {
                    self.arrange(&mut deliveries, wanted, &mut unusable, &pulse)
                        .await
                }
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "the subscriptions can't be read: {error}")
                }
            }
            if self.rest(&mut stop).await {
                break;
            }
        }
        for running in deliveries.values() {
            let _ = running.stop.send(true);
        }
        for running in deliveries.into_values() {
            ended(running).await;
        }
        drop(lock);
    }

    /// Waits for the next look; true if it is to stop.
    async fn rest(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let _ = time::timeout(LOOK_EVERY, stop.wait_for(|stop| *stop)).await;
        *stop.borrow()
    }

    /// The subscriptions that are to be served.
    async fn wanted(&self) -> Result<Vec<Subscription>> {
        let layout = self.layout.clone();
        blocking("reading the subscriptions", move || {
            let all = manage::all(&layout)?;
            Ok(all.into_iter().filter(|one| !one.paused).collect())
        })
        .await
    }

    /// Ends deliveries whose subscriptions changed or went, and begins those that are missing.
    async fn arrange(
        &self,
        deliveries: &mut Deliveries,
        wanted: Vec<Subscription>,
        unusable: &mut Unusable,
        pulse: &Pulse,
    ) {
        let is_wanted = |name: &str, running: &Running| {
            wanted.iter().any(|now| {
                now.name == name && now.id == running.id && now.revision == running.revision
            })
        };
        let (over, unwanted): (Vec<_>, Vec<_>) = deliveries
            .iter()
            .map(|(name, running)| {
                (
                    name.clone(),
                    running.task.is_finished(),
                    is_wanted(name, running),
                )
            })
            .filter(|(_, finished, wanted)| *finished || !wanted)
            .partition(|(_, finished, _)| *finished);
        // They stop side by side; whoever is slow to end must not be met by its successor.
        for (name, ..) in &unwanted {
            let _ = deliveries.get(name).map(|running| running.stop.send(true));
        }
        for (name, ..) in over {
            if let Some(running) = deliveries.remove(&name)
                && ended(running).await
            {
                unusable.until.insert(name, Instant::now() + BEGIN_AGAIN);
            }
        }
        // Each reads certificates and what is kept of it, so side by side.
        let mut beginning = Vec::new();
        for subscription in wanted {
            let name = subscription.name.clone();
            if deliveries.contains_key(&name) || unusable.until.contains_key(&name) {
                continue;
            }
            let (id, revision) = (subscription.id.clone(), subscription.revision);
            let (layout, reader, pulse) = (self.layout.clone(), self.reader.clone(), pulse.clone());
            let (source, recorder) = (Arc::clone(&self.source), Arc::clone(&self.recorder));
            let begin = spawn_blocking(move || {
                Delivery::new(
                    subscription.prepare()?,
                    layout,
                    reader,
                    pulse,
                    source,
                    recorder,
                )
            });
            beginning.push((name, id, revision, begin));
        }
        for (name, id, revision, begin) in beginning {
            match begin
                .await
                .unwrap_or_else(|e| Err(panicked("beginning a delivery", &e)))
            {
                Ok(delivery) => {
                    let (stop, stopped) = watch::channel(false);
                    unusable.said.remove(&name);
                    let task = tokio::spawn(delivery.run(stopped));
                    deliveries.insert(
                        name,
                        Running {
                            id,
                            revision,
                            stop,
                            task,
                        },
                    );
                }
                Err(error) => {
                    let error = error.to_string();
                    if unusable.said.get(&name) != Some(&error) {
                        let record = OwnRecord::new(
                            "audit.delivery.failing",
                            Severity::Error,
                            "A subscription can't be served",
                        );
                        (self.recorder)(
                            record
                                .detail("endpoint", name.as_str())
                                .detail("answer", error.as_str()),
                        );
                        unusable.said.insert(name.clone(), error);
                    }
                    unusable.until.insert(name, Instant::now() + UNUSABLE);
                }
            }
        }
    }
}

/// Waits for the end of a delivery; true if it is to be begun again, and not at once.
async fn ended(running: Running) -> bool {
    match running.task.await {
        Ok(Ok(())) => false,
        Ok(Err(error)) => {
            tracing::warn!(target: "tracing_audit", "a webhook's delivery ended and begins again: {error}");
            true
        }
        Err(error) => {
            tracing::error!(target: "tracing_audit", "a webhook's delivery panicked and begins again: {error}");
            true
        }
    }
}

impl AuditLog {
    /// Forwards events to the log's subscriptions until the handle is dropped, on a thread of its
    /// own. Among the processes that share a directory one does it; when that dies, another that
    /// called this goes on, within a second.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn forward(&self) -> Result<Forwarder> {
        Forwarder::start(self)
    }
}
