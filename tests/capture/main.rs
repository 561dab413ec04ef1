//! What an application says and what is recorded of it, through the macros and plain events.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod a_panic_of_the_application;
mod a_thread_ends;
mod addresses_have_one_spelling;
mod another_layer_panics;
mod audit_events;
mod audit_macro;
mod audited_functions;
mod context_without_spans;
mod events_after_close;
mod macros_anywhere;
mod no_filter_loses_an_event;
mod plain_events;
mod redaction;
mod spans_give_context;
mod tests_of_an_application;
#[cfg(feature = "opentelemetry")]
mod trace_ids;
mod values_of_any_shape;
