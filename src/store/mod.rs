//! From the journal to immutable files.

pub(crate) mod blob;
pub(crate) mod bloom;
pub(crate) mod catalogue;
mod codec;
pub(crate) mod document;
pub(crate) mod fs;
pub(crate) mod gzip;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod listing;
pub(crate) mod live_reader;
pub(crate) mod names;
mod rebuild;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod seal;
pub(crate) mod sealed;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod summary;
mod tmp;
pub(crate) mod verify;

mod clock;
mod health;
pub(crate) mod hold;
mod live;
pub(crate) mod lock;
pub(crate) mod maintain;
mod open;
mod recover;
mod reserve;
mod retention;
mod sealer;
mod space;
mod tampered;
mod undelivered;
mod writer;

pub(crate) use gzip::Level;
pub(crate) use health::{Callback, Health};
pub use health::{Counters, Problem};
pub use hold::Hold;
pub(crate) use open::{Store, StoreOptions, check_format};
pub use retention::Retention;
pub(crate) use retention::{Doomed, Pruned};
pub(crate) use sealer::SealerOptions;
pub use space::{SpaceAction, Watermarks};
pub(crate) use writer::WriterOptions;
