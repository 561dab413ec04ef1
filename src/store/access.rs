//! Whose the files of a log are, and who may read them.
//!
//! Directories settle both. Files that root creates in a directory of another user are given to
//! that user: a command that an administrator runs leaves nothing that the application can't open.
//! And what is created in a directory that its group can list, the group can read: all processes
//! create alike, whichever settings they were given.
//!
//! | | owner only | readable by the group |
//! |---|---|---|
//! | `live/`, `sealed/…`, `index/…` | 0700, files 0600 | 0750, files 0640 |
//! | `state/journal/`, `state/tmp/`, `state/format` | 0700, files 0600 | 0750, files 0640 |
//! | a directory for journals elsewhere, if the log creates it | 0700, files 0600 | 0750, files 0640 |
//! | `state/locks/` | 0700, files 0600 | 0750, files 0600: who can open a lock can hold it |
//! | `state/`, with tokens, keys, webhooks | 0700, files 0600 | 0710, files 0600 |
//! | `state/aside/`, `state/dead-letters/` | 0700, files 0600 | 0700, files 0600 |
//!
//! The mode of `state/` is what says which of both a log is, and its owner is whose the log is.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::fs::OFlags;

use super::{layout::Layout, planted};
use crate::error::{Error, Result};

const FILE: u32 = 0o600;
const DIR: u32 = 0o700;
const GROUP_READS_FILE: u32 = 0o040;
const GROUP_READS_DIR: u32 = 0o050;
const GROUP_PASSES: u32 = 0o010;
const OTHERS_WRITE: u32 = 0o002;
/// What is created in a directory with this bit gets its group.
const SET_GROUP: u32 = 0o2000;
/// In a directory with this bit, users can't remove each other's files.
const STICKY: u32 = 0o1000;

/// The users who may read a log's files beside their owner; see
/// [`AuditLogBuilder::permissions`](crate::AuditLogBuilder::permissions).
///
/// ```
/// # fn main() -> tracing_audit::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// use tracing_audit::{AuditLog, Permissions};
///
/// let log = AuditLog::builder(dir).permissions(Permissions::GroupRead).open()?;
/// # log.close()
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permissions {
    /// No other user: files have mode 0600, directories 0700.
    Owner,
    /// The files' group can read entries: files have mode 0640, directories 0750. Tokens, keys,
    /// webhooks and locks stay the owner's.
    GroupRead,
}

impl FromStr for Permissions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "owner" => Ok(Self::Owner),
            "group-read" => Ok(Self::GroupRead),
            _ => Err(Error::invalid(
                "permissions",
                format!("{text:?} is neither owner nor group-read"),
            )),
        }
    }
}

impl Permissions {
    /// What the mode of `state/` says. One that was set by hand asks for nothing.
    fn of(state: &Metadata) -> Self {
        if state.mode() & 0o077 == GROUP_PASSES {
            Self::GroupRead
        } else {
            Self::Owner
        }
    }

    /// The mode of a directory with entries.
    fn dir(self) -> u32 {
        match self {
            Self::Owner => DIR,
            Self::GroupRead => DIR | GROUP_READS_DIR,
        }
    }

    fn file(self) -> u32 {
        match self {
            Self::Owner => FILE,
            Self::GroupRead => FILE | GROUP_READS_FILE,
        }
    }

    /// What a directory says of what is created in it. Where others may enter or the group write,
    /// we did not set its mode.
    fn below(dir: &Metadata) -> Self {
        if dir.mode() & 0o077 == GROUP_READS_DIR {
            Self::GroupRead
        } else {
            Self::Owner
        }
    }
}

fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates a file that must not exist yet, as its directory says. `options` say how it is opened.
pub(crate) fn create_new(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let dir = fs::metadata(parent(path))?;
    create(path, options, &dir, Permissions::below(&dir).file())
}

/// Opens a file that only its owner may open, and creates it if it isn't there. It opens itself and
/// not what it links to, and waits for nothing.
pub(crate) fn open_private(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut options = options.clone();
    let options = options.custom_flags(itself());
    // Another process may remove it in between.
    for _ in 0..100 {
        match options.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match fs::metadata(parent(path)).and_then(|dir| create(path, options, &dir, FILE)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn create(path: &Path, options: &OpenOptions, dir: &Metadata, mode: u32) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    if our_uid() == 0
        && dir.uid() != 0
        && let Some(created) = create_whole(path, options, dir, mode)
    {
        return created;
    }
    let file = options.clone().create_new(true).mode(mode).open(path)?;
    let settled = settle(&file, dir, mode);
    if settled.is_err() {
        // The error that led here is the one to report.
        drop(fs::remove_file(path));
    }
    settled.map(|()| file)
}

/// Creates a file without a name, and names it when it is as it should be: so a death leaves none
/// that its owner can't open. `None` where that can't be done.
#[cfg(target_os = "linux")]
fn create_whole(
    path: &Path,
    options: &OpenOptions,
    dir: &Metadata,
    mode: u32,
) -> Option<io::Result<File>> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{AtFlags, CWD, linkat};

    let flags = OFlags::TMPFILE.bits().cast_signed();
    let mut options = options.clone();
    let file = options.mode(mode).custom_flags(flags).open(parent(path));
    let file = file.ok()?;
    if let Err(error) = settle(&file, dir, mode) {
        return Some(Err(error));
    }
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Some(Ok(file)),
        Err(rustix::io::Errno::EXIST) => Some(Err(io::ErrorKind::AlreadyExists.into())),
        Err(_) => None,
    }
}

