//! The dispatcher: one process of those that share a directory, on a thread of its own.

pub(in crate::webhook) mod acks;
pub(in crate::webhook) mod attempt;
pub(in crate::webhook) mod blocking;
pub(in crate::webhook) mod count;
mod live_watch;
pub(in crate::webhook) mod presence;
pub(in crate::webhook) mod pulse;
pub(in crate::webhook) mod read;
mod read_times;
pub(in crate::webhook) mod reporter;
pub(in crate::webhook) mod send;
pub(in crate::webhook) mod task;

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
    task::{JoinHandle as Task, JoinSet, spawn_blocking},
    time,
};

use crate::{
    entry::{OwnEntry, Severity},
    error::{Error, Result},
    journal::Process,
    log::AuditLog,
    query::AuditReader,
    store::{document::Version, layout::Layout, lock::Lock},
    webhook::{
        queue::{
            dead_letter,
            memory::Memory,
            request::{self, Open, Request},
        },
        run::{
            blocking::blocking, presence::Presence, pulse::Pulse, reporter::Recorder,
            task::DeliveryTask,
        },
        settings::stored::{self, MOST_WEBHOOKS, Stored},
    },
};

/// How often the webhooks are looked at, and whether another dispatcher has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the dead letters are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// A delivery that failed for a reason of this machine's (the disk) is begun anew after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);
/// A delivery whose settings can't be used (a secret's file is not there) is begun anew after this.
const UNUSABLE: Duration = Duration::from_secs(60);
/// Threads that a webhook needs for disks at most: one reads the log, one saves the queue, one the
/// last attempts, one writes dead letters.
const THREADS_EACH: usize = 4;
/// Threads for what is done for all of them, and for attempts that read what they send.
const THREADS_FOR_ALL: usize = 32;
/// Stopping takes so long at most. What ends processes rarely waits more than ten seconds.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Until when what is under way may end: `None` while it isn't to stop.
pub(in crate::webhook) type Stop = watch::Receiver<Option<time::Instant>>;
type Stopper = watch::Sender<Option<time::Instant>>;

/// When attempts end that stop within this time: what became of the others is saved in the rest.
fn attempts_end(within: Duration) -> time::Instant {
    time::Instant::now() + within / 5 * 4
}

/// Delivers events to webhooks for as long as it lives. Made by
/// [`Webhooks::run`](crate::webhook::Webhooks::run).
///
/// Dropping it lets attempts under way end, and keeps what became of them. One that takes longer
/// than [`stop_within`](Self::stop_within) allows is cut off: it counts as not made, and the next
/// dispatcher makes it again under the same id.
#[derive(Debug)]
pub struct Dispatcher {
    process: Process,
    stop_within: Duration,
    memory: Arc<Memory>,
    /// Until it is dropped.
    thread: Option<(Stopper, JoinHandle<()>)>,
}

impl Dispatcher {
    pub(in crate::webhook) fn start(log: &AuditLog) -> Result<Self> {
        let (stop, stopped) = watch::channel(None);
        let layout = log.layout().clone();
        let reader = AuditReader::open(layout.root())?;
        let log = log.clone();
        let source: Arc<str> = log.stream().source().into();
        let own = log.clone();
        let recorder: Recorder = Arc::new(move |record: OwnEntry| {
            // The entry need not be durable at once, and waits for nothing: the queue has the same
            // facts.
            let _ = own.store().and_then(|store| store.note(&record));
        });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            // One for all work on disk that can be under way at once: no webhook waits for
            // another's.
            .max_blocking_threads(MOST_WEBHOOKS * THREADS_EACH + THREADS_FOR_ALL)
            .build();
        let runtime = runtime.map_err(Error::io("start delivering from", layout.root()))?;
        let memory = Arc::<Memory>::default();
        let delivering = Delivering {
            memory: Arc::clone(&memory),
            log,
            layout: layout.clone(),
            reader,
            source,
            recorder,
        };
        let thread = thread::Builder::new()
            .name("audit-webhooks".into())
            .spawn(move || {
                runtime.block_on(delivering.run(stopped));
                // A read of a long log may be under way, but nobody waits for it now.
                runtime.shutdown_timeout(Duration::from_millis(200));
            })
            .map_err(Error::io("start a thread for", layout.root()))?;
        Ok(Self {
            process: Process::current(),
            stop_within: STOP_WITHIN,
            memory,
            thread: Some((stop, thread)),
        })
    }

