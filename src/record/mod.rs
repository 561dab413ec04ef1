//! What one line of the log says: its types, their JSON, their validation.
//!
//! A record is one JSON object on one line, its fields in a fixed order and without white space, so equal records are equal
//! bytes and a reader can find a field without parsing the whole line.

pub(crate) mod scan;
mod stream;
mod time;

pub use stream::{Seq, Source, StreamId};
pub use time::{Day, Timestamp};
