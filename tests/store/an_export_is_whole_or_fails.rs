//! A part of the log as one file: all of it, or an error.

use std::io;

use tracing_audit::{AuditLog, AuditReader, Filter, audit, reader::ExportFormat};

#[test]
fn an_export_is_whole_unless_it_is_cancelled() {
    let log = AuditLog::for_tests();
    log.run(|| (0..20).for_each(|n| audit!("page.read", n).ignore()));
    log.flush().unwrap();
    let reader = AuditReader::open(log.dir()).unwrap();
    let read = Filter::parse([("event_type", "page.read")]).unwrap();
    for filter in [Filter::new(), read] {
        for format in [ExportFormat::Zip, ExportFormat::Gzip, ExportFormat::Ndjson] {
            let export = || reader.export(&filter, format).unwrap();
            let cancelled = export().cancel_when(|| true).write_to(io::sink());
            assert!(cancelled.is_err(), "{format:?}");
            let mut written = Vec::new();
            let scanned = export().write_to(&mut written).unwrap();
            assert_eq!(scanned.problems, []);
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
