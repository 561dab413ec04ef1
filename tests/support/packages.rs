//! The public packages that tests verify with.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Cargo's target directory, wherever it is, with the packages that verify what is sent.
pub(crate) fn with_packages() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .to_owned();
    let installed = Command::new("scripts/test-packages")
        .arg(&target)
        .status()
        .unwrap();
    assert!(
        installed.success(),
        "scripts/test-packages needs Python with venv, and PyPI the first time"
    );
    target
}
