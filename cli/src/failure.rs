//! How a command ends when it can't do what it was asked.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::ExitCode,
};

use nix::unistd::Uid;
use tracing_audit::Error;

use super::output::escaped;

/// How a command ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Fine,
    /// The command printed what it found.
    ProblemFound,
}

impl Outcome {
    /// A problem if there is any.
    pub(super) fn problem_if(found: bool) -> Self {
        if found {
            Self::ProblemFound
        } else {
            Self::Fine
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command can't be understood: exit code 2.
    Usage(String),
    /// The same, reported by clap; or a help text, which isn't a failure.
    Clap(Box<clap::Error>),
    /// The command failed: exit code 1.
    Failed(String),
    /// The reader of our output is gone, as with `| head`.
    ReaderGone,
}

impl Failure {
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// An error of the library about what a flag said. It calls the flag as the operator does.
    pub(super) fn of_flag(error: Error) -> Self {
        match error {
            Error::Invalid { parameter, problem } => {
                let problem = with_flags(problem);
                match parameter.split_once('.') {
                    Some((name, path)) => {
                        Self::Usage(format!("--{} {path}: {problem}", name.replace('_', "-")))
                    }
                    None => Self::Usage(format!("--{}: {problem}", parameter.replace('_', "-"))),
                }
            }
            other => other.into(),
        }
    }

    /// Says it on stderr, and gives the exit code.
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Usage(what) => {
                warn(&format!("error: {what}"));
                warn("Try 'tracing-audit --help', or '--help' after a command.");
                ExitCode::from(2)
            }
            Self::Clap(error) => {
                // Nobody is left to tell if this fails.
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Failed(what) => {
                warn(&format!("error: {what}"));
                ExitCode::from(1)
            }
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// Phrases in the library's errors, and the same with flags for an operator. The name of a
/// parameter alone isn't replaced, because the operator's own text may have it.
const IN_FLAGS: [(&str, &str); 3] = [
    (
        "the range from it to end_date",
        "the range from it to --end-date",
    ),
    (
        "with start_date and end_date",
        "with --start-date and --end-date",
    ),
    ("or give the format", "or give --format"),
];

/// The problem, with the flags that it speaks of.
fn with_flags(problem: String) -> String {
    IN_FLAGS.iter().fold(problem, |text, (library, operator)| {
        text.replace(library, operator)
    })
}

/// One line on stderr. File names and error texts may hold anything, so it is escaped.
pub(super) fn warn(line: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr().lock(), "{}", escaped(line));
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Clap(Box::new(error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Io { path, source, .. } = &error
            && let Some(dir) = path
                .to_str()
                .and_then(|path| path.strip_suffix("/state/format"))
            && source.kind() == io::ErrorKind::NotFound
        {
            return Self::failed(format!(
                "there is no audit log in {dir}; give the directory of one with --dir"
            ));
        }
        if let Some(file) = file_for_log(&error) {
            return Self::failed(format!(
                "{file} is a file; give the directory of a log with --dir"
            ));
        }
        Self::Failed(match another_owner(&error) {
            Some(owner) => format!("{error}; {owner}"),
            None => error.to_string(),
        })
    }
}

/// The file that was taken for the directory of a log.
fn file_for_log(error: &Error) -> Option<&str> {
    let Error::Io { path, source, .. } = error else {
        return None;
    };
    let dir = path.to_str()?.strip_suffix("/state/format")?;
    let is_file = source.kind() == io::ErrorKind::NotADirectory && !Path::new(dir).is_dir();
    is_file.then_some(dir)
}

/// The owner of the log that can't be read, if that is another user.
fn another_owner(error: &Error) -> Option<String> {
    let Error::Io { path, source, .. } = error else {
        return None;
    };
    let dir = path.to_str()?.strip_suffix("/state/format")?;
    let owner = Uid::from_raw(fs::metadata(dir).ok()?.uid());
    let us = Uid::effective();
    let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
    (is_denied && owner != us).then(|| {
        format!(
            "the log belongs to uid {owner}, and this process runs as uid {us}: run the command as \
             uid {owner} or as root"
        )
    })
}

/// Of writing to stdout: the only place where an `io::Error` comes without a path.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}
