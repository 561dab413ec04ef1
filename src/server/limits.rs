//! The limits of one caller: requests a minute; and downloads, streams and bytes of pages at once.
//!
//! In comes each request of a caller who is known; out goes whether the caller may have what it
//! asks for, and how many requests are left. Always true:
//!
//! - A caller beyond its limits costs others nothing, and is told when to try again: 429. The
//!   limits of the server, which all callers share, are a 503.
//! - The memory for this is bounded, however many callers there are.
//!
//! A caller may send the requests of a minute at once. They come back evenly over the minute, so a
//! caller that is a little too fast waits a moment and not a minute.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};

use super::{
    access::Access,
    options::RouterOptions,
    problem::Problem,
    state::{App, Asker},
};
use crate::{
    entry::Caller,
    error::{Error, Result},
};

/// How many callers' requests are counted apart.
const CALLERS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);
/// The seconds after which another download or stream is worth a try.
const SOON: u64 = 5;
/// The names of the headers are those of draft-ietf-httpapi-ratelimit-headers-11.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limits of each caller.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Requests,
    pub(super) downloads: AtOnce,
    pub(super) streams: AtOnce,
    /// Bytes of pages that wait to be taken.
    page_bytes: AtOnce,
    /// Requests that were refused.
    pub(super) refused: AtomicU64,
}

impl Limits {
    /// # Errors
    ///
    /// `Error::Invalid` names the option that is out of its bounds.
    pub(super) fn new(options: &RouterOptions) -> Result<Self> {
        let requests = options.requests_per_minute;
        within("max_requests_per_minute", requests, 1..=1_000_000)?;
        let downloads = options.downloads_per_caller;
        within("max_downloads_per_caller", downloads, 1..=10_000)?;
        let streams = options.streams_per_caller;
        within("max_streams_per_caller", streams, 1..=10_000)?;
        Ok(Self {
            requests: Requests::new(requests),
            downloads: AtOnce::new("downloads", downloads),
            streams: AtOnce::new("streams", streams),
            page_bytes: AtOnce {
                unit: "content-bytes",
                ..AtOnce::new("page-bytes", options.page_memory_bytes / 2)
            },
            refused: AtomicU64::new(0),
        })
    }
}

/// An error that names the option unless its value is one of these.
pub(super) fn within<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    let what = format!("{value} must be a number from {least} to {most}");
    Err(Error::invalid(name, what))
}

/// A caller, by a hash: an application may give its callers ids of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallerKey([u8; 32]);

impl CallerKey {
    pub(super) fn of(access: &Access) -> Self {
        let mut hash = Sha256::new();
        hash.update(&access.actor_type);
        hash.update([0]);
        hash.update(&access.id);
        Self(hash.finalize().into())
    }
}

/// The requests of each caller.
#[derive(Debug)]
struct Requests {
    in_a_minute: u32,
    /// When each caller has its whole allowance again.
    whole_at: Mutex<HashMap<CallerKey, Instant>>,
}

/// The requests that a caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    count: u128,
    in_a_minute: u32,
    /// The time until there is one more.
    more_in: Duration,
}

impl Requests {
    fn new(in_a_minute: u32) -> Self {
        Self {
            in_a_minute,
            whole_at: Mutex::default(),
        }
    }

    /// Takes a request of this caller, or else says when there is one.
    fn take(&self, caller: CallerKey, now: Instant) -> std::result::Result<Left, Left> {
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
    fn seconds(&self) -> u64 {
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
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(left) = self.0.get() {
            headers.append(RATE_LIMIT_POLICY, value(left.policy()));
            headers.append(RATE_LIMIT, value(left.service_limit()));
        }
    }
}

/// Things of which each caller may have some at once.
#[derive(Debug)]
pub(super) struct AtOnce {
    name: &'static str,
    /// What is counted, as the draft calls it.
    unit: &'static str,
    most: usize,
    /// Without the callers that have none, so it has no more callers than there are
    /// such things.
    held: Arc<Mutex<HashMap<CallerKey, usize>>>,
}

/// Such things that a caller has, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    caller: CallerKey,
    count: usize,
    all: Arc<Mutex<HashMap<CallerKey, usize>>>,
}

impl AtOnce {
    fn new(name: &'static str, most: usize) -> Self {
        Self {
            name,
            unit: "concurrent-requests",
            most,
            held: Arc::default(),
        }
    }

