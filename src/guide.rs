//! The guide, chapter by chapter.

/// How an application tests what it records.
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
