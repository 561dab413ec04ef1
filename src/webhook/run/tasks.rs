//! The tasks of a dispatcher: at most one for each name of a webhook.

use std::collections::HashMap;

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, JoinSet},
    time::Instant,
};

use super::{
    stop::{STOP_WITHIN, Stopper, attempts_end},
    task::DeliveryTask,
};
use crate::{
    error::Result,
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
    pub(super) fn of(webhook: &Stored) -> Self {
        Self {
            key: webhook.key(),
            number: webhook.revision,
        }
    }
}

/// The tasks, under the names of their webhooks.
#[derive(Default)]
pub(super) struct Tasks {
    running: HashMap<String, Running>,
    /// The work of preparing tasks. It may take long: files of secrets can be anywhere.
    preparing: JoinSet<PreparedTask>,
    /// The revision that is being prepared for each name. What is prepared for another one, because
    /// the webhook was changed or removed meanwhile, is dropped.
    awaited: HashMap<String, Revision>,
}

/// A task that has been prepared, or the reason why it can't be.
pub(super) struct PreparedTask {
    pub(super) name: String,
    pub(super) revision: Revision,
    pub(super) task: Result<DeliveryTask>,
}

pub(super) struct Running {
    pub(super) revision: Revision,
    stop: Stopper,
    requests: watch::Sender<Vec<Request>>,
    task: JoinHandle<Result<()>>,
}

impl Tasks {
    /// Prepares a task for this webhook, unless it has one.
    pub(super) fn prepare<F>(&mut self, webhook: &Stored, prepare: impl FnOnce() -> F)
    where
        F: Future<Output = PreparedTask> + Send + 'static,
    {
        let revision = Revision::of(webhook);
        let is_awaited = self.awaited.get(&webhook.name) == Some(&revision);
        if is_awaited || self.running.contains_key(&webhook.name) {
            return;
        }
        self.awaited.insert(webhook.name.clone(), revision);
        self.preparing.spawn(prepare());
    }

    /// Waits for the next task that has been prepared; `None` if none is being prepared.
    pub(super) async fn prepared(
        &mut self,
    ) -> Option<std::result::Result<PreparedTask, JoinError>> {
        self.preparing.join_next().await
    }

    /// Whether this is the revision that is being prepared for the name. Then it no longer is.
    pub(super) fn accept(&mut self, name: &str, revision: &Revision) -> bool {
        let is_awaited = self.awaited.get(name) == Some(revision);
        if is_awaited {
            self.awaited.remove(name);
        }
        is_awaited
    }

    pub(super) fn run(&mut self, name: String, revision: Revision, task: DeliveryTask) {
        let (stop, stopped) = watch::channel(None);
        let (requests, asked) = watch::channel(Vec::new());
        let running = Running {
            revision,
            stop,
            requests,
            task: tokio::spawn(task.run(stopped, asked)),
        };
        self.running.insert(name, running);
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// Removes the tasks that have ended.
    pub(super) fn take_ended(&mut self) -> Vec<Running> {
        let has_ended = |_: &String, running: &mut Running| running.task.is_finished();
        let ended = self.running.extract_if(has_ended);
        ended.map(|(_, running)| running).collect()
    }

    /// Tells the tasks to stop whose webhooks were changed, paused or removed.
    ///
    /// They stop side by side. Until one has ended, its name has no other, so that a task that is
    /// slow to end never meets its successor.
    pub(super) fn stop_unwanted(&mut self, wanted: &[Stored]) {
        let is_wanted = |name: &str, revision: &Revision| {
            let mut wanted = wanted.iter().filter(|now| now.name == name);
            wanted.any(|now| Revision::of(now) == *revision)
        };
        self.awaited
            .retain(|name, revision| is_wanted(name, revision));
        for (name, running) in &self.running {
            if !is_wanted(name, &running.revision) {
                running.stop_soon();
            }
        }
    }

    /// Tells all tasks that attempts may end until then, and waits for the end of each.
    pub(super) async fn stop(self, until: Option<Instant>) {
        for running in self.running.values() {
            let _ = running.stop.send(until);
        }
        for running in self.running.into_values() {
            // The error was reported, and this process begins nothing again.
            let _ = running.ended().await;
        }
    }
}

impl Running {
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
    pub(super) async fn ended(self) -> std::result::Result<(), String> {
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(
                    target: "tracing_audit",
                    "a webhook's delivery ended and begins again: {error}"
                );
                Err(error.to_string())
            }
            Err(error) => {
                tracing::error!(
                    target: "tracing_audit",
                    "a webhook's delivery panicked and begins again: {error}"
                );
                Err(error.to_string())
            }
        }
    }
}
