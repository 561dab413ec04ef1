//! An event in the destructor of a thread-local value is recorded, and aborts nothing: by then the
//! other layers' own thread-local values may be gone.

use std::{cell::Cell, env, path::Path, thread};

use tracing_audit::{AuditLog, audit};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

const DIR: &str = "A_THREAD_ENDS_DIR";
const ORDER: &str = "A_THREAD_ENDS_ORDER";

struct Last(Cell<bool>);

impl Drop for Last {
    fn drop(&mut self) {
        let receipt = audit!("thread.ended", severity = error, "The thread ends");
        assert!(self.0.get() && receipt.is_recorded());
    }
}

thread_local! {
    static LAST: Last = const { Last(Cell::new(false)) };
}

fn register() {
    LAST.with(|last| last.0.set(true));
}

/// What a thread does before it ends. The destructors of its values run in the reverse order of
/// their first uses.
fn live(order: &str) {
    match order {
        "after the first event" => {
            audit!("thread.began");
            register();
        }
        "before the first event" => {
            register();
            audit!("thread.began");
        }
        "without another event" => register(),
        "before an event of tracing" => {
            register();
            tracing::warn!("no audit event");
        }
        "before a span" => {
            register();
            drop(tracing::info_span!("request", tenant_id = "acme").entered());
        }
        // The filter of the other layer lets only the later one through, so it comes to its
        // thread-local values later than we to ours.
        "between a quiet event and a loud one" => {
            audit!("thread.began");
            register();
            tracing::error!("no audit event");
        }
        "around each other" => {
            register();
            audit!("thread.began", severity = error);
            tracing::error!("no audit event");
            audit!("thread.went_on");
        }
        other => panic!("{other}"),
    }
}

const ORDERS: [&str; 7] = [
    "after the first event",
    "before the first event",
    "without another event",
    "before an event of tracing",
    "before a span",
    "between a quiet event and a loud one",
    "around each other",
];

#[test]
fn victim() {
    let (Ok(dir), Ok(order)) = (env::var(DIR), env::var(ORDER)) else {
        return;
    };
    let log = AuditLog::builder(&dir)
        .lifecycle(false)
        .source("ending")
        .open()
        .unwrap();
    let (order, filter) = order.split_once(", ").unwrap();
    let layers = tracing_subscriber::registry();
    match filter {
        "alone" => layers.with(log.layer()).with(fmt::layer()).init(),
        "outside" => layers.with(fmt::layer()).with(log.layer()).init(),
        "quiet" => layers
            .with(fmt::layer().with_filter(LevelFilter::WARN))
            .with(log.layer())
            .init(),
        "filtered" => layers
            .with(log.layer())
            .with(EnvFilter::new("[request]=debug,warn"))
            .with(fmt::layer())
            .init(),
        "global" => {
            layers.with(fmt::layer()).init();
            log.set_global().unwrap();
        }
        other => panic!("{other}"),
    }
    if let Some(order) = order.strip_prefix("main: ") {
        // Its values are destroyed when the process exits.
        live(order);
        std::mem::forget(log);
        return;
    }
    let order = order.to_owned();
    thread::spawn(move || live(&order)).join().unwrap();
    // The end of one thread is not that of another.
    audit!("process.went_on", severity = error, "It goes on");
    log.close().unwrap();
}

/// What the child prints, and the types of the events that it recorded.
fn run(order: &str, stack: &str, dir: &Path) -> (String, Vec<String>) {
    let vars = [
        (DIR, dir.to_str().unwrap()),
        (ORDER, &format!("{order}, {stack}")),
    ];
    let output = crate::support::child(module_path!(), "victim", &vars)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(
        output.status.success(),
        "{order}, {stack}: {} {said:?}",
        output.status
    );
    let types = crate::support::records(dir)
        .iter()
        .map(|record| record["event_type"].as_str().unwrap().to_owned())
        .collect();
    (said.concat(), types)
}

const STACKS: [&str; 5] = ["alone", "outside", "quiet", "filtered", "global"];

#[test]
fn its_last_event_is_recorded_once_whatever_is_gone_by_then() {
    for order in ORDERS {
        for stack in STACKS {
            let dir = tempfile::tempdir().unwrap();
            let (said, types) = run(order, stack, dir.path());
            let ended = types.iter().filter(|of| *of == "thread.ended").count();
            assert_eq!(ended, 1, "{order}, {stack}: {types:?}");
            assert_eq!(types.last().unwrap(), "process.went_on", "{order}, {stack}");
            assert!(said.contains("It goes on"), "{order}, {stack}: {said}");
            // Where nothing but the other layer's panic says that the thread ends, it is caught; the
            // panic hook has shown it by then.
            let shown = stack == "global" || order == "between a quiet event and a loud one";
            let panicked = said.contains("panicked");
            assert!(shown || !panicked, "{order}, {stack}: {said}");
        }
    }
}

#[test]
fn the_main_thread_ends_as_any_other() {
    for order in ORDERS {
        for stack in STACKS {
            let dir = tempfile::tempdir().unwrap();
            run(&format!("main: {order}"), stack, dir.path());
        }
    }
}
