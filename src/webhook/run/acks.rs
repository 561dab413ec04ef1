//! Deliveries that a receiver took and has not acknowledged yet. One question at a time asks for
//! all of them, while other requests go on.
//!
//! They are kept in memory only. After a death, deliveries that were not acknowledged are sent
//! again, under the same ids.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    error::Result,
    webhook::run::{
        blocking::{ended, panicked},
        send,
        served::Served,
    },
};

/// The pauses between two questions: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A delivery that is not acknowledged after so long is sent again.
const PATIENCE: Duration = Duration::from_secs(300);

/// A delivery that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhook) struct Taken {
    /// The delivery's key.
    pub(in crate::webhook) key: u64,
    /// It was sent before it was due.
    pub(in crate::webhook) early: bool,
    /// The number to ask for.
    pub(in crate::webhook) ack: u64,
    since: Instant,
}

pub(in crate::webhook) struct Acks {
    taken: Vec<Taken>,
    /// The keys of the deliveries that are asked for, and the answer.
    asking: Option<JoinHandle<(Vec<u64>, Vec<u64>)>>,
    /// A receiver that has restarted may give a number again. It no longer knows the delivery that
    /// had the number before.
    lost: Vec<Taken>,
    pause: Duration,
    next: Instant,
}

impl Acks {
    pub(in crate::webhook) fn new() -> Self {
        Self {
            taken: Vec::new(),
            asking: None,
            lost: Vec::new(),
            pause: FIRST_PAUSE,
            next: Instant::now(),
        }
    }

    pub(in crate::webhook) fn add(&mut self, key: u64, early: bool, ack: u64) {
        let now = Instant::now();
        self.lost
            .extend(self.taken.extract_if(.., |taken| taken.ack == ack));
        self.taken.push(Taken {
            key,
            early,
            ack,
            since: now,
        });
        self.pause = FIRST_PAUSE;
        self.next = self.next.min(now + FIRST_PAUSE);
    }

    /// When it is time to ask, if there is something to ask for and nothing is being asked.
    pub(in crate::webhook) fn due(&self) -> Option<Instant> {
        (!self.taken.is_empty() && self.asking.is_none()).then_some(self.next)
    }

    /// Asks, if there is something to ask for and it is time.
    pub(in crate::webhook) fn ask(&mut self, webhook: &Arc<Served>) {
        if self.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        let acks: Vec<u64> = self.taken.iter().map(|taken| taken.ack).collect();
        let keys = self.taken.iter().map(|taken| taken.key).collect();
        let webhook = Arc::clone(webhook);
        let asking = async move { (keys, send::acknowledged(&webhook, &acks).await) };
        self.asking = Some(tokio::spawn(asking));
    }

    /// Waits for an answer: the deliveries that are acknowledged, and those that are given up
    /// waiting for. Waits for ever if nothing was asked.
    pub(in crate::webhook) async fn answered(&mut self) -> Result<(Vec<Taken>, Vec<Taken>)> {
        let answer = ended(&mut self.asking).await;
        let (keys, answer) = answer.map_err(|e| panicked("asking for acknowledgements", &e))?;
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        Ok(self.sort(&keys, &answer, Instant::now()))
    }

    /// Only deliveries that were asked for can be acknowledged.
    fn sort(
        &mut self,
        asked: &[u64],
        acknowledged: &[u64],
        now: Instant,
    ) -> (Vec<Taken>, Vec<Taken>) {
        let done = self
            .taken
            .extract_if(.., |taken| {
                asked.contains(&taken.key) && acknowledged.contains(&taken.ack)
            })
            .collect();
        let mut never = std::mem::take(&mut self.lost);
        never.extend(
            self.taken
                .extract_if(.., |taken| now.duration_since(taken.since) >= PATIENCE),
        );
        (done, never)
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_done_and_what_never_is_goes_again() {
        let mut acks = Acks::new();
        for n in 0..3 {
            acks.add(n, false, n + 10);
        }
        let keys = |taken: &[Taken]| taken.iter().map(|taken| taken.key).collect::<Vec<_>>();
        let all = [0, 1, 2];
        let (done, never) = acks.sort(&all, &[11, 99], Instant::now());
        assert_eq!((keys(&done), keys(&never)), (vec![1], vec![]));
        let (done, never) = acks.sort(&all, &[12], Instant::now() + PATIENCE);
        assert_eq!((keys(&done), keys(&never)), (vec![2], vec![0]));
        assert!(acks.taken.is_empty());
    }

    #[test]
    fn a_receiver_that_counts_anew_acknowledges_nothing_of_before() {
        let mut acks = Acks::new();
        acks.add(1, false, 0);
        // It was asked for the first; meanwhile it began anew, and gave the number again.
        acks.add(2, false, 0);
        let (done, never) = acks.sort(&[1], &[0], Instant::now());
        assert!(
            done.is_empty() && never.len() == 1 && never[0].key == 1,
            "{done:?} {never:?}"
        );
        let (done, _) = acks.sort(&[2], &[0], Instant::now());
        assert_eq!(done[0].key, 2);
    }
}
