//! "No log filter can lose an event": the same calls under every arrangement of layers and filters
//! that loses ordinary events.

use std::path::Path;

use tracing::{Dispatch, dispatcher, level_filters::LevelFilter};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::Layered, prelude::*, reload};

fn open(dir: &Path) -> AuditLog {
    AuditLog::builder(dir)
        .lifecycle(false)
        .source("matrix")
        .open()
        .unwrap()
}

/// Emits under `subscriber`, on this thread and on a new one, and checks that both events are
/// there, once.
fn records_under(name: &str, build: impl FnOnce(&AuditLog) -> Dispatch) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let dispatch = build(&log);
    dispatcher::with_default(&dispatch, || {
        assert!(
            audit!("matrix.here", actor.id = "u-1", "Here").is_recorded(),
            "{name}"
        );
    });
    std::thread::spawn(move || {
        dispatcher::with_default(&dispatch, || audit!("matrix.there", actor.id = "u-1"))
    })
    .join()
    .unwrap();
    log.close().unwrap();
    let types: Vec<_> = crate::support::records(dir.path())
        .iter()
        .map(|record| record["event_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, ["matrix.here", "matrix.there"], "{name}");
}

fn quiet<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().with_writer(std::io::sink)
}

#[test]
fn global_filters() {
    for filter in ["off", "warn", "x=debug", "audit=off"] {
        records_under(filter, |log| {
            tracing_subscriber::registry()
                .with(log.layer())
                .with(EnvFilter::new(filter))
                .into()
        });
        records_under(filter, |log| {
            tracing_subscriber::registry()
                .with(EnvFilter::new(filter))
                .with(log.layer())
                .into()
        });
    }
    records_under("level filter", |log| {
        tracing_subscriber::registry()
            .with(LevelFilter::ERROR)
            .with(log.layer())
            .with(quiet())
            .into()
    });
}

#[test]
fn filters_of_layers() {
    records_under("its own, off", |log| {
        tracing_subscriber::registry()
            .with(log.layer().with_filter(LevelFilter::OFF))
            .into()
    });
    records_under("its own and another's", |log| {
        let audit = log.layer().with_filter(EnvFilter::new("off"));
        tracing_subscriber::registry()
            .with(quiet().with_filter(LevelFilter::WARN))
            .with(audit)
            .into()
    });
}

#[test]
fn boxed_and_nested_layers() {
    records_under("a vector", |log| {
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![
            quiet().boxed(),
            log.layer().boxed(),
            LevelFilter::OFF.boxed(),
        ];
        tracing_subscriber::registry().with(layers).into()
    });
    records_under("an option", |log| {
        tracing_subscriber::registry()
            .with(Some(log.layer()))
            .with(LevelFilter::OFF)
            .into()
    });
    records_under("and_then", |log| {
        tracing_subscriber::registry()
            .with(quiet().and_then(log.layer()))
            .with(LevelFilter::OFF)
            .into()
    });
}

#[test]
fn under_reload_as_far_as_the_filters_let_it() {
    records_under("reload", |log| {
        let (layer, _handle) = reload::Layer::<_, Layered<LevelFilter, Registry>>::new(log.layer());
        tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(layer)
            .into()
    });
}

/// A filter that rejects something asked of it through `log` leaves state behind that makes layers
/// with a filter of their own miss the next event (tokio-rs/tracing#2519).
#[test]
fn after_a_preceding_log_enabled() {
    records_under("log_enabled", |log| {
        let dispatch: Dispatch = tracing_subscriber::registry()
            .with(quiet().with_filter(EnvFilter::new("x=debug,info")))
            .with(log.layer().with_filter(LevelFilter::INFO))
            .into();
        dispatcher::with_default(&dispatch, || {
            // What `log::log_enabled!` comes down to.
            assert!(dispatcher::get_default(|dispatch| dispatch.enabled(&META)));
        });
        dispatch
    });
}

static CALLSITE: tracing::callsite::DefaultCallsite =
    tracing::callsite::DefaultCallsite::new(&META);
