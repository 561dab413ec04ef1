//! A child of `fork` that outlives its parent does not hold what the parent left: any process that
//! opens the directory recovers it at once. The child goes on recording, wherever its working
//! directory has gone.

use std::{env, fs, path::Path};

use crate::forking::{die, exit, fork};
use tracing_audit::{AuditLog, audit};
use tracing_subscriber::prelude::*;

const EVENTS: usize = 500;

fn open(dir: impl AsRef<Path>) -> AuditLog {
    crate::support::builder(dir.as_ref()).open().unwrap()
}

/// Records, forks and is killed; the child waits to be told to go on.
#[test]
fn parent() {
    let Ok(dir) = env::var("FORK_DIR") else {
        return;
    };
    let dir = Path::new(&dir);
    env::set_current_dir(dir).unwrap();
    let log = open("audit");
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    let child = fork(|| {
        env::set_current_dir("/").unwrap();
        fs::write(dir.join("forked"), "").unwrap();
        // Or the test has ended.
        let told = |name: &str| dir.join(name).exists() || !dir.exists();
        crate::support::until("told to go on", || told("go"));
        for n in 0..EVENTS {
            assert!(audit!("child.step", n).is_recorded());
        }
        audit!("child.done").wait().unwrap();
        fs::write(dir.join("done"), "").unwrap();
        crate::support::until("told to end", || told("end"));
        exit(0);
    });
    for n in 0..EVENTS {
        assert!(audit!("parent.step", n).is_recorded());
    }
    crate::support::until("the child lives", || dir.join("forked").exists());
    std::mem::forget(child);
    die();
}

#[test]
fn what_the_parent_left_is_recovered_while_the_child_lives() {
    if !crate::support::is_apart(
        module_path!(),
        "what_the_parent_left_is_recovered_while_the_child_lives",
    ) {
        return;
    }
    if env::var("FORK_DIR").is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let status = crate::support::child(module_path!(), "parent", &[("FORK_DIR", path)])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    // However this test ends, the child does.
    struct End<'a>(&'a Path);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            let _ = fs::write(self.0.join("go"), "");
            let _ = fs::write(self.0.join("end"), "");
        }
    }
    let end = End(dir.path());
    let audit = dir.path().join("audit");
    let count = |name: &str| {
        assert!(
            crate::support::ids(&audit)
                .values()
                .all(|count| *count == 1)
        );
        let records = crate::support::records(&audit);
        records.iter().filter(|r| r["event_type"] == name).count()
    };

    open(&audit).close().unwrap();
    assert_eq!(count("parent.step"), EVENTS);
    let journals = || crate::support::files(&audit.join("state/journal"));
    assert!(journals().is_empty(), "{:?}", journals());

    fs::write(dir.path().join("go"), "").unwrap();
    crate::support::until("the child has recorded", || {
        dir.path().join("done").exists()
    });
    // It lives: its stream is not recovered, nor is anything of it missing.
    open(&audit).close().unwrap();
    assert_eq!(count("child.step"), EVENTS);
    assert_eq!(journals().len(), 1);

    drop(end);
    crate::support::until("the child's end", || {
        open(&audit).close().unwrap();
        journals().is_empty()
    });
    assert_eq!(count("child.step"), EVENTS);
    assert_eq!(count("child.done"), 1);
    assert_eq!(count("parent.step"), EVENTS);
}