    /// Takes so many, unless the caller would then have too many. The first are always taken.
    fn take(&self, caller: CallerKey, count: usize) -> Option<Held> {
        let mut held = lock(&self.held);
        let has = held.get(&caller).copied().unwrap_or_default();
        if has > 0 && has + count > self.most {
            return None;
        }
        held.insert(caller, has + count);
        Some(Held {
            caller,
            count,
            all: Arc::clone(&self.held),
        })
    }

    /// The refusal of more.
    fn problem(&self, detail: String) -> Problem {
        let Self {
            name, unit, most, ..
        } = self;
        let policy = format!("\"{name}\";q={most};qu=\"{unit}\"");
        too_many(detail, SOON)
            .with(RATE_LIMIT_POLICY, value(policy))
            .with(RATE_LIMIT, value(format!("\"{name}\";r=0")))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = lock(&self.all);
        if let Some(count) = held.get_mut(&self.caller) {
            *count -= self.count;
            if *count == 0 {
                held.remove(&self.caller);
            }
        }
    }
}

impl App {
    /// Counts a request of this caller. A request beyond the limit is refused, and that is recorded.
    pub(super) fn count_request(
        &self,
        request: &Parts,
        access: &Access,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let taken = self
            .limits
            .requests
            .take(CallerKey::of(access), Instant::now());
        if let Some(allowance) = request.extensions.get::<Allowance>() {
            // A request is admitted once, so nothing is there yet.
            let _ = allowance.0.set(taken.unwrap_or_else(|left| left));
        }
        taken.map(drop).map_err(|left| {
            let problem = too_many(
                format!(
                    "you have sent more than {} requests in a minute, which is the limit of one \
                     caller; try again in {} s",
                    left.in_a_minute,
                    left.seconds()
                ),
                left.seconds(),
            );
            self.refuse_limited(request, caller, problem)
        })
    }

    /// Takes one of these for the caller, if the caller doesn't have too many. A refusal is recorded.
    pub(super) fn take_one(
        &self,
        of: &AtOnce,
        request: &Parts,
        asker: &Asker,
    ) -> Result<Held, Problem> {
        of.take(CallerKey::of(&asker.access), 1).ok_or_else(|| {
            let detail = format!(
                "you have {} {} already, which is the limit of one caller; try again when one of \
                 them has ended",
                of.most, of.name
            );
            self.refuse_limited(request, &asker.caller, of.problem(detail))
        })
    }

    /// Counts the bytes of a page that waits to be taken, if the caller doesn't have too many. A
    /// refusal is recorded.
    pub(super) fn take_page_bytes(
        &self,
        bytes: usize,
        request: &Parts,
        asker: &Asker,
    ) -> Result<Held, Problem> {
        let of = &self.limits.page_bytes;
        of.take(CallerKey::of(&asker.access), bytes).ok_or_else(|| {
            let detail = format!(
                "the pages that you have asked for and not read yet have more than {} bytes \
                 with this one, which is the limit of one caller; read them, or ask for less with limit",
                of.most
            );
            self.refuse_limited(request, &asker.caller, of.problem(detail))
        })
    }

    fn refuse_limited(&self, request: &Parts, caller: &Caller, problem: Problem) -> Problem {
        self.limits.refused.fetch_add(1, Ordering::Relaxed);
        self.recorder.limited(caller, request, problem.detail());
        problem
    }
}

/// 429, and when to try again.
fn too_many(detail: String, seconds: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail)
        .with(header::RETRY_AFTER, seconds.into())
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("names and digits may stand in a header")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(id: usize) -> CallerKey {
        CallerKey::of(&Access {
            actor_type: "user".to_owned(),
            id: id.to_string(),
            name: String::new(),
            scope: super::super::access::Scope::Read,
            tenant: None,
        })
    }

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

    #[test]
    fn what_a_caller_has_at_once_is_limited_and_given_back() {
        let downloads = AtOnce::new("downloads", 2);
        let first = downloads.take(caller(1), 1).unwrap();
        let _second = downloads.take(caller(1), 1).unwrap();
        assert!(downloads.take(caller(1), 1).is_none());
        assert!(downloads.take(caller(2), 1).is_some());
        drop(first);
        assert!(downloads.take(caller(1), 1).is_some());
        drop(_second);
        assert!(lock(&downloads.held).is_empty());
    }
}
