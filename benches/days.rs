//! Questions to a log of many days, as an auditor asks them: pages, counts, look-ups and texts.
//!
//! `cargo bench --bench days` makes a log of 90 days with a million entries each
//! below the system's temporary directory, which takes some 10 minutes and 5 GB, and asks it.
//! `DAYS`, `ENTRIES_A_DAY` and `ACTORS` (5000) choose other sizes. With `DAYS_DIR` the log is made
//! in that directory and stays there; a log that is there already is asked again.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    env, fs,
    fs::File,
    io::{BufWriter, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "console")]
use axum::{
    body::{Body, to_bytes},
    http::{Request, request::Parts},
};
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
#[cfg(feature = "console")]
use tower::ServiceExt as _;
#[cfg(feature = "console")]
use tracing_audit::http::{Access, RouterOptions, Scope, read_only_router};
use tracing_audit::{
    AuditLog, AuditReader, Filter, Query,
    reader::{Order, Page, PageStart, StatsQuery, Step},
};

const STREAM: &str = "bench-000000000001";
const EVENT_TYPES: [(&str, &str, &str); 8] = [
    ("auth.login", "info", "success"),
    ("auth.login", "warning", "failure"),
    ("auth.logout", "info", "success"),
    ("user.updated", "info", "success"),
    ("secret.read", "info", "success"),
    ("secret.rotated", "warning", "success"),
    ("secret.read", "error", "failure"),
    ("scan.completed", "info", "success"),
];

/// The size of the log.
struct Size {
    days: u64,
    entries_a_day: u64,
    actors: u64,
}

impl Size {
    fn of_environment() -> Self {
        let number = |name: &str, default| match env::var(name) {
            Ok(text) => text.parse().unwrap(),
            Err(_) => default,
        };
        Self {
            days: number("DAYS", 90),
            entries_a_day: number("ENTRIES_A_DAY", 1_000_000),
            actors: number("ACTORS", 5_000),
        }
    }

