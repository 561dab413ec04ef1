//! `export` to every kind of place, and of a log that is damaged.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

use crate::cli::{code, err, out, program, run};
use crate::commands::{log, sealed};
use crate::support::{files, lines};

fn export(dir: &Path, to: &Path, more: &[&str]) -> Output {
    run(
        dir,
        &[&["export", "--output", to.to_str().unwrap()], more].concat(),
    )
}

#[test]
fn the_name_of_the_file_says_its_format() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    for (name, more, says) in [
        ("x.xlsx", &[][..], ".zip, .gz"),
        ("x", &[], ".zip, .gz"),
        ("zip", &[], ".zip, .gz"),
        ("x.zip", &["--format", "gz"], "--format"),
        ("x.zip", &["--csv-bom"], "--csv-bom"),
        ("x.csv", &["--csv-details", "rows"], "--csv-details"),
    ] {
        let output = export(dir.path(), &to.path().join(name), more);
        assert_eq!(code(&output), 2, "{name}: {}", err(&output));
        assert!(err(&output).contains(says), "{name}: {}", err(&output));
        assert!(files(to.path()).is_empty(), "{name}");
    }
    for (name, more, begins) in [
        ("x.ZIP", &[][..], &b"PK"[..]),
        ("x.jsonl.gz", &[], b"\x1f\x8b"),
        ("x.ndjson", &[], b"{\"stream\""),
        ("x.data", &["--format", "gz"], b"\x1f\x8b"),
        ("x.json", &[], b"[\n{\"stream\""),
        ("x.csv", &[], b"stream,seq,id,"),
        ("x.pdf", &[], b"%PDF-1.7"),
        ("y.csv", &["--csv-bom"], b"\xef\xbb\xbfstream,seq,id,"),
    ] {
        let to = to.path().join(name);
        let output = export(dir.path(), &to, more);
        assert_eq!(code(&output), 0, "{name}: {}", err(&output));
        assert!(fs::read(&to).unwrap().starts_with(begins), "{name}");
    }
    let flat = export(
        dir.path(),
        Path::new("-"),
        &["--format", "csv", "--csv-details", "columns"],
    );
    let first = out(&flat).lines().next().unwrap().to_owned();
    let details = "description,details.attempt,details.mode,details.n,details,tags";
    assert!(first.contains(details), "{first}");
}

#[test]
fn an_export_says_how_much_it_has_and_from_when_to_when() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    let path = |name: &str| to.path().join(name);
    // The day and the minute of the first entry, as the log has them.
    let first = lines(dir.path()).remove(0);
    let (_, time) = first.split_once(r#""timestamp":""#).unwrap();
    let begins = time[..16].replace('T', " ");
    let formats = ["zip", "gz", "jsonl", "json", "csv", "pdf"];
    for (name, more, entries) in formats.into_iter().flat_map(|format| {
        let name = format!("x.{format}");
        [
            (name.clone(), &[][..], "12 entries"),
            (name, &["--outcome", "failure"], "3 entries"),
        ]
    }) {
        let output = export(dir.path(), &path(&name), more);
        assert_eq!((code(&output), out(&output).as_str()), (0, ""), "{name}");
        let said = err(&output);
        let ends = format!(" UTC, in {}\n", path(&name).display());
        assert!(said.starts_with(&format!("{entries}, ")), "{said}");
        assert!(said.ends_with(&ends), "{said}");
        assert!(!more.is_empty() || said.contains(&begins), "{said}");
    }
    let none = path("none.pdf").display().to_string();
    for (more, why) in [
        (
            &["--end-date", "2001-01-01"][..],
            "no entries in this range",
        ),
        (&["--actor", "nobody"], "no entries match"),
    ] {
        let output = export(dir.path(), &path("none.pdf"), more);
        let said = format!("{why}; {none} has none\n");
        assert_eq!((code(&output), err(&output)), (0, said));
    }
    let piped = export(dir.path(), Path::new("-"), &["--format", "ndjson"]);
    assert_eq!(out(&piped).lines().collect::<Vec<_>>(), lines(dir.path()));
    assert!(
        err(&piped).ends_with(" UTC, in the output\n"),
        "{}",
        err(&piped)
    );
    let quiet = export(dir.path(), &path("x.zip"), &["--quiet"]);
    assert_eq!((code(&quiet), err(&quiet).as_str()), (0, ""));
}

#[test]
fn the_help_of_export_says_that_reads_are_included() {
    let output = program().args(["export", "--help"]).output().unwrap();
    let help = out(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        help.contains(
            "Reads of the log (audit.access.*) are included; leave them out with --event-type \
             '!audit.access.*'."
        ),
        "{help}"
    );
}

