//! A part of the log as one file: all of it, or an error.

use std::{
    fs,
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use flate2::read::GzDecoder;
use serde::de::IgnoredAny;
use tracing_audit::{
    AuditLog, AuditReader, Error, Filter, audit,
    reader::{CsvDetails, CsvOptions, ExportFormat, Order},
};
use tracing_subscriber::prelude::*;

use crate::support::{files, until};

fn formats() -> impl Iterator<Item = ExportFormat> {
    ExportFormat::names().map(|name| name.parse().unwrap())
}

/// Every event, and those that match a filter on a field.
fn filters() -> [Filter; 2] {
    let read = Filter::parse([("event_type", "page.read")]).unwrap();
    [Filter::new(), read]
}

/// A log of some sealed files with a few blocks each, which nobody has open.
fn sealed_log(events: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let log = AuditLog::builder(dir.path()).lifecycle(false).source("a");
        let log = log.rotate_bytes(700_000).live_grace(Duration::ZERO);
        log.open().unwrap()
    };
    let log = open();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..events {
            let noise = format!("{:032x}", fastrand::u128(..)).repeat(8);
            audit!("page.read", n, noise).ignore();
        }
    });
    log.close().unwrap();
    let log = open();
    until("everything is sealed", || {
        files(&dir.path().join("live")).len() <= 1
    });
    log.close().unwrap();
    dir
}

/// The sealed files, the oldest first.
fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut files = files(&dir.join("sealed"));
    files.retain(|path| path.to_string_lossy().ends_with(".gz"));
    files.sort();
    files
}

fn flip_a_bit_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Does something at the first byte that is written.
struct Meanwhile<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Write for Meanwhile<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(act) = self.0.take() {
            act();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn memmem(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The file that an export that isn't whole names.
fn missing(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::NotWhole { file, .. }) => file.clone(),
        _ => panic!("{error}"),
    }
}

#[test]
fn a_damaged_block_breaks_every_export_that_has_it() {
    let dir = sealed_log(10_000);
    let files = sealed(dir.path());
    assert!(files.len() > 4, "{files:?}");
    let reader = AuditReader::open(dir.path()).unwrap();
    let export = |filter: &Filter, format| {
        let export = reader.export(filter, format);
        export
            .map_err(io::Error::other)
            .and_then(|export| export.write_to(io::sink()))
    };
    for filter in filters() {
        for format in formats() {
            export(&filter, format).unwrap();
        }
    }
    flip_a_bit_in_the_middle(&files[2]);
    for filter in filters() {
        for format in formats() {
            let error = export(&filter, format).expect_err(format.as_str());
            assert!(
                files[2].ends_with(missing(&error)),
                "{format:?} names {error}"
            );
        }
    }
    // The damage is of no concern to who wants nothing of that time.
    let after = AuditReader::open(dir.path()).unwrap();
    let last = after.page(&tracing_audit::Query::default()).unwrap();
    let last = last.entries[0].timestamp().to_string();
    let filter = Filter::parse([("start_date", last.as_str())]).unwrap();
    for format in formats() {
        export(&filter, format).unwrap();
    }
}

#[test]
fn what_was_written_before_an_export_failed_does_not_look_finished() {
    let dir = sealed_log(10_000);
    let files = sealed(dir.path());
    flip_a_bit_in_the_middle(files.last().unwrap());
    let reader = AuditReader::open(dir.path()).unwrap();
    for filter in filters() {
        for format in formats() {
            let mut written = Vec::new();
            let export = reader.export(&filter, format).unwrap();
            export.write_to(&mut written).expect_err(format.as_str());
            assert!(
                written.len() > 100_000,
                "{format:?}: the damage is at the end"
            );
            let looks_finished = match format {
                ExportFormat::Zip => zip::ZipArchive::new(io::Cursor::new(&written)).is_ok(),
                ExportFormat::Gzip => {
                    io::copy(&mut GzDecoder::new(&written[..]), &mut io::sink()).is_ok()
                }
                ExportFormat::Json => serde_json::from_slice::<IgnoredAny>(&written).is_ok(),
                #[cfg(feature = "pdf")]
                ExportFormat::Pdf => {
                    memmem(&written, b"startxref") || memmem(&written, b"/Catalog")
                }
                // Lines and rows have no end of their own.
                _ => false,
            };
            assert!(!looks_finished, "{format:?} {:?}", filter.params());
        }
    }
}