    /// How long dropping it takes at most. Default: 5 seconds.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use std::time::Duration;
    ///
    /// let dispatcher = log.webhooks().run()?.stop_within(Duration::from_secs(2));
    /// drop(dispatcher);
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn stop_within(mut self, limit: Duration) -> Self {
        self.stop_within = limit;
        self
    }

    /// The most memory, in bytes, that the requests of all webhooks take together, with the entries
    /// that are read for them. Default: 64 MiB.
    ///
    /// Half of it belongs to the webhooks in equal shares, so a receiver that accepts nothing
    /// leaves the others theirs. A body that its share has no room for is made again when its turn
    /// comes, and its attempt waits for others of the same webhook. A small limit makes deliveries
    /// slower, and loses nothing. A single entry whose body is longer than the limit is sent all
    /// the same.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// let dispatcher = log.webhooks().run()?.memory_bytes(16 << 20);
    /// # drop(dispatcher);
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn memory_bytes(self, limit: usize) -> Self {
        self.memory.limit(limit);
        self
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let Some((stop, thread)) = self.thread.take() else {
            return;
        };
        if !self.process.is_current() {
            // In a child by `fork` there is no such thread, and its locks may be held for ever.
            mem::forget((stop, thread));
            return;
        }
        let _ = stop.send(Some(attempts_end(self.stop_within)));
        let _ = thread.join();
    }
}

struct Delivering {
    memory: Arc<Memory>,
    log: AuditLog,
    layout: Layout,
    reader: AuditReader,
    source: Arc<str>,
    recorder: Recorder,
}

/// Looks at the dead letters from time to time, on a thread for that.
#[derive(Default)]
struct Tidying {
    begun: Option<Instant>,
    under_way: Option<Task<()>>,
}

impl Tidying {
    /// Begins a look, if it is time; true if it did.
    fn go_on(&mut self, log: &AuditLog, reader: &AuditReader) -> bool {
        let is_done = self.under_way.as_ref().is_none_or(Task::is_finished);
        if !is_done || self.begun.is_some_and(|last| last.elapsed() < TIDY_EVERY) {
            return false;
        }
        let (log, reader) = (log.clone(), reader.clone());
        self.begun = Some(Instant::now());
        self.under_way = Some(spawn_blocking(move || {
            let record = |entry: &OwnEntry| log.store()?.record(entry);
            if let Err(error) = dead_letter::tidy_all(log.layout(), &reader, &record) {
                tracing::warn!(
                    target: "tracing_audit",
                    "dead letters of webhooks could not be tidied; it is tried again: {error}"
                );
            }
        }));
        true
    }
}

/// The webhooks that can't be served now, by their keys.
#[derive(Default)]
struct Unusable(HashMap<String, Unserved>);

/// A webhook that can't be served.
struct Unserved {
    /// Which state of its settings: another one is tried at once.
    revision: u64,
    /// What did not work out is not begun again before this.
    again: Instant,
    reason: String,
}

impl Unusable {
    /// Forgets webhooks that are gone, were changed or are paused.
    fn keep(&mut self, wanted: &[Stored]) {
        self.0.retain(|key, found| {
            let mut wanted = wanted.iter();
            wanted.any(|one| one.key() == *key && one.revision == found.revision)
        });
    }

    fn waits(&self, key: &str) -> bool {
        let found = self.0.get(key);
        found.is_some_and(|found| found.again > Instant::now())
    }

    /// Notes a reason; true if it is another one than before.
    fn note(&mut self, key: String, revision: u64, reason: String, pause: Duration) -> bool {
        let again = Instant::now() + pause;
        let is_new = self.0.get(&key).is_none_or(|one| one.reason != reason);
        let unserved = Unserved {
            revision,
            again,
            reason,
        };
        self.0.insert(key, unserved);
        is_new
    }

    fn reasons(&self) -> impl Iterator<Item = (String, u64, String)> {
        let all = self.0.iter();
        all.map(|(key, one)| (key.clone(), one.revision, one.reason.clone()))
    }
}

/// The webhooks that are to be served, as they were read last.
#[derive(Default)]
struct Known {
    /// Of the file; `None` to read it again, which clears away the files of webhooks that are gone.
    version: Option<Version>,
    wanted: Vec<Stored>,
}

/// The deliveries of webhooks, under their names.
#[derive(Default)]
struct Deliveries {
    running: HashMap<String, Running>,
    /// Those that are being prepared, which may take long: files of secrets can be anywhere.
    beginning: JoinSet<Begun>,
    /// Which webhook and state of its settings is being prepared last.
    begun: HashMap<String, (String, u64)>,
}

