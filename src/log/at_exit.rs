//! Logs that are still open when the process ends in order: a subscriber that is set for all of the
//! process is never dropped, nor is the process-wide log.

use std::{
    sync::{Arc, Mutex, MutexGuard, Weak, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use super::stores::Stores;
use crate::{contain::contain, journal};

/// The end of the process waits this long. Events that are not written by then are in the journal.
const PATIENCE: Duration = Duration::from_secs(2);

static OPEN: Mutex<Vec<Weak<Stores>>> = Mutex::new(Vec::new());

/// Closes these stores when the process ends, unless they are closed by then.
pub(super) fn close_at_exit(stores: &Arc<Stores>) {
    static ASKED: AtomicBool = AtomicBool::new(false);
    // Without it, the next process recovers what this one leaves.
    let Some(mut open) = lock() else { return };
    open.retain(|stores| stores.strong_count() > 0);
    open.push(Arc::downgrade(stores));
    drop(open);
    journal::at_exit(close_all, &ASKED);
}

/// Takes the list, which other threads hold for some microseconds. In a child by `fork` the list
/// may have been locked at the fork, forever: then this gives up.
fn lock() -> Option<MutexGuard<'static, Vec<Weak<Stores>>>> {
    const TRIES: u32 = 100;
    (0..TRIES).find_map(|_| {
        let open = OPEN.try_lock().ok();
        if open.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        open
    })
}

extern "C" fn close_all() {
    contain(|| {
        let all = lock().map(|open| open.clone()).unwrap_or_default();
        let mut open: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        open.retain(|stores| stores.is_open());
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
