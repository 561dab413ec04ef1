//! The layer changes nothing for other layers: with it they see what they would see without it, and
//! what none of them wants is not even made.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{Dispatch, Level, Subscriber, dispatcher, level_filters::LevelFilter};
use tracing_audit::{AuditLayer, AuditLog, audit};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::Layered, prelude::*, registry::LookupSpan, reload,
};

/// What a `fmt` layer has written.
#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl io::Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Console {
    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let console = self.clone();
        fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(move || console.clone())
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

fn open() -> (tempfile::TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("others")
        .open();
    (dir, log.unwrap())
}

/// Lines of all levels, in spans and outside.
fn act() {
    for _ in 0..2 {
        tracing::error!("an error");
        tracing::warn!("a warning");
        tracing::info!("an info");
        tracing::debug!("a debug");
        tracing::trace!("a trace");
        tracing::debug_span!("fine", actor.id = "u-1")
            .in_scope(|| tracing::info!("in a fine span"));
        tracing::trace_span!("finest").in_scope(|| tracing::trace!("in the finest span"));
        tracing::info_span!("usual", tenant_id = "t-1").in_scope(|| tracing::warn!("in a span"));
    }
}

/// Checks that the console shows the same with and without the layer of a log.
fn same(name: &str, build: impl Fn(Option<&AuditLog>, &Console) -> Dispatch) {
    let (_dir, log) = open();
    let console = Console::default();
    let shown = |log| {
        let dispatch = build(log, &console);
        dispatcher::with_default(&dispatch, act);
        console.take()
    };
    let (without, with) = (shown(None), shown(Some(&log)));
    assert_eq!(with, without, "{name}");
    assert!(with.contains("an error"), "{name}: {with}");
}

/// The same, of layers that have to be of one type with and without the log.
macro_rules! same {
    ($name:literal, $console:ident, $log:ident => $with:expr, $without:expr) => {
        same($name, |log, $console| match log {
            Some($log) => $with.into(),
            None => $without.into(),
        });
    };
}

fn registry() -> Registry {
    tracing_subscriber::registry()
}

#[test]
fn no_other_layer_has_a_filter() {
    same!("outside", c, log => registry().with(c.layer()).with(log.layer()), registry().with(c.layer()));
    same!("inside", c, log => registry().with(log.layer()).with(c.layer()), registry().with(c.layer()));
    same!(
        "unfiltered", c, log =>
        registry().with(log.unfiltered_layer()).with(c.layer()), registry().with(c.layer())
    );
    same!(
        "its own filter", c, log =>
        registry().with(log.layer().with_filter(LevelFilter::INFO)).with(c.layer()),
        registry().with(c.layer())
    );
    same!(
        "two logs", c, log =>
        registry().with(log.layer()).with(c.layer()).with(log.layer()),
        registry().with(c.layer())
    );
    let (_dir, log) = open();
    let console = Console::default();
    let all = registry().with(log.layer()).with(console.layer());
    tracing::subscriber::with_default(all, act);
    let shown = console.take();
    assert!(
        shown.contains("a trace") && shown.contains("in the finest span"),
        "{shown}"
    );
}

#[test]
fn layers_with_filters() {
    for level in [
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ] {
        let filtered = |console: &Console| console.layer().with_filter(level);
        same!(
            "outside", c, log =>
            registry().with(filtered(c)).with(log.layer()), registry().with(filtered(c))
        );
        same!(
            "inside", c, log =>
            registry().with(log.layer()).with(console_of(c, level)),
            registry().with(console_of(c, level))
        );
        same!(
            "beside one without", c, log =>
            registry().with(log.layer()).with(console_of(c, level)).with(c.layer()),
            registry().with(console_of(c, level)).with(c.layer())
        );
    }
    same!(
        "by target", c, log =>
        registry().with(log.layer()).with(c.layer().with_filter(EnvFilter::new("info,[fine]=trace"))),
        registry().with(c.layer().with_filter(EnvFilter::new("info,[fine]=trace")))
    );
}

fn console_of<S: Subscriber + for<'a> LookupSpan<'a>>(
    console: &Console,
    level: LevelFilter,
) -> impl Layer<S> + use<S> {
    console.layer().with_filter(level)
}

#[test]
fn global_filters() {
    for filter in ["warn", "debug", "info,capture=trace"] {
        same!(
            "global, inside", c, log =>
            registry().with(EnvFilter::new(filter)).with(log.layer()).with(c.layer()),
            registry().with(EnvFilter::new(filter)).with(c.layer())
        );
        same!(
            "global, outside", c, log =>
            registry().with(log.layer()).with(c.layer()).with(EnvFilter::new(filter)),
            registry().with(c.layer()).with(EnvFilter::new(filter))
        );
    }
}

