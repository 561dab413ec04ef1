//! What a reader learns about the subscriptions of a log, whoever forwards for them.

use super::{
    dead_letter::{self, DeadLetter},
    history::{self, DeliveryAttempt},
    manage,
    report::SubscriptionReport,
};
use crate::{error::Result, query::AuditReader};

impl AuditReader {
    /// All subscriptions, with how they are doing.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # let dir = log.dir();
    /// use tracing_audit::AuditReader;
    ///
    /// for report in AuditReader::open(dir)?.subscriptions()? {
    ///     println!("{} is {}", report.subscription.name(), report.state());
    /// }
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If they can't be read, which only the owner of the directory may.
    pub fn subscriptions(&self) -> Result<Vec<SubscriptionReport>> {
        manage::reports(self.layout(), self)
    }

    /// The subscription of this name, with how it is doing; `None` if there is no such.
    ///
    /// # Errors
    ///
    /// As for [`subscriptions`](Self::subscriptions).
    pub fn subscription(&self, name: &str) -> Result<Option<SubscriptionReport>> {
        manage::report(self.layout(), self, name)
    }

    /// The last attempts to deliver to an endpoint, the newest first: the last 50 that failed and
    /// the last 50 that did not. None, if there is no such subscription.
    ///
    /// # Errors
    ///
    /// As for [`subscriptions`](Self::subscriptions).
    pub fn deliveries(&self, name: &str) -> Result<Vec<DeliveryAttempt>> {
        history::read(self.layout(), name)
    }

    /// The requests to an endpoint that were given up and not delivered since, the oldest first:
    /// `most` of them after the first `skip`. See
    /// [`AuditLog::dead_letters`](crate::AuditLog::dead_letters).
    ///
    /// # Errors
    ///
    /// As for [`subscriptions`](Self::subscriptions).
    pub fn dead_letters(&self, name: &str, skip: usize, most: usize) -> Result<Vec<DeadLetter>> {
        dead_letter::letters(self.layout(), name, skip, most).map(|(_, letters)| letters)
    }
}
