//! The procedural macros of `tracing-audit`; use them through that crate.
