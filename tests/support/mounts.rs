//! File systems that a test mounts for itself.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Something mounted, until it is dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// An empty file system in memory, in the directory `at`.
    pub(crate) fn tmpfs(options: &str, at: &Path) -> Self {
        Self::new(&["-t", "tmpfs", "-o", options, "tmpfs"], at).unwrap()
    }

    /// The directory `what` once more, in the directory `at`.
    pub(crate) fn bind(what: &Path, at: &Path) -> Self {
        Self::new(&["--bind", what.to_str().unwrap()], at).unwrap()
    }

    /// The file `what` in the place of the file `at`; why not, where that can't be.
    pub(crate) fn file(what: &Path, at: &Path) -> Result<Self, String> {
        Self::new(&["--bind", what.to_str().unwrap()], at)
    }

    /// The file system in the file `image`, in the directory `at`; why not, where that can't be.
    pub(crate) fn image(image: &Path, at: &Path) -> Result<Self, String> {
        Self::new(&["-o", "loop", image.to_str().unwrap()], at)
    }

    fn new(what: &[&str], at: &Path) -> Result<Self, String> {
        let mount = Command::new("mount").args(what).arg(at).output().unwrap();
        match mount.status.success() {
            true => Ok(Self(at.to_owned())),
            false => Err(String::from_utf8_lossy(&mount.stderr).into_owned()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whether this process may mount. If not, the test `name` of the module has run again in a namespace
/// where it may, or can't be run here.
pub(crate) fn may_mount(module_path: &str, name: &str) -> bool {
    const INSIDE: &str = "MOUNTS_INSIDE_NAMESPACE";
    let dir = tempfile::tempdir().unwrap();
    let Err(why) = Mounted::new(&["-t", "tmpfs", "tmpfs"], dir.path()) else {
        return true;
    };
    assert!(
        std::env::var_os(INSIDE).is_none(),
        "this test mounts a tmpfs, which is not allowed here: {why}"
    );
    let unshare = |command: &mut Command| {
        let status = command.env(INSIDE, "1").status();
        status.is_ok_and(|status| status.success())
    };
    let namespace = ["--map-root-user", "--mount"];
    if !unshare(Command::new("unshare").args(namespace).arg("true")) {
        println!("skipped: nothing can be mounted here, nor in a namespace: {why}");
        return false;
    }
    let itself = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.args(namespace).arg(itself);
    again.args(["--exact", &crate::support::full_name(module_path, name)]);
    assert!(unshare(&mut again), "it fails in a namespace of its own");
    false
}
