//! Settings from the environment.

use std::{env, ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use super::AuditLogBuilder;
use crate::{
    capture::WhenFull,
    entry::Source,
    error::{Error, Result},
    journal::check_capacity,
    store::{Level, Permissions},
};

/// The least for the longest entry.
const LEAST_ENTRY: usize = 2048;

/// How the variables begin.
const PREFIX: &str = "TRACING_AUDIT_";

impl AuditLogBuilder {
    /// Describes the log in the directory `TRACING_AUDIT_DIR`, with the settings that
    /// [`with_env`](Self::with_env) finds.
    ///
    /// ```no_run
    /// # fn main() -> tracing_audit::Result<()> {
    /// use tracing_audit::AuditLogBuilder;
    ///
    /// let log = AuditLogBuilder::from_env()?.source("billing").open()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], which names the variable, if a value can't be used or
    /// `TRACING_AUDIT_DIR` is not set.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(&variable)
    }

    /// Replaces earlier settings by those of the environment. A setting that follows this call
    /// overrides the environment. A variable that is not set, or is empty, changes nothing.
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `TRACING_AUDIT_DIR` | the log's directory |
    /// | `TRACING_AUDIT_SOURCE` | [`source`](Self::source) |
    /// | `TRACING_AUDIT_RETENTION_DAYS` | [`retention`](Self::retention): a number of days, or `unlimited` |
    /// | `TRACING_AUDIT_PERMISSIONS` | [`permissions`](Self::permissions): `owner` or `group-read` |
    /// | `TRACING_AUDIT_WHEN_FULL` | [`when_full`](Self::when_full): `wait` or `drop` |
    /// | `TRACING_AUDIT_JOURNAL_BYTES` | [`journal_bytes`](Self::journal_bytes) |
    /// | `TRACING_AUDIT_JOURNAL_DIR` | [`journal_dir`](Self::journal_dir) |
    /// | `TRACING_AUDIT_MAX_RECORD_BYTES` | [`max_record_bytes`](Self::max_record_bytes) |
    /// | `TRACING_AUDIT_ROTATE_BYTES` | [`rotate_bytes`](Self::rotate_bytes) |
    /// | `TRACING_AUDIT_ROTATE_SECONDS` | [`rotate_every`](Self::rotate_every) |
    /// | `TRACING_AUDIT_SYNC_MILLISECONDS` | [`sync_every`](Self::sync_every) |
    /// | `TRACING_AUDIT_COMPRESSION_LEVEL` | [`compression_level`](Self::compression_level) |
    ///
    /// The key of [`hashed`](crate::hashed) values is not among them: a secret is better read from
    /// a file.
    ///
    /// ```
    /// # fn main() -> tracing_audit::Result<()> {
    /// use tracing_audit::{AuditLog, Retention};
    ///
    /// let log = AuditLog::builder("./audit")
    ///     .retention(Retention::days(365))  // unless TRACING_AUDIT_RETENTION_DAYS is set
    ///     .with_env()?
    ///     .source("billing");               // in any case
    /// # let _ = log;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], which names the variable, if a value can't be used.
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(&variable)
    }

    fn from_variables(variable: &Variables<'_>) -> Result<Self> {
        match path(variable, "DIR") {
            Some(dir) => Self::new(dir).with_variables(variable),
            None => Err(Error::invalid(
                "TRACING_AUDIT_DIR",
                "it is not set; set it to the log's directory",
            )),
        }
    }

    fn with_variables(mut self, variable: &Variables<'_>) -> Result<Self> {
        if let Some(dir) = path(variable, "DIR") {
            self.dir = dir;
        }
        if let Some(source) = get(variable, "SOURCE")? {
            let expected = "1 to 64 letters, digits, `.`, `_` and `-`, a letter or a digit first";
            parsed::<Source>("SOURCE", &source, expected)?;
            self.source = Some(source);
        }
        if let Some(days) = get(variable, "RETENTION_DAYS")? {
            self.retention = match days.as_str() {
                "unlimited" => self.retention.without_age_limit(),
                text => match parsed("RETENTION_DAYS", text, "a number of days, or unlimited")? {
                    0 => {
                        return Err(wrong("RETENTION_DAYS", text, "at least 1, or unlimited"));
                    }
                    days => self.retention.age_limit(days),
                },
            };
        }
        if let Some(text) = get(variable, "PERMISSIONS")? {
            let permissions = parsed::<Permissions>("PERMISSIONS", &text, "owner or group-read")?;
            self.permissions = Some(permissions);
        }
        if let Some(text) = get(variable, "WHEN_FULL")? {
            self.when_full = match text.as_str() {
                "wait" => WhenFull::Wait,
                "drop" => WhenFull::Drop,
                _ => return Err(wrong("WHEN_FULL", &text, "wait or drop")),
            };
        }
        if let Some(dir) = path(variable, "JOURNAL_DIR") {
            self.journal_dir = Some(dir);
        }
        let number = |name| match get(variable, name)? {
            Some(text) => parsed::<u64>(name, &text, "a whole number").map(Some),
            None => Ok(None),
        };
        let size = |name| {
            let bytes: Option<u64> = number(name)?;
            // On a machine of 32 bits more cannot be had in any case.
            let bytes = bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
            Ok::<_, Error>(bytes)
        };
        let journal_bytes = size("JOURNAL_BYTES")?;
        if let Some(bytes) = journal_bytes {
            check_capacity(bytes).map_err(|error| named("JOURNAL_BYTES", &error))?;
            self.journal_bytes = bytes;
        }
        if let Some(bytes) = size("MAX_RECORD_BYTES")? {
            let text = bytes.to_string();
            if bytes < LEAST_ENTRY {
                return Err(wrong("MAX_RECORD_BYTES", &text, "at least 2048"));
            }
            // If only one of the two is in the environment, the code may set the other to fit.
            if journal_bytes.is_some_and(|journal| bytes > journal / 8) {
                let expected = "at most an eighth of TRACING_AUDIT_JOURNAL_BYTES";
                return Err(wrong("MAX_RECORD_BYTES", &text, expected));
            }
            self.max_record_bytes = bytes;
        }
        let at_least_one = |name| match number(name)? {
            Some(0) => Err(wrong(name, "0", "at least 1")),
            number => Ok(number),
        };
        if let Some(bytes) = at_least_one("ROTATE_BYTES")? {
            self.rotate_bytes = bytes;
        }
        if let Some(seconds) = at_least_one("ROTATE_SECONDS")? {
            self.rotate_every = Duration::from_secs(seconds);
        }
        if let Some(milliseconds) = number("SYNC_MILLISECONDS")? {
            self.sync_every = Duration::from_millis(milliseconds);
        }
        if let Some(text) = get(variable, "COMPRESSION_LEVEL")? {
            let expected = "a number from 1 to 9";
            let level = parsed("COMPRESSION_LEVEL", &text, expected)?;
            if Level::new(level).is_none() {
                return Err(wrong("COMPRESSION_LEVEL", &text, expected));
            }
            self.compression_level = level;
        }
        Ok(self)
    }
}

