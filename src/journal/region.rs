//! A stretch of real memory: a ring's mapped file, or heap in tests. Here is where its file is
//! created and allocated.
//!
//! Always true: `base` is aligned to eight, valid for `len` bytes of reading and writing, and stays
//! so as long as the region lives.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    slice,
    sync::atomic::AtomicU64,
};

use memmap2::{MmapOptions, MmapRaw};
use rustix::{
    fs::FallocateFlags,
    io::{Errno, retry_on_intr},
};

use super::{
    layout::{Header, PAGE},
    memory::Memory,
};
use crate::error::{Error, Result};

/// A stretch of memory shared by the two ends of a ring.
#[derive(Debug)]
pub(crate) struct Region {
    base: *mut u8,
    len: usize,
    backing: Backing,
}

/// What keeps `base` valid.
#[derive(Debug)]
enum Backing {
    File {
        map: MmapRaw,
        path: PathBuf,
    },
    #[cfg(test)]
    #[expect(dead_code, reason = "held, not read")]
    Heap(Box<[AtomicU64]>),
}

// SAFETY: the region owns its mapping or heap, which no thread is tied to; `Memory` rules how its
// bytes may be accessed.
unsafe impl Send for Region {}
// SAFETY: as above; safe methods only hand out atomics.
unsafe impl Sync for Region {}

impl Region {
    /// Creates the file of a new ring, all of its blocks allocated and its header durable, and maps
    /// it.
    pub(super) fn create_file(path: &Path, header: &Header) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(Error::io("create", path))?;
        Self::fill_file(&file, path, header).inspect_err(|_| {
            // The error that led here is the one to report; a file that stays is told from a ring
            // by its empty header.
            drop(std::fs::remove_file(path));
        })
    }

    fn fill_file(file: &File, path: &Path, header: &Header) -> Result<Self> {
        let len = PAGE + header.capacity;
        allocate(file, len as u64).map_err(Error::io("allocate", path))?;
        // The blocks must be durable before a header says so.
        file.sync_all().map_err(Error::io("sync", path))?;
        file.write_all_at(&header.page(), 0)
            .map_err(Error::io("write", path))?;
        file.sync_all().map_err(Error::io("sync", path))?;
        let map = MmapOptions::new()
            .len(len)
            .map_raw(file)
            .map_err(Error::io("map", path))?;
        // Where the kernel knows how (Linux 5.14), the first push to each page finds it mapped;
        // elsewhere it faults and works too.
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::PopulateWrite));
        Ok(Self {
            base: map.as_mut_ptr(),
            len,
            backing: Backing::File {
                map,
                path: path.to_owned(),
            },
        })
    }

    /// A ring in the heap, which begins as its file would.
    #[cfg(test)]
    pub(super) fn heap(header: &Header) -> Self {
        let mut words: Box<[AtomicU64]> = (0..(PAGE + header.capacity) / 8)
            .map(|_| AtomicU64::new(0))
            .collect();
        for (at, word) in header.page().chunks_exact(8).zip(&mut words) {
            *word.get_mut() = super::layout::word(at, 0);
        }
        let base = words.as_mut_ptr().cast();
        Self {
            base,
            len: words.len() * 8,
            backing: Backing::Heap(words),
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        match &self.backing {
            Backing::File { path, .. } => path,
            #[cfg(test)]
            Backing::Heap(_) => Path::new(""),
        }
    }

    /// Makes the header page durable.
    pub(super) fn sync_header(&self) -> io::Result<()> {
        match &self.backing {
            Backing::File { map, .. } => map.flush_range(0, PAGE),
            #[cfg(test)]
            Backing::Heap(_) => Ok(()),
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

/// Gives the file `len` bytes with blocks behind all of them.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)) {
        // Some platforms allocate without making the file longer.
        Ok(()) => file.set_len(len),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(file, len),
        Err(error) => Err(error.into()),
    }
}

/// What [`allocate`] does where the file system can't: a block that was written is there.
fn write_zeros(mut file: &File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn both_ways_to_allocate_leave_no_block_out() {
        let directory = tempfile::tempdir().unwrap();
        for (name, allocate) in [
            ("fallocate", allocate as fn(&File, u64) -> io::Result<()>),
            ("zeros", write_zeros),
        ] {
            let path = directory.path().join(name);
            let file = File::create_new(&path).unwrap();
            allocate(&file, 1 << 20).unwrap();
            file.sync_all().unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), 1 << 20, "{name}");
            assert!(
                metadata.blocks() * 512 >= 1 << 20,
                "{name}: {} blocks",
                metadata.blocks()
            );
            assert!(
                std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0),
                "{name}"
            );
        }
    }
}
