//! Journals outside the log's directory: whose they are, and who may read them.
//!
//! Such a directory may belong to other logs too, and other users may be able to change its path.
//! So nothing is trusted but the file that was opened.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use rustix::fs::OFlags;

use super::{OTHERS_WRITE, Permissions, create_dir, create_missing, open_itself, parent, settle};
use crate::{
    error::{Error, Result},
    store::layout::Layout,
};

/// Creates a directory outside the log's for journals, and those above it, where missing, as those
/// of the log: its owner's, with its mode. An existing directory is left unchanged, because
/// other logs may use it too; an error if it is another user's, or if others can write in it.
pub(crate) fn claim_journal_dir(
    layout: &Layout,
    dir: &Path,
    permissions: Option<Permissions>,
) -> Result<()> {
    let state = layout.state_dir();
    let owner = fs::metadata(&state).map_err(Error::io("look at", &state))?;
    let wanted = permissions.unwrap_or(Permissions::of(&owner));
    create_missing(dir, &|path| create_dir(path, &owner, wanted.dir()))
        .map_err(Error::io("create", dir))?;
    let found = fs::metadata(dir).map_err(Error::io("look at", dir))?;
    let wrong = |what: String| {
        let what = format!("{} {what}", dir.display());
        Err(Error::invalid("journal_dir", what))
    };
    if found.mode() & OTHERS_WRITE != 0 {
        return wrong(
            "can be written by every user; give a directory inside it, which is created if it is \
             missing"
                .to_owned(),
        );
    }
    if found.uid() != owner.uid() {
        return wrong(format!(
            "belongs to uid {}, and the log to uid {}; give another directory, which is created \
             if it is missing",
            found.uid(),
            owner.uid()
        ));
    }
    Ok(())
}

/// Gives a journal outside the log's directory the owner and mode that it would have in there,
/// whatever those of its directory are.
pub(crate) fn settle_journal(layout: &Layout, path: &Path) -> io::Result<()> {
    let owner = fs::metadata(layout.state_dir())?;
    settle(&open_itself(path)?, &owner, Permissions::of(&owner).file())
}

/// Whether a journal outside the log's directory is its owner's. An empty file of root's counts
/// too: a person creates it to say that the journal is not coming back.
pub(crate) fn is_owners(layout: &Layout, path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    Ok(found.uid() == 0 && found.len() == 0 || is_of_owner(layout, found.uid())?)
}

fn is_of_owner(layout: &Layout, uid: u32) -> io::Result<bool> {
    Ok(fs::metadata(layout.state_dir())?.uid() == uid)
}

/// Opens such a journal for reading. The open file itself is checked, so that a user who changes
/// the path meanwhile can't make root read a third user's file.
pub(crate) fn open_journal(layout: &Layout, path: &Path) -> io::Result<File> {
    let file = open_itself(path)?;
    let found = file.metadata()?;
    if !found.is_file() || !is_of_owner(layout, found.uid())? {
        let what = "it is not a regular file of the log's owner";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(file)
}

/// Removes such a journal, and for the same reason no file of another owner.
pub(crate) fn remove_journal(layout: &Layout, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, Mode, open, statat, unlinkat};

    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = open(parent(path), flags, Mode::empty())?;
    let found = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !(found.st_uid == 0 && found.st_size == 0 || is_of_owner(layout, found.st_uid)?) {
        let what = "it does not belong to the log's owner";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(unlinkat(&dir, name, AtFlags::empty())?)
}
