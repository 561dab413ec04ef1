//! A value that each process makes for itself.
//!
//! A value that a thread of the parent has locked or half changed at the moment of a `fork` stays
//! so in the child for ever. So the child may not touch such values, and makes new ones: here they
//! are told apart, without a lock.

use std::{
    fmt,
    marker::PhantomData,
    sync::atomic::{
        AtomicPtr,
        Ordering::{AcqRel, Acquire},
    },
};

use super::fork::Process;

/// A value for each process that has this: a list that begins with the newest process's, which is
/// this one's if it has made one.
pub(crate) struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
    owned: PhantomData<Box<Node<T>>>,
}

struct Node<T> {
    process: Process,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// With the value of the current process.
    pub(crate) fn new(value: T) -> Self {
        Self {
            newest: AtomicPtr::new(Node::leak(value)),
            owned: PhantomData,
        }
    }

    /// The current process's value, if it has made one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: the node was leaked by `Node::leak`, and is freed only when `self` is dropped.
        let newest = unsafe { &*self.newest.load(Acquire) };
        newest.process.is_current().then_some(&newest.value)
    }

    /// The current process's value, made of that of an ancestor, no lock of which may be taken. If
    /// several threads make it at once, one of theirs is taken.
    pub(crate) fn get_or_make(&self, make: impl FnOnce(&T) -> T) -> &T {
        let parents = self.newest.load(Acquire);
        if let Some(value) = self.get() {
            return value;
        }
        // SAFETY: as in `get`.
        let new = Node::leak(make(unsafe { &(*parents).value }));
        // The node of the parent is left as it is: its value is not for this process to drop.
        let taken = match (self.newest).compare_exchange(parents, new, AcqRel, Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: it was leaked just now, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: as in `get`. Only this process's threads replace the newest, once.
        unsafe { &(*taken).value }
    }
}

impl<T> Node<T> {
    fn leak(value: T) -> *mut Self {
        Box::into_raw(Box::new(Self {
            process: Process::current(),
            value,
        }))
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let newest = *self.newest.get_mut();
        // SAFETY: the node was leaked by `Node::leak`, and no borrow from `self` is left.
        let newest = unsafe { Box::from_raw(newest) };
        if !newest.process.is_current() {
            // Its threads are not here to be waited for, and its locks may never be released.
            Box::leak(newest);
        }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ptr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        thread,
    };

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn one_process_has_one_value_and_drops_it() {
        let dropped = Arc::<AtomicUsize>::default();
        let value = PerProcess::new(Counted(dropped.clone()));
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    let first = value.get().unwrap();
                    let other = value.get_or_make(|_| panic!("it is there"));
                    assert!(ptr::eq(first, other));
                });
            }
        });
        assert_eq!(dropped.load(Relaxed), 0);
        drop(value);
        assert_eq!(dropped.load(Relaxed), 1);
    }
}
