//! Files are renamed into `sealed/`: where that lies on another file system, or is mounted, opening
//! the log is refused, by an error that says so, before anything is written.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::mounts::{Mounted, may_mount};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

/// Records an event durably.
fn record(dir: &Path) {
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("one")
        .open()
        .unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(log.layer()));
    tracing::dispatcher::with_default(&dispatch, || audit!("disk.used").wait().unwrap());
    log.close().unwrap();
}

fn everything(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let files = crate::support::files(dir).into_iter();
    files
        .map(|path| (path.clone(), fs::metadata(&path).unwrap().len()))
        .collect()
}

/// Opening the log fails, names both places, and writes nothing.
fn refused(dir: &Path) {
    let before = everything(dir);
    let error = AuditLog::builder(dir)
        .lifecycle(false)
        .source("one")
        .open()
        .unwrap_err();
    let text = error.to_string();
    let sealed = dir.join("sealed");
    for part in [&sealed, dir] {
        assert!(text.contains(&*part.to_string_lossy()), "{text}");
    }
    assert!(text.contains("another file system"), "{text}");
    // Where no log is yet, that is said.
    if dir.join("state/format").exists() {
        maintenance_is_refused(dir);
    }
    assert_eq!(everything(dir), before);
}

fn maintenance_is_refused(dir: &Path) {
    let opened = AuditLog::builder(dir).for_maintenance().open();
    let recovered = AuditLog::recover(dir, |_| {});
    for error in [opened.unwrap_err(), recovered.unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("another file system"), "{text}");
    }
}

#[test]
fn sealed_files_elsewhere_are_refused() {
    if !may_mount(module_path!(), "sealed_files_elsewhere_are_refused") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().canonicalize().unwrap();
    let dir = root.join("audit");
    let sealed = dir.join("sealed");
    let elsewhere = root.join("elsewhere");
    fs::create_dir_all(&sealed).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();

    // A directory in which nothing else is yet, and one that is a log.
    for _ in 0..2 {
        let mounted = Mounted::tmpfs("size=1m", &sealed);
        refused(&dir);
        drop(mounted);
        // The same file system: `st_dev` is equal, and `rename` is refused nevertheless.
        let mounted = Mounted::bind(&elsewhere, &sealed);
        refused(&dir);
        drop(mounted);
        record(&dir);
    }

    let other = Mounted::tmpfs("size=1m", &elsewhere);
    let kept = root.join("kept");
    fs::rename(&sealed, &kept).unwrap();
    symlink(other.path(), &sealed).unwrap();
    refused(&dir);
    // A link on the same file system is none of ours to refuse.
    fs::remove_file(&sealed).unwrap();
    symlink(&kept, &sealed).unwrap();
    record(&dir);
}

#[test]
fn the_whole_log_may_be_anywhere() {
    if !may_mount(module_path!(), "the_whole_log_may_be_anywhere") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let disk = temporary.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let disk = Mounted::tmpfs("size=64m", &disk);
    record(disk.path());
    let link = temporary.path().join("link");
    symlink(disk.path(), &link).unwrap();
    record(&link);
    assert_eq!(crate::support::files(&disk.path().join("live")).len(), 2);
}