/// A delivery that has been prepared.
struct Begun {
    name: String,
    key: String,
    revision: u64,
    task: Result<DeliveryTask>,
}

struct Running {
    /// Which webhook of the name, and which state of its settings.
    key: String,
    revision: u64,
    stop: Stopper,
    requests: watch::Sender<Vec<Request>>,
    task: Task<Result<()>>,
}

impl Running {
    /// Hands on what administrators ask for, if there is anything new.
    fn ask(&self, open: Vec<Request>) {
        let last = |requests: &[Request]| requests.last().map_or(0, |last| last.number);
        self.requests.send_if_modified(|asked| {
            let is_new = last(&open) > last(asked);
            if is_new {
                *asked = open;
            }
            is_new
        });
    }
}

impl Delivering {
    async fn run(self, mut stop: Stop) {
        let lock = loop {
            match Lock::try_take(&self.layout.lock(presence::LOCK)) {
                Ok(Some(lock)) => break lock,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "webhooks can't be delivered: {error}")
                }
            }
            if rest(&mut stop).await {
                return;
            }
        };
        let pulse = match pulse::start(self.reader.files()) {
            Ok(pulse) => pulse,
            Err(error) => {
                // Then the log is read once a second.
                tracing::warn!(target: "tracing_audit", "webhooks are delivered with delay: {error}");
                pulse::none()
            }
        };
        let begun = Presence::begin(&self.source);
        let mut presence = Presence::default();
        let mut known = Known::default();
        let mut deliveries = Deliveries::default();
        let mut unusable = Unusable::default();
        let mut tidying = Tidying::default();
        loop {
            let tidied = tidying.go_on(&self.log, &self.reader);
            match self.look(&mut known).await {
                Ok(mut open) => {
                    unusable.keep(&known.wanted);
                    let ended = self
                        .arrange(&mut deliveries, &known.wanted, &mut unusable, &pulse)
                        .await;
                    if ended || tidied {
                        known.version = None;
                    }
                    for running in deliveries.running.values() {
                        running.ask(open.remove(&running.key).unwrap_or_default());
                    }
                }
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "the webhooks can't be read: {error}")
                }
            }
            self.say(&begun, &mut presence, &unusable).await;
            if self
                .run_begun(&mut stop, &mut deliveries, &mut unusable)
                .await
            {
                break;
            }
        }
        let until = *stop.borrow();
        for running in deliveries.running.values() {
            let _ = running.stop.send(until);
        }
        for running in deliveries.running.into_values() {
            // It was told, and this process begins nothing again.
            let _ = ended(running).await;
        }
        drop(lock);
    }

    /// Runs the deliveries that have been prepared, until the next look; true if it is to stop.
    async fn run_begun(
        &self,
        stop: &mut Stop,
        deliveries: &mut Deliveries,
        unusable: &mut Unusable,
    ) -> bool {
        let look = rest(stop);
        tokio::pin!(look);
        loop {
            tokio::select! {
                stops = &mut look => return stops,
                Some(begun) = deliveries.beginning.join_next() => match begun {
                    Ok(begun) => self.run_one(begun, deliveries, unusable),
                    Err(error) => {
                        tracing::error!(
                            target: "tracing_audit",
                            "preparing a webhook panicked: {error}"
                        );
                    }
                },
            }
        }
    }

    fn run_one(&self, begun: Begun, deliveries: &mut Deliveries, unusable: &mut Unusable) {
        let Begun {
            name,
            key,
            revision,
            task,
        } = begun;
        let is_last = |last: &(String, u64)| *last == (key.clone(), revision);
        if !deliveries.begun.get(&name).is_some_and(is_last) {
            // The webhook was changed or removed meanwhile.
            return;
        }
        deliveries.begun.remove(&name);
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                self.note_unusable(unusable, name, key, revision, error.to_string());
                return;
            }
        };
        unusable.0.remove(&key);
        let (stop, stopped) = watch::channel(None);
        let (requests, asked) = watch::channel(Vec::new());
        let task = tokio::spawn(task.run(stopped, asked));
        let running = Running {
            key,
            revision,
            stop,
            requests,
            task,
        };
        deliveries.running.insert(name, running);
    }

    fn note_unusable(
        &self,
        unusable: &mut Unusable,
        name: String,
        key: String,
        revision: u64,
        reason: String,
    ) {
        if unusable.note(key, revision, reason.clone(), UNUSABLE) {
            let record = OwnEntry::new(
                "audit.delivery.failing",
                Severity::Error,
                "A webhook's settings don't work, so nothing is delivered to it",
            );
            (self.recorder)(record.detail("webhook", name).detail("answer", reason));
        }
    }

    /// Says who delivers, and what can't be served, if that is not what was said last.
    async fn say(&self, begun: &Presence, said: &mut Presence, unusable: &Unusable) {
        let now = begun.without(unusable.reasons());
        if now == *said {
            return;
        }
        let (layout, presence) = (self.layout.clone(), now.clone());
        match blocking("saying who delivers", move || presence.write(&layout)).await {
            Ok(()) => *said = now,
            Err(error) => {
                tracing::warn!(target: "tracing_audit", "who delivers webhooks can't be written: {error}");
            }
        }
    }

    /// Reads what is asked for about webhooks; and the webhooks, if they changed.
    async fn look(&self, known: &mut Known) -> Result<Open> {
        let (layout, last) = (self.layout.clone(), known.version);
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

    /// Ends deliveries whose webhooks changed or went, and begins those that are missing. True if one
    /// has ended.
    async fn arrange(
        &self,
        deliveries: &mut Deliveries,
        wanted: &[Stored],
        unusable: &mut Unusable,
        pulse: &Pulse,
    ) -> bool {
        let is_wanted = |name: &str, key: &str, revision: u64| {
            let mut wanted = wanted.iter().filter(|now| now.name == name);
            wanted.any(|now| now.key() == key && now.revision == revision)
        };
        let begun = &mut deliveries.begun;
        begun.retain(|name, (key, revision)| is_wanted(name, key, *revision));
        let over = |_: &String, running: &mut Running| running.task.is_finished();
        let mut has_ended = false;
        for (_, running) in deliveries.running.extract_if(over) {
            has_ended = true;
            let (key, revision) = (running.key.clone(), running.revision);
            if let Err(reason) = ended(running).await {
                unusable.note(key, revision, reason, BEGIN_AGAIN);
            }
        }
        // They stop side by side; whoever is slow to end must not be met by its successor.
        for (name, running) in &deliveries.running {
            if !is_wanted(name, &running.key, running.revision) {
                running.stop.send_if_modified(|until| {
                    let is_first = until.is_none();
                    until.get_or_insert_with(|| attempts_end(STOP_WITHIN));
                    is_first
                });
            }
        }
        for webhook in wanted {
            let name = webhook.name.clone();
            let state = (webhook.key(), webhook.revision);
            let is_begun = deliveries.begun.get(&name) == Some(&state);
            if is_begun || deliveries.running.contains_key(&name) || unusable.waits(&state.0) {
                continue;
            }
            deliveries.begun.insert(name, state);
            deliveries
                .beginning
                .spawn(self.begin(webhook.clone(), pulse));
        }
        has_ended
    }

    /// Prepares the delivery of a webhook: reads certificates, and what is kept of it.
    fn begin(&self, webhook: Stored, pulse: &Pulse) -> impl Future<Output = Begun> + use<> {
        let (name, key, revision) = (webhook.name.clone(), webhook.key(), webhook.revision);
        let (layout, reader, pulse) = (self.layout.clone(), self.reader.clone(), pulse.clone());
        let (source, recorder) = (Arc::clone(&self.source), Arc::clone(&self.recorder));
        let memory = Arc::clone(&self.memory);
        let prepare = move || {
            let webhook = webhook.prepare()?;
            DeliveryTask::new(webhook, layout, reader, pulse, source, recorder, &memory)
        };
        async move {
            Begun {
                task: blocking("preparing a webhook", prepare).await,
                name,
                key,
                revision,
            }
        }
    }
}

/// Waits for the next look; true if it is to stop.
async fn rest(stop: &mut Stop) -> bool {
    let _ = time::timeout(LOOK_EVERY, stop.wait_for(Option::is_some)).await;
    stop.borrow().is_some()
}

/// Waits for the end of a delivery; the error says why it is to be begun again, and not at once.
async fn ended(running: Running) -> std::result::Result<(), String> {
    match running.task.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(target: "tracing_audit", "a webhook's delivery ended and begins again: {error}");
            Err(error.to_string())
        }
        Err(error) => {
            tracing::error!(target: "tracing_audit", "a webhook's delivery panicked and begins again: {error}");
            Err(error.to_string())
        }
    }
}
