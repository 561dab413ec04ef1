//! Work that touches a disk: on a thread for that, so that no endpoint waits for another's.

use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, Result};

/// Does the work; `what` it is, is told if it panics.
pub(super) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(panicked(what, &e)))
}

pub(super) fn panicked(what: &str, error: &JoinError) -> Error {
    Error::damaged("the forwarder", format!("{what} panicked: {error}"))
}
