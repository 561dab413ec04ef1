//! Exports of a filter have what the archive of the same range has.

use std::io::Cursor;

use serde_json::Value;

use super::log::{LOG, Log, SECOND, entries_of, time, unzip};
use crate::{
    error::Error,
    export::{filtered::Filtered, format::ExportFormat},
    query::{AuditReader, Filter, Order},
};

const NDJSON: ExportFormat = ExportFormat::Ndjson;

fn export(log: &Log, filter: Filter, format: ExportFormat) -> std::io::Result<Vec<u8>> {
    let wanted = Filtered {
        reader: AuditReader::of_log(log.layout.clone()),
        filter,
        order: Order::Asc,
        format,
        names_files: true,
        #[cfg(feature = "pdf")]
        requested_by: None,
        entries: Default::default(),
        times: Default::default(),
    };
    let mut written = Vec::new();
    wanted.write_to(&mut written)?;
    Ok(written)
}

#[test]
fn an_archive_of_a_filter_is_that_of_its_range_with_fewer_lines() {
    let (from, to) = ("2026-11-20T22:13:14.15Z", "2026-11-22T03:21:00Z");
    let (manifest, all) = unzip(&LOG.zip(time(from)..time(to)));
    let range = || Filter::parse([("start_date", from), ("end_date", to)]).unwrap();

    let everything = range().with("category", "auth").unwrap();
    let archive = export(&LOG, everything, ExportFormat::Zip).unwrap();
    let (described, entries) = entries_of(Cursor::new(archive));
    assert!(entries == all);
    for part in ["range", "entries", "problems"] {
        assert_eq!(described[part], manifest[part], "{part}");
    }
    assert_eq!(manifest["filters"], serde_json::json!({}));
    assert_eq!(
        described["filters"],
        serde_json::json!({ "category": ["auth"] })
    );

    let some = range().with("actor", "user-7").unwrap();
    let archive = export(&LOG, some, ExportFormat::Zip).unwrap();
    let (described, entries) = entries_of(Cursor::new(archive));
    let mut lines = 0;
    for (name, text) in &all {
        let is_wanted = |line: &&str| line.contains("\"user-7\"");
        let expected: String = text.split_inclusive('\n').filter(is_wanted).collect();
        assert_eq!(entries.get(name).map_or("", |text| text), expected);
        lines += expected.lines().count() as u64;
    }
    let counts = described["entries"].as_array().unwrap().iter();
    let counts: u64 = counts.filter_map(|entry| entry["count"].as_u64()).sum();
    assert!(counts == lines && lines > 10, "{counts} of {lines}");
    for entry in described["entries"].as_array().unwrap() {
        let files = entry["files"].as_array().unwrap().iter();
        let counts: u64 = files.filter_map(|file| file["count"].as_u64()).sum();
        assert_eq!(Value::from(counts), entry["count"], "{entry}");
    }
}

#[test]
fn a_line_that_is_no_entry_breaks_only_exports_of_its_time() {
    for sealed in [false, true] {
        let mut log = Log::new();
        let stem = log.live("billing-7f3a9c", 1, "2026-11-21T00:00:00Z", 10, SECOND);
        log.write(&stem, b"overwritten by \xff\xfe something\n");
        log.append(&stem, time("2026-11-21T01:00:00Z"));
        if sealed {
            log.seal(&stem);
        }
        for format in [NDJSON, ExportFormat::Gzip, ExportFormat::Zip] {
            let error = export(&log, Filter::new(), format).unwrap_err();
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            assert!(matches!(inner, Some(Error::NotWhole { .. })), "{error}");
        }
        let later = Filter::parse([("start_date", "2026-11-21T00:30:00Z")]).unwrap();
        let lines = export(&log, later, NDJSON).unwrap();
        assert_eq!(lines, log.lines[&stem].last().unwrap().1.as_bytes());
    }
}
