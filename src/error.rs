//! What can go wrong, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong; each variant says what to do.
///
/// ```
/// use tracing_audit::{AuditReader, Error};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("none");
/// match AuditReader::open(dir) {
///     Ok(reader) => drop(reader),
///     Err(Error::Io { path, source, .. }) => println!("{}: {source}", path.display()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed. Check that the path exists, is writable and has room, then try
    /// again: no entry is lost, and none is changed, by an operation that failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done: "create", "read", "rename" …
        operation: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The directory was written by another version of this crate. Open it with that version, or
    /// give another directory.
    #[error("{} has format version {found:?}, this version reads and writes {expected:?}", path.display())]
    Version {
        /// The file that names the version.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this crate writes.
        expected: &'static str,
    },
    /// A stored file is not what it should be. It is left as it is; the message says what is wrong
    /// and where.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it, and at which byte or line.
        what: String,
    },
    /// A setting or parameter can't be used. The message says which, why, and what to write
    /// instead.
    #[error("{parameter}: {problem}")]
    Invalid {
        /// The setting or parameter.
        parameter: String,
        /// What is wrong with it and what to write instead.
        problem: String,
    },
    /// The log was closed. Events after that are not recorded: close it after the last one.
    #[error("the audit log is closed")]
    Closed,
    /// A process-wide log was set before. Set it once, at the start of the program.
    #[error("a process-wide audit log is already set")]
    GlobalAlreadySet,
}

impl Error {
    /// For `map_err`: an I/O error with its operation and path.
    pub(crate) fn io(
        operation: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.as_ref().to_owned(),
            source,
        }
    }

    pub(crate) fn damaged(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.as_ref().to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn invalid(parameter: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid {
            parameter: parameter.into(),
            problem: problem.into(),
        }
    }

    /// Whether it says that a file is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// What it says about a file, without the file's path: that tells a reader where the log lies.
    pub(crate) fn without_path(&self) -> String {
        match self {
            Self::Damaged { what, .. } => format!("it is damaged: {what}"),
            Self::Io {
                operation, source, ..
            } => format!("cannot {operation} it: {source}"),
            other => other.to_string(),
        }
    }
}

/// `None` for what is not there.
pub(crate) fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(e) if e.is_not_found() => Ok(None),
        result => result.map(Some),
    }
}
