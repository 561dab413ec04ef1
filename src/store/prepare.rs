//! A directory made ready to be written: whole, durable, of our format, and on one file system.

use std::{
    io,
    path::{self, Path, PathBuf},
};

use super::{
    access::Permissions,
    fs::{self, Fs},
    layout::{Layout, check_named},
    tmp::TmpFile,
};
use crate::error::{Error, Result};

/// The text of `state/format`.
const FORMAT: &str = "tracing-audit 1\n";

/// Creates what is missing, checks the version of what is there, and makes all of it durable. The
/// paths of the layout are resolved, once: neither another working directory nor another target of
/// a link moves the log.
pub(super) fn prepare(fs: &dyn Fs, dir: &Path, permissions: Option<Permissions>) -> Result<Layout> {
    check_named(dir)?;
    fs.check_owner(dir)?;
    create_durably(fs, dir, || {
        fs.create_root(dir, permissions)
            .map_err(Error::io("create", dir))
    })?;
    let root = fs.resolve(dir).map_err(Error::io("resolve", dir))?;
    let layout = Layout::new(root);
    let state = layout.root().join("state");
    // Before anything is made in them.
    match on_one_file_system(fs, &layout) {
        // Another user has begun the log at this moment, which is refused in plain words below.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {}
        checked => checked?,
    }
    fs.claim(&layout, permissions)?;
    match check_format(fs, &layout) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            // Written whole and then renamed: a reader meets all of it or nothing. Two processes
            // write the same.
            let tmp = TmpFile::create(fs, &layout, "format")?;
            tmp.append(FORMAT.as_bytes())?;
            tmp.sync()?;
            tmp.publish(layout.root(), &state, &layout.format_file())?;
        }
        checked => checked?,
    }
    // Also if another process made them, which may have died before this.
    for dir in [&state, layout.root()] {
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    }
    Ok(layout)
}

/// The same for the directory in which the journal is to be; `None` if that is the log's own. It
/// may be on any file system, and journals of other logs may be in it.
pub(super) fn prepare_journal_dir(
    fs: &dyn Fs,
    layout: &Layout,
    dir: &Path,
    permissions: Option<Permissions>,
) -> Result<Option<PathBuf>> {
    let check = |dir: &Path| {
        let wrong = |what: &str| {
            let what = format!("{} {what}", dir.display());
            Err(Error::invalid("journal_dir", what))
        };
        if dir.starts_with(layout.root()) && dir != layout.journal_dir() {
            return wrong("is in the log's directory; give one outside of it, or none");
        }
        if dir.as_os_str().as_encoded_bytes().contains(&b'\n') {
            return wrong("has a line feed in its name; give a directory without one");
        }
        Ok(())
    };
    // Before anything is created, as far as that can be known then.
    check(&path::absolute(dir).map_err(Error::io("resolve", dir))?)?;
    create_durably(fs, dir, || fs.claim_journal_dir(layout, dir, permissions))?;
    let dir = fs.resolve(dir).map_err(Error::io("resolve", dir))?;
    check(&dir)?;
    if dir == layout.journal_dir() {
        return Ok(None);
    }
    Ok(Some(dir))
}

/// Creates a directory and those above it, where missing, and makes their names durable.
fn create_durably(fs: &dyn Fs, dir: &Path, create: impl FnOnce() -> Result<()>) -> Result<()> {
    // The last one of a relative path is empty.
    let missing = |dir: &&Path| !dir.as_os_str().is_empty() && matches!(fs.identity(dir), Ok(None));
    let parent = |dir: &Path| match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => dir.to_owned(),
    };
    let mut parents: Vec<_> = dir.ancestors().take_while(missing).map(parent).collect();
    if parents.is_empty() {
        parents.push(parent(dir));
    }
    create()?;
    for parent in parents {
        match fs.sync_dir(&parent) {
            // A process that may not read it can't sync it, and can't have created anything in it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(Error::io("sync", parent))?,
        }
    }
    Ok(())
}

/// As `check_format`, for processes that write without a stream: checks as well that files can be
/// moved.
pub(super) fn check_writable(fs: &dyn Fs, layout: &Layout) -> Result<()> {
    on_one_file_system(fs, layout)?;
    check_format(fs, layout)
}

/// Files are made in one directory and renamed into another. A directory that isn't there yet will
/// be made where the root is.
fn on_one_file_system(fs: &dyn Fs, layout: &Layout) -> Result<()> {
    let root = layout.root();
    let device = |dir: &Path| -> Result<Option<u64>> {
        let found = match fs.resolve(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            resolved => resolved.and_then(|resolved| fs.identity(&resolved)),
        };
        let found = found.map_err(Error::io("look at", dir))?;
        Ok(found.map(|found| found.device))
    };
    let ours = device(root)?;
    let state = root.join("state");
    for dir in [
        layout.live_dir(),
        layout.sealed_dir(),
        layout.index_dir(),
        state,
        layout.journal_dir(),
        layout.locks_dir(),
        layout.tmp_dir(),
        layout.aside_dir(),
    ] {
        let theirs = device(&dir)?;
        if theirs.is_some() && (theirs != ours || is_mounted(fs, root, &dir)) {
            let what = format!(
                "{} is on another file system than {}, or mounted there, and files can't be moved \
                 into it; put the whole log on one file system, or mount or link the whole \
                 directory",
                dir.display(),
                root.display()
            );
            return Err(Error::invalid("directory", what));
        }
    }
    Ok(())
}

/// Whether `dir` was mounted into `root`, perhaps from the same file system, as containers do it.
/// The system refuses to move anything there, even a file that isn't.
fn is_mounted(fs: &dyn Fs, root: &Path, dir: &Path) -> bool {
    let name = format!("nothing.{:016x}", fastrand::u64(..));
    let moved = fs.rename(&root.join(&name), &dir.join(&name));
    moved.is_err_and(|error| error.kind() == io::ErrorKind::CrossesDevices)
}

/// An error unless the directory has the format of this version.
fn check_format(fs: &dyn Fs, layout: &Layout) -> Result<()> {
    let path = layout.format_file();
    let found = fs::read_at_most(fs, &path, 4096).map_err(Error::io("read", &path))?;
    if found == FORMAT.as_bytes() {
        return Ok(());
    }
    let start = found.get(..found.len().min(64)).unwrap_or_default();
    Err(Error::Version {
        path,
        found: String::from_utf8_lossy(start).trim_end().to_owned(),
        expected: FORMAT.trim_end(),
    })
}
