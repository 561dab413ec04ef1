//! The operations on memory that the protocol needs, so that the same code runs over a mapped file,
//! the heap, and loom's model of memory.
//!
//! Offsets count from the beginning of the header page. Words are at multiples of eight.

use std::sync::atomic::{AtomicU64, Ordering};

/// Memory that several threads write and read at once.
///
/// # Safety
///
/// Every access through [`word`](Memory::word), and through the other methods within their
/// contracts, must be valid for offsets below the length the ring was made for, from any thread, as
/// long as `self` lives.
pub(crate) unsafe trait Memory: Send + Sync + 'static {
    /// An atomic word of this memory.
    type Word: Word;

    /// The word at `at`, a multiple of eight within the memory; panics if it is not.
    fn word(&self, at: usize) -> &Self::Word;

    /// Says that the range will be written soon. A hint: it may lie anywhere, and nothing may come
    /// of it.
    fn prefetch(&self, at: usize, len: usize) {
        let _ = (at, len);
    }

    /// Writes a whole word without atomics.
    ///
    /// # Safety
    ///
    /// As for [`write`](Memory::write), and `at` is a multiple of eight.
    unsafe fn write_word(&self, at: usize, value: u64);

    /// Reads a whole word without atomics.
    ///
    /// # Safety
    ///
    /// As for [`slice`](Memory::slice), and `at` is a multiple of eight.
    unsafe fn read_word(&self, at: usize) -> u64;

    /// Copies `bytes` to `at`.
    ///
    /// # Safety
    ///
    /// The range lies within the memory, and no other access to it happens at the same time.
    unsafe fn write(&self, at: usize, bytes: &[u8]);

    /// The `len` bytes from `at`, copied to the end of `into`.
    ///
    /// # Safety
    ///
    /// As for [`slice`](Memory::slice), during the call.
    unsafe fn read(&self, at: usize, len: usize, into: &mut Vec<u8>);

    /// The `len` bytes from `at` where they lie, if this memory can lend them.
    ///
    /// # Safety
    ///
    /// The range lies within the memory, and nothing writes to it while the slice lives.
    unsafe fn slice(&self, at: usize, len: usize) -> Option<&[u8]>;
}

/// An atomic word.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn swap(&self, value: u64, order: Ordering) -> u64;
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    fn fetch_or(&self, value: u64, order: Ordering) -> u64;
    /// May fail spuriously.
    fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    /// Fails only if the word is not `current`.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
}

macro_rules! word {
    ($atomic:ty) => {
        impl Word for $atomic {
            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                Self::load(self, order)
            }
            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                Self::store(self, value, order);
            }
            #[inline]
            fn swap(&self, value: u64, order: Ordering) -> u64 {
                Self::swap(self, value, order)
            }
            #[inline]
            fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                Self::fetch_add(self, value, order)
            }
            #[inline]
            fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
                Self::fetch_or(self, value, order)
            }
            #[inline]
            fn compare_exchange_weak(
                &self,
                current: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                Self::compare_exchange_weak(self, current, new, success, failure)
            }
            #[inline]
            fn compare_exchange(
                &self,
                current: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                Self::compare_exchange(self, current, new, success, failure)
            }
        }
    };
}

word!(AtomicU64);
