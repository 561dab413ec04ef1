//! Webhooks: what is sent, to whom, how often, and after what trouble.

#![cfg(all(feature = "macros", feature = "server", feature = "webhook-tls"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/http.rs"]
mod http;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;

mod a_proxy_is_the_only_way_out;
mod are_bounded;
mod arrive;
mod bodies_have_a_longest;
mod changed_settings_hold_at_once;
mod concurrency;
mod dead_letters;
mod deliveries;
mod deliveries_over_http;
mod do_not_wait_for_each_other;
mod files_declare_their_own;
mod formats;
mod hec;
mod hostile;
mod idle_costs_little;
mod one_dispatcher;
mod receivers;
mod recover;
mod refused_changes_are_recorded;
mod replays;
mod replays_keep_batches;
mod shop;
mod stopping_takes_seconds;
mod tell_how_far_behind;
mod tell_of_each_other;
mod texts_of_receivers_are_cut;
mod urls_that_are_secrets;
mod what_cannot_be_served;
