//! Legal holds: ranges of time whose entries stay, whatever the retention.
//!
//! Holds stand in `state/holds.json`. They are changed under the lock of pruning, so a pruning that
//! began before a hold was placed has ended when placing it returns. If the holds can't be read,
//! nothing is pruned.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{document::Document, fs::Fs, layout::Layout};
use crate::{
    entry::{Day, EntryActor, Timestamp},
    error::{Error, Result},
};

/// A range of time whose entries are kept until the hold is released.
///
/// ```
/// use tracing_audit::retention::Hold;
///
/// let hold = Hold::new("case-17", "2026-10-01", "2026-10-31")?
///     .with_reason("Acme v. Example, asked for by legal@example.com");
/// assert_eq!(hold.end().unwrap().to_string(), "2026-11-01T00:00:00.000000Z");
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placed: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placed_by: Option<EntryActor>,
}

const MAX_NAME: usize = 64;
const MAX_REASON: usize = 1024;

impl Hold {
    /// A hold on all entries from `start_date` to `end_date`, as in a [`Filter`](crate::Filter): a
    /// date is the whole UTC day, an RFC 3339 instant is the first held or the first after; an
    /// empty text leaves that side open.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name that isn't 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`,
    /// or a range that ends before it begins.
    pub fn new(name: impl Into<String>, start_date: &str, end_date: &str) -> Result<Self> {
        let name = name.into();
        if name.is_empty()
            || name.len() > MAX_NAME
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return Err(Error::invalid(
                "name",
                format!("{name:?} is not 1 to {MAX_NAME} of A-Z, a-z, 0-9, '.', '_' and '-'"),
            ));
        }
        let start = instant("start_date", start_date, Day::start)?;
        let end = instant("end_date", end_date, Day::end)?;
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            return Err(Error::invalid(
                "end_date",
                format!("the hold ends at {end}, not after its start at {start}"),
            ));
        }
        Ok(Self {
            name,
            start,
            end,
            reason: String::new(),
            placed: None,
            placed_by: None,
        })
    }

    /// Says why the entries are held, and for whom; at most 1024 bytes are kept. Default: empty.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        let end = (0..=MAX_REASON)
            .rev()
            .find(|at| self.reason.is_char_boundary(*at))
            .unwrap_or(0);
        self.reason.truncate(end);
        self
    }

    /// The hold's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first instant held; `None` from the log's beginning.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// The first instant after those held; `None` without an end.
    pub fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// The reason, or an empty text.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The time at which the hold was placed; `None` before that.
    pub fn placed(&self) -> Option<Timestamp> {
        self.placed
    }

    /// The one who placed the hold: its type, id and name. `None` before that, and for a hold that
    /// an earlier version placed.
    pub fn placed_by(&self) -> Option<&EntryActor> {
        self.placed_by.as_ref()
    }

    pub(crate) fn by(self, actor: EntryActor) -> Self {
        Self {
            placed_by: Some(actor),
            ..self
        }
    }

    /// Whether an entry between these times, both included, can be held.
    fn covers(&self, min: Timestamp, max: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= max) && self.end.is_none_or(|end| min < end)
    }
}

fn instant(
    what: &'static str,
    text: &str,
    of_day: fn(Day) -> Timestamp,
) -> Result<Option<Timestamp>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<Day>()
        .map(of_day)
        .or_else(|_| text.parse())
        .map(Some)
        .map_err(|_| {
            let problem = format!(
                "{text:?} must be a date like 2026-11-21 or an RFC 3339 instant like \
                 2026-11-21T10:15:00Z"
            );
            Error::invalid(what, problem)
        })
}

/// All holds of a log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holds {
    holds: Vec<Hold>,
}

/// The lock under which files are removed and holds are changed.
pub(super) const LOCK: &str = "prune";

impl Holds {
    pub(crate) fn read(fs: Arc<dyn Fs>, layout: &Layout) -> Result<Self> {
        document(fs, layout).read()
    }

    pub(crate) fn into_vec(self) -> Vec<Hold> {
        self.holds
    }

    /// The hold that keeps entries between these times, both included.
    pub(super) fn keep(&self, min: Timestamp, max: Timestamp) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.covers(min, max))
    }
}

fn document(fs: Arc<dyn Fs>, layout: &Layout) -> Document {
    Document::on(fs, layout, "holds", LOCK)
}

/// Places a hold.
pub(crate) fn place(
    fs: Arc<dyn Fs>,
    layout: &Layout,
    mut hold: Hold,
    now: Timestamp,
) -> Result<Hold> {
    hold.placed = Some(now);
    document(fs, layout).change(|holds: &mut Holds| {
        if holds.holds.iter().any(|other| other.name == hold.name) {
            return Err(Error::invalid(
                "name",
                format!(
                    "there is already a hold {:?}; release it first or choose another name",
                    hold.name
                ),
            ));
        }
        holds.holds.push(hold.clone());
        Ok(hold)
    })
}

/// Releases the hold of this name; `recorded` runs before it is gone.
pub(crate) fn release(
    fs: Arc<dyn Fs>,
    layout: &Layout,
    name: &str,
    recorded: impl FnOnce(&Hold) -> Result<()>,
) -> Result<Option<Hold>> {
    let mut released = None;
    let changed = document(fs, layout).change(|holds: &mut Holds| {
        let Some(at) = holds.holds.iter().position(|hold| hold.name == name) else {
            return Ok(());
        };
        let hold = holds.holds.remove(at);
        recorded(&hold)?;
        released = Some(hold);
        Ok(())
    });
    changed.map(|()| released)
}
