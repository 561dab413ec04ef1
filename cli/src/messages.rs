//! The messages of `serve` about its own problems, on standard error: what the library reports to
//! `tracing`.

use std::io;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    prelude::*,
};

use super::args::LogFormat;

/// Shows messages from now on, for the whole process.
pub(super) fn show(format: LogFormat) {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let wanted = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("tracing_audit", LevelFilter::INFO);
    // Only this function sets a subscriber, and a command calls it once.
    tracing_subscriber::registry()
        .with(lines.with_filter(wanted))
        .init();
}
