//! A file system that syncs nothing: what a test records need not outlive the machine.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::Result,
    journal::Region,
    store::{
        Permissions,
        fs::{Entry, Fs, FsFile, FsLock, Identity, OsFs, Space},
        layout::Layout,
    },
};

#[derive(Debug)]
pub(super) struct Unsynced;

macro_rules! as_the_system_does {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)* $(,)?) -> $gives:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $gives {
            OsFs.$name($($arg),*)
        })*
    };
}

impl Fs for Unsynced {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        OsFs.create_new(path).map(unsynced)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        OsFs.open_write(path).map(unsynced)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    as_the_system_does! {
        fn create_mapped(&self, path: &Path, len: usize) -> io::Result<Region>;
        fn open_read(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;
        fn identity(&self, path: &Path) -> io::Result<Option<Identity>>;
        fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
        fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FsLock>>>;
        fn is_locked(&self, path: &Path) -> Result<bool>;
        fn create_dir_all(&self, path: &Path) -> io::Result<()>;
        fn create_root(&self, path: &Path, modes: Option<Permissions>) -> io::Result<()>;
        fn check_owner(&self, root: &Path) -> Result<()>;
        fn claim(&self, layout: &Layout, modes: Option<Permissions>) -> Result<()>;
        fn claim_journal_dir(
            &self,
            layout: &Layout,
            dir: &Path,
            modes: Option<Permissions>
        ) -> Result<()>;
        fn settle_journal(&self, layout: &Layout, path: &Path) -> io::Result<()>;
        fn is_owners(&self, layout: &Layout, path: &Path) -> io::Result<bool>;
        fn open_journal(&self, layout: &Layout, path: &Path) -> io::Result<Box<dyn FsFile>>;
        fn remove_journal(&self, layout: &Layout, path: &Path) -> io::Result<()>;
        fn is_in_memory(&self, path: &Path) -> io::Result<bool>;
        fn boot_id(&self) -> Option<String>;
        fn overwrite(&self, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()>;
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
        fn remove_file(&self, path: &Path) -> io::Result<()>;
        fn remove_dir(&self, path: &Path) -> io::Result<()>;
        fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
        fn space(&self, path: &Path) -> io::Result<Space>;
    }
}

#[derive(Debug)]
struct UnsyncedFile(Box<dyn FsFile>);

fn unsynced(file: Box<dyn FsFile>) -> Box<dyn FsFile> {
    Box::new(UnsyncedFile(file))
}

impl FsFile for UnsyncedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }
}
