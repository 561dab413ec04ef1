//! The error of this crate, with what to do about each.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::capture::NotDurable;

/// The result of this crate's functions that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of this crate. Each variant's documentation says what to do, and each message names
/// the file or the setting.
///
/// [`NotDurable`], the error of waiting for an event, becomes one by `?`.
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
        /// The operation: "create", "read", "rename" …
        operation: &'static str,
        /// The file or directory that the operation was for.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory was written by another version of this crate. Open it with that version, or
    /// give another directory.
    #[error("{} has format version {found:?}, but this version of tracing-audit reads and writes \
        {expected:?}", path.display())]
    Version {
        /// The file that names the version.
        path: PathBuf,
        /// The version in that file.
        found: String,
        /// The version that this crate writes.
        expected: &'static str,
    },
    /// A stored file is damaged. The file is left as it is. The message says what is wrong and
    /// where. Restore the file from a copy if there is one, and let
    /// [`AuditReader::verify`](crate::AuditReader::verify) look for more damage.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// The damage, and at which byte or line.
        what: String,
    },
    /// An export can't have every entry that it should: a part of the log can't be read, or retention
    /// removed it meanwhile. Start the export again if the file was removed. If it is damaged,
    /// restore it from a copy, or read what is left with
    /// [`AuditReader::each`](crate::AuditReader::each), which passes over damage and names it.
    #[error("the export is not whole: {file}: {what}")]
    NotWhole {
        /// The file, below the log's directory.
        file: String,
        /// The problem, in a sentence.
        what: String,
    },
    /// A setting or parameter can't be used. The message names it, with the reason and what to
    /// write instead.
    #[error("{parameter}: {problem}")]
    Invalid {
        /// The setting or parameter.
        parameter: String,
        /// The reason, and what to write instead.
        problem: String,
    },
    /// Another process does the same, or something that must not happen meanwhile, and holds this
    /// lock. Nothing was changed: try again when that process is done.
    #[error("another process holds {}", path.display())]
    Locked {
        /// The lock's file; `lslocks` and `fuser` say who holds it.
        path: PathBuf,
    },
    /// The log is not in a state that allows this: there is one of this name already, there are as
    /// many as a log may have, or the change has to be made elsewhere. Nothing was changed; the
    /// message says what to do.
    #[error("{0}")]
    Conflict(String),
    /// The log was closed. Events after that are not recorded: close it after the last one.
    #[error("the audit log is closed")]
    Closed,
    /// An event isn't on stable storage, or not known to be. [`NotDurable`] says which, and what to
    /// do: mostly to refuse the operation that the event is about.
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
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

    /// Whether a file is missing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
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

    /// The error without the file's path, which would show a client where the log lies.
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
