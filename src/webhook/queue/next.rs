//! Which delivery goes next: pure.

use crate::webhook::{
    queue::{Delivery, Queue, circuit::Circuit},
    settings::DeliveryOrder,
};
use std::collections::VecDeque;

/// So many requests are under way at once, unless a webhook's settings say otherwise.
pub(in crate::webhook) const AT_ONCE: usize = 4;

/// A delivery that may go.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::webhook) struct Next {
    /// Where it is among the deliveries.
    pub(in crate::webhook) at: usize,
    /// It is not due yet: that it fails again costs it nothing.
    pub(in crate::webhook) early: bool,
}

/// The delivery to be sent next, if one may be, while so many at most are under way at once.
/// `saved` is the last save that is durable.
pub(in crate::webhook) fn next(
    queue: &Queue,
    order: DeliveryOrder,
    at_once: usize,
    saved: u64,
    now: i64,
) -> Option<Next> {
    let (deliveries, circuit) = (&queue.deliveries, &queue.circuit);
    match order {
        DeliveryOrder::Strict => in_order(deliveries, circuit, saved, now),
        DeliveryOrder::BestEffort => best_effort(deliveries, circuit, at_once, saved, now),
    }
}

fn in_order(
    deliveries: &VecDeque<Delivery>,
    circuit: &Circuit,
    saved: u64,
    now: i64,
) -> Option<Next> {
    let first = deliveries
        .front()
        .filter(|first| !first.in_flight && first.save <= saved)?;
    if is_due(first, now) && circuit.lets_due(now, 0, 1) {
        return Some(Next {
            at: 0,
            early: false,
        });
    }
    let may = circuit.lets_probe(now) || is_early(first, now) && circuit.lets_due(now, 0, 1);
    may.then_some(Next { at: 0, early: true })
}

/// Fresh ones first: what failed has slots of its own, and no more.
fn best_effort(
    deliveries: &VecDeque<Delivery>,
    circuit: &Circuit,
    at_once: usize,
    saved: u64,
    now: i64,
) -> Option<Next> {
    let (mut under_way, mut retries) = (0, 0);
    let (mut fresh, mut due, mut soonest): (Option<usize>, Option<usize>, Option<usize>) =
        (None, None, None);
    for (at, delivery) in deliveries.iter().enumerate() {
        if delivery.taken {
            // The receiver works on it; that is no reason to send it nothing else.
        } else if delivery.in_flight {
            under_way += 1;
            retries += usize::from(delivery.attempts > 0);
        } else if delivery.save > saved {
            // Its bounds are not durable yet.
        } else {
            if delivery.attempts == 0 && is_due(delivery, now) {
                fresh = fresh.or(Some(at));
            } else if due.is_none() && (is_due(delivery, now) || is_early(delivery, now)) {
                due = Some(at);
            }
            if soonest.is_none_or(|soonest| delivery.due < deliveries[soonest].due) {
                soonest = Some(at);
            }
        }
    }
    // One slot is kept for what is fresh, where there are several.
    let retries_at_once = at_once.saturating_sub(1).max(1);
    if circuit.lets_due(now, under_way, at_once)
        && let Some(at) = fresh.or(due.filter(|_| retries < retries_at_once))
    {
        return Some(Next {
            at,
            early: deliveries[at].attempts > 0 && !is_due(&deliveries[at], now),
        });
    }
    let at = soonest.filter(|_| under_way == 0 && circuit.lets_probe(now))?;
    Some(Next { at, early: true })
}

/// When the next attempt is to be made, by the queue's clock, if anything waits.
pub(in crate::webhook) fn next_attempt(queue: &Queue, order: DeliveryOrder) -> Option<i64> {
    let deliveries = &queue.deliveries;
    let due = match order {
        DeliveryOrder::Strict => deliveries.front().map(|first| first.due),
        DeliveryOrder::BestEffort => deliveries.iter().map(|one| one.due).min(),
    };
    due.map(|due| queue.circuit.earliest(due))
}

