//! The service is loaded, killed with SIGKILL at random moments and started again on the same log
//! and database, and at last told to stop. Then the log is held against what the clients know, and
//! against the database:
//!
//! - A request that was answered has all of its entries exactly once, in order, with what was sent.
//! - A request that was cut off has the first of them, or none. So has a job.
//! - Nothing else is in the log. No change is in the database whose start is not in the log, and no
//!   end is in the log whose change is not in the database.
//! - `verify` finds nothing, and every audit question has its answer, also when the service was
//!   down.
//!
//! `KILLED_SECONDS=300 KILLED_SEED=7 cargo test -p rest_service --test killed -- --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which tells what it did"
)]

mod client;
mod compare;
mod database;
#[path = "../../../tcp_server/tests/killed/down.rs"]
mod down;
mod http;
mod questions;
#[path = "../../../tcp_server/tests/killed/support.rs"]
mod support;

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use client::{Client, Operation, USERS, one_life, password, set_up};
use compare::compare;
use database::follow_database;
use down::ask_when_it_was_down;
use fastrand::Rng;
use questions::{Questions, ask_by_http};
use serde_json::Value;
use support::{Dir, Server, Tally, assert_unique, lines, recovered, settings, verify};
use tracing_audit::AuditReader;

const KILLS_OF_ONE_LOG: u32 = 8;

#[test]
fn every_answer_is_in_the_log_once_whenever_the_service_is_killed() {
    let (duration, seed) = settings();
    println!("rest_service: {} s, KILLED_SEED={seed}", duration.as_secs());
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let begin = Instant::now();
    while tally.logs == 0 || begin.elapsed() < duration {
        one_log(&mut rng, begin + duration, &mut tally);
        println!("{tally}");
    }
}

fn start(dir: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rest_service"));
    command.arg("127.0.0.1:0").arg(dir);
    command
        .env("ADMIN_PASSWORD", password("root"))
        .env("TRUSTED_PROXIES", "127.0.0.1");
    Server::start(&mut command, dir)
}

/// Lives of the service on one log, and what comes of them.
fn one_log(rng: &mut Rng, until: Instant, tally: &mut Tally) {
    let dir = Dir::new();
    let mut clients: Vec<_> = (0..USERS.len())
        .map(|number| Client {
            number,
            token: None,
            notes: Vec::new(),
            count: 0,
            operations: Vec::new(),
        })
        .collect();
    let mut lives = Vec::new();
    let mut life = 0;
    loop {
        let last = life > 1 && (Instant::now() > until || life >= KILLS_OF_ONE_LOG.into());
        let server = start(dir.path());
        if life == 0 {
            set_up(server.address, &mut clients).unwrap();
        }
        let (address, seed) = (server.address, rng.u64(..));
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| thread::spawn(move || one_life(client, address, life, seed)))
            .collect();
        thread::sleep(Duration::from_millis(rng.u64(20..1200)));
        if last {
            recovered(&dir.path().join("audit"));
            lives.push(server.terminate());
        } else {
            lives.push(server.kill());
        }
        clients = threads.into_iter().map(|of| of.join().unwrap()).collect();
        if last {
            break;
        }
        life += 1;
    }
    tally.kills += life;
    let operations: Vec<_> = clients.into_iter().flat_map(|c| c.operations).collect();
    let entries = check(dir.path(), &operations, life);
    let reader = AuditReader::open(dir.path().join("audit")).unwrap();
    tally.questions += ask_when_it_was_down(&reader, &lives);
    tally.questions += ask_by_http(dir.path(), &entries);
    let questions = Questions {
        reader,
        operations: &operations,
        entries: &entries,
        asked: 0,
    };
    tally.questions += questions.ask(rng);
    tally.logs += 1;
    tally.entries += entries.len() as u64;
    let answered = operations.iter().filter(|o| o.answer.is_some()).count();
    tally.acknowledged += answered as u64;
    tally.open += (operations.len() - answered) as u64;
}

/// Holds the log against the clients and the database; gives its entries.
fn check(dir: &Path, operations: &[Operation], last_life: u64) -> Vec<Value> {
    let log = dir.join("audit");
    let entries = lines(&log);
    verify(&log, entries.len());
    assert_unique(&entries);
    compare(operations, &entries, last_life);
    follow_database(dir, &entries);
    entries
}
