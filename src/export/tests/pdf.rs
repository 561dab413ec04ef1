//! The title page of a document, by its text.

use std::{fs, process::Command};

use super::log::LOG;
use crate::{
    export::{filtered::Filtered, format::ExportFormat},
    query::{AuditReader, Filter, Order},
};

/// The title page of an export, as `pdftotext` reads it.
fn title_page(filter: Filter, requested_by: &str) -> String {
    let wanted = Filtered {
        reader: AuditReader::of_log(LOG.layout.clone()),
        filter,
        order: Order::Asc,
        format: ExportFormat::Pdf,
        names_files: true,
        requested_by: Some(requested_by.to_owned()),
        entries: Default::default(),
        times: Default::default(),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.pdf");
    wanted.write_to(fs::File::create(&path).unwrap()).unwrap();
    let args = ["-raw", "-l", "1", path.to_str().unwrap(), "-"];
    let output = Command::new("pdftotext").args(args).output().unwrap();
    assert!(output.status.success(), "pdftotext is needed for this test");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_longest_filters_leave_room_for_the_rest() {
    let range = [
        ("start_date", "2026-11-20"),
        ("end_date", "2026-11-20T23:00:00Z"),
    ];
    let long: Vec<_> = (0..60)
        .map(|n| format!("{n}-{}", "x\n".repeat(300)))
        .collect();
    let excluded: Vec<_> = long.iter().map(|value| format!("!{value}")).collect();
    let values = excluded.iter().map(|value| ("actor", value.as_str()));
    let filter = Filter::parse(range.into_iter().chain(values)).unwrap();
    let text = title_page(filter, &"somebody \u{202e} ".repeat(100));
    assert!(
        text.contains("actor's id, name or type is not 0-x\\nx\\n"),
        "{text}"
    );
    for whole in [
        "… 35,",
        "By outcome success",
        "Proof This document is for reading",
        "Page 1 of",
    ] {
        assert!(text.contains(whole), "{whole}: {text}");
    }
}

#[test]
fn a_range_that_is_open_says_so() {
    for (parameters, title, range) in [
        (&[][..], "all days", "all that the log has"),
        (
            &[("start_date", "2026-11-21")],
            "from 2026-11-21 on",
            "from 2026-11-21 00:00:00.000000 UTC on",
        ),
        (
            &[("end_date", "2026-11-20")],
            "up to 2026-11-20",
            "before 2026-11-21 00:00:00.000000 UTC",
        ),
    ] {
        let filter = Filter::parse(parameters.iter().copied()).unwrap();
        let text = title_page(filter, "ann");
        let begins = format!("Audit log\n{title}\nThis document\nMade at ");
        assert!(text.starts_with(&begins), "{text}");
        assert!(text.contains(&format!("\nRange {range}\n")), "{text}");
    }
}
