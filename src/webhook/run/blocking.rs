//! Work that touches a disk: on a thread for that, so that no webhook waits for another's.

use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, Result};

/// Does the work; `what` it is, is told if it panics.
pub(in crate::webhook) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(panicked(what, &e)))
}

pub(in crate::webhook) fn panicked(what: &str, error: &JoinError) -> Error {
    Error::damaged("the dispatcher", format!("{what} panicked: {error}"))
}
