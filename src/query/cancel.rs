//! Ends a query whose client no longer waits.

#[cfg(any(feature = "server", test))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io, path::Path, sync::Arc};

use crate::error::{Error, Result};

/// Says whether to go on. The default always does.
#[derive(Clone, Default)]
pub(crate) struct Cancel(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancel {
    /// Asks this, about once for each 256 KiB read.
    #[cfg(any(feature = "export", test))]
    pub(crate) fn when(gone: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(gone)))
    }

    /// A `Cancel` that cancels once the guard is dropped.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn on_drop() -> (Self, CancelOnDrop) {
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = CancelOnDrop(Arc::clone(&dropped));
        (Self::when(move || dropped.load(Ordering::Relaxed)), guard)
    }

    /// Whether the client has gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|cancelled| cancelled())
    }

    /// An error if the client has gone.
    pub(super) fn check(&self, log: &Path) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::io("go on reading", log)(io::Error::other(
                "its caller has gone",
            ))),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Cancel(..)"
        } else {
            "Cancel(never)"
        })
    }
}

/// Held by the caller that waits.
#[cfg(any(feature = "server", test))]
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Arc<AtomicBool>);

#[cfg(any(feature = "server", test))]
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
