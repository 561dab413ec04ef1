//! The requests of each caller, and how many of a minute's are left.
//!
//! A caller may send the requests of a minute at once. They come back evenly over the minute, so a
//! caller that is a little too fast waits a moment and not a minute. Always true: the memory for this
//! is bounded, however many callers there are; the caller that has used least is forgotten first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use axum::http::HeaderMap;

use super::limits::{CallerKey, RATE_LIMIT, RATE_LIMIT_POLICY, lock, value};

/// How many callers' requests are counted apart.
const CALLERS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

/// The requests of each caller.
#[derive(Debug)]
pub(super) struct Requests {
    in_a_minute: u32,
    /// When each caller has its whole allowance again.
    whole_at: Mutex<HashMap<CallerKey, Instant>>,
}

/// The requests that a caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    count: u128,
    pub(super) in_a_minute: u32,
    /// The time until there is one more.
    more_in: Duration,
}

impl Requests {
    pub(super) fn new(in_a_minute: u32) -> Self {
        Self {
            in_a_minute,
            whole_at: Mutex::default(),
        }
    }

    /// Takes a request of this caller, or else says when there is one.
    pub(super) fn take(&self, caller: CallerKey, now: Instant) -> std::result::Result<Left, Left> {
        let each = MINUTE / self.in_a_minute;
        let mut callers = lock(&self.whole_at);
        let missing = callers.get(&caller).copied().unwrap_or(now);
        let missing = missing.saturating_duration_since(now);
        let there = (each * self.in_a_minute).saturating_sub(missing);
        let is_taken = there >= each;
        let rest = if is_taken { there - each } else { there };
        if is_taken {
            make_room(&mut callers, caller);
            callers.insert(caller, now + missing + each);
        }
        let count = rest.as_nanos() / each.as_nanos();
        let part = rest.as_nanos() % each.as_nanos();
        let left = Left {
            count,
            in_a_minute: self.in_a_minute,
            more_in: each.saturating_sub(Duration::from_nanos(part as u64)),
        };
        if is_taken { Ok(left) } else { Err(left) }
    }
}

/// Forgets the caller that has most of its allowance, if there is no room for another.
fn make_room(callers: &mut HashMap<CallerKey, Instant>, caller: CallerKey) {
    if callers.len() < CALLERS || callers.contains_key(&caller) {
        return;
    }
    let first = callers.iter().min_by_key(|(_, whole_at)| **whole_at);
    if let Some(first) = first.map(|(caller, _)| *caller) {
        callers.remove(&first);
    }
}

impl Left {
    /// The seconds until there is one more, at least one.
    pub(super) fn seconds(&self) -> u64 {
        let whole = self.more_in.as_secs();
        whole + u64::from(self.more_in.subsec_nanos() > 0)
    }

    fn policy(&self) -> String {
        format!("\"requests\";q={};w=60", self.in_a_minute)
    }

    fn service_limit(&self) -> String {
        format!("\"requests\";r={};t={}", self.count, self.seconds())
    }
}

/// How many requests the caller of one request has left, once the caller is known. The guard puts
/// it into the request, and writes it into the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance(Arc<OnceLock<Left>>);

impl Allowance {
    pub(super) fn set(&self, left: Left) {
        // A request is admitted once, so nothing is there yet.
        let _ = self.0.set(left);
    }

    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(left) = self.0.get() {
            headers.append(RATE_LIMIT_POLICY, value(left.policy()));
            headers.append(RATE_LIMIT, value(left.service_limit()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::limits::tests::caller;

    /// How many of `sent` requests are answered at this time.
    fn answered(requests: &Requests, id: usize, now: Instant, sent: usize) -> usize {
        let answers = (0..sent).filter(|_| requests.take(caller(id), now).is_ok());
        answers.count()
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_come_back_evenly() {
        for limit in [1, 7, 600, 1_000_000] {
            let requests = Requests::new(limit);
            let start = Instant::now();
            let limit = limit as usize;
            assert_eq!(answered(&requests, 1, start, limit + 5), limit);
            assert_eq!(answered(&requests, 2, start, 1), 1, "another caller");
            let later = start + MINUTE / 2;
            assert_eq!(answered(&requests, 1, later, limit), limit / 2);
            let later = start + MINUTE * 3;
            assert_eq!(answered(&requests, 1, later, limit + 5), limit);
        }
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_is_answered() {
        let requests = Requests::new(7);
        let mut now = Instant::now();
        for _ in 0..100 {
            match requests.take(caller(1), now) {
                Ok(left) => assert!(left.count < 7),
                Err(left) => {
                    assert_eq!(left.count, 0);
                    now += Duration::from_secs(left.seconds());
                    assert!(requests.take(caller(1), now).is_ok());
                }
            }
        }
    }

    #[test]
    fn the_headers_are_as_the_draft_says() {
        let requests = Requests::new(30);
        let now = Instant::now();
        let first = requests.take(caller(1), now).unwrap();
        assert_eq!(first.policy(), "\"requests\";q=30;w=60");
        assert_eq!(first.service_limit(), "\"requests\";r=29;t=2");
        answered(&requests, 1, now, 29);
        let none = requests.take(caller(1), now + Duration::from_millis(1500));
        assert_eq!(none.unwrap_err().service_limit(), "\"requests\";r=0;t=1");
    }

    #[test]
    fn the_memory_is_bounded_and_the_quietest_goes() {
        let requests = Requests::new(10);
        let now = Instant::now();
        assert_eq!(answered(&requests, 0, now, 11), 10);
        for id in 1..CALLERS * 2 {
            assert!(requests.take(caller(id), now).is_ok());
        }
        assert_eq!(lock(&requests.whole_at).len(), CALLERS);
        assert!(
            requests.take(caller(0), now).is_err(),
            "it has used the most"
        );
    }
}
