//! When a delivery comes again.

use proptest::prelude::*;

use super::*;
use crate::webhook::http::answer::Failure;

fn status(status: u16) -> Answer {
    with(Outcome::Status(status), None)
}

fn failed(kind: FailureKind) -> Answer {
    with(Outcome::Failed(Failure::new(kind, "")), None)
}

fn with(outcome: Outcome, retry_after: Option<u64>) -> Answer {
    let retry_after = retry_after.map(Duration::from_secs);
    Answer {
        outcome,
        retry_after,
        location_host: None,
        body: Vec::new(),
        excerpt: String::new(),
        took: Duration::ZERO,
    }
}

fn after(answer: &Answer, attempts: u32) -> Option<u64> {
    match Schedule::default().verdict(answer, attempts, 1, 0) {
        Verdict::Retry { after, .. } => Some(after.as_secs()),
        Verdict::Exhausted => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dead_webhook_is_tried_eleven_times_within_three_days() {
    let waits: Vec<_> = (1..=11)
        .map_while(|attempt| after(&status(500), attempt))
        .collect();
    assert_eq!(
        waits,
        [
            5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400
        ]
    );
    assert_eq!(waits.iter().sum::<u64>() / 3600, 75);
    assert_eq!(after(&status(500), 11), None);
    assert_eq!(after(&status(500), u32::MAX), None);
}

#[test]
fn each_status_has_its_consequence() {
    let verdict = |status_: u16, batch| Schedule::default().verdict(&status(status_), 1, batch, 0);
    for success in [200, 201, 202, 204, 207, 299] {
        assert_eq!(verdict(success, 1), Verdict::Delivered);
    }
    assert_eq!(verdict(410, 5), Verdict::Gone);
    assert_eq!(verdict(413, 2), Verdict::Split);
    assert!(matches!(verdict(413, 1), Verdict::DeadLetter { reason } if reason.contains("413")));
    for again in [
        100, 199, 300, 301, 304, 400, 401, 404, 409, 429, 500, 503, 599, 999,
    ] {
        assert!(
            matches!(verdict(again, 1), Verdict::Retry { alert: false, .. }),
            "{again}"
        );
    }
}

#[test]
fn what_only_a_change_of_settings_mends_is_told_after_the_second_attempt() {
    let alert = |answer: &Answer, attempts| {
        matches!(
            Schedule::default().verdict(answer, attempts, 1, 0),
            Verdict::Retry { alert: true, .. }
        )
    };
    for answer in [
        status(301),
        status(400),
        status(401),
        status(404),
        failed(FailureKind::Refused),
        failed(FailureKind::Tls),
    ] {
        assert_eq!(
            [1, 2, 3].map(|attempts| alert(&answer, attempts)),
            [false, true, true],
            "{answer:?}"
        );
    }
    for answer in [
        status(408),
        status(425),
        status(429),
        status(500),
        failed(FailureKind::Connect),
        failed(FailureKind::Timeout),
    ] {
        assert!(!alert(&answer, 3), "{answer:?}");
    }
}

#[test]
fn an_overloaded_receiver_gets_at_least_a_minute() {
    for answer in [
        status(429),
        status(502),
        status(503),
        status(504),
        failed(FailureKind::Timeout),
    ] {
        assert_eq!(
            [1, 2, 3].map(|attempts| after(&answer, attempts)),
            [Some(60), Some(60), Some(300)]
        );
    }
    assert_eq!(after(&failed(FailureKind::Connect), 1), Some(5));
}

#[test]
fn a_receiver_may_ask_for_more_time_but_not_for_less() {
    for (asking, wait) in [(0, 60), (90, 90), (7200, 7200), (10_000_000, 86_400)] {
        assert_eq!(
            after(&with(Outcome::Status(429), Some(asking)), 1),
            Some(wait)
        );
        assert_eq!(
            after(&with(Outcome::Status(503), Some(asking)), 1),
            Some(wait)
        );
    }
    assert_eq!(after(&with(Outcome::Status(503), Some(90)), 3), Some(300));
    let minute_and_a_half = Duration::from_secs(90);
    for status in [429, 503] {
        assert_eq!(asked(status, Some("90")), Some(minute_and_a_half));
        assert_eq!(asked(status, None), None);
    }
    for status in [200, 302, 404, 500, 502] {
        assert_eq!(asked(status, Some("90")), None, "{status}");
    }
}

#[test]
fn retry_after_is_read_in_all_its_forms() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (value, seconds) in [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("1.5", Some(2)),
        ("99999999999999999999999", Some(86_400)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
        ("Sun Nov  6 08:50:37 1994", Some(60)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("-5", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("1.2.3", None),
        (".", None),
        ("", None),
        ("soon", None),
        ("Sun, 06 Nov", None),
    ] {
        assert_eq!(
            retry_after(value, now).map(|asked| asked.as_secs()),
            seconds,
            "{value:?}"
        );
    }
}

#[test]
fn a_schedule_has_steps_of_at_most_a_day() {
    assert!(Schedule::new(vec![]).is_err());
    assert!(
        Schedule::new(vec![LONGEST_DELAY + Duration::from_nanos(1)])
            .unwrap_err()
            .to_string()
            .contains("24 hours")
    );
    assert!(Schedule::new(vec![Duration::ZERO; 101]).is_err());
    let once = Schedule::new(vec![Duration::ZERO]).unwrap();
    assert_eq!(once.verdict(&status(500), 1, 1, 0), Verdict::Exhausted);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    use FailureKind::{Body, Connect, Other, Refused, Timeout, Tls};
    let failed = proptest::sample::select(vec![Refused, Connect, Tls, Timeout, Body, Other]);
    prop_oneof![
        (100u16..600).prop_map(Outcome::Status),
        failed.prop_map(|kind| Outcome::Failed(Failure::new(kind, "")))
    ]
}

proptest! {
    #[test]
    fn a_delay_is_between_its_base_and_a_fifth_more_and_never_above_a_day(
        steps in proptest::collection::vec(0u64..=86_400_000, 1..20),
        outcome in outcomes(),
        asked in proptest::option::of(0u64..200_000),
        attempts in 0u32..25,
        chance: u32,
    ) {
        let steps: Vec<_> = steps.into_iter().map(Duration::from_millis).collect();
        let schedule = Schedule::new(steps.clone()).unwrap();
        let answer = with(outcome, asked);
        let least = schedule.verdict(&answer, attempts, 1, 0);
        let drawn = schedule.verdict(&answer, attempts, 1, chance);
        match (least, drawn) {
            (Verdict::Retry { after: base, .. }, Verdict::Retry { after, .. }) => {
                prop_assert!(base >= steps[attempts as usize]);
                prop_assert!(after >= base && after <= base + base / 5 && after <= LONGEST_DELAY);
            }
            (least, drawn) => prop_assert_eq!(least, drawn),
        }
    }

    #[test]
    fn the_whole_fifth_is_used(step in 1u64..=72_000) {
        let schedule = Schedule::new(vec![Duration::ZERO, Duration::from_secs(step)]).unwrap();
        let latest = schedule.verdict(&status(500), 1, 1, u32::MAX);
        prop_assert_eq!(latest, Verdict::Retry { after: Duration::from_millis(step * 1200), alert: false });
    }

    #[test]
    fn no_header_breaks_the_reading_of_retry_after(value in ".{0,40}") {
        let asked = retry_after(&value, SystemTime::UNIX_EPOCH);
        prop_assert!(asked.unwrap_or_default() <= LONGEST_DELAY);
    }
}
