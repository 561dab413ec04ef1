//! A child of `fork` that drops the dispatcher it inherited waits for no thread of its parent's,
//! and the parent goes on delivering.

use crate::forking::fork;

#[test]
fn the_parent_goes_on_delivering() {
    if !crate::support::is_apart(module_path!(), "the_parent_goes_on_delivering") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = crate::support::builder(dir.path()).open().unwrap();
    let mut dispatcher = Some(log.webhooks().run().unwrap());
    let lock = dir.path().join("state/locks/forward.lock");
    crate::support::until("it delivers", || lock.exists());
    let held = || {
        let file = std::fs::File::open(&lock).unwrap();
        matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        )
    };
    crate::support::until("it holds the lock", held);
    for _ in 0..20 {
        fork(|| drop(dispatcher.take())).ends_well();
    }
    assert!(held());
    drop(dispatcher.take());
    assert!(!held());
    log.close().unwrap();
}
