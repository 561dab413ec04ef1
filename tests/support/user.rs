//! Tests that become other users: what they run as whom, and what they find on disk.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::{fs::Mode, process};
use tracing_audit::http::{NewToken, Scope};

use crate::support::full_name;

/// The application's user and group, and others'.
pub(crate) const APP: u32 = 12345;
pub(crate) const OTHER: u32 = 23456;
pub(crate) const STRANGER: u32 = 34567;

/// Whether this can be another user, which only root can.
pub(crate) fn is_root() -> bool {
    let root = process::geteuid().is_root();
    if !root {
        println!("skipped: only root can be another user");
    }
    root
}

/// What this process is to do, if it was started as another user; its umask is set.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    let var = |name: &str| std::env::var(name).ok();
    let umask = u32::from_str_radix(&var("USER_TEST_UMASK")?, 8).unwrap();
    process::umask(Mode::from_raw_mode(umask));
    Some((var("USER_TEST_ROLE")?, var("USER_TEST_DIR")?.into()))
}

/// This test program again as a user with one group, running only the test `act` of a module to
/// play a role.
pub(crate) fn become_user(
    (uid, gid): (u32, u32),
    umask: u32,
    (module_path, role): (&str, &str),
    dir: &Path,
) -> Command {
    let test = full_name(module_path, "act");
    // By that name it can be run wherever it is.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env("USER_TEST_ROLE", role)
        .env("USER_TEST_DIR", dir)
        .env("USER_TEST_UMASK", format!("{umask:o}"))
        .current_dir("/")
        .stdin(Stdio::null())
        .uid(uid)
        .gid(gid);
    command
}

/// Plays a role to its end, which is to be a good one.
pub(crate) fn play(user: (u32, u32), umask: u32, part: (&str, &str), dir: &Path) {
    let output = become_user(user, umask, part, dir).output().unwrap();
    ends_well(&output, &format!("{part:?} as {user:?}, umask {umask:o}"));
}

pub(crate) fn ends_well(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A token that can read everything.
pub(crate) fn token(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    }
}

/// A directory that everyone can pass, and in it one of this user and mode.
pub(crate) fn home(uid: u32, gid: u32, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = dir.path().join("home");
    fs::DirBuilder::new().mode(0o700).create(&home).unwrap();
    chown(&home, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
    (dir, home)
}

/// What is below a directory, by its path from there: owner, mode, and whether it is a directory.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, (u32, u32, bool)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let is_dir = metadata.is_dir();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.insert(name, (metadata.uid(), metadata.mode() & 0o7777, is_dir));
            if is_dir {
                left.push(path);
            }
        }
    }
    found
}

/// All below a directory is its user's alone.
pub(crate) fn all_belongs_to(uid: u32, dir: &Path) {
    for (path, (owner, mode, is_dir)) in tree(dir) {
        let wanted = if is_dir { 0o700 } else { 0o600 };
        assert_eq!((owner, mode), (uid, wanted), "{path}: {mode:o}");
    }
}
