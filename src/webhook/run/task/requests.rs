//! Carries out the requests of administrators about the deliveries of a webhook, and counts the
//! progress of its replay.

use super::DeliveryTask;
use crate::webhook::{
    queue::{
        Delivery,
        replay::{ReplayReport, ReplayState},
        request::{Act, Request},
    },
    settings::DeliveryOrder,
};

/// The reason of a dead letter that an administrator made.
const SKIPPED: &str = "an administrator skipped it";

impl DeliveryTask {
    /// Does what was not done yet, and notes it in the queue.
    pub(super) fn asked(&mut self, requests: &[Request]) {
        for request in requests {
            if request.number <= self.queue.request {
                continue;
            }
            match &request.act {
                Act::Skip { delivery_id } => {
                    let mut deliveries = self.queue.deliveries.iter_mut();
                    if let Some(found) = deliveries.find(|one| one.id == *delivery_id) {
                        found.skipped = true;
                    }
                }
                Act::CancelReplays { last } => self.cancel_replays(*last),
                Act::Resend {
                    delivery_id,
                    contents,
                    dead,
                } => {
                    let contents = contents.clone();
                    self.resend(Delivery::again(delivery_id.clone(), contents, *dead));
                }
            }
            self.queue.request = request.number;
            self.saves.unsaved = true;
        }
    }

    /// Makes dead letters of the deliveries that an administrator gave up. One that is under way
    /// may arrive yet.
    pub(super) fn give_up_skipped(&mut self) {
        let is_next = |one: &Delivery| one.skipped && !one.in_flight;
        while let Some(at) = self.queue.deliveries.iter().position(is_next) {
            self.give_up(at, SKIPPED.to_owned());
            if self.webhook.order == DeliveryOrder::Strict {
                // It failed because of this delivery, as far as anyone knows.
                self.queue.circuit.close();
                self.queue.status.parked = false;
            }
        }
    }

    pub(super) fn resend(&mut self, mut delivery: Delivery) {
        let mut deliveries = self.queue.deliveries.iter_mut();
        if let Some(waiting) = deliveries.find(|one| one.id == delivery.id) {
            waiting.early = Some(0);
            // Its attempt may be the last one, or it is being given up: then it is sent once more.
            waiting.resend = waiting.in_flight || waiting.skipped;
            return;
        }
        if delivery.contents.is_empty() {
            return;
        }
        // The delivery may have been given up since it was asked for.
        delivery.dead |= self.given_up.contains(&delivery.id);
        self.enter(self.queue.deliveries.len(), delivery);
    }

    fn cancel_replays(&mut self, last: u64) {
        self.queue.cancelled = self.queue.cancelled.max(last);
        if self.queue.replay <= last {
            self.queue.replaying = None;
            self.queue.replay = last;
        }
        match &mut self.queue.progress {
            Some(progress) if progress.number <= last => {
                if progress.is_under_way() {
                    progress.state = ReplayState::Cancelled;
                }
            }
            progress => *progress = Some(ReplayReport::new(last, ReplayState::Cancelled)),
        }
        self.drop_cancelled();
    }

    /// Takes what is not under way of cancelled replays out of the queue. Dead letters stay dead.
    pub(super) fn drop_cancelled(&mut self) {
        let cancelled = self.queue.cancelled;
        if cancelled == 0 {
            return;
        }
        let stays = |one: &Delivery| one.in_flight || one.replay == 0 || one.replay > cancelled;
        let deliveries = &mut self.queue.deliveries;
        let before = deliveries.len();
        deliveries.retain(stays);
        self.saves.unsaved |= deliveries.len() != before;
    }

    /// Notes that a replay was begun, or how far it was read.
    pub(super) fn note_replay(&mut self, number: u64) {
        if self
            .queue
            .progress
            .as_ref()
            .is_none_or(|one| one.number != number)
        {
            self.queue.progress = Some(ReplayReport::new(number, ReplayState::Running));
            self.count_replay();
        }
        self.end_replay();
    }

    /// Counts the replay that is under way, unless that was done.
    pub(super) fn count_replay(&mut self) {
        let (Some(progress), Some(replaying)) = (&self.queue.progress, &self.queue.replaying)
        else {
            return;
        };
        if progress.entries.is_none() {
            self.counting.begin(
                progress.number,
                replaying,
                &self.queue.cursor,
                &self.webhook,
            );
        }
    }

    pub(super) fn counted(&mut self, number: u64, entries: Option<u64>) {
        if let Some(progress) = &mut self.queue.progress
            && progress.number == number
            && progress.is_under_way()
        {
            // Dead letters that arrived meanwhile were no longer there to be counted.
            let settled = progress.delivered + progress.given_up;
            progress.entries = entries.map(|entries| entries.max(settled));
            self.saves.unsaved = true;
        }
    }

    /// Notes that a delivery left the queue, if a replay had made it.
    pub(super) fn settled(&mut self, delivery: &Delivery, delivered: bool) {
        if let Some(progress) = &mut self.queue.progress
            && delivery.replay == progress.number
        {
            let count = delivery.count as u64;
            if delivered {
                progress.delivered += count;
            } else {
                progress.given_up += count;
            }
        }
        self.end_replay();
    }

    fn end_replay(&mut self) {
        let Some(progress) = &mut self.queue.progress else {
            return;
        };
        let number = progress.number;
        let is_waiting = || self.queue.deliveries.iter().any(|one| one.replay == number);
        if progress.state == ReplayState::Running
            && self.queue.replaying.is_none()
            && self.queue.replay == number
            && !is_waiting()
        {
            progress.state = ReplayState::Done;
            progress.entries = Some(progress.delivered + progress.given_up);
            self.saves.unsaved = true;
        }
    }
}
