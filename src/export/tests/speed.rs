//! How long it takes, held against `cp`. Run with `--release --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::{
    fs::File,
    io::Write,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use super::log::{Log, time};
use crate::{
    export::plan::Plan,
    store::{
        fs::OsFs,
        gzip::Level,
        samples::{lines, stem},
        seal::seal,
    },
};

#[test]
#[ignore = "writes 300 MB and reads it often; a figure only in a release build"]
fn a_gigabyte_of_log_is_downloaded_about_as_fast_as_it_is_copied() {
    const LINES: u64 = 150_000;
    let log = Log::new();
    let mut plain = 0;
    for n in 0..28 {
        let (stem, text) = (stem(n), lines(u64::from(n) * LINES + 1, LINES));
        std::fs::write(log.layout.live(&stem), &text).unwrap();
        plain += text.len();
        seal(&OsFs, &log.layout, &stem, Level::DEFAULT).unwrap();
        std::fs::remove_file(log.layout.live(&stem)).unwrap();
    }
    let all = time("2026-11-01T00:00:00Z")..time("2026-12-31T00:00:00Z");
    let cut = time("2026-11-21T00:03:00Z")..time("2026-11-21T22:29:00Z");
    let files = log.files();
    let memory = resident();
    for (what, range) in [
        ("first plan", &all),
        ("whole", &all),
        ("cut at both ends", &cut),
    ] {
        let start = Instant::now();
        let plan = Plan::new(&files, range.clone()).unwrap();
        let lines = plan.lines();
        let zip = plan.into_zip().unwrap();
        println!(
            "{what}: {:?} for {lines} lines, {} bytes",
            start.elapsed(),
            zip.len()
        );
    }

    let zip = Arc::new(Plan::new(&files, all).unwrap().into_zip().unwrap());
    let out = log.layout.root().join("out");
    let copy = || {
        std::fs::create_dir(&out).unwrap();
        let start = Instant::now();
        assert!(
            Command::new("cp")
                .arg("-r")
                .arg(log.layout.sealed_dir())
                .arg(&out)
                .status()
                .unwrap()
                .success()
        );
        let took = start.elapsed();
        std::fs::remove_dir_all(&out).unwrap();
        took
    };
    let pass = || {
        let start = Instant::now();
        let mut file = File::create(&out).unwrap();
        for chunk in zip.read_range(0..u64::MAX).chunks() {
            file.write_all(&chunk.unwrap()).unwrap();
        }
        let took = start.elapsed();
        std::fs::remove_file(&out).unwrap();
        took
    };
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    pass();
    println!(
        "memory: {} KiB more after a plan and a download",
        resident().saturating_sub(memory)
    );
    let (copies, passes): (Vec<_>, Vec<_>) = (0..9).map(|_| (copy(), pass())).unzip();
    let (copies, passes) = (median(copies), median(passes));
    let ratio = passes.as_secs_f64() / copies.as_secs_f64();
    println!(
        "{plain} bytes of log, {} in the archive: cp {copies:?}, zip {passes:?}, {ratio:.2} times as long",
        zip.len()
    );
    assert!(ratio < 1.5 || cfg!(debug_assertions), "{ratio}");
}

/// In KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap()
}
