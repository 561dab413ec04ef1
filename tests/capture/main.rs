//! What an application says and what is recorded of it, through the macros and plain events.

#![cfg(feature = "macros")]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod a_log_goes_under_a_lock;
mod a_panic_of_the_application;
mod a_thread_ends;
mod addresses_have_one_spelling;
mod another_layer_panics;
mod audit_events;
mod audit_macro;
mod audited_and_instrument;
mod audited_functions;
mod context_elsewhere;
#[cfg(all(feature = "tower", feature = "server"))]
mod context_of_requests;
mod context_precedence;
mod context_updates;
mod context_without_spans;
mod denied_names;
mod events_after_close;
mod flattened_fields;
mod macros_anywhere;
mod no_filter_loses_an_event;
mod others_see_what_they_would;
mod plain_events;
mod redaction;
mod run_time;
mod spans_give_context;
mod tests_of_an_application;
#[cfg(feature = "opentelemetry")]
mod trace_ids;
mod unknown_actors;
mod values_of_any_shape;
mod values_of_other_crates;

use tracing_subscriber::prelude::*;

/// The entries of the events that `act` reports to a layer of a log of its own.
fn recorded(act: impl FnOnce()) -> Vec<serde_json::Value> {
    let dir = tempfile::tempdir().unwrap();
    let log = support::builder(dir.path()).open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, act);
    log.close().unwrap();
    support::records(dir.path())
}
