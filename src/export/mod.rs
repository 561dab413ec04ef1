//! Room export.
