//! Which parcel goes next: pure.

use std::collections::VecDeque;

use super::{
    circuit::Circuit,
    outbox::{Outbox, Parcel},
    schedule::LONGEST_DELAY,
    subscription::DeliveryOrder,
};

/// Requests at once, and how many of them may be for what failed before.
pub(super) const AT_ONCE: usize = 4;
const RETRIES_AT_ONCE: usize = 3;

/// A parcel that may go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// Where it is among the parcels.
    pub(super) at: usize,
    /// It is not due yet: that it fails again costs it nothing.
    pub(super) early: bool,
}

/// The parcel to be sent next, if one may be. `saved` is the last save that is durable.
pub(super) fn next(outbox: &Outbox, order: DeliveryOrder, saved: u64, now: i64) -> Option<Next> {
    let (parcels, circuit) = (&outbox.parcels, &outbox.circuit);
    match order {
        DeliveryOrder::Strict => in_order(parcels, circuit, saved, now),
        DeliveryOrder::BestEffort => best_effort(parcels, circuit, saved, now),
    }
}

fn in_order(parcels: &VecDeque<Parcel>, circuit: &Circuit, saved: u64, now: i64) -> Option<Next> {
    let first = parcels
        .front()
        .filter(|first| !first.on_its_way && first.save <= saved)?;
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
    parcels: &VecDeque<Parcel>,
    circuit: &Circuit,
    saved: u64,
    now: i64,
) -> Option<Next> {
    let (mut under_way, mut retries) = (0, 0);
    let (mut fresh, mut due, mut soonest): (Option<usize>, Option<usize>, Option<usize>) =
        (None, None, None);
    for (at, parcel) in parcels.iter().enumerate() {
        if parcel.taken {
            // The receiver works on it; that is no reason to send it nothing else.
        } else if parcel.on_its_way {
            under_way += 1;
            retries += usize::from(parcel.attempts > 0);
        } else if parcel.save > saved {
            // Its bounds are not durable yet.
        } else {
            if parcel.attempts == 0 && is_due(parcel, now) {
                fresh = fresh.or(Some(at));
            } else if due.is_none() && (is_due(parcel, now) || is_early(parcel, now)) {
                due = Some(at);
            }
            if soonest.is_none_or(|soonest| parcel.due < parcels[soonest].due) {
                soonest = Some(at);
            }
        }
    }
    if circuit.lets_due(now, under_way, AT_ONCE)
        && let Some(at) = fresh.or(due.filter(|_| retries < RETRIES_AT_ONCE))
    {
        return Some(Next {
            at,
            early: parcels[at].attempts > 0 && !is_due(&parcels[at], now),
        });
    }
    let at = soonest.filter(|_| under_way == 0 && circuit.lets_probe(now))?;
    Some(Next { at, early: true })
}

/// A clock that was set back holds nothing up for longer than the longest delay.
fn is_due(parcel: &Parcel, now: i64) -> bool {
    let longest = i64::try_from(LONGEST_DELAY.as_micros()).unwrap_or(i64::MAX);
    parcel.due <= now || parcel.due > now + longest + longest / 4
}

fn is_early(parcel: &Parcel, now: i64) -> bool {
    parcel.early.is_some_and(|early| early <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;
    const SECOND: i64 = 1_000_000;

    fn parcel(attempts: u32, due_in: i64) -> Parcel {
        Parcel {
            attempts,
            due: NOW + due_in * SECOND,
            ..Parcel::default()
        }
    }

    fn outbox(parcels: impl IntoIterator<Item = Parcel>) -> Outbox {
        Outbox {
            parcels: parcels.into_iter().collect(),
            ..Outbox::default()
        }
    }

    /// Starts all that may start; gives where they are.
    fn start(outbox: &mut Outbox, order: DeliveryOrder, now: i64) -> Vec<(usize, bool)> {
        std::iter::from_fn(|| {
            let next = next(outbox, order, 0, now)?;
            outbox.parcels[next.at].on_its_way = true;
            Some((next.at, next.early))
        })
        .collect()
    }

    #[test]
    fn fresh_ones_overtake_what_failed_and_a_slot_is_theirs() {
        let old = || (0..10).map(|_| parcel(1, -5));
        let mut all = outbox(old().chain([parcel(0, 0), parcel(0, 0)]));
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW),
            [(10, false), (11, false), (0, false), (1, false)]
        );
        let mut only_old = outbox(old());
        assert_eq!(
            start(&mut only_old, DeliveryOrder::BestEffort, NOW).len(),
            3,
            "one is kept for what is fresh"
        );
        only_old.parcels.push_back(parcel(0, 0));
        assert_eq!(
            start(&mut only_old, DeliveryOrder::BestEffort, NOW),
            [(10, false)]
        );
    }

    #[test]
    fn in_strict_order_nothing_overtakes() {
        let mut all = outbox([parcel(1, 5), parcel(0, 0)]);
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
        let mut all = outbox([
            Parcel {
                save: 3,
                ..parcel(0, 0)
            },
            parcel(0, 0),
        ]);
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW),
            [(1, false)]
        );
        assert_eq!(
            next(&all, DeliveryOrder::BestEffort, 3, NOW),
            Some(Next {
                at: 0,
                early: false
            })
        );
    }

    #[test]
    fn an_open_circuit_lets_one_go_at_a_time_and_probes_with_what_is_due_next() {
        let mut all = outbox([parcel(2, 7200), parcel(2, 3600), parcel(2, 9000)]);
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
        all.parcels[1].on_its_way = false;
        all.parcels.push_back(parcel(0, 0));
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + 5 * SECOND),
            [(3, false)]
        );
    }

    #[test]
    fn what_waited_for_an_endpoint_goes_when_that_is_back() {
        let mut all = outbox([Parcel {
            early: Some(NOW + SECOND),
            ..parcel(2, 7200)
        }]);
        assert_eq!(start(&mut all, DeliveryOrder::BestEffort, NOW), []);
        assert_eq!(
            start(&mut all, DeliveryOrder::BestEffort, NOW + SECOND),
            [(0, true)]
        );
    }

    #[test]
    fn a_clock_set_back_holds_nothing_up() {
        let mut all = outbox([parcel(2, 48 * 3600)]);
        assert_eq!(start(&mut all, DeliveryOrder::Strict, NOW), [(0, false)]);
    }
}
