//! Chapters on how to use this crate.

#[doc = include_str!("../docs/context.md")]
pub mod context {}
