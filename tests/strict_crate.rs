//! The macros in a crate that allows nothing and calls this one by another name: see
//! `tests/crates/strict`.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

use std::{fs, path::Path, process::Command};

#[test]
fn the_macros_need_no_prelude_and_raise_no_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = root.join("tests/crates/strict");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("strict");
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::copy(from.join("src/lib.rs"), dir.join("src/lib.rs")).unwrap();
    let manifest = fs::read_to_string(from.join("Cargo.toml"))
        .unwrap()
        .replace("../../..", root.to_str().unwrap());
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    // The dependencies are those that are here already.
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    // Where clippy is not installed, the compiler's own lints still count.
    let linted = Command::new(env!("CARGO"))
        .args(["clippy", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let checked = Command::new(env!("CARGO"))
        .args([
            if linted { "clippy" } else { "check" },
            "--quiet",
            "--offline",
            "--target-dir",
            "target",
        ])
        .current_dir(&dir)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
