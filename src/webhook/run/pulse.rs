//! Notices that the log has grown, once for all webhooks: they read only then.
//!
//! It looks at the live files, whichever process writes them. What it misses is found a second
//! later.

use std::{sync::Arc, thread, time::Duration};

use tokio::sync::watch;

use crate::{
    error::{Error, Result},
    store::files::Files,
};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Changes when the log has grown.
pub(in crate::webhook) type Pulse = watch::Receiver<u64>;

/// Begins to look, on a thread that ends when nobody wants to know any more.
pub(in crate::webhook) fn start(files: &Arc<Files>) -> Result<Pulse> {
    let (sender, pulse) = watch::channel(0);
    let log = Arc::clone(files);
    let watch = move || {
        while !sender.is_closed() {
            // A directory that can't be read is reported by those who read the log.
            if let Ok(seen) = log.growth() {
                sender.send_if_modified(|last| std::mem::replace(last, seen) != seen);
            }
            thread::sleep(LOOK_EVERY);
        }
    };
    let started = thread::Builder::new()
        .name("audit-pulse".into())
        .spawn(watch);
    started
        .map(|_| pulse)
        .map_err(Error::io("start a thread for", files.root()))
}
