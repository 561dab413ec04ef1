//! Which key a thread hashes with: that of the log for which it renders an entry.

use std::{cell::Cell, fmt, sync::OnceLock};

use crate::entry::{HashKey, Prepared};

/// The key that a log hashes with, read without a lock: a chain of the keys that were set, of which
/// the last is in use. There are as many as somebody rotated in the process's life, and they stay,
/// so that threads can point to them.
#[derive(Default)]
pub(crate) struct CurrentKey(OnceLock<Box<Key>>);

struct Key {
    prepared: Prepared,
    next: OnceLock<Box<Key>>,
}

impl CurrentKey {
    pub(crate) fn leak(key: Option<&HashKey>) -> &'static Self {
        let current: &Self = Box::leak(Box::default());
        if let Some(key) = key {
            current.set(key);
        }
        current
    }

    pub(crate) fn set(&self, key: &HashKey) {
        let mut key = Box::new(Key {
            prepared: Prepared::new(key),
            next: OnceLock::new(),
        });
        let mut end = &self.0;
        // Where two are set at once, one of them comes after the other.
        while let Err(unset) = end.set(key) {
            let Some(before) = end.get() else { return };
            (key, end) = (unset, &before.next);
        }
    }

    pub(super) fn last(&self) -> Option<&Prepared> {
        let mut key = self.0.get()?;
        while let Some(next) = key.next.get() {
            key = next;
        }
        Some(&key.prepared)
    }
}

impl fmt::Debug for CurrentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentKey").finish_non_exhaustive()
    }
}

thread_local! {
    static CURRENT: Cell<Option<&'static CurrentKey>> = const { Cell::new(None) };
}

/// While this lives, its thread hashes with a key; then with the one before, also if a value
/// panicked.
pub(super) struct Hashing(Option<&'static CurrentKey>);

impl Hashing {
    #[inline]
    pub(super) fn with(key: Option<&'static CurrentKey>) -> Self {
        // At the thread's end the place may be gone; then nothing is hashed.
        Self(
            CURRENT
                .try_with(|current| current.replace(key))
                .ok()
                .flatten(),
        )
    }
}

impl Drop for Hashing {
    #[inline]
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.set(self.0));
    }
}

/// The key of the log for which this thread renders an entry now.
pub(super) fn of_thread() -> Option<&'static CurrentKey> {
    CURRENT.try_with(Cell::get).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn hash(current: &CurrentKey) -> String {
        let mut text = String::new();
        current.last().unwrap().start().finish(&mut text).unwrap();
        text
    }

    #[test]
    fn the_key_set_last_is_in_use() {
        let keys = ["a", "b", "c"].map(|name| HashKey::new(name, &[7; 32]).unwrap());
        let current = CurrentKey::leak(None);
        assert!(current.last().is_none());
        for key in &keys {
            current.set(key);
            assert_eq!(hash(current), key.hash(""));
        }
        // Set at once, each finds its place, and the next one comes after them.
        thread::scope(|threads| {
            for key in &keys {
                threads.spawn(|| current.set(key));
            }
        });
        let last = HashKey::new("z", &[7; 32]).unwrap();
        current.set(&last);
        assert_eq!(hash(current), last.hash(""));
    }
}
