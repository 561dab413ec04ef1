//! Which process this is, and what a child of `fork` must not keep of its parent's.
//!
//! A child has a copy of its parent's memory and shares its mappings and open files, but of the
//! parent's threads it has only the one that forked. So nothing that belongs to the parent may be
//! used, closed or waited for there. [`Process`] tells, without a system call, whether the process
//! that made something is this one; [`UnsharedFile`] is a file that a child does not keep open.
//!
//! Both rest on `pthread_atfork`, so on the C library's `fork`. A child that is made by the system
//! call itself (`clone` without a shared memory) runs no handlers, and takes itself for its parent.

use std::{
    fs::File,
    io,
    ops::Deref,
    os::fd::{AsRawFd as _, IntoRawFd as _, RawFd},
    ptr,
    sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU32,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// How many forks lie between the program's start and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many forks this process has begun, and how many of them are over.
static BEGUN: AtomicU32 = AtomicU32::new(0);
static ENDED: AtomicU32 = AtomicU32::new(0);

/// A process, as far as it and its ancestors can tell: how often was forked from the program's
/// start to it. No two processes between which memory was passed on have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// This process. One load; it is right from the first [`UnsharedFile`] on.
    #[inline]
    pub(crate) fn current() -> Self {
        // The only thread of a child runs the handler that changes it, before there are others.
        Self(FORKS.load(Relaxed))
    }

    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self == Self::current()
    }
}

/// Has every fork from now on noticed. Done twice by two threads at once, it does no harm.
fn watch() -> io::Result<()> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    // Not a `Once`: a fork while another thread is in it would leave it locked in the child.
    if WATCHED.load(Acquire) {
        return Ok(());
    }
    // SAFETY: the handlers are functions of this program, and do only what a signal handler may:
    // the child may have been forked in the middle of anything.
    match unsafe { libc::pthread_atfork(Some(begins), Some(ended), Some(in_child)) } {
        0 => {
            WATCHED.store(true, Release);
            Ok(())
        }
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

extern "C" fn begins() {
    BEGUN.fetch_add(1, SeqCst);
}

extern "C" fn ended() {
    ENDED.fetch_add(1, SeqCst);
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Relaxed);
    // Of the parent's other threads, which are not here, some may have begun forks.
    ENDED.store(BEGUN.load(SeqCst), SeqCst);
    let mut block = Some(&OPEN);
    while let Some(some) = block {
        for place in &some.places {
            let descriptor = place.swap(FREE, SeqCst);
            if descriptor != FREE {
                // SAFETY: `UnsharedFile` registered the descriptor, and does not use or close it in
                // this process.
                unsafe { libc::close(descriptor) };
            }
        }
        block = some.next();
    }
}

/// The descriptors that a child closes, for its handler to find without a lock: a list that only
/// grows.
static OPEN: Block = Block::new();

struct Block {
    places: [AtomicI32; 128],
    next: AtomicPtr<Block>,
}

const FREE: RawFd = -1;

impl Block {
    const fn new() -> Self {
        Self {
            places: [const { AtomicI32::new(FREE) }; 128],
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: it is null or comes from `grow`, which leaks it.
        unsafe { self.next.load(SeqCst).as_ref() }
    }

    fn grow(&self) -> &'static Self {
        let new = Box::into_raw(Box::new(Self::new()));
        match (self.next).compare_exchange(ptr::null_mut(), new, SeqCst, SeqCst) {
            // SAFETY: it was leaked just now, or by the thread that was faster.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: as above.
                unsafe { &*other }
            }
        }
    }
}

fn register(descriptor: RawFd) -> &'static AtomicI32 {
    let mut block = &OPEN;
    loop {
        let free =
            |place: &&AtomicI32| (place.compare_exchange(FREE, descriptor, SeqCst, SeqCst)).is_ok();
        match block.places.iter().find(free) {
            Some(place) => return place,
            None => block = block.next().unwrap_or_else(|| block.grow()),
        }
    }
}

/// A file whose descriptor no child by `fork` keeps. So a lock on it (`flock`, which belongs to the
/// open file and not to a process) ends with this process, however long its children live.
///
/// A child that has one inherited owns nothing: dropping it does nothing there.
#[derive(Debug)]
pub(crate) struct UnsharedFile {
    /// Always there, until it is dropped.
    file: Option<File>,
    place: &'static AtomicI32,
    process: Process,
}

/// For how long a file that is opened waits for forks under way. A fork takes about 10 ms for each
/// GB of memory that its parent has in use.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

