//! Traps that the owner of a log may have laid for root: links to files elsewhere.
//!
//! An administrator runs commands on the log of an application, whose user can put a link in the
//! place of each of its directories. Root would follow it, and write where that user can't. So root
//! refuses a log in which such a thing stands, before it writes anything.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use crate::error::{Error, Result};

/// An error if something stands in the log of another user that would have root write elsewhere: a
/// link, or a file that is neither that user's nor root's. A link that is planted after this check
/// may win, but the files that root writes to are opened without following links.
pub(super) fn check_for_root(root: &Path) -> Result<()> {
    let Ok(root_now) = fs::metadata(root) else {
        return Ok(());
    };
    let state = root.join("state");
    let owner = match fs::symlink_metadata(&state) {
        Ok(found) if found.uid() != 0 && root_now.uid() == 0 => found.uid(),
        _ => root_now.uid(),
    };
    if owner == 0 {
        return Ok(());
    }
    for name in ["live", "sealed", "index", "state"] {
        let dir = root.join(name);
        check_kind(&dir, owner, true)?;
        if name == "live" {
            // Its files are opened without following links.
            continue;
        }
        let entries = match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::io("list", &dir))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &dir))?;
            check_kind(&entry.path(), owner, false)?;
        }
    }
    Ok(())
}

/// An error unless there is nothing, a directory or, in one, a file, and that of the owner or root.
fn check_kind(path: &Path, owner: u32, is_dir: bool) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(Error::io("look at", path))?,
    };
    let is_kind = found.is_dir() || !is_dir && found.is_file();
    // Leftovers of a process that ran as root belong to root.
    if is_kind && [owner, 0].contains(&found.uid()) {
        return Ok(());
    }
    let what = format!(
        "this process runs as root, the log belongs to uid {owner}, and this is a link or \
         another's file, through which root would write elsewhere; run it as uid {owner}, or find \
         out who put it there, and remove it"
    );
    let refused = io::Error::new(io::ErrorKind::PermissionDenied, what);
    Err(Error::io("write the log through", path)(refused))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;
    use crate::store::{fs::OsFs, layout::Layout, prepare::prepare};

    const APP: u32 = 12345;

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// A log that belongs to a user.
    fn log_of_app(above: &Path) -> Layout {
        let root = above.join("log");
        fs::create_dir(&root).unwrap();
        chown(&root, Some(APP), Some(APP)).unwrap();
        let layout = prepare(&OsFs, &root, None).unwrap();
        assert_eq!(fs::metadata(layout.state_dir()).unwrap().uid(), APP);
        layout
    }

    #[test]
    fn root_goes_through_no_link_in_the_log_of_another_user() {
        if !is_root() {
            return;
        }
        for planted in [
            "live",
            "sealed",
            "index",
            "state",
            "state/locks",
            "state/tmp",
        ] {
            let above = tempfile::tempdir().unwrap();
            let layout = log_of_app(above.path());
            prepare(&OsFs, layout.root(), None).unwrap();
            let dir = layout.root().join(planted);
            let target = above.path().join("target");
            fs::rename(&dir, &target).unwrap();
            chown(&target, Some(0), Some(0)).unwrap();
            symlink(&target, &dir).unwrap();
            let before = fs::metadata(&target).unwrap();
            let error = prepare(&OsFs, layout.root(), None).unwrap_err().to_string();
            assert!(
                error.contains("uid 12345") && error.contains("link"),
                "{planted}: {error}"
            );
            let after = fs::metadata(&target).unwrap();
            let looks = |found: &fs::Metadata| (found.uid(), found.mode(), found.mtime_nsec());
            assert_eq!(looks(&after), looks(&before), "{planted}");
            // Its owner may do as it likes, and so may root in its own log.
            let link = above.path().join("link");
            symlink(layout.root(), &link).unwrap();
            fs::remove_file(&dir).unwrap();
            chown(&target, Some(APP), Some(APP)).unwrap();
            fs::rename(&target, &dir).unwrap();
            prepare(&OsFs, &link, None).unwrap();
        }
    }

    #[test]
    fn what_is_written_to_is_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let link = dir.path().join("link");
        fs::write(&target, "as it was").unwrap();
        symlink(&target, &link).unwrap();
        let fs = &OsFs as &dyn crate::store::fs::Fs;
        assert!(fs.open_write(&link).is_err());
        assert!(fs.overwrite(&link, b"no", 0).is_err());
        assert!(fs.try_lock(&link).is_err());
    }
}