#[test]
fn a_pdf_names_the_user_who_asked_for_it() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    let pdf = to.path().join("failures.pdf");
    let output = export(dir.path(), &pdf, &["--outcome", "failure"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let args = ["-raw", pdf.to_str().unwrap(), "-"];
    let text = Command::new("pdftotext").args(args).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let user = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let fact = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("{label}: {text}")).to_owned()
    };
    assert!(fact("Requested by ").ends_with(user.trim()), "{text}");
    assert_eq!(fact("Filters "), "outcome is failure");
    assert_eq!(
        fact("Number "),
        text.matches("auth.login").count().to_string()
    );
    assert_eq!(fact("By outcome "), format!("failure {}", fact("Number ")));
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    let at = |name: &str| to.path().join(name);
    fs::create_dir(at("elsewhere")).unwrap();
    fs::write(at("elsewhere/there"), "old").unwrap();
    symlink("elsewhere/there", at("first.jsonl")).unwrap();
    symlink(at("first.jsonl"), at("to-a-link.jsonl")).unwrap();
    symlink("elsewhere/not-yet", at("to-nothing.jsonl")).unwrap();
    for (name, target) in [
        ("to-a-link.jsonl", "elsewhere/there"),
        ("to-nothing.jsonl", "elsewhere/not-yet"),
    ] {
        let output = export(dir.path(), &at(name), &[]);
        assert_eq!(code(&output), 0, "{name}: {}", err(&output));
        assert!(at(name).is_symlink(), "{name} is replaced");
        let written = fs::read_to_string(at(target)).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), lines(dir.path()));
    }
    symlink("circle.zip", at("circle.zip")).unwrap();
    assert_eq!(code(&export(dir.path(), &at("circle.zip"), &[])), 1);
    assert!(at("circle.zip").is_symlink());
    assert_eq!(files(&at("elsewhere")).len(), 2, "nothing is left over");
}

#[test]
fn a_pipe_is_written_into() {
    let dir = log(12);
    let to = tempfile::tempdir().unwrap();
    let pipe = to.path().join("pipe.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reader = {
        let pipe = pipe.clone();
        thread::spawn(move || fs::read_to_string(pipe).unwrap())
    };
    let output = export(dir.path(), &pipe, &[]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let read = reader.join().unwrap();
    assert_eq!(read.lines().collect::<Vec<_>>(), lines(dir.path()));
    assert_eq!(files(to.path()), [pipe]);
}

#[test]
fn a_damaged_log_is_not_exported_as_if_it_were_whole() {
    let dir = log(30);
    let damaged = sealed(dir.path()).remove(1);
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let to = tempfile::tempdir().unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    for format in ["zip", "gz", "ndjson", "json", "csv", "pdf"] {
        for more in [&[][..], &["--source", "shop"]] {
            let path = to.path().join(format!("x.{format}"));
            let output = export(dir.path(), &path, more);
            assert_eq!(code(&output), 1, "{format} {more:?}");
            assert!(err(&output).contains(name), "{format}: {}", err(&output));
            assert!(files(to.path()).is_empty(), "{format} {more:?}");
            let args = [&["export", "--output", "-", "--format", format], more].concat();
            assert_eq!(code(&run(dir.path(), &args)), 1, "{format} {more:?}");
        }
    }
    let left = run(dir.path(), &["query", "--limit", "0"]);
    assert_eq!(code(&left), 1);
    assert!(!out(&left).is_empty(), "what is left can be read");
}

/// A log of many blocks in some sealed files.
fn long_log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).lifecycle(false).source("a");
    let log = log.rotate_bytes(700_000).live_grace(Duration::ZERO);
    let log = log.open().unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..10_000 {
            let noise = format!("{:032x}", fastrand::u128(..)).repeat(8);
            audit!("page.read", n, noise).ignore();
        }
    });
    log.close().unwrap();
    assert_eq!(code(&run(dir.path(), &["recover"])), 0);
    dir
}