#[test]
fn options_vectors_boxes_and_reload() {
    same("an option", |log, console| {
        let layer = log.map(AuditLog::layer);
        registry().with(layer).with(console.layer()).into()
    });
    same("an option, outside", |log, console| {
        let layer = log.map(AuditLog::layer);
        registry().with(console.layer()).with(layer).into()
    });
    same("a vector", |log, console| {
        let mut layers = vec![console.layer::<Registry>().boxed()];
        layers.extend(log.map(|log| log.layer().boxed()));
        registry().with(layers).into()
    });
    same("a vector, the log first", |log, console| {
        let mut layers: Vec<_> = log
            .iter()
            .map(|log| log.layer::<Registry>().boxed())
            .collect();
        layers.push(console.layer().boxed());
        registry().with(layers).into()
    });
    same!(
        "and_then", c, log =>
        registry().with(log.layer().and_then(c.layer())), registry().with(c.layer())
    );
    same!(
        "reload", c, log =>
        registry().with(reload::Layer::<_, Registry>::new(log.layer()).0).with(c.layer()),
        registry().with(c.layer())
    );
    same!(
        "reload, outside", c, log => {
            type Inner<L> = Layered<L, Registry>;
            fn on<L: Layer<Registry>>(inner: Inner<L>, log: &AuditLog) -> impl Subscriber + use<L>
            where
                Inner<L>: Subscriber + for<'a> LookupSpan<'a>,
            {
                inner.with(reload::Layer::new(log.layer()).0)
            }
            Dispatch::new(on(registry().with(c.layer()), log))
        },
        registry().with(c.layer())
    );
}

#[test]
fn a_layer_that_is_put_in_place_later() {
    let (dir, log) = open();
    let console = Console::default();
    let (layer, handle) = reload::Layer::<Option<AuditLayer>, Registry>::new(None);
    let subscriber = registry().with(layer).with(console.layer());
    let dispatch = Dispatch::new(subscriber);
    handle.reload(Some(log.unfiltered_layer())).unwrap();
    dispatcher::with_default(&dispatch, || {
        act();
        audit!("late.came");
        tracing::info!(target: "audit", event_type = "late.plain");
    });
    let shown = console.take();
    assert!(shown.contains("a trace"), "{shown}");
    drop((dispatch, handle));
    log.close().unwrap();
    let entries = crate::support::records(dir.path());
    let types: Vec<_> = entries.iter().map(|entry| &entry["event_type"]).collect();
    assert_eq!(types, ["late.came", "late.plain"]);
}

/// In a process of its own: what a line costs depends on all subscribers of the process.
#[test]
fn what_nobody_wants_is_not_made() {
    if !crate::support::is_apart(module_path!(), "what_nobody_wants_is_not_made") {
        return;
    }
    let (_dir, log) = open();
    let alone: Dispatch = registry().with(log.layer()).into();
    dispatcher::with_default(&alone, || {
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        assert!(!tracing::enabled!(Level::DEBUG));
        assert!(
            !tracing::event_enabled!(Level::INFO),
            "the application's own"
        );
        assert!(tracing::event_enabled!(target: "audit", Level::INFO));
        assert!(audit!("cost.alone").is_recorded());
        assert!(tracing::span_enabled!(Level::INFO) && !tracing::span_enabled!(Level::DEBUG));
    });
    drop(alone);
    let finer: Dispatch = registry()
        .with(log.layer_with_spans(LevelFilter::DEBUG))
        .into();
    dispatcher::with_default(&finer, || {
        assert!(tracing::span_enabled!(Level::DEBUG) && !tracing::event_enabled!(Level::DEBUG));
    });
    drop(finer);
    let console = Console::default();
    let beside: Dispatch = registry()
        .with(console_of(&console, LevelFilter::WARN))
        .with(log.layer())
        .into();
    dispatcher::with_default(&beside, || {
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        assert!(tracing::event_enabled!(Level::WARN) && !tracing::event_enabled!(Level::INFO));
        assert!(!tracing::enabled!(Level::DEBUG));
    });
    drop(beside);
    let boxed: Dispatch = registry()
        .with(vec![log.layer::<Registry>().boxed()])
        .into();
    dispatcher::with_default(&boxed, || assert!(!tracing::enabled!(Level::DEBUG)));
}

/// A question that another layer answers with yes, and ours would with no, is not to hide the next
/// span from ours.
#[test]
fn a_question_hides_no_span() {
    let (dir, log) = open();
    let console = Console::default();
    let subscriber = registry()
        .with(log.layer())
        .with(console_of(&console, LevelFilter::TRACE));
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..3_u64 {
            assert!(tracing::enabled!(Level::DEBUG));
            tracing::info_span!("request", actor.id = n).in_scope(|| audit!("question.asked"));
        }
    });
    log.close().unwrap();
    for (n, entry) in crate::support::records(dir.path()).iter().enumerate() {
        assert_eq!(entry["actor"]["id"], n.to_string(), "{entry}");
    }
}
