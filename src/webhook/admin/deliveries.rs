//! An administrator has deliveries sent again, or gives them up. The dispatcher, which may be in
//! another process or start later, carries that out.

use super::{Administrator, Refusal};
use crate::{
    entry::Severity,
    error::Error,
    query::AuditReader,
    webhook::{
        queue::{
            Queue, dead_letter,
            replay::{self, Replay, ReplayCount},
            request::{self, Act},
        },
        run::count,
        settings::stored::{self, Stored},
    },
};

impl Administrator<'_> {
    pub(super) fn find(&self, name: &str) -> Result<Stored, Refusal> {
        stored::find(self.layout(), name)?.ok_or_else(|| Refusal::NoSuch(name.to_owned()))
    }

    fn queue(&self, webhook: &Stored) -> Result<Queue, Refusal> {
        Ok(Queue::read(self.layout(), &webhook.key())?.unwrap_or_default())
    }

    /// Has entries sent again.
    pub(crate) fn replay(&self, name: &str, replay: Replay) -> Result<(), Refusal> {
        replay.check()?;
        let webhook = self.find(name)?;
        let record = self.about(
            "audit.webhook.replayed",
            Severity::Warning,
            "A replay was started: entries are sent to a webhook again",
            name,
        );
        self.record(&record.detail("replay", &replay))?;
        Ok(replay::ask(self.layout(), &webhook, replay)?)
    }

    /// Counts what a replay would send, and changes nothing.
    pub(crate) fn count_replay(
        &self,
        name: &str,
        replay: &Replay,
        reader: &AuditReader,
    ) -> Result<ReplayCount, Refusal> {
        replay.check()?;
        let webhook = self.find(name)?;
        Ok(count::count(reader, &webhook, replay)?)
    }

    /// Ends the replay that is under way, and those that wait.
    pub(crate) fn cancel_replay(&self, name: &str) -> Result<(), Refusal> {
        let webhook = self.find(name)?;
        let queue = self.queue(&webhook)?;
        let is_running = queue.replaying.is_some()
            || queue
                .progress
                .is_some_and(|progress| progress.is_under_way());
        let waiting = replay::waiting(self.layout(), name, queue.replay)?;
        let Some(last) = waiting.or(is_running.then_some(queue.replay)) else {
            let text = format!("no replay of the webhook {name:?} is under way");
            return Err(Refusal::Nothing("replay", text));
        };
        let record = self.about(
            "audit.webhook.replay_cancelled",
            Severity::Warning,
            "A replay was cancelled: its remaining entries are not sent to the webhook",
            name,
        );
        self.record(&record)?;
        replay::forget(self.layout(), name, last)?;
        let act = Act::CancelReplays { last };
        Ok(request::ask(self.layout(), webhook.key(), act)?)
    }

    /// Makes a delivery that waits a dead letter: this one, or the first. Gives its id.
    pub(crate) fn skip(&self, name: &str, delivery_id: Option<&str>) -> Result<String, Refusal> {
        let webhook = self.find(name)?;
        let queue = self.queue(&webhook)?;
        let found = match delivery_id {
            None => queue.deliveries.front().ok_or_else(|| {
                let text = format!("no delivery of the webhook {name:?} waits");
                Refusal::Nothing("delivery_id", text)
            }),
            Some(id) => {
                let mut deliveries = queue.deliveries.iter();
                deliveries.find(|one| one.id == id).ok_or_else(|| {
                    let problem = format!("no delivery {id:?} of this webhook waits");
                    Error::invalid("delivery_id", problem).into()
                })
            }
        }?;
        let record = self.about(
            "audit.webhook.skipped",
            Severity::Warning,
            "A delivery of a webhook was skipped: it becomes a dead letter",
            name,
        );
        let record = record.detail("delivery_id", found.id.as_str());
        self.record(&record.detail("entries", found.count))?;
        let act = Act::Skip {
            delivery_id: found.id.clone(),
        };
        request::ask(self.layout(), webhook.key(), act)?;
        Ok(found.id.clone())
    }

    /// Has a delivery sent again, under its id.
    pub(crate) fn resend(
        &self,
        name: &str,
        delivery_id: &str,
        reader: &AuditReader,
    ) -> Result<(), Refusal> {
        let webhook = self.find(name)?;
        let found = super::delivery::find(self.layout(), &webhook, delivery_id)?;
        let Some(found) = found else {
            return Err(super::delivery::unknown(delivery_id).into());
        };
        let (_, missing) = found.contents.read(reader)?;
        if missing > 0 || found.contents.is_empty() {
            let text = format!(
                "the delivery {delivery_id:?} can't be sent again: its entries are no longer in \
                 the log"
            );
            return Err(Refusal::Nothing("delivery_id", text));
        }
        let record = self.about(
            "audit.webhook.resent",
            Severity::Warning,
            "A delivery of a webhook was resent: it is sent again under its id",
            name,
        );
        let record = record.detail("delivery_id", delivery_id);
        self.record(&record.detail("entries", found.contents.len()))?;
        let act = Act::Resend {
            delivery_id: delivery_id.to_owned(),
            dead: dead_letter::is_dead(self.layout(), &webhook.key(), delivery_id)?,
            contents: found.contents,
        };
        Ok(request::ask(self.layout(), webhook.key(), act)?)
    }
}
