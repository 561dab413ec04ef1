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
pub(crate) mod numbers;
#[cfg(test)]
mod oracle;
mod rebuild;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod seal;
pub(crate) mod sealed;
#[cfg(test)]
mod set_clock;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod summary;
mod tmp;
pub(crate) mod verify;

pub(crate) mod access;
pub(crate) mod assemble;
mod batch;
mod clock;
mod clock_guard;
mod health;
pub(crate) mod hold;
mod lines;
mod live;
pub(crate) mod lock;
pub(crate) mod maintain;
mod mend;
mod open;
mod prepare;
mod prune;
mod prune_intent;
mod prune_watch;
mod recover;
pub(crate) mod removed;
mod reserve;
mod retention;
mod sealer;
mod sound;
mod space;
pub(crate) mod survey;
mod trusted_time;
mod twins;
mod undelivered;
mod watch;
mod writer;

pub use access::Permissions;
pub(crate) use gzip::Level;
pub(crate) use health::{Callback, Health};
pub use health::{Counters, Problem};
pub use hold::Hold;
pub(crate) use open::{Store, StoreOptions};
pub(crate) use prepare::check_format;
#[cfg(feature = "cli")]
pub(crate) use prune::{Pruned, Waiting};
#[cfg(feature = "cli")]
pub(crate) use retention::Doomed;
pub use retention::Retention;
pub(crate) use sealer::SealerOptions;
pub use space::{SpaceAction, Watermarks};
pub(crate) use writer::WriterOptions;
