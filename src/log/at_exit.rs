//! Logs that are still open when the process ends in order: a subscriber that is set for all of the
//! process is never dropped, nor is the process-wide log.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use super::stores::Stores;
use crate::{contain::contain, journal};

/// For so long the end of the process waits. What is not written by then is in the journal.
const PATIENCE: Duration = Duration::from_secs(2);

static OPEN: Mutex<Vec<Weak<Stores>>> = Mutex::new(Vec::new());

/// Closes these stores when the process ends, unless they are closed by then.
pub(super) fn close_at_exit(stores: &Arc<Stores>) {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|stores| stores.strong_count() > 0);
    open.push(Arc::downgrade(stores));
    drop(open);
    journal::at_exit(close_all, &ASKED);
}

extern "C" fn close_all() {
    contain(|| {
        // In a child by `fork` it may have been locked at the fork, for good.
        let Ok(open) = OPEN.try_lock() else { return };
        let open: Vec<_> = open
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|stores| stores.is_open())
            .collect();
        if open.is_empty() {
            return;
        }
        let (done, over) = mpsc::channel();
        let closing = thread::Builder::new()
            .name("audit-exit".to_owned())
            .spawn(move || {
                open.iter().for_each(|stores| stores.let_go());
                let _ = done.send(());
            });
        if closing.is_ok() {
            let _ = over.recv_timeout(PATIENCE);
        }
    });
}
