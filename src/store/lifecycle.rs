//! The entries about the life of a stream: when was the log open, and when was it down?
//!
//! `audit.log.opened` is the first entry of a stream, and `audit.log.closed` the last. A process
//! that dies writes no last entry; instead, the process that recovers its stream writes
//! `audit.log.ended_without_closing`, with the last sign of life.
//!
//! # One of the two, and once
//!
//! - `opened` is in the journal before the log takes an event, so it survives as any event does.
//! - `closed` is written once the journal takes no more events and all of them are durable. If it
//!   can't be made durable, closing the log fails and the journal stays.
//! - The journal's header says when the process was last alive. The word is 0 where a log has no
//!   such entries, because the application does without or an older version wrote it; so those
//!   streams get none from recovery either.
//! - Recovery writes `ended_without_closing` as the last of its entries, into a live file, and
//!   removes the journal after that. A recovery that was cut short is run again, finds that the
//!   last line of the stream says how it ended, and adds nothing.

use crate::entry::{
    OwnEntry, Severity, Timestamp,
    json::Members,
    scan::{Fields, scan},
};

const OPENED: &str = "audit.log.opened";
const CLOSED: &str = "audit.log.closed";
const ENDED: &str = "audit.log.ended_without_closing";

/// The settings of a log that the entry about its opening has.
pub(crate) type Settings = Members;

/// The first entry of a stream.
pub(super) fn opened(settings: &Settings) -> OwnEntry {
    let entry = OwnEntry::new(OPENED, Severity::Info, "The log was opened")
        .detail("version", env!("CARGO_PKG_VERSION"))
        .detail("pid", std::process::id());
    let host = rustix::system::uname();
    let entry = match host.nodename().to_str() {
        Ok(host) if !host.is_empty() => entry.detail("host", host),
        _ => entry,
    };
    let settings = settings.iter();
    settings.fold(entry, |entry, (name, value)| entry.detail(name, value))
}

/// The last entry of a stream that is closed.
pub(super) fn closed() -> OwnEntry {
    OwnEntry::new(CLOSED, Severity::Info, "The log was closed")
}

/// The opening and the end of a stream, as its lines record them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    /// Whether the stream's first entry says that the log was opened, if that entry was seen.
    opened: Option<bool>,
    has_end: bool,
    /// When the last event of the application was recorded, or the log was opened.
    last_entry: Option<Timestamp>,
}

impl Life {
    /// The next line.
    pub(super) fn see(&mut self, fields: &Fields<'_>) {
        let is = |event_type: &str| fields.event_type == event_type.as_bytes();
        if fields.seq == 1 {
            self.opened = Some(is(OPENED));
        }
        self.has_end = is(CLOSED) || is(ENDED);
        // Others of the log's own may come from a recovery that was cut short.
        if is(OPENED) || !fields.event_type.starts_with(b"audit.log.") {
            self.last_entry = Some(fields.timestamp);
        }
    }

    /// Events that only the journal has.
    pub(super) fn see_lines(&mut self, lines: &[u8]) {
        let lines = lines.split(|byte| *byte == b'\n');
        lines.filter_map(scan).for_each(|fields| self.see(&fields));
    }

    /// Whether the last entry says how the stream ended.
    pub(super) fn has_end(&self) -> bool {
        self.has_end
    }

    /// The entry about a death, if the stream has to have one. `alive` is the journal's word;
    /// without a journal that can be read, a stream whose first entry was not seen is taken for one
    /// that has an entry about its opening.
    pub(super) fn end(&self, alive: Option<Timestamp>, has_journal: bool) -> Option<OwnEntry> {
        let has_opened = match self.opened {
            Some(opened) => opened,
            None => alive.is_some() || !has_journal,
        };
        if self.has_end || !has_opened {
            return None;
        }
        let what = "The process ended without closing its log";
        let mut entry = OwnEntry::new(ENDED, Severity::Warning, what);
        if let Some(last) = alive.max(self.last_entry) {
            entry = entry.detail("last_sign_of_life", last.to_string());
        }
        if let Some(last) = self.last_entry {
            entry = entry.detail("last_entry", last.to_string());
        }
        Some(entry)
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
