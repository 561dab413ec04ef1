//! Run by root, a command acts on a log as the user who owns the log.
//!
//! That user can put links and pipes into the log's directories at any moment, also between a check
//! and the use of what was checked. Root would follow them with all its rights; a process with the
//! user's own rights gives nothing away. The files that it creates belong to the right user, too.
//!
//! A command that only reads a log stays root, because an auditor exports to where only root may
//! write.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};

use super::failure::Failure;

/// Gives up the rights of root for those of the log's owner, for good. Nothing changes if the
/// process isn't root's, if the log is root's own, or if there is no log.
pub(super) fn act_as_owner(dir: &Path) -> Result<(), Failure> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    // The library takes the owner of this directory for that of the log.
    let state = match fs::symlink_metadata(dir.join("state")) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let owner = Uid::from_raw(state.uid());
    let group = Gid::from_raw(state.gid());
    if owner.is_root() {
        return Ok(());
    }
    become_user(owner, group).map_err(|error| {
        Failure::failed(format!(
            "cannot act as the user {owner}, to whom the log in {} belongs: {error}; run the \
             command as that user",
            dir.display()
        ))
    })
}

/// The groups change first, because only root can change them.
fn become_user(owner: Uid, group: Gid) -> nix::Result<()> {
    match User::from_uid(owner)? {
        Some(user) => {
            let name = std::ffi::CString::new(user.name).map_err(|_| nix::Error::EINVAL)?;
            initgroups(&name, user.gid)?;
            setgid(user.gid)?;
        }
        // In a container users often have no name.
        None => {
            setgroups(&[group])?;
            setgid(group)?;
        }
    }
    setuid(owner)
}
