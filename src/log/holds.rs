//! The holds of a log, from an application's side.

use std::sync::Arc;

use super::AuditLog;
use crate::{
    entry::{Actor, Author},
    error::Result,
    store::{Hold, fs::OsFs, hold},
};

/// The holds of a log. Made by [`AuditLog::holds`]; costs nothing to make.
///
/// Every change is recorded. [`AuditReader::holds`](crate::AuditReader::holds) lists the holds of a
/// log that isn't open.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// use tracing_audit::retention::Hold;
///
/// let hold = Hold::new("case-17", "2026-10-01", "2026-10-31")?.with_reason("Acme v. Example");
/// log.holds().place(hold)?;
/// assert_eq!(log.holds().list()?[0].reason(), "Acme v. Example");
///
/// assert!(log.holds().release("case-17")?);
/// assert!(!log.holds().release("case-17")?); // no longer there
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Holds<'a> {
    log: &'a AuditLog,
    author: Author,
}

impl AuditLog {
    /// The log's holds: ranges of time whose entries stay, whatever their retention says.
    pub fn holds(&self) -> Holds<'_> {
        Holds {
            log: self,
            author: Author::default(),
        }
    }
}

impl Holds<'_> {
    /// Names who places and releases holds: the entries about that, and the holds, have its type,
    /// id and name. Default: the application itself, as `system`.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use tracing_audit::{Actor, retention::Hold};
    ///
    /// let counsel = Actor::user("user-9").name("legal@example.com");
    /// log.holds().by(&counsel).place(Hold::new("case-18", "2026-10-01", "")?)?;
    /// let placed_by = log.holds().list()?[0].placed_by().unwrap().clone();
    /// assert_eq!(placed_by.id.as_deref(), Some("user-9"));
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        Self {
            author: Author::named(actor),
            ..self
        }
    }

    /// Keeps the entries of a range of time until the hold is released. The hold is recorded
    /// (`audit.hold.placed`). When this method returns, no removal of held files is under way.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if there is a hold of this name,
    /// [`Error::Io`](crate::Error::Io) if the hold can't be written, or can't be recorded: in the
    /// latter case it is in force nevertheless.
    pub fn place(&self, hold: Hold) -> Result<()> {
        let store = self.log.store()?;
        store.place_hold(hold, &self.author).map(drop)
    }

    /// The holds there are, the oldest first.
    ///
    /// # Errors
    ///
    /// If they can't be read; nothing is pruned then either.
    pub fn list(&self) -> Result<Vec<Hold>> {
        hold::Holds::read(Arc::new(OsFs), self.log.layout()).map(hold::Holds::into_vec)
    }

    /// Ends a hold, which is recorded first (`audit.hold.released`). Returns `false` if there is no
    /// hold of this name.
    ///
    /// # Errors
    ///
    /// If the release can't be recorded or written; the entries are then still held.
    pub fn release(&self, name: &str) -> Result<bool> {
        self.log.store()?.release_hold(name, &self.author)
    }
}