impl UnsharedFile {
    /// Opens it. `open` is called again if the process was forked meanwhile: that child has what
    /// was opened first.
    pub(crate) fn open(open: impl Fn() -> io::Result<File>) -> io::Result<Self> {
        watch()?;
        let asked = Instant::now();
        loop {
            // A program that forks without a pause must be able to open files all the same.
            let impatient = asked.elapsed() > PATIENCE;
            let ended = ENDED.load(SeqCst);
            let begun = BEGUN.load(SeqCst);
            if ended == begun || impatient {
                let file = open()?;
                let file = Self {
                    place: register(file.as_raw_fd()),
                    file: Some(file),
                    process: Process::current(),
                };
                if BEGUN.load(SeqCst) == begun || impatient {
                    return Ok(file);
                }
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Whether this process opened it.
    pub(crate) fn is_ours(&self) -> bool {
        self.process.is_current()
    }
}

impl Deref for UnsharedFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("only dropping it takes the file")
    }
}

impl Drop for UnsharedFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.is_ours() {
            // A child that is forked between the next two steps keeps the file, but no lock.
            let _ = file.unlock();
            self.place.store(FREE, SeqCst);
        } else {
            // Closed when this process began; its number may be another file's by now.
            let _ = file.into_raw_fd();
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Forks, and says whether `child` returned true there within a minute.
    fn in_a_child(child: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child runs the closure and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: it takes a number.
            unsafe { libc::_exit(i32::from(!child())) };
        }
        assert!(pid > 0);
        let begun = Instant::now();
        let mut status = -1;
        // SAFETY: `status` is this function's own.
        while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
            if begun.elapsed() > Duration::from_secs(60) {
                // SAFETY: it takes numbers; the child was not waited for yet.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            thread::sleep(Duration::from_millis(1));
        }
        status == 0
    }

    fn is_open(path: &Path) -> bool {
        let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
        open.flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|open| open == path)
    }

    #[test]
    fn a_child_is_another_process_and_has_no_unshared_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("held");
        let create = || File::create(&path);
        // More than a block holds.
        let files: Vec<_> = (0..300)
            .map(|_| UnsharedFile::open(create).unwrap())
            .collect();
        let mut files = Some(files);
        let ours = Process::current();
        assert!(ours.is_current() && is_open(&path));
        assert!(in_a_child(|| {
            let gone = !ours.is_current() && !is_open(&path);
            let child = Process::current();
            // A descriptor that was closed is given again.
            let own = UnsharedFile::open(create).unwrap();
            drop(files.take());
            let kept = is_open(&path) && own.metadata().is_ok();
            gone && kept && in_a_child(|| !child.is_current() && !is_open(&path))
        }));
        assert!(files.unwrap().iter().all(|file| file.metadata().is_ok()));
    }

    #[test]
    fn a_file_is_opened_after_a_fork_under_way_however_long_it_takes() {
        let opened = AtomicBool::new(false);
        thread::scope(|threads| {
            begins();
            threads.spawn(|| {
                drop(UnsharedFile::open(tempfile::tempfile).unwrap());
                opened.store(true, SeqCst);
            });
            thread::sleep(Duration::from_millis(300));
            let early = opened.load(SeqCst);
            ended();
            assert!(!early, "a file was opened while a fork was under way");
        });
        assert!(opened.into_inner());
    }

    /// Whether one of the process's open files has a lock. (A child may well have a file that its
    /// parent opens or closes just then.)
    fn holds_a_lock() -> bool {
        let open = fs::read_dir("/proc/self/fdinfo").into_iter().flatten();
        open.flatten()
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .any(|info| info.contains("FLOCK"))
    }

    #[test]
    fn no_child_shares_a_lock_whenever_it_is_forked() {
        const WHILE: Duration = Duration::from_millis(1);
        let ballast = vec![1u8; 600 << 20];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("held");
        let slowly = || File::create(&path).inspect(|_| thread::sleep(WHILE));
        let stop = AtomicBool::new(false);
        let held = AtomicU32::new(0);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Relaxed) {
                    let file = UnsharedFile::open(slowly).unwrap();
                    file.lock().unwrap();
                    held.fetch_add(u32::from(holds_a_lock()), Relaxed);
                    thread::sleep(WHILE);
                }
            });
            let shared = (0..200).any(|_| {
                !in_a_child(|| {
                    (0..4).all(|_| {
                        thread::sleep(WHILE / 2);
                        !holds_a_lock()
                    })
                })
            });
            stop.store(true, Relaxed);
            assert!(!shared, "a child shares a lock of its parent's");
        });
        assert!(held.into_inner() > 0);
        assert!(ballast[5] == 1);
    }
}