/// When time alone may let a delivery go, in microseconds since 1970: `None` if something else has
/// to happen first, which is noticed by itself. `saved` is the last save that is durable.
pub(in crate::webhook) fn wakes_at(queue: &Queue, order: DeliveryOrder, saved: u64) -> Option<i64> {
    let waits = |one: &&Delivery| !one.in_flight && !one.taken && one.save <= saved;
    let at = |one: &Delivery| one.early.map_or(one.due, |early| early.min(one.due));
    let deliveries = &queue.deliveries;
    let first = match order {
        DeliveryOrder::Strict => deliveries.front().filter(waits).map(at),
        DeliveryOrder::BestEffort => deliveries.iter().filter(waits).map(at).min(),
    };
    first.map(|at| queue.circuit.earliest(at))
}

/// Whether deliveries wait, and none of them can be sent before the next save, because the last
/// durable one doesn't have it yet. In strict order, only the first one counts.
pub(in crate::webhook) fn waits_for_save(queue: &Queue, order: DeliveryOrder, saved: u64) -> bool {
    let deliveries = &queue.deliveries;
    match order {
        DeliveryOrder::Strict => deliveries.front().is_some_and(|first| first.save > saved),
        DeliveryOrder::BestEffort => {
            !deliveries.is_empty() && deliveries.iter().all(|one| one.save > saved)
        }
    }
}

fn is_due(delivery: &Delivery, now: i64) -> bool {
    delivery.due <= now
}

