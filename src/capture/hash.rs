//! Which key a thread hashes with: that of the log for which it renders a record.

use std::{
    cell::Cell,
    fmt,
    sync::{PoisonError, RwLock},
};

use super::emit;
use crate::record::{HashKey, Prepared};

/// The key that a log hashes with. It is never freed, and neither is a key that was in use, so that threads can point to them.
pub(crate) struct CurrentKey(RwLock<Option<&'static Prepared>>);

impl CurrentKey {
    pub(crate) fn leak(key: Option<&HashKey>) -> &'static Self {
        Box::leak(Box::new(Self(RwLock::new(key.map(prepared)))))
    }

    pub(crate) fn set(&self, key: &HashKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(prepared(key));
    }
}

fn prepared(key: &HashKey) -> &'static Prepared {
    Box::leak(Box::new(Prepared::new(key)))
}

impl fmt::Debug for CurrentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentKey").finish_non_exhaustive()
    }
}

thread_local! {
    static CURRENT: Cell<Option<&'static CurrentKey>> = const { Cell::new(None) };
}

impl CurrentKey {
    fn get(&self) -> Option<&'static Prepared> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on this thread hashes with this key; gives the one before.
#[inline]
pub(super) fn use_key(key: Option<&'static CurrentKey>) -> Option<&'static CurrentKey> {
    // At the thread's end the place may be gone; then nothing is hashed.
    CURRENT.try_with(|current| current.replace(key)).ok().flatten()
}

/// The key to hash with now, if there is one: that of the record that is being rendered, or else of the log that would take one.
pub(super) fn current() -> Option<&'static Prepared> {
    CURRENT.try_with(Cell::get).ok().flatten().or_else(emit::key_of_log)?.get()
}