/// Gives what was just created to the owner of `dir`, if we are root, and the mode that was asked
/// for, whatever the umask took from it.
fn settle(created: &File, dir: &Metadata, mode: u32) -> io::Result<()> {
    let found = created.metadata()?;
    if our_uid() == 0 && found.uid() != dir.uid() {
        fchown(created, Some(dir.uid()), Some(dir.gid())).map_err(|e| {
            let (uid, kind) = (dir.uid(), e.kind());
            let what = format!("it can't be given to uid {uid}, whose log this is: {e}");
            io::Error::new(kind, format!("{what}; run this as uid {uid}"))
        })?;
    }
    set_mode(created, &found, mode)
}

fn set_mode(file: &File, found: &Metadata, mode: u32) -> io::Result<()> {
    set_mode_by(found, mode, |mode| file.set_permissions(mode))
}

fn set_mode_at(path: &Path, found: &Metadata, mode: u32) -> io::Result<()> {
    set_mode_by(found, mode, |mode| fs::set_permissions(path, mode))
}

fn set_mode_by(
    found: &Metadata,
    mode: u32,
    set: impl FnOnce(fs::Permissions) -> io::Result<()>,
) -> io::Result<()> {
    if found.mode() & 0o777 == mode {
        return Ok(());
    }
    let kept = found.mode() & (SET_GROUP | STICKY);
    match set(fs::Permissions::from_mode(mode | kept)) {
        // The owner may change modes, but on a file system that has none.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        set => set,
    }
}

/// Creates a directory of the log and those above it, where missing, each as the one above it says.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_dir_all(above)?;
    }
    let dir = fs::metadata(above)?;
    create_dir(path, &dir, Permissions::below(&dir).dir())
}

/// Creates the directory of a log and those above it, where missing. They are ours, whoever owns
/// what is above: a log that root begins is not its neighbour's.
pub(crate) fn create_root(path: &Path, permissions: Permissions) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_root(above, permissions)?;
    }
    make_dir(path, permissions.dir()).map(drop)
}

fn create_dir(path: &Path, owner: &Metadata, mode: u32) -> io::Result<()> {
    if let Some(created) = make_dir(path, mode)? {
        settle(&created, owner, mode)?;
    }
    Ok(())
}

/// Creates a directory, and opens it; `None` if it is there.
fn make_dir(path: &Path, mode: u32) -> io::Result<Option<File>> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(None),
        created => created?,
    }
    if our_uid() != 0 {
        // A umask can take what is needed to open it.
        set_mode_at(path, &fs::metadata(path)?, mode)?;
    }
    let created = open_itself(path)?;
    set_mode(&created, &created.metadata()?, mode)?;
    Ok(Some(created))
}

/// Opens a file or directory that is there, and not what it links to: what stands in a directory of
/// another user may be a trap for root.
fn open_itself(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(itself())
        .open(path)
}

/// To open what bears a name and not what it links to, without waiting: opening a pipe would wait
/// for its other end.
pub(crate) fn itself() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

/// An error if the log of this directory, be it there or to be, is another user's: its files would
/// be closed to that user, or to us. Root may write any log.
pub(crate) fn check_owner(root: &Path) -> Result<()> {
    let us = our_uid();
    if us == 0 {
        return planted::check_for_root(root);
    }
    let state = root.join("state");
    let (path, owner) = match (fs::metadata(&state), fs::metadata(root)) {
        (Ok(state_now), _) => (state.as_path(), state_now.uid()),
        // Root prepares directories for others, which then are theirs to write by their group.
        (Err(_), Ok(dir)) if dir.uid() != 0 => (root, dir.uid()),
        _ => return Ok(()),
    };
    if owner == us {
        return Ok(());
    }
    let what = format!(
        "it belongs to uid {owner}, and this process runs as uid {us}; run it as uid {owner} or as \
         root, or give the whole log to uid {us}"
    );
    let refused = io::Error::new(io::ErrorKind::PermissionDenied, what);
    Err(Error::io("write the log in", path)(refused))
}

