//! What a person who gets a macro wrong is told: each message says what to write instead, and
//! points at what is wrong.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test compile_errors`, and read
//! what has changed.

#![cfg(feature = "macros")]

#[test]
fn mistakes_are_told_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
