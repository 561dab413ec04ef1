//! The reading side of the log: which files, which blocks and which lines have the wanted entries.
//!
//! In comes a question: a [`Filter`], an order, a place to begin. Out come entries, the very bytes
//! that were stored, each once and in order, and a list of files and blocks that could not be read.
//! The way there:
//!
//! ```text
//! filter    parameters, compared as bytes with the fields of a line (condition), after a quick
//!           search for bytes that a matching line must have (needle, needles); dates are read by
//!           instant, values that have several spellings compared by address and number
//! snapshot  the live and sealed files at one moment, each line in one of them
//! plan      their blocks in the order of time, without those that times and Bloom filters rule out
//!           (block_filters)
//! block     the entries of one block
//! merge     the blocks' entries in one order, read ahead by two threads
//! file      the entries of one file as they are stored
//! counter   how much of the log a query has passed
//! stats     counts of the blocks' entries: no order is needed, so the blocks are not merged
//! work      the work that an answer takes: blocks, lines, files, problems
//! look_up   one entry by its id
//! reader    pages, look-ups, and all entries one by one
//! tail      entries that are written from now on
//! arrival   pages of the entries that have come since another page
//! hint      why a filter may have found nothing
//! ```
//!
//! Reading never blocks writing: it takes no locks and creates nothing. Damage costs the block it
//! is in, is reported, and ends nothing.

mod address;
mod arrival;
#[cfg(feature = "webhook")]
mod backlog;
mod block;
mod block_filters;
pub(crate) mod cancel;
mod condition;
pub(crate) mod counter;
mod detail;
mod entry;
mod event_types;
#[cfg(any(feature = "export", test))]
mod file;
mod filter;
mod hint;
mod instant;
mod look_up;
mod merge;
mod needle;
mod needles;
mod number;
mod order;
mod page;
mod parameters;
mod place;
mod plan;
mod reader;
mod snapshot;
mod stats;
mod tail;
mod work;

pub use entry::RawEntry;
pub use filter::Filter;
pub use order::Order;
pub use page::{Page, PageStart, Problem, Query, Scanned};
#[cfg(feature = "webhook")]
pub(crate) use place::{Place, Runs, read_places, write_places};
#[cfg(any(feature = "webhook", test))]
pub(crate) use place::{Placed, Places};
pub use reader::AuditReader;
#[cfg(feature = "console")]
pub(crate) use stats::{Depth, MoreValues};
pub use stats::{
    OutcomeCounts, SeverityCounts, Stats, StatsField, StatsQuery, Step, StepCounts, Top, TopValues,
    ValueCount,
};
#[cfg(feature = "webhook")]
pub(crate) use tail::Room;
pub use tail::{Tail, TailStart};

#[cfg(test)]
mod tests;