/// Makes the directories of a log, its owner and who may read it settled. Without `permissions` it
/// stays as it is.
///
/// The log is whose `state/` is, so of two users who begin it at once one is refused. A death in
/// between leaves what the next one to open it settles.
pub(crate) fn claim(layout: &Layout, permissions: Option<Permissions>) -> Result<()> {
    let (root, state) = (layout.root(), layout.root().join("state"));
    let look = |path: &Path| fs::metadata(path).map_err(Error::io("look at", path));
    let root_now = look(root)?;
    create_dir(&state, &root_now, DIR).map_err(Error::io("create", &state))?;
    check_owner(root)?;
    let owner = look(&state)?;
    let was = Permissions::of(&owner);
    let wanted = permissions.unwrap_or(was);
    if wanted == Permissions::Owner {
        change(&state, &owner, |_| DIR)?;
    }
    if our_uid() == 0 || our_uid() == root_now.uid() {
        // A user who can write here can take the log away. All else is the choice of the
        // directory's maker.
        let sticky = root_now.mode() & STICKY != 0;
        let others_write = if sticky { 0 } else { OTHERS_WRITE };
        change(root, &root_now, |mode| match wanted {
            Permissions::GroupRead => (mode | GROUP_READS_DIR) & !others_write,
            Permissions::Owner if was != wanted && mode == was.dir() => DIR,
            Permissions::Owner => mode & !others_write,
        })?;
    }
    let with_entries = [
        layout.live_dir(),
        layout.sealed_dir(),
        layout.index_dir(),
        layout.journal_dir(),
        layout.tmp_dir(),
    ];
    for dir in with_entries.iter().chain([&layout.locks_dir()]) {
        create_dir(dir, &owner, wanted.dir()).map_err(Error::io("create", dir))?;
        change(dir, &owner, |_| wanted.dir())?;
    }
    if was != wanted {
        for dir in &with_entries {
            change_below(dir, &owner, wanted)?;
        }
        let format = layout.format_file();
        if format.exists() {
            change(&format, &owner, |_| wanted.file())?;
        }
    }
    if wanted == Permissions::GroupRead {
        // Last: it says that all the others are done.
        change(&state, &owner, |_| DIR | GROUP_PASSES)?;
    }
    Ok(())
}

/// Creates a directory outside the log's for journals, and those above it, where missing, as those
/// of the log: its owner's, with its mode. Of one that is there nothing is changed, for others may
/// use it too; an error if it is another user's, or if others can write in it.
pub(crate) fn claim_journal_dir(
    layout: &Layout,
    dir: &Path,
    permissions: Option<Permissions>,
) -> Result<()> {
    let state = layout.state_dir();
    let owner = fs::metadata(&state).map_err(Error::io("look at", &state))?;
    let wanted = permissions.unwrap_or(Permissions::of(&owner));
    create_dirs_of(dir, &owner, wanted.dir()).map_err(Error::io("create", dir))?;
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

fn create_dirs_of(path: &Path, owner: &Metadata, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_dirs_of(above, owner, mode)?;
    }
    create_dir(path, owner, mode)
}

/// Gives a journal outside the log's directory the owner and mode that it would have in there,
/// whatever those of its directory are.
pub(crate) fn settle_journal(layout: &Layout, path: &Path) -> io::Result<()> {
    let owner = fs::metadata(layout.state_dir())?;
    settle(&open_itself(path)?, &owner, Permissions::of(&owner).file())
}

/// Whether a journal outside the log's directory is its owner's. Root's empty file counts too: with
/// it, a person says that the journal is not coming back.
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

/// Gives all below a directory the modes that are wanted.
fn change_below(dir: &Path, owner: &Metadata, wanted: Permissions) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let kind = entry.file_type().map_err(Error::io("look at", dir))?;
        let path: PathBuf = entry.path();
        if kind.is_dir() {
            change(&path, owner, |_| wanted.dir())?;
            change_below(&path, owner, wanted)?;
        } else if kind.is_file() {
            change(&path, owner, |_| wanted.file())?;
        }
    }
    Ok(())
}

/// Changes the mode of what is there, and the owner of what a root that died left.
fn change(path: &Path, owner: &Metadata, mode: impl Fn(u32) -> u32) -> Result<()> {
    let found = match fs::metadata(path) {
        // Pruned, rotated or removed meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(Error::io("look at", path))?,
    };
    let wanted = mode(found.mode() & 0o777);
    let lost = our_uid() == 0 && found.uid() == 0 && owner.uid() != 0;
    if wanted == found.mode() & 0o777 && !lost {
        return Ok(());
    }
    let change = || {
        if our_uid() == owner.uid() {
            return set_mode_at(path, &found, wanted);
        }
        let file = open_itself(path)?;
        let found = file.metadata()?;
        if lost && found.uid() == 0 && found.is_dir() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        set_mode(&file, &found, wanted)
    };
    match change() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        changed => changed.map_err(Error::io("change the mode of", path)),
    }
}