#[test]
fn retention_breaks_every_export_whose_files_it_takes() {
    let dir = sealed_log(10_000);
    let files = sealed(dir.path());
    let last = files.last().unwrap();
    let away = dir.path().join("away");
    for filter in filters() {
        for format in formats() {
            let reader = AuditReader::open(dir.path()).unwrap();
            let export = reader.export(&filter, format).unwrap();
            let error = export
                .write_to(Meanwhile(Some(|| fs::rename(last, &away).unwrap())))
                .expect_err(format.as_str());
            assert!(last.ends_with(missing(&error)), "{format:?} names {error}");
            fs::rename(&away, last).unwrap();
        }
    }
}

#[test]
fn an_export_is_whole_unless_it_is_cancelled() {
    let log = AuditLog::for_tests();
    log.run(|| (0..20).for_each(|n| audit!("page.read", n).ignore()));
    log.flush().unwrap();
    let reader = AuditReader::open(log.dir()).unwrap();
    let mut times = Vec::new();
    let all = reader.each(&Filter::new(), Order::Asc, |entry| {
        times.push(entry.timestamp());
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap().problems, []);
    let ends = (times[0], times[19]);
    for filter in filters() {
        for format in formats() {
            let export = || reader.export(&filter, format).unwrap();
            let cancelled = export().cancel_when(|| true).write_to(io::sink());
            assert!(cancelled.is_err(), "{format:?}");
            let mut written = Vec::new();
            let exported = export().write_to(&mut written).unwrap();
            assert_eq!(exported.problems, []);
            assert_eq!(exported.entries, 20, "{format:?}");
            let times = exported.times.unwrap();
            assert_eq!((times.first, times.last), ends, "{format:?}");
            assert!(!written.is_empty(), "{format:?}");
            let bytes = export().bytes();
            assert!(bytes.is_none_or(|bytes| bytes == written.len() as u64));
            if format == ExportFormat::Ndjson {
                let lines = written.split(|byte| *byte == b'\n');
                assert_eq!(
                    lines.count(),
                    21,
                    "20, and nothing after the last line feed"
                );
            }
        }
    }
}

#[test]
fn an_export_says_how_far_it_has_come() {
    let dir = sealed_log(10_000);
    let reader = AuditReader::open(dir.path()).unwrap();
    let nobody = Filter::parse([("actor", "nobody")]).unwrap();
    let csv = |details| {
        let mut options = CsvOptions::default();
        options.details = details;
        ExportFormat::Csv(options)
    };
    let twice = csv(CsvDetails::Columns);
    for filter in filters().into_iter().chain([nobody]) {
        for format in formats().chain([twice]) {
            let mut export = reader.export(&filter, format).unwrap();
            let Some(progress) = export.progress().unwrap() else {
                assert!(export.bytes().is_some(), "{format:?} knows its length");
                continue;
            };
            assert!(progress.total() > 2_000_000, "{format:?}");
            assert_eq!(progress.passed(), 0);
            let (now, seen) = (progress.clone(), Arc::new(Mutex::new(Vec::new())));
            let saw = Arc::clone(&seen);
            let export = export.cancel_when(move || {
                saw.lock().unwrap().push(now.passed());
                false
            });
            export.write_to(io::sink()).unwrap();
            assert_eq!(progress.passed(), progress.total(), "{format:?}");
            let seen = seen.lock().unwrap();
            assert!(seen.is_sorted(), "{format:?}: {seen:?}");
            let between = |passed: &&u64| (1..progress.total()).contains(*passed);
            let is_ruled_out = filter.params().iter().any(|(name, _)| name == "actor");
            assert!(is_ruled_out || seen.iter().filter(between).count() > 4);
        }
    }
}
