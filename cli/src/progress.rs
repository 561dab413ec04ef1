//! Progress of long work, on stderr and only if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// So many files of so many.
pub(super) fn files(verb: &'static str) -> ProgressBar {
    bar(verb, "{msg} {wide_bar} {pos} of {len} files, {eta} left")
}

/// So many entries of so many.
pub(super) fn entries(verb: &'static str) -> ProgressBar {
    bar(verb, "{msg} {wide_bar} {pos} of {len} entries, {eta} left")
}

/// So many bytes of this many.
pub(super) fn bytes(verb: &'static str, total: u64) -> ProgressBar {
    let bar = bar(
        verb,
        "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} \
         left",
    );
    bar.set_length(total);
    bar
}

/// So many bytes of the log that are read.
pub(super) fn read(verb: &'static str, total: u64) -> ProgressBar {
    let bar = bar(
        verb,
        "{msg} {wide_bar} read {binary_bytes} of {binary_total_bytes}, {eta} left",
    );
    bar.set_length(total);
    bar
}

fn bar(verb: &'static str, template: &str) -> ProgressBar {
    // Draws on stderr, and nothing at all if that isn't a terminal.
    let bar = ProgressBar::new(0).with_message(verb);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
