//! Time as the store sees it, so that tests can set it.

use std::{
    fmt,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::access;
use crate::entry::Timestamp;

/// Where the store gets the time from.
pub(crate) trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, which may jump.
    fn now(&self) -> Timestamp;
    /// A clock that only goes forward.
    fn monotonic(&self) -> Duration;
    /// How long this machine has been up; counts on while it sleeps and while no process of ours
    /// runs, and doesn't move when someone sets the wall clock.
    fn uptime(&self) -> Uptime {
        Uptime {
            boot: String::new(),
            time: self.monotonic(),
        }
    }
    /// The time by the clock of the file system that holds this existing file; `None` if the file
    /// can't be touched. On a network file system that is the clock of another machine.
    fn of_disk(&self, _touched: &Path) -> Option<Timestamp> {
        Some(self.now())
    }
}

/// How long a machine has been up, and since which start. Times of the same start can be compared,
/// also by different processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uptime {
    pub(crate) boot: String,
    pub(crate) time: Duration,
}

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    made: Instant,
    /// Stands for the start of the machine where that has no name.
    name: u64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            made: Instant::now(),
            name: fastrand::u64(..),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.made.elapsed()
    }

    fn uptime(&self) -> Uptime {
        since_boot().unwrap_or_else(|| Uptime {
            boot: format!("process {:016x}", self.name),
            time: self.monotonic(),
        })
    }

    fn of_disk(&self, touched: &Path) -> Option<Timestamp> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(access::itself())
            .open(touched)
            .ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
        };
        rustix::fs::futimens(&file, &times).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        #[allow(
            clippy::unnecessary_cast,
            reason = "the types of these fields differ from platform to platform"
        )]
        let seconds = found.st_mtime as i64;
        let nanos = found.st_mtime_nsec as i64;
        Some(Timestamp::from_micros(
            seconds
                .saturating_mul(1_000_000)
                .saturating_add(nanos / 1000),
        ))
    }
}

/// The time since the boot, also spent asleep, with the boot's name. A time namespace has a boot
/// time of its own, so its name is part of the boot's name. (`btime` of `/proc/stat` would not do:
/// it is the wall clock less the uptime, and moves with the wall clock.)
#[cfg(target_os = "linux")]
fn since_boot() -> Option<Uptime> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    // The same clock as CLOCK_BOOTTIME, without a call into the vDSO of our own, which some tools
    // (valgrind) put elsewhere.
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(Uptime {
        boot: format!("{} {}", boot.trim(), namespace.display())
            .trim_end()
            .to_owned(),
        time: Duration::try_from_secs_f64(seconds).ok()?,
    })
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Uptime> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uptime_goes_on_and_the_disk_has_a_clock() {
        let clock = SystemClock::new();
        let (before, now) = (clock.uptime(), clock.now());
        assert!(clock.uptime().time >= before.time);
        assert_eq!(SystemClock::new().uptime().boot, before.boot);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::File::open(file.path())
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        // The clock of files is as much as a tick behind.
        let touched = clock.of_disk(file.path()).unwrap();
        assert!(touched.as_micros() > now.as_micros() - 1_000_000);
        assert_eq!(clock.of_disk(Path::new("/nowhere/at/all")), None);
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        assert_eq!(clock.of_disk(&pipe), None, "at once");
    }
}
