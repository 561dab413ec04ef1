//! The work of the log behind the caller: sustained throughput, memory, look-ups, and the ZIP of
//! whole days beside `cp` of the same compressed bytes.
//!
//! `cargo bench --features server --bench log` writes and reads about 1 GB below the system's
//! temporary directory (`TMPDIR` chooses another; `LOG_EVENTS` another number of events than
//! 2,000,000).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tower::ServiceExt;
use tracing::{Dispatch, dispatcher};
use tracing_audit::{
    AuditLog, AuditReader, Filter, Query, audit, http::RouterOptions, reader::Order,
};
use tracing_subscriber::prelude::*;

/// The process's resident memory in MiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            if entry.path().is_dir() {
                dirs.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found
}

/// Two threads emit as fast as they can; the log is closed, so that all of it is durable, within
/// the time.
fn sustained(name: &str, log: &AuditLog, events: usize) {
    let dispatch: Dispatch = tracing_subscriber::registry().with(log.layer()).into();
    let before = resident();
    let start = Instant::now();
    let mut peak: f64 = 0.0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let dispatch = dispatch.clone();
                scope.spawn(move || {
                    dispatcher::with_default(&dispatch, || {
                        for n in 0..events / 2 {
                            let user = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 47;
                            audit!(
                                "discovery.scan.completed",
                                actor.id = format_args!("user-{user}"),
                                actor.name = "admin@company.com",
                                resource.type = "scan",
                                resource.id = n,
                                ip_address = "192.0.2.50",
                                request_id = n * 2 + thread,
                                vaults_scanned = 12,
                                "Scan completed"
                            );
                        }
                    });
                })
            })
            .collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            peak = peak.max(resident());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let emitted = start.elapsed();
    log.close().unwrap();
    let written = start.elapsed();
    let bytes = log.counters().bytes;
    println!(
        "{name}: {:.0} events/s emitted, {:.0} events/s durable, {} B an event, {:.0} MB/s; \
         {:.0} MiB resident more at the peak; {} syncs",
        events as f64 / emitted.as_secs_f64(),
        events as f64 / written.as_secs_f64(),
        bytes / events as u64,
        bytes as f64 / 1e6 / written.as_secs_f64(),
        peak - before,
        log.counters().syncs
    );
}

fn timed<T>(name: &str, times: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut took: Vec<_> = (0..times)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!(
        "{name}: median {:.2?}, {:.2?} to {:.2?}",
        took[times / 2],
        took[0],
        took[times - 1]
    );
    took[times / 2]
}

fn main() {
    let events: usize = std::env::var("LOG_EVENTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000_000);
    let dir = tempfile::tempdir().unwrap();
    let idle = dir.path().join("idle");
    let log = AuditLog::builder(&idle)
        .source("bench")
        .lifecycle(false)
        .rotate_bytes(u64::MAX)
        .open()
        .unwrap();
    sustained("sealer idle", &log, events);
    drop(log);
    fs::remove_dir_all(&idle).unwrap();

    let dir = dir.path().join("log");
    let log = AuditLog::builder(&dir)
        .source("bench")
        .lifecycle(false)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    sustained("sealing", &log, events);
    // The next process seals what is left.
    let log = AuditLog::builder(&dir)
        .source("next")
        // Nothing of its own, so that nothing stays in `live/`.
        .lifecycle(false)
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    let start = Instant::now();
    while !files(&dir.join("live")).is_empty() {
        std::thread::sleep(Duration::from_millis(100));
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "everything is sealed in the end"
        );
    }
    println!("the rest sealed after {:.1?}", start.elapsed());

    let reader = AuditReader::open(&dir).unwrap();
    let page = reader
        .page(&Query {
            limit: 1000,
            ..Query::default()
        })
        .unwrap();
    let (id, actor) = (
        page.entries[500].id().parse().unwrap(),
        page.entries[500].actor_id().into_owned(),
    );
    timed("one id", 20, || assert!(reader.get(id).unwrap().is_some()));
    let by_actor = Query {
        filter: Filter::new().with("actor", &actor).unwrap(),
        ..Query::default()
    };
    timed("one actor", 20, || {
        assert!(!reader.page(&by_actor).unwrap().entries.is_empty())
    });
    timed("the newest 100", 20, || {
        reader.page(&Query::default()).unwrap()
    });
    let nothing = Filter::new().with("q", "no such text").unwrap();
    let mut bytes = 0;
    let took = timed("full-text scan", 3, || {
        bytes = reader
            .each(&nothing, Order::Desc, |_| ControlFlow::Continue(()))
            .unwrap()
            .bytes
    });
    println!(
        "  that is {:.2} GB/s of log",
        bytes as f64 / 1e9 / took.as_secs_f64()
    );

    let sealed: Vec<_> = files(&dir.join("sealed"));
    let copy = dir.join("copy");
    fs::create_dir(&copy).unwrap();
    let cp = timed("cp of the sealed files", 5, || {
        for file in &sealed {
            fs::copy(file, copy.join(file.file_name().unwrap())).unwrap();
        }
    });
    let last_sealed = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
        .format("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let options = RouterOptions::new().authorizer(|_: &axum::http::request::Parts| {
        Ok(tracing_audit::http::Access {
            actor_type: "api_key".into(),
            id: "bench".into(),
            name: "bench".into(),
            scope: tracing_audit::http::Scope::Export,
            tenant: None,
        })
    });
    let router = log.router(options).unwrap();
    let before = resident();
    let mut peak = 0.0_f64;
    let mut download = |end_date: &str, first: &mut Vec<Duration>| {
        runtime.block_on(async {
            // Cutting the last one takes longer than anything here; it counts as it does for cp,
            // but not for the first byte.
            let mut file = fs::File::create(copy.join("all.zip")).unwrap();
            let start = Instant::now();
            let request = axum::http::Request::get(format!(
                "/export?format=zip&start_date=2020-01-01&end_date={end_date}"
            ));
            let response = router
                .clone()
                .oneshot(request.body(axum::body::Body::empty()).unwrap())
                .await
                .unwrap();
            assert!(response.status().is_success(), "{response:?}");
            let mut body = response.into_body().into_data_stream();
            let mut begun = false;
            while let Some(chunk) = tokio_stream::StreamExt::next(&mut body).await {
                if !std::mem::replace(&mut begun, true) {
                    first.push(start.elapsed());
                }
                std::io::Write::write_all(&mut file, &chunk.unwrap()).unwrap();
                peak = peak.max(resident());
            }
        });
    };
    // Each download is itself recorded, so after the first one a range that reaches to now has a
    // live file.
    let (mut to_now, mut sealed_only) = (Vec::new(), Vec::new());
    let zip = timed("ZIP of whole days over HTTP, to a file", 5, || {
        download("2100-01-01", &mut to_now)
    });
    timed("the same without what isn't sealed yet", 5, || {
        download(&last_sealed, &mut sealed_only)
    });
    to_now.sort_unstable();
    sealed_only.sort_unstable();
    println!(
        "  that is {:.2} times cp; first byte after {:.1?} (median; {:.1?} of sealed files alone), \
         {:.0} MiB resident more at the peak",
        zip.as_secs_f64() / cp.as_secs_f64(),
        to_now[to_now.len() / 2],
        sealed_only[sealed_only.len() / 2],
        peak - before
    );
    log.close().unwrap();
}
