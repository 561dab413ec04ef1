//! The parts of an entry of `tracing-audit`: its fields and their order, the severities, the
//! shape of an event type, and the names that are taken for those of secrets.
//!
//! Each of these is declared here once, for `tracing-audit` and for `tracing-audit-macros`, which
//! are published apart and both depend on this crate. Use it through `tracing-audit`: what is
//! public here changes without notice.
//!
//! # For maintainers
//!
//! | file | declares |
//! |---|---|
//! | [`fields`] | the fields of an entry and their parts, in their order: names, kinds, who sets them |
//! | [`slot`] | which of the fields an event inherits from the spans and contexts around it, and what these call them |
//! | [`alias`] | other names that people have for a field |
//! | [`severity`] | the severities, and what other vocabularies call them |
//! | [`event_type`] | the shape of an event type |
//! | [`secret_names`] | which names of fields look like those of secrets |
//!
//! **A new field** is a row in [`fields::FIELDS`] or in one of the tables of parts, at its place in
//! the entry. From there the macros know that it may be given, the writer and the scanner its key
//! and its place, and the shortening what may be cut of it. A field that spans and contexts can
//! fill is a row of [`slot::Slot`] as well. What writes it at run time is the `Writer` of
//! `tracing-audit` (`src/entry/render/`).

pub mod alias;
pub mod event_type;
pub mod fields;
pub mod secret_names;
pub mod severity;
pub mod slot;

pub use fields::{Field, Kind, SetBy};
pub use slot::Slot;

/// The version of an entry's form, in its `schema_version`.
pub const SCHEMA_VERSION: &str = "1.0";
