//! Reading the webhooks of a log: settings, state, attempts, deliveries and dead letters. It works
//! in any process that can read the directory, whichever process delivers.

use super::{
    delivery::{self, DeliveryReport},
    report::{self, WebhookReport},
};
use crate::{
    error::Result,
    query::AuditReader,
    webhook::{
        queue::{
            attempts::{self, Attempt},
            dead_letter::{DeadLetter, LetterPage, dead_letters},
        },
        run::presence::{DispatcherReport, Presence},
        settings::stored,
    },
};

impl AuditReader {
    /// All webhooks, with how they are doing.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditReader;
    ///
    /// for report in AuditReader::open(dir)?.webhooks()? {
    ///     println!("{} is {}", report.webhook.name(), report.state());
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If they can't be read, which only the owner of the directory may.
    pub fn webhooks(&self) -> Result<Vec<WebhookReport>> {
        Ok(report::of(self, stored::read(self.layout())?))
    }

    /// The webhook of this name, with how it is doing; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`webhooks`](Self::webhooks).
    pub fn webhook(&self, name: &str) -> Result<Option<WebhookReport>> {
        let found = stored::find(self.layout(), name)?;
        Ok(found.and_then(|webhook| report::of(self, vec![webhook]).pop()))
    }

    /// The process that delivers the log's webhooks; `None` if none does, so that everything waits.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditReader;
    ///
    /// match AuditReader::open(dir)?.webhook_dispatcher()? {
    ///     Some(who) => println!("{} on {} delivers since {}", who.pid, who.host, who.since),
    ///     None => println!("nobody delivers webhooks"),
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`webhooks`](Self::webhooks).
    pub fn webhook_dispatcher(&self) -> Result<Option<DispatcherReport>> {
        Ok(Presence::read(self.layout())?.dispatcher)
    }

    /// The last attempts of a webhook's deliveries, the newest first: the last 50 that failed and
    /// the last 50 that did not. Empty if there is no webhook of this name.
    ///
    /// # Errors
    ///
    /// As for [`webhooks`](Self::webhooks).
    pub fn attempts(&self, webhook: &str) -> Result<Vec<Attempt>> {
        attempts::read(self.layout(), webhook)
    }

    /// One delivery of a webhook: its state, its last attempts, and its request without secrets.
    /// `None` if there is no webhook of this name. See
    /// [`Webhooks::delivery`](crate::webhook::Webhooks::delivery).
    ///
    /// # Errors
    ///
    /// As for [`webhooks`](Self::webhooks), and [`Error::Invalid`](crate::Error::Invalid) if no
    /// delivery of the webhook is known by this id.
    pub fn delivery(&self, webhook: &str, delivery_id: &str) -> Result<Option<DeliveryReport>> {
        delivery::report(self, webhook, delivery_id)
    }

    /// The deliveries of a webhook that were given up and did not arrive since, the oldest first:
    /// `most` of them after the first `skip`. See
    /// [`Webhooks::dead_letters`](crate::webhook::Webhooks::dead_letters).
    ///
    /// # Errors
    ///
    /// As for [`webhooks`](Self::webhooks).
    pub fn dead_letters(&self, webhook: &str, skip: usize, most: usize) -> Result<Vec<DeadLetter>> {
        let page = LetterPage {
            skip,
            most,
            most_bytes: usize::MAX,
        };
        dead_letters(self, webhook, page).map(|(_, found)| found)
    }
}
