//! The log of an application, open for as long as something about it is changed.

use std::path::Path;

use tracing_audit::{AuditLog, AuditLogBuilder};

use super::failure::Failure;

/// What is changed is recorded under this program's name.
pub(super) fn log(dir: &Path) -> AuditLogBuilder {
    AuditLog::builder(dir)
        .source("tracing-audit")
        .for_maintenance()
}

/// Opens the log, acts on it, and closes it.
pub(super) fn with_log<T>(
    dir: &Path,
    act: impl FnOnce(&AuditLog) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let log = log(dir).open()?;
    let done = act(&log);
    log.close()?;
    done
}
