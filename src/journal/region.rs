//! A stretch of real memory: the mapped file of a journal, or heap in tests.
//!
//! The file itself is made by the store, through its seam to the file system; what is mapped here
//! is whole and its blocks are allocated, so that no access meets a full disk.
//!
//! Always true: `base` is aligned to eight, valid for `len` bytes of reading and writing, and stays
//! so as long as the region lives.

use std::{
    fmt,
    fs::File,
    io, slice,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
#[cfg(test)]
use std::{ops::Range, sync::Arc};

use memmap2::{MmapOptions, MmapRaw};

use super::{
    layout::{Header, PAGE},
    memory::Memory,
};

/// A stretch of memory shared by the two ends of a journal.
#[derive(Debug)]
pub(crate) struct Region {
    base: *mut u8,
    len: usize,
    backing: Backing,
}

/// The memory that `base` points to, kept valid.
enum Backing {
    File(MmapRaw),
    #[cfg(test)]
    Simulated {
        #[expect(dead_code, reason = "held, not read")]
        words: Arc<[AtomicU64]>,
        sync: Sync,
    },
}

/// Makes a range of simulated memory durable.
#[cfg(test)]
pub(crate) type Sync = Box<dyn Fn(Range<usize>) -> io::Result<()> + Send + std::marker::Sync>;

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(map) => map.fmt(f),
            #[cfg(test)]
            Self::Simulated { .. } => f.write_str("Simulated"),
        }
    }
}

// SAFETY: the region owns its mapping or heap, which no thread is tied to; `Memory` rules how its
// bytes may be accessed.
unsafe impl Send for Region {}
// SAFETY: as above; safe methods only hand out atomics.
unsafe impl std::marker::Sync for Region {}

impl Region {
    /// Maps the first `len` bytes of a file, shared: what is written into it is the file's at once.
    /// The file is at least as long, and no process makes it shorter.
    pub(crate) fn map(file: &File, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).map_raw(file)?;
        // Where the kernel knows how (Linux 5.14), the first push to each page finds it mapped;
        // elsewhere it faults and works too.
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::PopulateWrite));
        let base = map.as_mut_ptr();
        Ok(Self {
            base,
            len,
            backing: Backing::File(map),
        })
    }

    /// Memory of a simulated file, which reads as these words and is made durable by `sync`.
    #[cfg(test)]
    pub(crate) fn simulated(words: Arc<[AtomicU64]>, sync: Sync) -> Self {
        Self {
            base: words.as_ptr().cast::<u8>().cast_mut(),
            len: words.len() * 8,
            backing: Backing::Simulated { words, sync },
        }
    }

    /// A journal in the heap, which begins as its file would.
    #[cfg(test)]
    pub(super) fn heap(header: &Header) -> Self {
        let words = (0..(PAGE + header.capacity) / 8).map(|_| AtomicU64::new(0));
        let region = Self::simulated(words.collect(), Box::new(|_| Ok(())));
        region.begin(header, 0).expect("memory takes a header");
        region
    }

    /// Writes the header page of a new journal and makes it durable. A death on the way leaves what
    /// [`Leftover`](super::Leftover) knows as never begun.
    pub(super) fn begin(&self, header: &Header, born: i64) -> io::Result<()> {
        for (number, word) in header.page(born).chunks_exact(8).enumerate() {
            self.word(number * 8)
                .store(super::layout::word(word, 0), Relaxed);
        }
        self.sync_header()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes the header page durable.
    pub(super) fn sync_header(&self) -> io::Result<()> {
        match &self.backing {
            Backing::File(map) => map.flush_range(0, PAGE),
            #[cfg(test)]
            Backing::Simulated { sync, .. } => sync(0..PAGE),
        }
    }

    #[inline]
    fn at(&self, at: usize, len: usize) -> *mut u8 {
        debug_assert!(at + len <= self.len, "the access lies within the region");
        // SAFETY: callers keep to the region's length, as `Memory` demands, so the offset stays
        // within one allocation.
        unsafe { self.base.add(at) }
    }
}

// SAFETY: `base` is valid and aligned for `len` bytes by the module's invariant, and the ring is
// made for that length.
unsafe impl Memory for Region {
    type Word = AtomicU64;

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(
            at + 8 <= self.len && at.is_multiple_of(8),
            "the word lies within the region"
        );
        // SAFETY: the word lies within the region and is aligned; the protocol (see `journal`)
        // orders plain and atomic accesses to it.
        unsafe { AtomicU64::from_ptr(self.base.add(at).cast()) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn prefetch(&self, at: usize, len: usize) {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};

        for line in (at..at + len).step_by(64) {
            // SAFETY: a prefetch accesses nothing, whatever the address.
            unsafe {
                _mm_prefetch::<_MM_HINT_ET0>(self.base.wrapping_add(line).cast_const().cast())
            };
        }
    }

    #[inline]
    unsafe fn write_word(&self, at: usize, value: u64) {
        // SAFETY: exclusive, aligned and within the region by this method's contract.
        unsafe { self.at(at, 8).cast::<u64>().write(value) }
    }

    #[inline]
    unsafe fn read_word(&self, at: usize) -> u64 {
        // SAFETY: unwritten, aligned and within the region by this method's contract.
        unsafe { self.at(at, 8).cast::<u64>().read() }
    }

    #[inline]
    unsafe fn write(&self, at: usize, bytes: &[u8]) {
        // SAFETY: exclusive and within the region by this method's contract; so `bytes` can't
        // overlap it.
        unsafe {
            self.at(at, bytes.len())
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        }
    }

    #[inline]
    unsafe fn read(&self, at: usize, len: usize, into: &mut Vec<u8>) {
        // SAFETY: unwritten and within the region by this method's contract.
        into.extend_from_slice(unsafe { slice::from_raw_parts(self.at(at, len), len) });
    }

    #[inline]
    unsafe fn slice(&self, at: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: unwritten and within the region by this method's contract.
        Some(unsafe { slice::from_raw_parts(self.at(at, len), len) })
    }
}
