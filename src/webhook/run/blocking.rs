//! Work that touches a disk runs on a thread of its own, so that no webhook waits for another's.

use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, Result};

/// Does the work; the error of a panic says `what` it was.
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
