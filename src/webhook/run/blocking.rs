//! Work beside the tasks. Whatever touches a disk runs on a thread of its own, so that no webhook
//! waits for the disk of another.

use std::future::pending;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

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

/// Waits for the end of work that is under way; for ever if none is.
pub(in crate::webhook) async fn ended<T>(
    under_way: &mut Option<JoinHandle<T>>,
) -> std::result::Result<T, JoinError> {
    let Some(work) = under_way else {
        return pending().await;
    };
    let ended = work.await;
    *under_way = None;
    ended
}

pub(in crate::webhook) fn panicked(what: &str, error: &JoinError) -> Error {
    Error::damaged("the dispatcher", format!("{what} panicked: {error}"))
}
