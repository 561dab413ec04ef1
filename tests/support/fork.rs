//! Children made by `fork`, as a test can do it: what the child says is its exit status.

#![allow(
    dead_code,
    unsafe_code,
    clippy::unwrap_used,
    reason = "each test uses its part; nothing safe forks, and what goes wrong fails the test"
)]

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use crate::support::HANGS;

/// A child by `fork`; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Forked {
    pid: libc::pid_t,
    ended: bool,
}

/// Runs `child` in a new process that has a copy of this one's memory and of this thread only. The
/// child ends with `_exit`, so that nothing of the test program runs twice.
pub(crate) fn fork(child: impl FnOnce()) -> Forked {
    try_fork().unwrap_or_else(|| {
        let ended = catch_unwind(AssertUnwindSafe(child));
        exit(i32::from(ended.is_err()))
    })
}

/// The child, or `None` in the child itself, which must [`exit`].
pub(crate) fn try_fork() -> Option<Forked> {
    // SAFETY: what the child does with its copy of the memory is what is tested.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    (pid > 0).then(|| Forked { pid, ended: false })
}

/// Ends the process at once: no destructor runs and nothing is closed.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: it takes a number and touches no memory.
    unsafe { libc::_exit(status) }
}

/// Kills this process, as nothing can prevent.
pub(crate) fn die() -> ! {
    // SAFETY: as for `exit`.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("nobody survives SIGKILL")
}

/// Lets this process have so many open files; gives how many it could before.
pub(crate) fn limit_files(most: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both are given a limit of this function's own.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = most;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        before
    }
}

impl Forked {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Waits for its end, which must come and be a good one.
    pub(crate) fn ends_well(mut self) {
        let start = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: `status` is this function's own.
            let found = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
            assert!(found >= 0, "{}", io::Error::last_os_error());
            if found == self.pid {
                self.ended = true;
                assert!(
                    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
                    "the child ended with status {status:#x}"
                );
                return;
            }
            assert!(start.elapsed() < HANGS, "the child hangs");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: they take numbers; the child was not waited for yet, so its id is its own.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}
