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
use tracing_audit::Actor;

use super::failure::Failure;

/// The user of the system who runs this command, as the actor of its changes. Call this before
/// [`act_as_owner`].
///
/// Linux keeps the user who logged in, whoever that user became later by `sudo` or `su`; where
/// nobody did, the user of the process is taken.
pub(super) fn operator() -> Actor {
    match login_of_another() {
        Some(name) => Actor::user(&name).name(operator_name()),
        None => Actor::user(operator_name()),
    }
}

/// The name of that user, as in `ann` or `ann, as root`.
pub(super) fn operator_name() -> String {
    let process = login_name(Uid::current());
    match login_of_another() {
        Some(login) => format!("{login}, as {process}"),
        None => process,
    }
}

/// The user who logged in, if that isn't the user of the process.
fn login_of_another() -> Option<String> {
    let login = fs::read_to_string("/proc/self/loginuid").ok()?;
    let login = login.trim().parse::<u32>().ok()?;
    let is_another = login != NO_LOGIN && login != Uid::current().as_raw();
    is_another.then(|| login_name(Uid::from_raw(login)))
}

/// The kernel's value for a process that belongs to no login.
const NO_LOGIN: u32 = u32::MAX;

/// The name of a user, or else the number.
fn login_name(user: Uid) -> String {
    let found = User::from_uid(user).ok().flatten();
    found.map_or_else(|| user.to_string(), |found| found.name)
}

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
