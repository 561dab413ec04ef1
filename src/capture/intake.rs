//! Where a log takes events in.

use std::{thread, time::Duration};

use super::hash::CurrentKey;
use crate::{
    journal::{Durability, Producer, PushError},
    record::{Buffer, Source, Timestamp, json},
};

/// What a caller does while the journal is full, which it is only when the disk has not kept up for
/// millions of bytes, or refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Waits for room: no event is lost, and the application stands still with its audit trail. The
    /// default.
    #[default]
    Wait,
    /// Drops the event. Dropped events are counted, and the count is written into the log as
    /// `audit.log.dropped`.
    Drop,
}

/// The entrance of one log.
#[derive(Debug)]
pub(crate) struct Intake {
    producer: Producer,
    pub(super) durability: &'static Durability,
    /// `,"source":"billing"`
    pub(super) source: Box<[u8]>,
    /// `{"type":"system","id":"billing"}`
    pub(super) system: Box<[u8]>,
    /// The longest record, without stream and number.
    pub(super) longest: usize,
    when_full: WhenFull,
    pub(crate) hash_key: &'static CurrentKey,
}

impl Intake {
    pub(crate) fn new(
        producer: Producer,
        durability: &'static Durability,
        source: &Source,
        longest: usize,
        when_full: WhenFull,
        hash_key: &'static CurrentKey,
    ) -> Self {
        let mut field = Buffer::default();
        field.append(b",\"source\":");
        json::write_str(&mut field, source.as_str());
        let system = format!("{{\"type\":\"system\",\"id\":\"{source}\"}}");
        let longest = longest.min(producer.max_payload());
        Self {
            producer,
            durability,
            source: field.into_vec().into(),
            system: system.into_bytes().into(),
            longest,
            when_full,
            hash_key,
        }
    }

    /// Puts a record into the journal; `None` if it was closed or, where that is allowed, full.
    pub(super) fn push(&self, record: &[u8]) -> Option<u64> {
        let position = match self.producer.push(record) {
            Ok(position) => position,
            Err(PushError::Full) => self.push_when_full(record)?,
            Err(PushError::Closed | PushError::TooLong) => return None,
        };
        if self.producer.used() > self.producer.capacity() / 2 {
            self.durability.nudge();
        }
        Some(position.0)
    }

    #[cold]
    fn push_when_full(&self, record: &[u8]) -> Option<crate::journal::Position> {
        if self.when_full == WhenFull::Drop {
            self.producer.count_dropped(Timestamp::now().as_micros());
            self.durability.nudge();
            return None;
        }
        let mut pause = Duration::from_micros(20);
        loop {
            self.durability.nudge();
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
            match self.producer.push(record) {
                Ok(position) => return Some(position),
                Err(PushError::Full) => {}
                Err(PushError::Closed | PushError::TooLong) => return None,
            }
        }
    }

    /// How full the journal is: bytes used, and in all.
    pub(crate) fn fill(&self) -> (u64, u64) {
        (self.producer.used(), self.producer.capacity())
    }

    /// No more events; those already taken are written.
    pub(crate) fn close(&self) {
        self.producer.close();
        self.durability.nudge();
    }
}
