//! The log's directory under real faults: kills, full disks, other users, other file systems.

#![cfg(all(target_os = "linux", feature = "macros", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "../support/fork.rs"]
mod forking;
#[path = "../support/mounts.rs"]
mod mounts;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/user.rs"]
mod user;

mod a_follower_misses_nothing;
mod a_full_disk_is_opened_again;
mod a_full_disk_loses_nothing;
mod a_log_is_on_one_file_system;
mod a_log_that_nobody_holds;
mod an_export_is_whole_or_fails;
mod another_user_is_refused;
mod another_user_reads;
mod dead_streams_are_recovered_in_turns;
mod directory_is_resolved_once;
mod flush_reads_ones_own_writes;
mod journal_elsewhere;
mod kill_minus_nine_loses_nothing;
mod two_containers_open_at_once;
mod verify_names_the_place_of_a_hole;
mod verify_tells_holes_from_kills;
mod when_was_it_down;
