//! A child of `fork` that drops the forwarder it inherited waits for no thread of its parent's, and
//! the parent goes on forwarding.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(all(feature = "macros", feature = "webhook"))]

#[path = "support/fork.rs"]
mod forking;
mod support;

use forking::fork;
use tracing_audit::AuditLog;

#[test]
fn the_parent_goes_on_forwarding() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).source("app").open().unwrap();
    let mut forwarder = Some(log.forward().unwrap());
    let lock = dir.path().join("state/locks/forward.lock");
    support::until("it forwards", || lock.exists());
    let held = || {
        let file = std::fs::File::open(&lock).unwrap();
        matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        )
    };
    support::until("it holds the lock", held);
    for _ in 0..20 {
        fork(|| drop(forwarder.take())).ends_well();
    }
    assert!(held());
    drop(forwarder.take());
    assert!(!held());
    log.close().unwrap();
}
