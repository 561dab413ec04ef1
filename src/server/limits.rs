//! The limits of one caller: requests a minute; and downloads, streams and bytes of pages at once.
//!
//! In comes each request of a caller who is known; out goes whether the caller may have what it
//! asks for, and how many requests are left. Always true:
//!
//! - A caller beyond its limits costs others nothing, and is told when to try again: 429. The
//!   limits of the server, which all callers share, are a 503.
//! - The memory for this is bounded, however many callers there are.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};

use super::{
    access::Access,
    allowance::{Allowance, Requests},
    options::RouterOptions,
    problem::Problem,
    state::{App, Asker},
};
use crate::{
    entry::Caller,
    error::{Error, Result},
};

/// The seconds after which another download or stream is worth a try.
const SOON: u64 = 5;
/// The names of the headers are those of draft-ietf-httpapi-ratelimit-headers-11.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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

/// Things of which each caller may have some at once.
#[derive(Debug)]
pub(super) struct AtOnce {
    name: &'static str,
    /// The unit that is counted, as the draft calls it.
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
            allowance.set(taken.unwrap_or_else(|left| left));
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

pub(super) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("names and digits may stand in a header")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::server) fn caller(id: usize) -> CallerKey {
        CallerKey::of(&Access {
            actor_type: "user".to_owned(),
            id: id.to_string(),
            name: String::new(),
            scope: super::super::access::Scope::Read,
            tenant: None,
        })
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