/// The environment: the value of a variable, if it is set.
type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// The value of a variable, without the prefix, that is set and not empty.
fn get(variable: &Variables<'_>, name: &str) -> Result<Option<String>> {
    match variable(&format!("{PREFIX}{name}")) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => value.into_string().map(Some).map_err(|value| {
            Error::invalid(format!("{PREFIX}{name}"), format!("{value:?} is not UTF-8"))
        }),
    }
}

/// The same of a path, which need not be UTF-8.
fn path(variable: &Variables<'_>, name: &str) -> Option<PathBuf> {
    let value = variable(&format!("{PREFIX}{name}"))?;
    (!value.is_empty()).then(|| value.into())
}

fn parsed<T: FromStr>(name: &str, text: &str, expected: &str) -> Result<T> {
    text.parse().map_err(|_| wrong(name, text, expected))
}

fn wrong(name: &str, text: &str, expected: &str) -> Error {
    Error::invalid(
        format!("{PREFIX}{name}"),
        format!("{text:?} is not {expected}"),
    )
}

/// The error of a setting, as that of its variable.
fn named(name: &str, error: &Error) -> Error {
    let name = format!("{PREFIX}{name}");
    match error {
        Error::Invalid { problem, .. } => Error::invalid(name, problem.clone()),
        other => Error::invalid(name, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Retention;

    fn described(variables: &[(&str, &str)]) -> Result<AuditLogBuilder> {
        AuditLogBuilder::from_variables(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn each_variable_has_its_setting() {
        let log = described(&[
            ("TRACING_AUDIT_DIR", "/var/log/audit"),
            ("TRACING_AUDIT_SOURCE", "billing"),
            ("TRACING_AUDIT_RETENTION_DAYS", "30"),
            ("TRACING_AUDIT_PERMISSIONS", "group-read"),
            ("TRACING_AUDIT_WHEN_FULL", "drop"),
            ("TRACING_AUDIT_JOURNAL_BYTES", "65536"),
            ("TRACING_AUDIT_JOURNAL_DIR", "/dev/shm/billing"),
            ("TRACING_AUDIT_MAX_RECORD_BYTES", "4096"),
            ("TRACING_AUDIT_ROTATE_BYTES", "1000"),
            ("TRACING_AUDIT_ROTATE_SECONDS", "60"),
            ("TRACING_AUDIT_SYNC_MILLISECONDS", "250"),
            ("TRACING_AUDIT_COMPRESSION_LEVEL", "9"),
        ])
        .unwrap();
        assert_eq!(log.dir.to_str(), Some("/var/log/audit"));
        assert_eq!(log.source.as_deref(), Some("billing"));
        assert_eq!(log.retention, Retention::days(30));
        assert_eq!(log.permissions, Some(Permissions::GroupRead));
        assert_eq!(log.when_full, WhenFull::Drop);
        assert_eq!((log.journal_bytes, log.max_record_bytes), (65536, 4096));
        assert_eq!(
            log.journal_dir.as_deref().and_then(std::path::Path::to_str),
            Some("/dev/shm/billing")
        );
        assert_eq!(log.rotate_bytes, 1000);
        assert_eq!(log.rotate_every, Duration::from_secs(60));
        assert_eq!(log.sync_every, Duration::from_millis(250));
        assert_eq!(log.compression_level, 9);
    }

    #[test]
    fn what_is_not_set_changes_nothing_and_a_size_stays_when_days_come() {
        let in_code = AuditLogBuilder::new("audit".into())
            .retention(Retention::days(7).max_bytes(1000))
            .source("code");
        let log = in_code
            .with_variables(&|name| match name {
                "TRACING_AUDIT_RETENTION_DAYS" => Some("unlimited".into()),
                "TRACING_AUDIT_SOURCE" => Some("".into()),
                _ => None,
            })
            .unwrap();
        assert_eq!(log.retention, Retention::unlimited().max_bytes(1000));
        assert_eq!(log.source.as_deref(), Some("code"));
        assert_eq!(log.dir.to_str(), Some("audit"));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_variable() {
        for (name, value, says) in [
            (
                "RETENTION_DAYS",
                "0",
                "\"0\" is not at least 1, or unlimited",
            ),
            (
                "RETENTION_DAYS",
                "90d",
                "\"90d\" is not a number of days, or unlimited",
            ),
            ("PERMISSIONS", "0640", "\"0640\" is not owner or group-read"),
            ("WHEN_FULL", "block", "\"block\" is not wait or drop"),
            ("JOURNAL_BYTES", "16MiB", "\"16MiB\" is not a whole number"),
            ("ROTATE_SECONDS", "-1", "\"-1\" is not a whole number"),
            (
                "COMPRESSION_LEVEL",
                "best",
                "\"best\" is not a number from 1 to 9",
            ),
            (
                "COMPRESSION_LEVEL",
                "12",
                "\"12\" is not a number from 1 to 9",
            ),
            ("SOURCE", "my app", "\"my app\" is not 1 to 64 letters"),
            (
                "JOURNAL_BYTES",
                "1000",
                "1000 must be a power of two from 4096",
            ),
            ("MAX_RECORD_BYTES", "10", "\"10\" is not at least 2048"),
            ("ROTATE_SECONDS", "0", "\"0\" is not at least 1"),
            ("ROTATE_BYTES", "0", "\"0\" is not at least 1"),
        ] {
            let name = format!("{PREFIX}{name}");
            let wrong = described(&[("TRACING_AUDIT_DIR", "audit"), (&name, value)]);
            let message = wrong.unwrap_err().to_string();
            assert!(
                message.contains(&name) && message.contains(says),
                "{message}"
            );
        }
        let both = [
            ("TRACING_AUDIT_DIR", "audit"),
            ("TRACING_AUDIT_JOURNAL_BYTES", "16384"),
            ("TRACING_AUDIT_MAX_RECORD_BYTES", "4096"),
        ];
        let message = described(&both).unwrap_err().to_string();
        assert!(
            message.contains("TRACING_AUDIT_MAX_RECORD_BYTES") && message.contains("an eighth"),
            "{message}"
        );
        let message = described(&[]).unwrap_err().to_string();
        assert!(
            message.contains("TRACING_AUDIT_DIR") && message.contains("not set"),
            "{message}"
        );
    }
}