fn is_early(delivery: &Delivery, now: i64) -> bool {
    delivery.early.is_some_and(|early| early <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;
    const SECOND: i64 = 1_000_000;

    fn delivery(attempts: u32, due_in: i64) -> Delivery {
        Delivery {
            attempts,
            due: NOW + due_in * SECOND,
            ..Delivery::default()
        }
    }

    fn queue(deliveries: impl IntoIterator<Item = Delivery>) -> Queue {
        Queue {
            deliveries: deliveries.into_iter().collect(),
            ..Queue::default()
        }
    }

    /// Starts all that may start; gives where they are.
    fn start(queue: &mut Queue, order: DeliveryOrder, now: i64) -> Vec<(usize, bool)> {
        std::iter::from_fn(|| {
            let next = next(queue, order, AT_ONCE, 0, now)?;
            queue.deliveries[next.at].in_flight = true;
            Some((next.at, next.early))
        })
        .collect()
    }

    #[test]
    fn fresh_ones_overtake_what_failed_and_a_slot_is_theirs() {
        let old = || (0..10).map(|_| delivery(1, -5));
        let mut all = queue(old().chain([delivery(0, 0), delivery(0, 0)]));
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW),
            [(10, false), (11, false), (0, false), (1, false)]
        );
        let mut only_old = queue(old());
        assert_eq!(
            start(&mut only_old, DeliveryOrder::BestEffort, NOW).len(),
            3,
            "one is kept for what is fresh"
        );
        only_old.deliveries.push_back(delivery(0, 0));
        assert_eq!(
            start(&mut only_old, DeliveryOrder::BestEffort, NOW),
            [(10, false)]
        );
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        for (at_once, retries) in [(1, 1), (2, 1), (8, 7), (64, 63)] {
            for (attempts, most) in [(0, at_once), (1, retries)] {
                let mut all = queue((0..100).map(|_| delivery(attempts, -5)));
                let under_way = (0..)
                    .map_while(|_| {
                        let next = next(&all, DeliveryOrder::BestEffort, at_once, 0, NOW)?;
                        all.deliveries[next.at].in_flight = true;
                        Some(())
                    })
                    .count();
                assert_eq!(under_way, most, "{at_once} at once, after {attempts}");
            }
        }
    }

    #[test]
    fn in_strict_order_nothing_overtakes() {
        let mut all = queue([delivery(1, 5), delivery(0, 0)]);
        assert_eq!(start(&mut all, DeliveryOrder::Strict, NOW), []);
        assert_eq!(
            start(&mut all, DeliveryOrder::Strict, NOW + 5 * SECOND),
            [(0, false)]
        );
        assert_eq!(
            start(&mut all, DeliveryOrder::Strict, NOW + 50 * SECOND),
            []
        );
    }

    #[test]
    fn what_is_not_durable_waits() {
        let mut all = queue([
            Delivery {
                save: 3,
                ..delivery(0, 0)
            },
            delivery(0, 0),
        ]);
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW),
            [(1, false)]
        );
        assert_eq!(
            next(&all, DeliveryOrder::BestEffort, AT_ONCE, 3, NOW),
            Some(Next {
                at: 0,
                early: false
            })
        );
    }

    #[test]
    fn an_open_circuit_lets_one_go_at_a_time_and_probes_with_what_is_due_next() {
        let mut all = queue([delivery(2, 7200), delivery(2, 3600), delivery(2, 9000)]);
        for _ in 0..5 {
            all.circuit.failed(NOW, None, false, 0);
        }
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + 4 * SECOND),
            []
        );
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + 5 * SECOND),
            [(1, true)]
        );
        all.deliveries[1].in_flight = false;
        all.deliveries.push_back(delivery(0, 0));
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + 5 * SECOND),
            [(3, false)]
        );
    }

    #[test]
    fn what_waited_for_a_receiver_goes_when_that_is_back() {
        let mut all = queue([Delivery {
            early: Some(NOW + SECOND),
            ..delivery(2, 7200)
        }]);
        assert_eq!(start(&mut all, DeliveryOrder::BestEffort, NOW), []);
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + SECOND),
            [(0, true)]
        );
    }

    #[test]
    fn the_next_attempt_is_made_when_it_is_said_to_be() {
        for failures in [0, 1, 5, 9] {
            for order in [DeliveryOrder::Strict, DeliveryOrder::BestEffort] {
                let mut all = queue([delivery(1, 7200), delivery(2, 3600)]);
                for _ in 0..failures {
                    all.circuit.failed(NOW, None, false, 0);
                }
                let at = next_attempt(&all, order).unwrap();
                assert_eq!(
                    next(&all, order, AT_ONCE, 0, at - 1),
                    None,
                    "{failures} {order:?}"
                );
                assert!(
                    next(&all, order, AT_ONCE, 0, at).is_some(),
                    "{failures} {order:?}"
                );
            }
        }
        assert_eq!(next_attempt(&queue([]), DeliveryOrder::Strict), None);
    }

    #[test]
    fn a_webhook_is_woken_when_time_lets_a_delivery_go_and_not_before() {
        for failures in [0, 1, 5, 9] {
            for early in [None, Some(NOW + 30 * SECOND)] {
                for order in [DeliveryOrder::Strict, DeliveryOrder::BestEffort] {
                    let first = Delivery {
                        early,
                        ..delivery(1, 3600)
                    };
                    let mut all = queue([first, delivery(2, 7200)]);
                    for _ in 0..failures {
                        all.circuit.failed(NOW, None, false, 0);
                    }
                    let at = wakes_at(&all, order, 0).unwrap();
                    assert_eq!(
                        next(&all, order, AT_ONCE, 0, at - 1),
                        None,
                        "{failures} {early:?}"
                    );
                    assert!(
                        next(&all, order, AT_ONCE, 0, at).is_some(),
                        "{failures} {early:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_woken_for_what_is_under_way_or_not_durable() {
        for order in [DeliveryOrder::Strict, DeliveryOrder::BestEffort] {
            let mut all = queue([delivery(1, 60)]);
            all.deliveries[0].in_flight = true;
            assert_eq!(wakes_at(&all, order, 0), None);
            all.deliveries[0].in_flight = false;
            all.deliveries[0].save = 2;
            assert_eq!(wakes_at(&all, order, 1), None);
            assert_eq!(wakes_at(&all, order, 2), Some(NOW + 60 * SECOND));
        }
        assert_eq!(wakes_at(&queue([]), DeliveryOrder::Strict, 0), None);
    }

    #[test]
    fn deliveries_that_no_save_has_wait_for_one() {
        let [strict, best] = [DeliveryOrder::Strict, DeliveryOrder::BestEffort];
        let saved_in = |save| Delivery {
            save,
            ..delivery(0, 0)
        };
        let none = queue([]);
        let all = queue([saved_in(2), saved_in(2)]);
        let later = queue([saved_in(2), saved_in(1)]);
        for order in [strict, best] {
            assert!(!waits_for_save(&none, order, 1));
            assert!(waits_for_save(&all, order, 1) && !waits_for_save(&all, order, 2));
        }
        assert!(waits_for_save(&later, strict, 1) && !waits_for_save(&later, best, 1));
    }
}
