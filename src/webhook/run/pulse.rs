//! Notices that the log has grown, or that a replay was asked for, on one thread for all webhooks.
//! The webhooks look only then.
//!
//! The kernel reports every change of a live file on this machine, whichever process makes it
//! (`live_watch`). Once a second the files are looked at all the same, because new sealed files and
//! some changes are not reported. On a file system that other machines may write to as well, the
//! live files are looked at ten times a second. Where the kernel reports nothing, they are looked
//! at every few milliseconds while the log grows.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::live_watch::LiveWatch;
use crate::{
    error::{Error, Result},
    store::{
        document::{Document, Version},
        files::{Files, Seen},
    },
    webhook::queue::replay,
};

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the live files are looked at where others may write to them unnoticed.
const LOOK_AT_SHARED_EVERY: Duration = Duration::from_millis(100);
/// How often they are looked at while the log grows and the kernel reports nothing, and how long
/// after its last growth the log is expected to grow on.
const LOOK_AT_GROWING_EVERY: Duration = Duration::from_millis(5);
const GROWS_ON: Duration = Duration::from_secs(1);
/// The shortest pause between two notices that the log has grown.
const NOTICE_EVERY: Duration = Duration::from_millis(5);

/// Counts the changes that were noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::webhook) struct Noticed {
    /// How often the log has grown.
    pub(in crate::webhook) grown: u64,
    /// How often the requests to replay have changed.
    pub(in crate::webhook) replays: u64,
}

/// Changes when something was noticed. Its sender is gone if nothing will ever be noticed.
pub(in crate::webhook) type Pulse = watch::Receiver<Noticed>;

/// A pulse that notices nothing.
pub(in crate::webhook) fn none() -> Pulse {
    watch::channel(Noticed::default()).1
}

/// Begins to look, on a thread that ends within a second after the last webhook has stopped
/// listening.
pub(in crate::webhook) fn start(files: &Arc<Files>) -> Result<Pulse> {
    let (sender, pulse) = watch::channel(Noticed::default());
    let looker = Looker {
        live: LiveWatch::new(&files.layout().live_dir()),
        replays: replay::document(files.layout()),
        files: Arc::clone(files),
        sender,
        growth: None,
        grew: Instant::now(),
        seen: Seen::default(),
        asked: None,
        looked: None,
    };
    let started = thread::Builder::new()
        .name("audit-pulse".into())
        .spawn(|| looker.run());
    started
        .map(|_| pulse)
        .map_err(Error::io("start a thread for", files.root()))
}

struct Looker {
    files: Arc<Files>,
    live: LiveWatch,
    replays: Document,
    sender: watch::Sender<Noticed>,
    /// A number that changes when the live files do.
    growth: Option<u64>,
    /// When the log was last seen to grow.
    grew: Instant,
    /// The sealed files that were seen.
    seen: Seen,
    /// Which requests to replay were seen.
    asked: Option<Version>,
    /// When everything was looked at.
    looked: Option<Instant>,
}

impl Looker {
    fn run(mut self) {
        while !self.sender.is_closed() {
            if self.looked.is_none_or(|last| last.elapsed() >= LOOK_EVERY) {
                self.looked = Some(Instant::now());
                self.live.renew();
                self.look_at_sealed();
                self.look_at_replays();
            }
            self.look_at_live();
            while self.live.wait(self.pause()) {
                self.note_growth();
                thread::sleep(NOTICE_EVERY);
                if self.sender.is_closed() || self.is_late() {
                    break;
                }
            }
        }
    }

    /// How long to wait for a report of the kernel before the live files are looked at.
    fn pause(&self) -> Duration {
        if self.live.reports_all() {
            let looked = self.looked.map_or(LOOK_EVERY, |last| last.elapsed());
            LOOK_EVERY.saturating_sub(looked)
        } else if self.live.reports() || self.grew.elapsed() > GROWS_ON {
            LOOK_AT_SHARED_EVERY
        } else {
            LOOK_AT_GROWING_EVERY
        }
    }

