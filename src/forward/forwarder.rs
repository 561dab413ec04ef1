//! Who forwards: one process of those that share a directory, on a thread of its own.

use std::{
    collections::HashMap,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{runtime, sync::watch, task::JoinHandle as Task, time};

use super::{
    deliver::{Delivery, Recorder},
    outbox::{Outbox, Status},
    subscription::Subscription,
};
use crate::{
    error::{Error, Result},
    log::AuditLog,
    query::{AuditReader, Filter, TailStart},
    record::{OwnRecord, Severity},
    store::{
        document::{Document, Version},
        layout::Layout,
        lock::Lock,
    },
};

/// How often the subscriptions are looked at, and whether another process that forwarded has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A delivery that failed for a reason of this machine's (the disk) is begun anew after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

fn document(layout: &Layout) -> Document {
    Document::new(layout, "webhooks", "webhooks")
}

/// Begins a subscription with what is recorded from now on.
pub(crate) fn subscribe(layout: &Layout, subscription: Subscription) -> Result<()> {
    let name = subscription.prepare()?.name;
    document(layout).change(|all: &mut Subscriptions| {
        if all.subscriptions.iter().any(|other| other.name == name) {
            return Err(Error::invalid(
                "name",
                format!("there is a subscription {name:?} already; remove it first or choose another name"),
            ));
        }
        // Where it begins is known before anyone forwards for it.
        let places = AuditReader::open(layout.root())?.tail(Filter::new(), TailStart::Now)?.places();
        Outbox { places, ..Outbox::default() }.save(layout, &name)?;
        all.subscriptions.push(subscription);
        Ok(())
    })
}

/// Ends a subscription; what waits for it is not sent. False if there is none of this name.
pub(crate) fn unsubscribe(layout: &Layout, name: &str) -> Result<bool> {
    document(layout).change(|all: &mut Subscriptions| {
        let before = all.subscriptions.len();
        all.subscriptions.retain(|subscription| subscription.name != name);
        Ok(all.subscriptions.len() < before)
    })
}

/// Holds deliveries back, or lets them go on. False if there is no such subscription.
pub(crate) fn pause(layout: &Layout, name: &str, paused: bool) -> Result<bool> {
    document(layout).change(|all: &mut Subscriptions| {
        let found = all.subscriptions.iter_mut().find(|subscription| subscription.name == name);
        Ok(found.map(|subscription| subscription.paused = paused).is_some())
    })
}

/// All subscriptions, with how they are doing and how many parcels wait.
pub(crate) fn subscriptions(layout: &Layout) -> Result<Vec<(Subscription, Status, usize)>> {
    let all = document(layout).read::<Subscriptions>()?.subscriptions;
    let with_status = |subscription: Subscription| {
        let outbox = Outbox::read(layout, &subscription.name)?.unwrap_or_default();
        Ok((subscription, outbox.status, outbox.parcels.len()))
    };
    all.into_iter().map(with_status).collect()
}

/// The dead letters of an endpoint, a line each; none if there is no such endpoint.
#[cfg(feature = "cli")]
pub(crate) fn dead_letters(layout: &Layout, name: &str) -> Result<Vec<u8>> {
    let known = document(layout).read::<Subscriptions>()?.subscriptions;
    if !known.iter().any(|subscription| subscription.name == name) {
        return Err(Error::invalid("name", format!("there is no webhook {name:?}")));
    }
    let path = super::dead_letter::file(layout, name);
    match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(Error::io("read", &path)),
    }
}

