//! The file that `--output` names.
//!
//! A regular file is there whole or not at all: it is made under another name beside its place. A
//! symbolic link stays, and the file that it leads to is made. A device or a pipe is written into,
//! because a file in its place would break every other program that uses the device or the pipe.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::failure::Failure;

/// How many links may lead to each other, as for the kernel.
const MAX_LINKS: usize = 40;

/// An output file in the making. Dropping it before it is placed removes what is made.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    file: File,
    /// The name that the file has until it is placed; `None` if it is written into directly.
    tmp: Option<PathBuf>,
}

impl OutputFile {
    /// Begins a file that only its owner may read, because it has what the log has; or opens what
    /// is no regular file. Opening a pipe waits for its reader.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(at) if at.is_dir() => Err(Failure::Usage(format!(
                "--output: {} is a directory; give a file in it",
                path.display()
            ))),
            Ok(at) if !at.is_file() => Self::into(path),
            Ok(_) => Self::beside(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::beside(path),
            Err(e) => Err(cannot_create(path, &e)),
        }
    }

    fn into(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|e| cannot_create(path, &e))?,
            tmp: None,
        })
    }

    fn beside(path: &Path) -> Result<Self, Failure> {
        let path = behind_links(path).map_err(|e| cannot_create(path, &e))?;
        let name = path.file_name().ok_or_else(|| {
            Failure::Usage(format!("--output: {} is not a file's name", path.display()))
        })?;
        let mut tmp = std::ffi::OsString::from(".");
        tmp.push(name);
        tmp.push(format!(".{}.tmp", std::process::id()));
        let tmp = path.with_file_name(tmp);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&tmp)
            .map_err(|e| cannot_create(&path, &e))?;
        Ok(Self {
            path,
            file,
            tmp: Some(tmp),
        })
    }

    /// Makes it durable and gives it its name, in the place of a file that had the name.
    pub(super) fn place(mut self) -> Result<(), Failure> {
        let Some(tmp) = &self.tmp else {
            return self.file.flush().map_err(|e| self.failed(&e));
        };
        let place = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(tmp, &self.path)?;
            let dir = self
                .path
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(dir)?.sync_all()
        };
        place().map_err(|e| self.failed(&e))?;
        self.tmp = None;
        Ok(())
    }

    /// The meaning of a failed write.
    pub(super) fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format!("cannot write {}: {error}", self.path.display()))
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    let missing = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    if let (io::ErrorKind::NotFound, Some(dir)) = (error.kind(), missing) {
        return Failure::failed(format!(
            "cannot create {}: there is no directory {}; create it first",
            path.display(),
            dir.display()
        ));
    }
    Failure::failed(format!("cannot create {}: {error}", path.display()))
}

/// The place that a symbolic link leads to, which may be free.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            // No link, or nothing at all.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other(
        "too many symbolic links lead to each other",
    ))
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
        if let Some(tmp) = &self.tmp {
            // There may be nothing left to remove.
            let _ = fs::remove_file(tmp);
        }
    }
}