static META: tracing::Metadata<'static> = tracing::Metadata::new(
    "probe",
    "y",
    tracing::Level::TRACE,
    None,
    None,
    None,
    tracing::field::FieldSet::new(&[], tracing::callsite::Identifier(&CALLSITE)),
    tracing::metadata::Kind::EVENT,
);

/// The process-wide log takes what meets no layer. One test, because it can be set once.
#[test]
fn the_process_wide_log_takes_the_rest() {
    if !crate::support::is_apart(module_path!(), "the_process_wide_log_takes_the_rest") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert!(!audit!("matrix.nowhere").is_recorded());
    log.set_global().unwrap();
    assert!(log.set_global().is_err());

    assert!(audit!("matrix.no_subscriber").is_recorded());
    let (layer, _handle) = reload::Layer::<_, Registry>::new(log.layer());
    let hidden: Dispatch = tracing_subscriber::registry()
        .with(layer)
        .with(EnvFilter::new("off"))
        .into();
    dispatcher::with_default(&hidden, || {
        assert!(audit!("matrix.reload_off").is_recorded())
    });
    let without: Dispatch = tracing_subscriber::registry().with(quiet()).into();
    dispatcher::with_default(&without, || {
        assert!(audit!("matrix.without_layer").is_recorded())
    });
    std::thread::spawn(|| assert!(audit!("matrix.thread").is_recorded()))
        .join()
        .unwrap();

    log.close().unwrap();
    assert!(!audit!("matrix.closed").is_recorded());
    let types: Vec<_> = crate::support::records(dir.path())
        .iter()
        .map(|record| record["event_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "matrix.no_subscriber",
            "matrix.reload_off",
            "matrix.without_layer",
            "matrix.thread"
        ]
    );
}

/// The mirrored event reaches the other layers, under their filters; audit layers of two logs each
/// have the event once.
#[test]
fn the_mirror_reaches_others_and_no_log_twice() {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(one.path()), open(two.path()));
    let sink = Sink::default();
    let writer = sink.clone();
    let console = fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_filter(LevelFilter::WARN);
    let dispatch: Dispatch = tracing_subscriber::registry()
        .with(first.layer())
        .with(second.layer())
        .with(console)
        .into();
    dispatcher::with_default(&dispatch, || {
        audit!("matrix.info", "quiet");
        audit!(
            "matrix.warned",
            severity = warning,
            actor.id = "u-1",
            "Loud {}",
            1
        );
        tracing::info!(target: "audit", event_type = "matrix.plain", "plain");
        tracing::info!("no audit event");
    });
    first.close().unwrap();
    second.close().unwrap();
    let console = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(
        console.contains("WARN audit: Loud 1")
            && console.contains("event_type=\"matrix.warned\"")
            && !console.contains("quiet"),
        "{console}"
    );
    for dir in [&one, &two] {
        let types: Vec<_> = crate::support::records(dir.path())
            .iter()
            .map(|r| r["event_type"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(types, ["matrix.info", "matrix.warned", "matrix.plain"]);
    }
}

/// Two layers of one log have an ordinary event once, too, wherever they are and whatever one of
/// them is kept from.
#[test]
fn an_ordinary_event_is_recorded_once_for_each_log() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(one.path()), open(two.path()));
    let emit = || {
        for n in 0..3 {
            tracing::info!(target: "audit", event_type = "matrix.plain", n);
            tracing::error!(target: "audit", event_type = "matrix.failed", n);
        }
    };
    let both: Dispatch = tracing_subscriber::registry()
        .with(first.layer())
        .with(second.layer())
        .with(fmt::layer().with_writer(std::io::sink))
        .with(second.layer())
        .with(first.layer())
        .into();
    // A filter around one of them hides events from that one only.
    let filtered: Dispatch = tracing_subscriber::registry()
        .with(first.layer().with_filter(LevelFilter::ERROR))
        .with(first.layer())
        .into();
    for dispatch in [&both, &filtered] {
        dispatcher::with_default(dispatch, emit);
    }
    first.close().unwrap();
    second.close().unwrap();
    for (dir, expected) in [(&one, 12), (&two, 6)] {
        assert_eq!(crate::support::records(dir.path()).len(), expected);
    }
}
