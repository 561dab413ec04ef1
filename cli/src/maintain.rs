//! The log of an application, open for as long as something about it is changed.

use std::path::Path;

use tracing_audit::{AuditLog, AuditLogBuilder};

use super::{failure::Failure, owner::act_as_owner};

/// A log that is to be opened as its owner. Changes are recorded under this program's name.
pub(super) fn log(dir: &Path) -> Result<AuditLogBuilder, Failure> {
    act_as_owner(dir)?;
    let log = AuditLog::builder(dir).source("tracing-audit");
    Ok(log.for_maintenance())
}

/// Opens the log, acts on it, and closes it.
pub(super) fn with_log<T>(
    dir: &Path,
    act: impl FnOnce(&AuditLog) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let log = log(dir)?.open()?;
    let done = act(&log);
    log.close()?;
    done
}
