//! The content of one line of the log: its types, their JSON, their validation.
//!
//! An entry is one JSON object on one line, its fields in a fixed order and without white space, so
//! equal entries are equal bytes and a reader can find a field without parsing the whole line.

pub(crate) mod address;
pub(crate) mod buffer;
pub(crate) mod catalogue;
mod clock;
pub(crate) mod denied;
mod event_type;
mod hash;
pub(crate) mod hide;
pub(crate) mod json;
mod own;
mod parsed;
mod parts;
pub(crate) mod render;
pub(crate) mod scan;
mod stream;
mod text;
mod time;

pub(crate) use buffer::Buffer;
pub use catalogue::{Catalogue, CatalogueEntry, FieldKind, Location, SecretForm};
pub(crate) use clock::{ID as STAMP_ID, Instant, Stamp, TIMESTAMP, made, make_again};
#[cfg(test)]
pub(crate) use clock::{replace_now, set_now};
pub use denied::DENIED_FIELDS;
pub use event_type::EventType;
pub(crate) use event_type::nearest_event_type;
pub use hash::HashKey;
pub(crate) use hash::{Prepared, stored_keys};
#[cfg(feature = "server")]
pub(crate) use own::Caller;
pub(crate) use own::{Author, OwnEntry};
pub use parsed::{Entry, EntryActor, EntryContext, EntryOutcome, EntryResource};
pub(crate) use parts::PartJson;
pub use parts::{Actor, Outcome, Resource, Severity};
pub use stream::{Seq, Source, StreamId};
#[cfg(feature = "webhook")]
pub(crate) use time::timestamp_micros;
pub use time::{Day, Timestamp};

/// The version of the entry's form, in its `schema_version`.
pub const SCHEMA_VERSION: &str = tracing_audit_schema::SCHEMA_VERSION;
