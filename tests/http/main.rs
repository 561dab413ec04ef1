//! The log over HTTP: reading, downloading, and managing webhooks.

#![cfg(all(feature = "console", feature = "webhook"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/http.rs"]
mod http;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;

mod callers_are_limited;
mod compared;
mod console_administration;
mod console_entry;
mod console_exports;
mod console_pages;
mod console_search;
mod console_sessions;
mod console_subjects;
mod console_views;
mod console_weight;
mod counts_entries;
mod description;
mod downloads_are_whole;
mod downloads_as_pdf;
mod downloads_for_others;
mod downloads_resume;
mod every_route_has_its_rule;
mod filters_find;
mod follows_the_log;
mod gives_pages_and_entries;
mod holds_are_managed;
mod many_connections;
mod operations_are_described;
mod page_of_the_api;
mod says_who_may_read;
mod settings_are_changed;
mod slow_clients_cost_little;
mod tables_in_other_programs;
mod tenants_learn_nothing;
mod the_description_is_true;
mod the_page_of_the_api_is_true;
mod tokens_are_managed;
mod tokens_are_recorded;
mod webhooks_are_described;
mod webhooks_are_managed;
mod webhooks_deliver;