    /// Whether the look at everything is due while the kernel reports one change after another.
    fn is_late(&self) -> bool {
        self.looked.is_none_or(|last| last.elapsed() >= LOOK_EVERY)
    }

    fn look_at_live(&mut self) {
        // Readers of the log report that its directory can't be read.
        let growth = self.files.growth().ok();
        if growth.is_none() || growth != self.growth {
            self.growth = growth;
            self.note_growth();
        }
    }

    fn look_at_sealed(&mut self) {
        let came = self.files.came(&mut self.seen, false);
        if came.is_ok_and(|came| !came.files.is_empty()) {
            self.note_growth();
        }
    }

    fn look_at_replays(&mut self) {
        let asked = self.replays.version().ok().flatten();
        if asked != self.asked {
            self.asked = asked;
            self.sender.send_modify(|noticed| noticed.replays += 1);
        }
    }

    fn note_growth(&mut self) {
        self.grew = Instant::now();
        self.sender.send_modify(|noticed| noticed.grown += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::{
        query::AuditReader,
        webhook::{queue::replay, testing},
    };

    /// Whether the pulse changes soon.
    async fn comes(pulse: &mut Pulse) -> bool {
        let limit = Duration::from_secs(60);
        let changed = tokio::time::timeout(limit, pulse.changed()).await;
        changed.is_ok_and(|changed| changed.is_ok())
    }

    /// Waits until the pulse stops.
    async fn settle(pulse: &mut Pulse) {
        let quiet = Duration::from_millis(1500);
        while tokio::time::timeout(quiet, pulse.changed()).await.is_ok() {}
    }

    const STEM: &str = "20261121T101500.123456Z-billing-7f3a9c04d1e2-00000042";

    #[tokio::test]
    async fn it_comes_when_the_log_grows_and_when_a_replay_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let layout = testing::layout(dir.path());
        let reader = AuditReader::open(dir.path()).unwrap();
        let mut pulse = start(reader.files()).unwrap();
        settle(&mut pulse).await;
        let before = *pulse.borrow_and_update();
        let path = layout.live_dir().join(format!("{STEM}.jsonl"));
        let mut live = fs::File::create(path).unwrap();
        assert!(comes(&mut pulse).await);
        settle(&mut pulse).await;
        let created = *pulse.borrow_and_update();
        assert!(created.grown > before.grown && created.replays == before.replays);
        live.write_all(b"{}\n").unwrap();
        assert!(comes(&mut pulse).await);
        settle(&mut pulse).await;
        let grown = *pulse.borrow_and_update();
        assert!(grown.grown > created.grown);
        replay::document(&layout).write(b"{}", false).unwrap();
        // A late look at the files may come first.
        while pulse.borrow_and_update().replays == grown.replays {
            assert!(comes(&mut pulse).await);
        }
        assert_eq!(pulse.borrow_and_update().replays, grown.replays + 1);
    }

    #[tokio::test]
    async fn a_file_that_comes_sealed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = testing::layout(dir.path());
        let reader = AuditReader::open(dir.path()).unwrap();
        let mut pulse = start(reader.files()).unwrap();
        settle(&mut pulse).await;
        let day = layout.sealed_dir().join("dt=2026-11-21");
        fs::create_dir(&day).unwrap();
        fs::write(day.join(format!("{STEM}.jsonl.gz")), "").unwrap();
        assert!(comes(&mut pulse).await);
    }

    #[tokio::test]
    async fn the_thread_ends_with_its_last_listener() {
        let dir = tempfile::tempdir().unwrap();
        testing::layout(dir.path());
        let reader = AuditReader::open(dir.path()).unwrap();
        let files = Arc::downgrade(reader.files());
        let pulse = start(reader.files()).unwrap();
        drop((reader, pulse));
        let begun = Instant::now();
        while files.strong_count() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
