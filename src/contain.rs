//! Code of the application's that the log calls: callbacks, and the layers of `tracing`.

use std::{
    io::{self, Write as _},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use tracing::dispatcher::{get_default, with_default};

/// How long an event for `tracing` may hold up a thread of the log, or one that closes it.
const SAY_TIME: Duration = Duration::from_secs(1);

/// Runs code of the application's; false if it panicked. A panic of the application's must not end
/// a thread of the log.
pub(crate) fn contain(run: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => true,
        Err(payload) => {
            // Dropping it could panic again.
            mem::forget(payload);
            false
        }
    }
}

/// Reports a text to `tracing` on a thread of its own, and waits for that a second at most; false
/// if a layer panicked. If no thread can be started, the text goes to standard error.
///
/// The last handle of a log goes with its subscriber, which `tracing` may drop while it holds the
/// lock of its subscribers. An event can need this lock, so neither the thread that closes the log
/// there may wait for one for good, nor a thread of the log, for which it waits.
pub(crate) fn say_apart(text: &str, say: fn(&str)) -> bool {
    let (ended, end) = mpsc::channel();
    let subscriber = get_default(Clone::clone);
    let said = text.to_owned();
    let run = move || {
        let is_fine = contain(|| with_default(&subscriber, || say(&said)));
        // Nobody may wait any longer.
        let _ = ended.send(is_fine);
    };
    match thread::Builder::new()
        .name("audit-message".into())
        .spawn(run)
    {
        Ok(_) => end.recv_timeout(SAY_TIME).unwrap_or(true),
        Err(_) => {
            print(text);
            true
        }
    }
}

/// Says that events are lost, on standard error and to `tracing`: an application without a log need
/// not have a subscriber either.
pub(crate) fn alarm(text: &str) {
    print(text);
    contain(|| tracing::error!(target: "tracing_audit", "{text}"));
}

fn print(text: &str) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "tracing-audit: {text}");
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    #[test]
    fn a_text_is_printed_if_no_thread_can_be_started() {
        const STACK: &str = "RUST_MIN_STACK";
        let huge = (1_u64 << 60).to_string();
        if env::var(STACK).is_ok_and(|stack| stack == huge) {
            assert!(say_apart("the disk is full", |_| unreachable!()));
            return;
        }
        let name = "contain::tests::a_text_is_printed_if_no_thread_can_be_started";
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", name, "--nocapture", "--test-threads=1"]);
        let child = child.env(STACK, huge).output().unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        assert!(child.status.success(), "{said}");
        assert!(said.contains("tracing-audit: the disk is full"), "{said}");
    }
}