#[test]
fn an_export_fails_when_a_file_is_removed_meanwhile() {
    let dir = long_log();
    let mut files = sealed(dir.path());
    files.retain(|path| path.to_string_lossy().ends_with(".gz"));
    files.sort();
    let last = files.pop().unwrap();
    let to = tempfile::tempdir().unwrap();
    for (format, more) in [
        ("jsonl", &[][..]),
        ("csv", &[]),
        ("pdf", &[]),
        ("json", &["--source", "a"]),
        ("zip", &[]),
        ("zip", &["--source", "a"]),
        ("gz", &["--source", "a"]),
    ] {
        let pipe = to.path().join(format!("pipe.{format}"));
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let exporting = {
            let (dir, pipe) = (dir.path().to_owned(), pipe.clone());
            thread::spawn(move || export(&dir, &pipe, more))
        };
        // The program waits for whoever reads, and is far from the last file then.
        let mut reader = fs::File::open(&pipe).unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
        let away = to.path().join("away");
        fs::rename(&last, &away).unwrap();
        reader.read_to_end(&mut Vec::new()).unwrap();
        let output = exporting.join().unwrap();
        assert_eq!(code(&output), 1, "{format} {more:?}: {}", err(&output));
        let name = last.file_name().unwrap().to_str().unwrap();
        assert!(err(&output).contains(name), "{format}: {}", err(&output));
        fs::rename(&away, &last).unwrap();
        fs::remove_file(pipe).unwrap();
    }
}

#[test]
fn a_reader_that_goes_away_has_no_whole_export() {
    let dir = long_log();
    for format in ["ndjson", "csv", "pdf", "zip"] {
        let mut exporting = program()
            .args(["export", "--output", "-", "--format", format, "--dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = exporting.stdout.take().unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
        drop(reader);
        let output = exporting.wait_with_output().unwrap();
        assert_eq!(code(&output), 1, "{format}");
        assert!(err(&output).contains("not whole"), "{}", err(&output));
    }
}

#[test]
fn export_writes_a_whole_file_or_none() {
    let dir = log(30);
    let to = tempfile::tempdir().unwrap();
    let stored = crate::support::lines(dir.path());
    let gunzip = |path: &Path| {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let export = |name: &str, more: &[&str]| {
        let path = to.path().join(name);
        let output = run(
            dir.path(),
            &[&["export", "--output", path.to_str().unwrap()], more].concat(),
        );
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        path
    };
    assert_eq!(gunzip(&export("all.jsonl.gz", &[])), stored);
    assert_eq!(
        fs::read_to_string(export("all.jsonl", &[]))
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        stored
    );
    let failed = gunzip(&export("failed.gz", &["--severity", "warning"]));
    assert_eq!(
        failed,
        stored
            .iter()
            .filter(|line| line.contains("warning"))
            .cloned()
            .collect::<Vec<_>>()
    );
    for more in [&[][..], &["--severity", "warning"]] {
        let path = export("all.zip", more);
        let mut zip = zip_entries(&path);
        let manifest = zip.remove("manifest.json").unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let lines: usize = zip.values().map(|text| text.lines().count()).sum();
        assert_eq!(
            lines,
            if more.is_empty() {
                stored.len()
            } else {
                failed.len()
            }
        );
        let counted: u64 = manifest["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["count"].as_u64().unwrap())
            .sum();
        assert_eq!(counted as usize, lines, "{manifest}");
    }
    let piped = run(
        dir.path(),
        &["export", "--output", "-", "--format", "ndjson"],
    );
    assert_eq!(out(&piped).lines().collect::<Vec<_>>(), stored);

    // No place to write: nothing is left, also not what was there before it failed.
    let names = |dir: &Path| crate::support::files(dir);
    let before = names(to.path());
    let missing = run(
        dir.path(),
        &[
            "export",
            "--output",
            to.path().join("no/where.zip").to_str().unwrap(),
        ],
    );
    assert_eq!(code(&missing), 1);
    assert!(err(&missing).contains("no/where.zip"), "{}", err(&missing));
    assert_eq!(
        code(&run(
            dir.path(),
            &["export", "--output", to.path().to_str().unwrap()]
        )),
        2,
        "a directory"
    );
    assert_eq!(names(to.path()), before);
    let full = run(
        dir.path(),
        &["export", "--output", "-", "--format", "ndjson"],
    );
    assert_eq!(code(&full), 0);
    let full = program()
        .args(["export", "--output", "-", "--dir"])
        .arg(dir.path())
        .stdout(fs::File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(code(&full), 1);
    assert!(
        err(&full).contains("cannot write the output"),
        "{}",
        err(&full)
    );
    // A limit on a file's size is as good as a full disk, and needs no root.
    let target = to.path().join("too-big.zip");
    let line = format!(
        "trap '' XFSZ; ulimit -f 1; exec '{}' export --dir '{}' --output '{}'",
        env!("CARGO_BIN_EXE_tracing-audit"),
        dir.path().display(),
        target.display()
    );
    let full = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(code(&full), 1, "{}", err(&full));
    assert!(err(&full).contains("too-big.zip"), "{}", err(&full));
    assert_eq!(names(to.path()), before);
}

fn zip_entries(path: &Path) -> std::collections::BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|n| {
            let mut file = zip.by_index(n).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().into_owned(), text)
        })
        .collect()
}
