//! The tasks of a dispatcher: at most one for each name of a webhook.
//!
//! A task prepares itself first: it reads certificates, secrets and its queue, which may take long,
//! because the files can be anywhere. A task that is told to stop meanwhile ends at once, so that a
//! change of the settings never waits for such a file.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::{
    blocking::blocking,
    stop::{STOP_WITHIN, Stopper, attempts_end},
    task::DeliveryTask,
};
use crate::{
    error::{Error, Result},
    webhook::{queue::request::Request, settings::stored::Stored},
};

/// One revision of the settings of one webhook.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Revision {
    /// The webhook's key.
    pub(super) key: String,
    pub(super) number: u64,
}

impl Revision {
    fn of(webhook: &Stored) -> Self {
        Self {
            key: webhook.key(),
            number: webhook.revision,
        }
    }
}

/// The tasks, under the names of their webhooks.
#[derive(Default)]
pub(super) struct Tasks(HashMap<String, Running>);

pub(super) struct Running {
    pub(super) revision: Revision,
    stop: Stopper,
    requests: watch::Sender<Vec<Request>>,
    is_prepared: Arc<AtomicBool>,
    task: JoinHandle<Result<(), Failure>>,
}

/// Why a task has ended by itself.
pub(super) enum Failure {
    /// The webhook's settings can't be used.
    Unprepared(Error),
    /// This machine has a problem, such as one with its disk.
    Failed(Error),
    Panicked(JoinError),
}

impl Failure {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unprepared(error) | Self::Failed(error) => error.to_string(),
            Self::Panicked(error) => error.to_string(),
        }
    }
}

impl Tasks {
    /// Begins the task of this webhook, unless there is one of its name.
    pub(super) fn begin(
        &mut self,
        webhook: &Stored,
        prepare: impl FnOnce() -> Result<DeliveryTask> + Send + 'static,
    ) {
        if self.0.contains_key(&webhook.name) {
            return;
        }
        let (stop, mut stopped) = watch::channel(None);
        let (requests, asked) = watch::channel(Vec::new());
        let is_prepared = Arc::<AtomicBool>::default();
        let prepared = Arc::clone(&is_prepared);
        let task = async move {
            let task = tokio::select! {
                task = blocking("preparing a webhook", prepare) => task,
                _ = stopped.wait_for(Option::is_some) => return Ok(()),
            };
            let task = task.map_err(Failure::Unprepared)?;
            prepared.store(true, Ordering::Relaxed);
            task.run(stopped, asked).await.map_err(Failure::Failed)
        };
        let running = Running {
            revision: Revision::of(webhook),
            stop,
            requests,
            is_prepared,
            task: tokio::spawn(task),
        };
        self.0.insert(webhook.name.clone(), running);
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.0.values()
    }

    /// Removes the tasks that have ended, each with the name of its webhook.
    pub(super) fn take_ended(&mut self) -> Vec<(String, Running)> {
        let has_ended = |_: &String, running: &mut Running| running.task.is_finished();
        self.0.extract_if(has_ended).collect()
    }

    /// Tells the tasks to stop whose webhooks were changed, paused or removed.
    ///
    /// They stop side by side. Until one has ended, its name has no other, so that a task that is
    /// slow to end never meets its successor.
    pub(super) fn stop_unwanted(&self, wanted: &[Stored]) {
        for (name, running) in &self.0 {
            let mut wanted = wanted.iter().filter(|now| now.name == *name);
            if !wanted.any(|now| Revision::of(now) == running.revision) {
                running.stop_soon();
            }
        }
    }

    /// Tells all tasks that attempts may end until then, and waits for the end of each.
    pub(super) async fn stop(self, until: Option<Instant>) {
        for running in self.0.values() {
            let _ = running.stop.send(until);
        }
        for running in self.0.into_values() {
            // The error was reported, and this process begins nothing again.
            let _ = running.ended().await;
        }
    }
}

impl Running {
    /// Whether the webhook is served: its settings can be used.
    pub(super) fn is_prepared(&self) -> bool {
        self.is_prepared.load(Ordering::Relaxed)
    }

    /// Tells the task to stop, if it was not told before.
    fn stop_soon(&self) {
        self.stop.send_if_modified(|until| {
            let is_first = until.is_none();
            until.get_or_insert_with(|| attempts_end(STOP_WITHIN));
            is_first
        });
    }

    /// Hands on the requests of administrators, if there are new ones.
    pub(super) fn ask(&self, open: Vec<Request>) {
        let last = |requests: &[Request]| requests.last().map_or(0, |last| last.number);
        self.requests.send_if_modified(|asked| {
            let is_new = last(&open) > last(asked);
            if is_new {
                *asked = open;
            }
            is_new
        });
    }

    /// Waits for the end of the task. The error, which was reported, is the reason to wait before
    /// another task is begun.
    pub(super) async fn ended(self) -> Result<(), Failure> {
        let ended = self.task.await;
        let ended = ended.unwrap_or_else(|error| Err(Failure::Panicked(error)));
        match &ended {
            Ok(()) | Err(Failure::Unprepared(_)) => {}
            Err(Failure::Failed(error)) => {
                tracing::warn!(
                    target: "tracing_audit",
                    "a webhook's delivery ended and begins again: {error}"
                );
            }
            Err(Failure::Panicked(error)) => {
                tracing::error!(
                    target: "tracing_audit",
                    "a webhook's delivery panicked and begins again: {error}"
                );
            }
        }
        ended
    }
}