/// Forwards events to subscriptions for as long as it lives. Made by [`AuditLog::forward`].
#[derive(Debug)]
pub struct Forwarder {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    pub(crate) fn start(log: &AuditLog) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let layout = log.store().layout.clone();
        let reader = AuditReader::open(layout.root())?;
        let log = log.clone();
        let source: Arc<str> = log.stream().source().into();
        let recorder: Recorder = Arc::new(move |record: OwnRecord| {
            // It need not be durable at once, and waits for nothing: what it tells of is also in the outbox.
            let _ = log.store().note(&record);
        });
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
        let runtime = runtime.map_err(Error::io("start forwarding from", layout.root()))?;
        let forwarding = Forwarding { layout: layout.clone(), reader, source, recorder };
        let thread = thread::Builder::new()
            .name("audit-forward".into())
            .spawn(move || runtime.block_on(forwarding.run(stopped)))
            .map_err(Error::io("start a thread for", layout.root()))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    /// Lets attempts under way end, 15 seconds at most, and keeps what became of them.
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Forwarding {
    layout: Layout,
    reader: AuditReader,
    source: Arc<str>,
    recorder: Recorder,
}

/// The delivery of one subscription.
struct Running {
    settings: String,
    stop: watch::Sender<bool>,
    task: Task<Result<()>>,
}

impl Forwarding {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let lock = loop {
            match Lock::try_take(&self.layout.lock("forward")) {
                Ok(Some(lock)) => break lock,
                Ok(None) => {}
                Err(error) => tracing::warn!(target: "tracing_audit", "webhooks can't be forwarded: {error}"),
            }
            if self.rest(&mut stop).await {
                return;
            }
        };
        let (mut running, mut known): (HashMap<String, Running>, Option<Option<Version>>) = (HashMap::new(), None);
        loop {
            match document(&self.layout).version() {
                Ok(version) if known != Some(version) || running.values().any(|running| running.task.is_finished()) => {
                    match self.arrange(&mut running).await {
                        Ok(()) => known = Some(version),
                        Err(error) => tracing::warn!(target: "tracing_audit", "the subscriptions can't be read: {error}"),
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(target: "tracing_audit", "the subscriptions can't be read: {error}"),
            }
            if self.rest(&mut stop).await {
                break;
            }
        }
        for running in running.values() {
            let _ = running.stop.send(true);
        }
        for running in running.into_values() {
            self.ended(running).await;
        }
        drop(lock);
    }

    /// Waits for the next look; true if it is to stop.
    async fn rest(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let _ = time::timeout(LOOK_EVERY, stop.wait_for(|stop| *stop)).await;
        *stop.borrow()
    }

    /// Ends deliveries whose subscriptions changed or went, and begins those that are missing.
    async fn arrange(&self, running: &mut HashMap<String, Running>) -> Result<()> {
        let wanted = document(&self.layout).read::<Subscriptions>()?.subscriptions;
        let wanted: HashMap<String, Subscription> =
            wanted.into_iter().filter(|one| !one.paused).map(|one| (one.name.clone(), one)).collect();
        let settings = |subscription: &Subscription| serde_json::to_string(subscription).unwrap_or_default();
        let ending: Vec<String> = running
            .iter()
            .filter(|(name, running)| running.task.is_finished() || wanted.get(*name).is_none_or(|now| settings(now) != running.settings))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ending {
            if let Some(ending) = running.remove(&name) {
                let _ = ending.stop.send(true);
                if self.ended(ending).await {
                    time::sleep(BEGIN_AGAIN).await;
                }
            }
        }
        for (name, subscription) in wanted {
            if running.contains_key(&name) {
                continue;
            }
            let begin = || {
                let endpoint = subscription.prepare()?;
                Delivery::new(endpoint, self.layout.clone(), self.reader.clone(), Arc::clone(&self.source), Arc::clone(&self.recorder))
            };
            match begin() {
                Ok(delivery) => {
                    let (stop, stopped) = watch::channel(false);
                    let task = tokio::spawn(delivery.run(stopped));
                    running.insert(name, Running { settings: settings(&subscription), stop, task });
                }
                Err(error) => {
                    let record = OwnRecord::new("audit.delivery.failing", Severity::Error, "A subscription can't be served");
                    (self.recorder)(record.detail("endpoint", name).detail("answer", error.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Waits for the end of a delivery; true if it failed.
    async fn ended(&self, running: Running) -> bool {
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
}

impl AuditLog {
    /// Forwards events to the log's subscriptions until the handle is dropped, on a thread of its own. Among the processes that share a
    /// directory one does it; when that dies, another that called this goes on, within a second.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn forward(&self) -> Result<Forwarder> {
        Forwarder::start(self)
    }

    /// Adds a subscription; it is recorded (`audit.subscription.added`). It gets what is recorded from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting that can't be used.
    pub fn subscribe(&self, subscription: Subscription) -> Result<()> {
        let record = OwnRecord::new("audit.subscription.added", Severity::Warning, "Events are forwarded to another endpoint")
            .detail("endpoint", subscription.name.as_str())
            .detail("url", subscription.url.as_str())
            .detail("event_types", subscription.event_types.clone());
        subscribe(&self.store().layout, subscription)?;
        self.store().record(&record)
    }

    /// Removes a subscription; what waits for it is not sent. It is recorded (`audit.subscription.removed`). False if there is none of
    /// this name.
    ///
    /// # Errors
    ///
    /// If the subscriptions can't be written.
    pub fn unsubscribe(&self, name: &str) -> Result<bool> {
        let removed = unsubscribe(&self.store().layout, name)?;
        if removed {
            let record = OwnRecord::new("audit.subscription.removed", Severity::Warning, "Events are forwarded to an endpoint no more");
            self.store().record(&record.detail("endpoint", name))?;
        }
        Ok(removed)
    }

    /// Holds a subscription's deliveries back (`true`) or lets them go on (`false`). What is recorded meanwhile waits in the log, as long
    /// as its retention. False if there is none of this name.
    ///
    /// # Errors
    ///
    /// If the subscriptions can't be written.
    pub fn pause_subscription(&self, name: &str, paused: bool) -> Result<bool> {
        let found = pause(&self.store().layout, name, paused)?;
        if found {
            let event_type = if paused { "audit.subscription.paused" } else { "audit.subscription.resumed" };
            let record = OwnRecord::new(event_type, Severity::Info, if paused { "Deliveries are held back" } else { "Deliveries go on" });
            self.store().record(&record.detail("endpoint", name))?;
        }
        Ok(found)
    }

    /// All subscriptions, with how they are doing and how many requests wait to be sent (again).
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn subscriptions(&self) -> Result<Vec<(Subscription, Status, usize)>> {
        subscriptions(&self.store().layout)
    }
}
