//! The owner and the modes of a log's files.
//!
//! Directories decide both. Files that root creates in a directory of another user are given to
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
//! The mode of `state/` says which of the two columns holds for a log, and its owner owns the log.

mod journal;

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

pub(crate) use journal::{
    claim_journal_dir, is_owners, open_journal, remove_journal, settle_journal,
};

use super::{layout::Layout, planted};
use crate::error::{Error, Result};

const FILE: u32 = 0o600;
const DIR: u32 = 0o700;
const GROUP_READS_FILE: u32 = 0o040;
const GROUP_READS_DIR: u32 = 0o050;
const GROUP_PASSES: u32 = 0o010;
const OTHERS_WRITE: u32 = 0o002;
/// A file that is created in a directory with this bit gets the directory's group.
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
    /// The permissions that the mode of `state/` stands for. A mode that was set by hand counts as
    /// the owner's.
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

    /// The permissions of what is created in a directory. Where others may enter or the group
    /// write, we did not set its mode.
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

/// Creates a file without a name, and names it once its owner and mode are right: so a death never
/// leaves a file that its owner can't open. `None` where the file system can't do that.
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

/// Gives a new file to the owner of `dir`, if we are root, and the mode that was asked
/// for, whatever the umask is.
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
    create_missing(path, &|path| {
        let above = fs::metadata(parent(path))?;
        create_dir(path, &above, Permissions::below(&above).dir())
    })
}

/// Creates the directory of a log and those above it, where missing. They are ours, whoever owns
/// what is above: a log that root begins is not its neighbour's.
pub(crate) fn create_root(path: &Path, permissions: Permissions) -> io::Result<()> {
    create_missing(path, &|path| make_dir(path, permissions.dir()).map(drop))
}

/// Creates a directory and those above it, where missing, the uppermost first.
fn create_missing(path: &Path, create: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_missing(above, create)?;
    }
    create(path)
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

/// Opens a file or directory that is there, and not what it links to: a file in a directory of
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

/// An error if the log of this directory, new or not, is another user's: either that user couldn't
/// open our files, or we couldn't open theirs. Root may write any log.
pub(crate) fn check_owner(root: &Path) -> Result<()> {
    let us = our_uid();
    if us == 0 {
        return planted::check_for_root(root);
    }
    let state = root.join("state");
    let (path, owner) = match (fs::metadata(&state), fs::metadata(root)) {
        (Ok(state_now), _) => (state.as_path(), state_now.uid()),
        // Root prepares directories for other users, who may write them by their group.
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

/// Creates the directories of a log and gives all of it its owner and modes. Without `permissions`
/// the modes stay.
///
/// The owner of `state/` owns the log, so of two users who begin it at once one is refused. If the
/// process dies halfway, the next one that opens the log finishes.
pub(crate) fn claim(layout: &Layout, permissions: Option<Permissions>) -> Result<()> {
    let root = layout.root();
    let state = layout.root().join("state");
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
        // A user who can write here can move the log away. The rest of the mode is the choice of
        // whoever made the directory.
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
    if our_uid() == 0 {
        claim_days(&layout.sealed_dir(), &owner, wanted)?;
        claim_days(&layout.index_dir(), &owner, wanted)?;
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

/// Gives the folders of days their owner and mode. A root process that died may have made one and
/// not given it away yet.
fn claim_days(dir: &Path, owner: &Metadata, wanted: Permissions) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let kind = entry.file_type().map_err(Error::io("look at", dir))?;
        if kind.is_dir() {
            change(&entry.path(), owner, |_| wanted.dir())?;
        }
    }
    Ok(())
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
