//! An output file that is there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::failure::Failure;

/// A file in the making, under a temporary name beside its place. Dropping it removes it.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    tmp: PathBuf,
    file: File,
    placed: bool,
}

impl OutputFile {
    /// Begins a file that only its owner may read: it has what the log has.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let cannot =
            |e: io::Error| Failure::failed(format!("cannot create {}: {e}", path.display()));
        let name = path.file_name().ok_or_else(|| {
            Failure::Usage(format!("--output: {} is not a file's name", path.display()))
        })?;
        if path.is_dir() {
            return Err(Failure::Usage(format!(
                "--output: {} is a directory; give a file in it",
                path.display()
            )));
        }
        let mut tmp = std::ffi::OsString::from(".");
        tmp.push(name);
        tmp.push(format!(".{}.tmp", std::process::id()));
        let tmp = path.with_file_name(tmp);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&tmp)
            .map_err(cannot)?;
        Ok(Self {
            path: path.to_owned(),
            tmp,
            file,
            placed: false,
        })
    }

    /// Makes it durable and gives it its name, in the place of a file that had the name.
    pub(super) fn place(mut self) -> Result<(), Failure> {
        let place = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(&self.tmp, &self.path)?;
            let dir = self
                .path
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(dir)?.sync_all()
        };
        place().map_err(|e| self.failed(&e))?;
        self.placed = true;
        Ok(())
    }

    /// The meaning of a failed write.
    pub(super) fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.placed {
            // There may be nothing left to remove.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}
