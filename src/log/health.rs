//! The health of a log.

use serde::Serialize;

use super::AuditLog;
use crate::store::Counters;

/// The state of a log at the moment. Made by [`AuditLog::health`].
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// let health = log.health();
/// assert!(health.ok, "{:?}", health.problems);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// Whether the log takes events as it should: there are no problems.
    pub ok: bool,
    /// The problems there are now, each in a sentence. `/readyz` shows the same.
    pub problems: Vec<String>,
}

impl AuditLog {
    /// Whether the log takes events as it should, and if not, why. Costs a lock that is seldom
    /// held, so a probe may ask every second.
    ///
    /// [`on_problem`](crate::AuditLogBuilder::on_problem) reports a problem when it begins.
    pub fn health(&self) -> HealthReport {
        let stores = &self.owner.stores;
        let mut problems = stores.health().trouble();
        if let Some((used, capacity)) = self.journal_fill()
            && used > capacity / 10 * 9
        {
            problems.push(format!(
                "the journal is nearly full: {used} of {capacity} bytes"
            ));
        }
        if stores.is_closed() {
            problems.push("the log is closed".to_owned());
        }
        HealthReport {
            ok: problems.is_empty(),
            problems,
        }
    }

    /// How full this process's journal is: bytes used, and in all.
    pub(crate) fn journal_fill(&self) -> Option<(u64, u64)> {
        self.owner.stores.fill()
    }

    /// The counts since the log was opened; in a child by `fork`, those of the child. A child that
    /// has recorded nothing yet counts nothing.
    pub fn counters(&self) -> Counters {
        self.owner.stores.health().counters()
    }
}
