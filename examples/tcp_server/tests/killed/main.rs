//! The server is loaded, killed with SIGKILL at random moments and started again on the same log,
//! and at last told to stop. Then the log is held against what the clients know:
//!
//! - A command that was answered has its entry, the one that the answer names, exactly once.
//! - A command that was cut off has its entries or not; a `DEL` may have only the first of its two.
//! - Nothing else is in the log, `verify` finds nothing, and every audit question has its answer,
//!   also when the server was down.
//!
//! `KILLED_SECONDS=300 KILLED_SEED=7 cargo test -p tcp_server --test killed -- --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, which tells what it did"
)]

mod client;
mod compare;
mod down;
mod questions;
mod support;

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use client::{CLIENTS, USERS, client};
use compare::{compare, follow_values};
use down::ask_when_it_was_down;
use fastrand::Rng;
use questions::Questions;
use support::{Dir, Server, Tally, assert_unique, lines, recovered, settings, verify};
use tracing_audit::AuditReader;

const KILLS_OF_ONE_LOG: u32 = 8;

#[test]
fn every_answer_is_in_the_log_once_whenever_the_server_is_killed() {
    let (duration, seed) = settings();
    println!("tcp_server: {} s, KILLED_SEED={seed}", duration.as_secs());
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let begin = Instant::now();
    while tally.logs == 0 || begin.elapsed() < duration {
        one_log(&mut rng, begin + duration, &mut tally);
        println!("{tally}");
    }
}

/// Lives of the server on one log, and what comes of them.
fn one_log(rng: &mut Rng, until: Instant, tally: &mut Tally) {
    let dir = Dir::new();
    let log = dir.path().join("audit");
    let mut operations = Vec::new();
    let mut lives = Vec::new();
    for life in 0u64.. {
        let last = life > 1 && (Instant::now() > until || life >= KILLS_OF_ONE_LOG.into());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcp_server"));
        command.arg("127.0.0.1:0").arg(&log).env("KV_USERS", USERS);
        let server = Server::start(&mut command, dir.path());
        let (address, seed) = (server.address, rng.u64(..));
        let clients: Vec<_> = (0..CLIENTS.len())
            .map(|number| thread::spawn(move || client(number, address, life, seed)))
            .collect();
        thread::sleep(Duration::from_millis(rng.u64(20..400)));
        if last {
            recovered(&log);
            lives.push(server.terminate());
        } else {
            lives.push(server.kill());
        }
        for client in clients {
            operations.extend(client.join().unwrap());
        }
        if last {
            tally.kills += life;
            break;
        }
    }
    let entries = lines(&log);
    verify(&log, entries.len());
    assert_unique(&entries);
    compare(&operations, &entries);
    follow_values(&entries);
    let reader = AuditReader::open(&log).unwrap();
    tally.questions += ask_when_it_was_down(&reader, &lives);
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
