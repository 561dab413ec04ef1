//! Learns from the kernel (inotify) that a file in `live/` was created or has grown.
//!
//! The kernel reports the changes that any process on this machine makes, in whatever container,
//! but none that other machines make. So the reports are complete only on a file system to which
//! one machine alone writes. The kinds of such file systems are listed here; every other kind is
//! taken for a shared one.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

#[cfg(target_os = "linux")]
use std::{mem::MaybeUninit, os::fd::OwnedFd};

#[cfg(target_os = "linux")]
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
};

/// Kinds of file systems (`statfs`) to which no other machine writes.
#[cfg(target_os = "linux")]
const OF_ONE_MACHINE: [i128; 11] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // F2FS
    0x3153_464a, // JFS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x2405_1905, // UBIFS
];

pub(super) struct LiveWatch {
    dir: PathBuf,
    #[cfg(target_os = "linux")]
    inotify: Option<OwnedFd>,
    /// The kernel watches the directory.
    reports: bool,
    /// No other machine writes to the directory.
    is_of_one_machine: bool,
}

impl LiveWatch {
    /// Where the kernel can't watch the directory, [`reports`](Self::reports) is false.
    pub(super) fn new(dir: &Path) -> Self {
        let mut watch = Self {
            dir: dir.to_owned(),
            #[cfg(target_os = "linux")]
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            reports: false,
            is_of_one_machine: false,
        };
        watch.renew();
        watch
    }

    /// Whether the kernel reports changes that are made on this machine.
    pub(super) fn reports(&self) -> bool {
        self.reports
    }

    /// Whether the kernel reports all changes.
    pub(super) fn reports_all(&self) -> bool {
        self.reports && self.is_of_one_machine
    }
}

#[cfg(target_os = "linux")]
impl LiveWatch {
    /// Watches the directory that has the name now. For the same directory this changes nothing.
    pub(super) fn renew(&mut self) {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        let inotify = self.inotify.as_ref();
        self.reports =
            inotify.is_some_and(|inotify| inotify::add_watch(inotify, &self.dir, flags).is_ok());
        self.is_of_one_machine = rustix::fs::statfs(&self.dir).is_ok_and(|found| {
            let kind = i128::from(found.f_type) & 0xffff_ffff;
            OF_ONE_MACHINE.contains(&kind)
        });
    }

    /// Waits until something has changed; false if nothing did within `limit`.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let Some(inotify) = self.inotify.as_ref().filter(|_| self.reports) else {
            thread::sleep(limit);
            return false;
        };
        let limit = Timespec::try_from(limit).ok();
        let mut wanted = [PollFd::new(inotify, PollFlags::IN)];
        if !poll(&mut wanted, limit.as_ref()).is_ok_and(|ready| ready > 0) {
            return false;
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut changes = Reader::new(inotify, &mut buffer);
        // The names don't matter. All that is there is taken, so that the next wait is for more.
        while changes.next().is_ok() {}
        true
    }
}

#[cfg(not(target_os = "linux"))]
impl LiveWatch {
    pub(super) fn renew(&mut self) {}

    pub(super) fn wait(&self, limit: Duration) -> bool {
        thread::sleep(limit);
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, io::Write as _, time::Instant};

    use super::*;

    const HANGS: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    /// Whether it reports a change that is made now, and only once.
    fn reports(watch: &LiveWatch, change: impl FnOnce()) -> bool {
        assert!(!watch.wait(SHORT));
        change();
        let begun = Instant::now();
        let reported = watch.wait(HANGS) && begun.elapsed() < HANGS / 2;
        reported && !watch.wait(SHORT)
    }

    #[test]
    fn files_that_come_and_grow_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let watch = LiveWatch::new(dir.path());
        assert!(watch.reports());
        let path = dir.path().join("a.jsonl");
        assert!(reports(&watch, || fs::write(&path, "{}\n").unwrap()));
        assert!(reports(&watch, || {
            let mut file = fs::File::options().append(true).open(&path).unwrap();
            file.write_all(b"{}\n").unwrap();
        }));
    }

    #[test]
    fn a_directory_that_takes_the_place_of_another_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live");
        let mut watch = LiveWatch::new(&live);
        assert!(!watch.reports() && !watch.wait(SHORT));
        for _ in 0..2 {
            fs::create_dir(&live).unwrap();
            watch.renew();
            assert!(watch.reports());
            assert!(reports(&watch, || {
                fs::write(live.join("a.jsonl"), "{}\n").unwrap();
            }));
            fs::rename(&live, dir.path().join(format!("{:x}", fastrand::u64(..)))).unwrap();
        }
        watch.renew();
        assert!(!watch.reports());
    }
}
