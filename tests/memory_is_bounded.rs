//! Promise 5: whatever the load, the log takes at most 64 MiB.
//!
//! Each load runs in a process of its own, whose peak of resident memory the kernel counts.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

mod support;

use std::{fs, time::Duration};

use tracing_audit::{AuditLog, audit};
#[cfg(feature = "pdf")]
use tracing_audit::{AuditReader, Filter, reader::ExportFormat};
use tracing_subscriber::prelude::*;

const LOAD: &str = "MEMORY_LOAD_DIR";
const MIB: u64 = 1 << 20;

/// A figure of `/proc/self/status`, in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Runs `load` in a process of its own; gives by how much it raised the peak of resident memory.
fn peak(test: &str, load: impl FnOnce(&AuditLog)) -> Option<u64> {
    let Some(dir) = std::env::var_os(LOAD) else {
        let dir = tempfile::tempdir().unwrap();
        let output = support::child(
            module_path!(),
            test,
            &[(LOAD, dir.path().to_str().unwrap())],
        )
        .output()
        .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let peak = text
            .lines()
            .find_map(|line| line.split_once("raised by ")?.1.parse().ok());
        return Some(peak.unwrap_or_else(|| panic!("the child says nothing: {text}")));
    };
    let before = memory("VmRSS");
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("load")
        .live_grace(Duration::ZERO)
        .rotate_bytes(8 << 20)
        .open()
        .unwrap();
    tracing::dispatcher::with_default(
        &tracing_subscriber::registry().with(log.layer()).into(),
        || load(&log),
    );
    log.close().unwrap();
    #[expect(clippy::print_stdout, reason = "the parent reads it")]
    {
        println!("raised by {}", memory("VmHWM").saturating_sub(before));
    }
    None
}

fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::scope(|scope| {
        for n in 0..threads {
            let (dispatch, work) = (&dispatch, &work);
            scope.spawn(move || tracing::dispatcher::with_default(dispatch, || work(n)));
        }
    });
}

#[test]
fn callers_faster_than_the_disk_fill_the_journal_and_no_more() {
    let body = "x".repeat(350);
    let peak = peak(
        "callers_faster_than_the_disk_fill_the_journal_and_no_more",
        |log| {
            on_threads(4, |_| {
                for n in 0..50_000 {
                    assert!(audit!("load.made", n, body = body).is_recorded());
                }
            });
            assert!(log.counters().entries > 0);
        },
    );
    if let Some(peak) = peak {
        assert!(peak <= 64 * MIB, "{} MiB", peak / MIB);
    }
}

#[test]
fn threads_that_once_recorded_something_huge_do_not_keep_room_for_it() {
    let peak = peak(
        "threads_that_once_recorded_something_huge_do_not_keep_room_for_it",
        |_| {
            let turn = std::sync::Mutex::new(());
            let rest = std::sync::Barrier::new(32);
            let huge = "x".repeat(6 * MIB as usize);
            on_threads(32, |_| {
                let one_by_one = turn.lock().unwrap();
                audit!("load.huge", body = huge);
                drop(one_by_one);
                rest.wait();
            });
        },
    );
    if let Some(peak) = peak {
        assert!(peak <= 64 * MIB, "{} MiB", peak / MIB);
    }
}

/// 100,000 entries are some 4,000 pages, which an idle machine writes in 10 s in a debug build.
#[cfg(feature = "pdf")]
#[test]
fn a_long_document_is_written_page_by_page() {
    let peak = peak("a_long_document_is_written_page_by_page", |log| {
        for n in 0..100_000 {
            audit!("page.read", n, "Page {} was read", n).ignore();
        }
        log.flush().unwrap();
        let reader = AuditReader::open(log.dir()).unwrap();
        let pdf = fs::File::create(log.dir().join("audit.pdf")).unwrap();
        let export = reader.export(&Filter::new(), ExportFormat::Pdf).unwrap();
        export.write_to(&pdf).unwrap();
        assert!(pdf.metadata().unwrap().len() > 5_000_000);
    });
    if let Some(peak) = peak {
        assert!(peak <= 64 * MIB, "{} MiB", peak / MIB);
    }
}
