//! The guide, chapter by chapter.

/// Who did it and from where: context for events.
#[cfg(all(feature = "macros", feature = "server", feature = "tower"))]
#[doc = include_str!("../docs/context.md")]
pub mod context {}

/// How an application tests what it records.
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