    /// The first instant of the first day; yesterday is the last one.
    fn start(&self) -> DateTime<Utc> {
        let today = now().with_time(NaiveTime::MIN).unwrap();
        today - Days::new(self.days)
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// The same numbers each time, and about as regular as what users do.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

/// Few of them are frequent, most are rare.
fn skewed(n: u64, most: u64) -> u64 {
    let part = (mixed(n) % 1_000_000) as f64 / 1e6;
    (part * part * most as f64) as u64
}

fn write_entry(out: &mut impl std::io::Write, seq: u64, time: DateTime<Utc>, actors: u64) {
    let (event_type, severity, outcome) = EVENT_TYPES[(mixed(seq) % 8) as usize];
    let (category, action) = event_type.split_once('.').unwrap();
    let millis = time.timestamp_millis() as u64;
    let actor = skewed(seq, actors);
    let address = skewed(seq ^ 0x55, 2_000);
    writeln!(
        out,
        "{{\"stream\":\"{STREAM}\",\"seq\":{seq},\"id\":\"{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}\",\
         \"timestamp\":\"{}\",\"schema_version\":\"1.0\",\"event_type\":\"{event_type}\",\
         \"category\":\"{category}\",\"action\":\"{action}\",\"severity\":\"{severity}\",\
         \"source\":\"bench\",\"tenant_id\":\"tenant-{}\",\
         \"actor\":{{\"type\":\"user\",\"id\":\"user-{actor}\",\"name\":\"user-{actor}@example.com\"}},\
         \"resource\":{{\"type\":\"secret\",\"id\":\"secret-{}\"}},\"outcome\":{{\"type\":\"{outcome}\"}},\
         \"ip_address\":\"192.0.{}.{}\",\"request_id\":\"req-{seq}\",\
         \"description\":\"{category} {action} by user-{actor}\",\
         \"details\":{{\"vault\":\"vault-{}\",\"version\":{}}}}}",
        millis >> 16,
        millis & 0xffff,
        seq & 0xfff,
        (seq >> 12) & 0xfff,
        mixed(seq) & 0xffff_ffff_ffff,
        time.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
        actor % 20,
        mixed(seq ^ 0xaa) % 100_000,
        address >> 8,
        address & 0xff,
        actor % 50,
        seq % 9,
    )
    .unwrap();
}

/// Writes a file an hour, as an application that died would leave them, and has them sealed.
fn make(dir: &Path, size: &Size) {
    AuditLog::builder(dir).source("first").open().unwrap();
    let live = dir.join("live");
    let mut seq = 0;
    let an_hour = size.entries_a_day / 24;
    let step = TimeDelta::microseconds(3_600_000_000 / an_hour as i64);
    for day in 0..size.days {
        for hour in 0..24 {
            let born = size.start() + TimeDelta::hours((day * 24 + hour) as i64);
            let name = format!(
                "{}-{STREAM}-{:08}.jsonl",
                born.format("%Y%m%dT%H%M%S%.6fZ"),
                day * 24 + hour + 1
            );
            let mut file = BufWriter::new(File::create(live.join(name)).unwrap());
            for n in 0..an_hour {
                seq += 1;
                write_entry(&mut file, seq, born + step * n as i32, size.actors);
            }
            file.flush().unwrap();
        }
        AuditLog::recover(dir, |stream| {
            assert!(stream.problems.is_empty(), "{stream:?}")
        })
        .unwrap();
        if day % 10 == 9 {
            println!("  {} days are made", day + 1);
        }
    }
}

fn timed<T>(name: &str, times: usize, mut work: impl FnMut(usize) -> T) -> (Duration, T) {
    let mut took = Vec::new();
    let mut last = None;
    for n in 0..times {
        let start = Instant::now();
        last = Some(work(n));
        took.push(start.elapsed());
    }
    took.sort_unstable();
    println!(
        "{name}: median {:.2?}, {:.2?} to {:.2?}",
        took[times / 2],
        took[0],
        took[times - 1]
    );
    (took[times / 2], last.unwrap())
}

fn filter(params: &[(&str, &str)]) -> Filter {
    Filter::parse(params.iter().copied()).unwrap()
}

fn newest(filter: &Filter) -> Query {
    Query {
        filter: filter.clone(),
        ..Query::default()
    }
}

fn pages(dir: &Path, size: &Size) {
    let middle = (size.start() + Days::new(size.days / 2))
        .date_naive()
        .to_string();
    let day = filter(&[("start_date", &middle), ("end_date", &middle)]);
    timed("the first page of a day, a new reader", 5, |_| {
        let page = AuditReader::open(dir).unwrap().page(&newest(&day)).unwrap();
        assert_eq!(page.entries.len(), 100);
    });
    let reader = AuditReader::open(dir).unwrap();
    timed("the first page of a day", 21, |_| {
        reader.page(&newest(&day)).unwrap()
    });
    timed("the newest page", 21, |_| {
        reader.page(&Query::default()).unwrap()
    });
    // Page after page, from the newest on.
    let mut query = Query::default();
    let mut went = |name: &str| {
        timed(name, 1000, |_| {
            let page: Page = reader.page(&query).unwrap();
            query.start = PageStart::Cursor(page.next_cursor);
        });
    };
    went("pages 1 to 1000");
    went("pages 1001 to 2000");
    went("pages 2001 to 3000");
}

fn look_ups(dir: &Path, size: &Size) {
    let reader = AuditReader::open(dir).unwrap();
    let middle = (size.start() + Days::new(size.days / 2))
        .date_naive()
        .to_string();
    let day = filter(&[("start_date", &middle), ("end_date", &middle)]);
    let page = reader.page(&newest(&day)).unwrap();
    timed("one id of all days", 51, |n| {
        let id = page.entries[n].id().parse().unwrap();
        assert!(reader.get(id).unwrap().is_some());
    });
    let rare = format!("user-{}", size.actors - 1);
    timed("a page of a rare actor of a day", 21, |_| {
        let params = [
            ("start_date", &*middle),
            ("end_date", &middle),
            ("actor", &rare),
        ];
        reader.page(&newest(&filter(&params))).unwrap()
    });
    timed("a page of an actor who isn't there, of all days", 5, |n| {
        let nobody = format!("nobody-{n}");
        let page = reader
            .page(&newest(&filter(&[("actor", &nobody)])))
            .unwrap();
        assert!(page.entries.is_empty());
    });
}

fn counts(dir: &Path, size: &Size) {
    let last = (now() - Days::new(1)).date_naive().to_string();
    let all = StatsQuery {
        filter: filter(&[("end_date", &last)]),
        ..StatsQuery::default()
    };
    let total = size.entries_a_day / 24 * 24 * size.days;
    let count = |query: &StatsQuery, reader: &AuditReader| {
        let stats = reader.stats(query).unwrap();
        assert!(stats.exact, "{:?}", stats.scanned);
        stats
    };
    let (_, stats) = timed("counts of all days, a new reader", 3, |_| {
        count(&all, &AuditReader::open(dir).unwrap())
    });
    // The log's own entries are there as well.
    assert!((total..total + 2 * size.days + 10).contains(&stats.total));
    println!(
        "  {} entries, {} blocks read",
        stats.total, stats.scanned.blocks
    );
    let reader = AuditReader::open(dir).unwrap();
    timed("counts of all days", 5, |_| count(&all, &reader));
    let day = StatsQuery {
        filter: filter(&[("start_date", &last), ("end_date", &last)]),
        step: Some(Step::Hour),
        ..StatsQuery::default()
    };
    timed("counts of a day", 5, |_| count(&day, &reader));
    let failures = StatsQuery {
        filter: filter(&[
            ("start_date", &last),
            ("end_date", &last),
            ("outcome", "failure"),
        ]),
        ..StatsQuery::default()
    };
    timed("counts of a day's failures", 5, |_| {
        count(&failures, &reader)
    });
}

fn texts(dir: &Path) {
    let reader = AuditReader::open(dir).unwrap();
    let last = (now() - Days::new(1)).date_naive().to_string();
    let nothing = filter(&[
        ("start_date", &last),
        ("end_date", &last),
        ("q", "No Such Text"),
    ]);
    let (took, bytes) = timed("a text that isn't there, of a day", 5, |_| {
        let scanned = reader.each(&nothing, Order::Desc, |_| ControlFlow::Continue(()));
        scanned.unwrap().bytes
    });
    println!(
        "  that is {:.2} GB/s of log",
        bytes as f64 / 1e9 / took.as_secs_f64()
    );
}

/// The console's pages, as the server makes them.
#[cfg(feature = "console")]
fn console(dir: &Path, size: &Size) {
    let options = RouterOptions::new()
        .max_requests_per_minute(1_000_000)
        .unrecorded_reads(true)
        .authorizer(|_: &Parts| {
            Ok(Access {
                actor_type: "user".into(),
                id: "bench".into(),
                name: String::new(),
                scope: Scope::Read,
                tenant: None,
            })
        });
    let router = read_only_router(dir, options).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let get = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let page = runtime.block_on(async {
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            to_bytes(answer.into_body(), usize::MAX).await.unwrap()
        });
        String::from_utf8(page.into()).unwrap()
    };
    let show = |name: &str, path: &str| {
        let (_, page) = timed(name, 11, |_| get(path));
        println!("  {} bytes", page.len());
    };
    let all = format!(
        "/?start_date={}&end_date={}",
        size.start().date_naive(),
        now().date_naive()
    );
    show("the console's first view, of 24 hours", "/");
    show("a value of it clicked", "/?outcome=failure");
    show("the console's view of all days", &all);
    show(
        "a value of it clicked",
        &format!("{all}&event_type=secret.read"),
    );
    // Row after row, from the newest on: 50 on a page.
    let mut path = "/".to_owned();
    let mut went = |name: &str, pages| {
        timed(name, pages, |_| path = older(&get(&path)));
    };
    went("the console's rows 1 to 1000", 20);
    went("rows 1001 to 9000", 160);
    went("rows 9001 to 10,000", 20);
}

/// The address of the page with older entries, to which this page has a link.
#[cfg(feature = "console")]
fn older(page: &str) -> String {
    let (before, _) = page.split_once(r#"rel="next""#).unwrap();
    let link = &page[before.rfind("<a ").unwrap()..];
    let (_, href) = link.split_once(r#"href=""#).unwrap();
    let (query, _) = href.split_once('"').unwrap();
    format!("/{}", query.replace("&amp;", "&"))
}

fn main() {
    let size = Size::of_environment();
    let temporary = tempfile::tempdir().unwrap();
    let dir = env::var_os("DAYS_DIR").map_or(temporary.path().join("log"), PathBuf::from);
    if fs::exists(dir.join("state")).unwrap() {
        println!("asking the log that is in {}", dir.display());
    } else {
        timed("making the log", 1, |_| make(&dir, &size));
    }
    pages(&dir, &size);
    look_ups(&dir, &size);
    counts(&dir, &size);
    texts(&dir);
    #[cfg(feature = "console")]
    console(&dir, &size);
}
