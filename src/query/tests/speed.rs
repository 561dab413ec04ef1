//! How fast questions are answered, on 1 GB of log:
//! `cargo test --release --lib query_speed -- --ignored --nocapture`.

use std::{fmt::Write as _, time::Instant};

use super::*;

const FILES: u32 = 16;
const FILE_LEN: usize = 62 << 20;

/// A line of 450 bytes, of one of 100,000 users; 1,000 a second.
fn line(stream: usize, seq: u64) -> (String, uuid::Uuid) {
    let micros = START + seq as i64 * 1000 + stream as i64;
    let r = (seq * 2 + stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (user, scan, event) = (
        (r >> 20) % 100_000,
        r >> 48,
        ["login", "logout", "read", "changed"][(r >> 62) as usize],
    );
    let millis = (micros / 1000) as u128;
    let id = uuid::Uuid::from_u128(
        millis << 80 | 0x7 << 76 | u128::from(r & 0xfff) << 64 | 0x8 << 60 | u128::from(r >> 4),
    );
    let (name, time, request) = (
        stream_name(stream),
        Timestamp::from_micros(micros),
        r ^ (r >> 29),
    );
    let line = format!(
        r#"{{"stream":"{name}","seq":{seq},"id":"{id}","timestamp":"{time}","schema_version":"1.0","event_type":"auth.session.{event}","category":"auth","action":"{event}","severity":"info","source":"billing","actor":{{"type":"user","id":"user-{user}","name":"user{user}@company.com"}},"resource":{{"type":"scan","id":"scan-{scan}"}},"outcome":{{"type":"success"}},"description":"User {user} did {event}","ip_address":"192.0.2.{}","context":{{"request_id":"{request:016x}"}}}}"#,
        r >> 56
    );
    (line, id)
}

/// How long all threads of this process have run, in seconds: what others do on the machine doesn't
/// count.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

/// The median of some runs, and what the last gave: by the clock, of this thread alone, and of all
/// threads (only good to 10 ms).
#[allow(clippy::print_stdout)]
fn timed<T>(what: &str, runs: usize, mut run: impl FnMut(usize) -> T) -> (f64, T) {
    let (mut times, mut own, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for n in 0..runs {
        let (start, thread, process) = (
            Instant::now(),
            crate::store::samples::cpu_time(),
            cpu_time(),
        );
        last = Some(run(n));
        times.push(start.elapsed().as_secs_f64());
        own.push((crate::store::samples::cpu_time() - thread).as_secs_f64());
        cpu.push(cpu_time() - process);
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[runs / 2]
    };
    let all = cpu.iter().sum::<f64>() / runs as f64;
    let (clock, own) = (median(&mut times), median(&mut own));
    println!(
        "{what}: {:.2} ms by the clock, {:.2} ms of this thread, {:.1} ms of all threads",
        clock * 1e3,
        own * 1e3,
        all * 1e3
    );
    (all, last.unwrap())
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn query_speed() {
    let log = Log::new();
    let (mut ids, mut plain) = (Vec::new(), 0);
    // Two streams at the same time, half of the files each; the last file of each is live.
    for stream in 0..2 {
        let mut seq = 0;
        for number in 1..=FILES / 2 {
            let mut text = String::new();
            while text.len() < FILE_LEN {
                seq += 1;
                let (line, id) = line(stream, seq);
                let _ = writeln!(text, "{line}");
                if seq % 9_973 == 0 {
                    ids.push(id);
                }
            }
            plain += text.len();
            log.append(&stem(stream, number), &[text.trim_end().to_owned()]);
            if number < FILES / 2 {
                seal(&OsFs, &log.layout, &stem(stream, number), Level::DEFAULT).unwrap();
                log.unlink(&stem(stream, number));
            }
        }
    }
    println!(
        "{:.2} GB of log, {} of it live",
        plain as f64 / 1e9,
        2 * FILE_LEN
    );
    timed(
        "open, and the newest 100 (which indexes the live files)",
        1,
        |_| log.reader().page(&Query::default()).unwrap().entries.len(),
    );
    let reader = log.reader();
    timed("newest 100, first", 1, |_| {
        reader.page(&Query::default()).unwrap()
    });
    timed("newest 100", 51, |_| {
        reader.page(&Query::default()).unwrap()
    });
    timed("oldest 100", 51, |_| {
        reader
            .page(&Query {
                order: Order::Asc,
                ..Query::default()
            })
            .unwrap()
    });
    timed("one id, fresh reader", 5, |n| {
        log.reader().get(ids[n]).unwrap().unwrap()
    });
    timed("one id", ids.len(), |n| {
        reader.get(ids[n]).unwrap().unwrap()
    });
    let actor = |user: usize| Query {
        filter: Filter::new().with("actor", format!("user-{user}")).unwrap(),
        ..Query::default()
    };
    let (_, page) = timed("all of one actor of 100,000", 51, |n| {
        reader.page(&actor(n * 1_801)).unwrap()
    });
    println!(
        "  {} entries from {} blocks",
        page.entries.len(),
        page.scanned.blocks
    );
    let (_, page) = timed("an actor who isn't there", 51, |n| {
        reader.page(&actor(100_001 + n)).unwrap()
    });
    println!(
        "  {} entries from {} blocks",
        page.entries.len(),
        page.scanned.blocks
    );
    for (name, value) in [
        ("q", "No Such Text"),
        ("q", "USER 77777 DID"),
        ("details.mode", "full"),
        ("event_type", "auth.session.read"),
    ] {
        let filter = Filter::new().with(name, value).unwrap();
        let mut count = 0;
        let (seconds, scanned) = timed(&format!("scan for {name}={value}"), 5, |_| {
            count = 0;
            reader.each(&filter, Order::Desc, |_| {
                count += 1;
                ControlFlow::Continue(())
            })
        });
        println!(
            "  {count} entries, {:.2} GB per second and core",
            scanned.unwrap().bytes as f64 / seconds / 1e9
        );
    }
    let mut bytes = 0;
    let (seconds, _) = timed("everything, in order", 3, |_| {
        bytes = 0;
        reader.each(&Filter::new(), Order::Asc, |entry| {
            bytes += entry.line().len() + 1;
            ControlFlow::Continue(())
        })
    });
    println!(
        "  {:.2} GB per second and core",
        bytes as f64 / seconds / 1e9
    );
}

/// `cargo test --release --lib stats_speed -- --ignored --nocapture`: 90 days with a file an hour,
/// each of a thousand entries of as many actors. Of whole files only the tallies are read, so more
/// entries with the same values would cost nothing more.
#[test]
#[ignore = "a measurement"]
fn stats_speed() {
    const HOURS: u32 = 90 * 24;
    let log = Log::new();
    for hour in 1..=HOURS {
        let first = u64::from(hour) * 3_600_000;
        let lines: Vec<_> = (0..1000).map(|n| line(0, first + n * 3600).0).collect();
        let of_hour = FileStem {
            born: Timestamp::from_micros(START + i64::from(hour) * 3_600_000_000),
            ..stem(0, hour)
        };
        log.sealed(&of_hour, &lines);
    }
    let query = StatsQuery::default();
    let (_, stats) = timed("90 days, first", 1, |_| log.reader().stats(&query).unwrap());
    assert_eq!(
        (stats.total, stats.scanned.blocks),
        (u64::from(HOURS) * 1000, 0)
    );
    let reader = log.reader();
    timed("90 days", 5, |_| reader.stats(&query).unwrap());
}
