//! What a function says of its start and its end.

#![deny(warnings, clippy::pedantic)]

use std::{
    cell::Cell,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use serde_json::{Value, json};
use tracing_audit::{Actor, AuditLog, Resource, audit, audited, catalogue, hashed, mask};
use tracing_subscriber::prelude::*;

use crate::recorded;

fn types(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["event_type"].as_str().unwrap())
        .collect()
}

/// Runs a future that is never pending.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("not rotated")]
struct NotRotated(#[source] Refused);

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("refused by the vault")]
struct Refused;

type Rotation<T> = Result<T, NotRotated>;

struct Secret {
    name: String,
}

#[audited("rotation", actor.id = user, resource.type = "secret", resource.id = secret.name, forced = ?force, note = None::<u8>)]
fn rotate(user: &str, secret: Secret, force: Option<bool>) -> Rotation<String> {
    if force == Some(false) {
        return Err(NotRotated(Refused));
    }
    if force.is_none() {
        check(&secret)?;
    }
    let Secret { name } = secret;
    Ok(name)
}

fn check(_: &Secret) -> Rotation<()> {
    Err(NotRotated(Refused))
}

fn secret() -> Secret {
    Secret { name: "db".into() }
}

#[test]
fn a_function_that_returns_has_a_start_and_a_success() {
    let records = recorded(|| assert_eq!(rotate("user-7", secret(), Some(true)).unwrap(), "db"));
    assert_eq!(types(&records), ["rotation.started", "rotation.completed"]);
    for record in &records {
        assert_eq!(record["actor"], json!({"type": "user", "id": "user-7"}));
        assert_eq!(record["resource"], json!({"type": "secret", "id": "db"}));
        assert_eq!(record["details"]["forced"], "Some(true)");
        assert_eq!(
            (&record["severity"], &record["category"]),
            (&json!("info"), &json!("rotation"))
        );
    }
    assert_eq!(records[0]["outcome"], Value::Null);
    assert_eq!(records[0]["details"]["duration_ms"], Value::Null);
    assert_eq!(records[1]["outcome"], json!({"type": "success"}));
    assert!(records[1]["details"]["duration_ms"].as_u64().unwrap() < 10_000);
}

#[test]
fn an_error_is_told_with_its_sources_whether_it_is_returned_or_passed_on() {
    for force in [Some(false), None] {
        let records = recorded(|| {
            assert_eq!(
                rotate("user-7", secret(), force).unwrap_err(),
                NotRotated(Refused)
            );
        });
        assert_eq!(types(&records), ["rotation.started", "rotation.failed"]);
        assert_eq!(
            records[1]["outcome"],
            json!({"type": "failure", "reason": "unknown", "error": "not rotated: refused by the vault"})
        );
        assert_eq!(records[1]["severity"], "warning");
        assert_eq!(records[1]["resource"]["id"], "db");
    }
}

#[test]
fn the_time_in_the_body_is_the_duration() {
    #[audited("nap")]
    fn nap() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let records = recorded(nap);
    assert!(
        records[1]["details"]["duration_ms"].as_u64().unwrap() >= 20,
        "{}",
        records[1]
    );
}

#[test]
fn each_outcome_has_its_own_fields_type_severity_and_message() {
    #[derive(Debug)]
    struct Denied {
        code: u16,
    }
    #[audited(
        "purge",
        severity = error,
        tenant_id = tenant,
        skip_started,
        completed("tenant.purged", rows = result.len(), severity = info, "{} rows of {tenant} removed", result.len()),
        failed("tenant.kept", code = error.code, outcome.reason = "authorization", severity = critical, action = "refused"),
        "Purge of {tenant}",
    )]
    fn purge(tenant: &str, rows: Vec<u8>) -> Result<Vec<u8>, Denied> {
        if rows.is_empty() {
            Err(Denied { code: 403 })
        } else {
            Ok(rows)
        }
    }
    let records = recorded(|| {
        purge("acme", vec![1, 2]).unwrap();
        purge("acme", vec![]).unwrap_err();
    });
    assert_eq!(types(&records), ["tenant.purged", "tenant.kept"]);
    assert_eq!(
        (&records[0]["severity"], &records[1]["severity"]),
        (&json!("info"), &json!("critical"))
    );
    assert_eq!(
        (
            &records[0]["details"]["rows"],
            &records[1]["details"]["code"]
        ),
        (&json!(2), &json!(403))
    );
    assert_eq!(records[0]["description"], "2 rows of acme removed");
    assert_eq!(records[1]["description"], "Purge of acme");
    assert_eq!(
        records[1]["outcome"],
        json!({"type": "failure", "reason": "authorization", "error": "Denied { code: 403 }"})
    );
    assert_eq!(
        (&records[0]["action"], &records[1]["action"]),
        (&json!("purged"), &json!("refused"))
    );
    assert!(records.iter().all(|record| record["tenant_id"] == "acme"));
}

#[test]
fn what_is_no_result_is_completed() {
    #[audited("sum", completed(total = result))]
    fn sum(numbers: &[i32]) -> i32 {
        numbers.iter().sum()
    }
    #[audited("find", started(wanted, severity = warning), completed(found = result.is_some()))]
    fn find(wanted: u8) -> Option<u8> {
        (wanted > 1).then_some(wanted)
    }
    let records = recorded(|| {
        assert_eq!(sum(&[1, 2]), 3);
        assert_eq!(find(1), None);
    });
    assert_eq!(
        types(&records),
        [
            "sum.started",
            "sum.completed",
            "find.started",
            "find.completed"
        ]
    );
    assert_eq!(records[1]["details"]["total"], 3);
    assert_eq!(
        (&records[2]["details"], &records[2]["severity"]),
        (&json!({"wanted": 1}), &json!("warning"))
    );
    assert_eq!(records[3]["outcome"], json!({"type": "success"}));
    assert_eq!(records[3]["details"]["found"], false);
}

#[test]
fn a_panic_is_a_failure_without_the_fields_of_one() {
    #[audited("rotation", name, failed("rotation.broken", severity = error, why = %error, "It broke: {error}"))]
    fn rotate(name: String) -> Result<String, Refused> {
        assert!(name.len() > 3, "too short");
        Ok(name)
    }
    let records = recorded(|| {
        let panicked = catch_unwind(AssertUnwindSafe(|| rotate("db".into())));
        assert!(panicked.is_err());
    });
    assert_eq!(types(&records), ["rotation.started", "rotation.broken"]);
    assert_eq!(
        records[1]["outcome"],
        json!({"type": "failure", "reason": "panic"})
    );
    assert_eq!(
        (&records[1]["severity"], &records[1]["details"]["name"]),
        (&json!("error"), &json!("db"))
    );
    assert_eq!(records[1]["description"], Value::Null);
}

#[test]
fn a_function_has_an_end_even_if_what_it_says_of_it_panics() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose")
        }
    }
    #[audited("delivery", skip_started)]
    fn deliver() -> Result<(), Panics> {
        Err(Panics)
    }
    #[audited("receipt", skip_started, completed(first = result[0]))]
    async fn receive() -> Vec<u8> {
        vec![]
    }
    let records = recorded(|| {
        assert!(catch_unwind(|| _ = deliver()).is_err());
        assert!(catch_unwind(|| _ = ready(receive())).is_err());
    });
    assert_eq!(types(&records), ["delivery.failed", "receipt.failed"]);
    assert!(
        records
            .iter()
            .all(|record| record["outcome"] == json!({"type": "failure", "reason": "panic"}))
    );
}

/// Pending once.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

#[audited("fetch", url, completed(bytes = result.len()))]
async fn fetch(url: &str) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    if url.is_empty() {
        Err(NotRotated(Refused))?;
    }
    Yield::default().await;
    Ok(url.into())
}

#[test]
fn an_async_function_is_audited_when_it_runs() {
    let records = recorded(|| {
        drop(fetch("never polled"));
        let mut future = pin!(fetch("http://a"));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(
            matches!(future.as_mut().poll(&mut context), Poll::Ready(Ok(bytes)) if bytes.len() == 8)
        );
        ready(fetch("")).unwrap_err();
    });
    assert_eq!(
        types(&records),
        [
            "fetch.started",
            "fetch.completed",
            "fetch.started",
            "fetch.failed"
        ]
    );
    assert_eq!(records[1]["details"]["bytes"], 8);
    assert_eq!(
        records[3]["outcome"]["error"],
        "not rotated: refused by the vault"
    );
}

#[test]
fn a_future_that_is_dropped_before_its_end_was_cancelled() {
    let records = recorded(|| {
        let mut future = Box::pin(fetch("http://a"));
        assert!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(future);
    });
    assert_eq!(types(&records), ["fetch.started", "fetch.failed"]);
    assert_eq!(
        records[1]["outcome"],
        json!({"type": "failure", "reason": "cancelled"})
    );
    assert_eq!(records[1]["details"]["url"], "http://a");
}

#[test]
fn an_async_function_that_panics_was_not_cancelled() {
    #[audited("fetch")]
    async fn fetch() {
        Yield::default().await;
        panic!("no network");
    }
    let records = recorded(|| {
        let mut future = Box::pin(fetch());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))).is_err());
    });
    assert_eq!(types(&records), ["fetch.started", "fetch.failed"]);
    assert_eq!(records[1]["outcome"]["reason"], "panic");
}

/// A type that can be sent, but not shared.
struct Unshared(Cell<u8>);

#[audited("unshared")]
async fn unshared(value: Unshared, mut count: u8) -> u8 {
    value.0.set(count);
    count += 1;
    Yield::default().await;
    value.0.get() + count
}

#[audited("shared", completed(sum = *result + *by))]
async fn shared(by: &u8, values: Vec<u8>) -> u8 {
    Yield::default().await;
    values.iter().sum::<u8>() + by
}

#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    drop(assert_send(fetch("")));
    drop(assert_send(unshared(Unshared(Cell::new(1)), 2)));
    drop(assert_send(shared(&1, vec![])));
}

struct Counter {
    name: String,
    counts: Vec<u64>,
}

impl Counter {
    #[audited("counter.read", name = self.name, first = %self.counts[0])]
    fn first(&mut self) -> &mut u64 {
        &mut self.counts[0]
    }

    #[audited("counter.ended", name = self.name, completed(count = result.len()))]
    fn into_counts(self) -> Vec<u64> {
        self.counts
    }

    #[audited("counter.grown", completed(count = self.counts.len()))]
    fn grow(&mut self, by: u64) -> &str {
        self.counts.push(by);
        "grown"
    }

    #[audited("counter.slept", completed(count = self.counts.len(), by))]
    async fn sleep(&mut self, by: u64) -> Result<&str, fmt::Error> {
        self.counts.push(by);
        Ok(if by > 5 { "slept" } else { "woken" })
    }

    /// Its docs stay.
    #[must_use]
    #[audited("counter.named")]
    pub(crate) fn named<'a>(&'a self, other: &'a Self) -> &'a str {
        if other.name.is_empty() {
            &self.name
        } else {
            &other.name
        }
    }

    #[audited("counter.walked", by = ?by)]
    fn walk<'a, T>(&'a self, by: T) -> impl Iterator<Item = u64> + 'a
    where
        T: Fn(u64) -> u64 + fmt::Debug + 'a,
    {
        self.counts.iter().map(move |count| by(*count))
    }

    #[audited("counter.tried")]
    fn try_walk(&self, fail: bool) -> Result<impl Iterator<Item = u64>, NotRotated> {
        if fail {
            check(&secret())?;
        }
        Ok(self.counts.iter().copied())
    }

    #[audited("counter.unsafe")]
    unsafe fn unchecked(&self) -> u64 {
        #![allow(unsafe_code, unsafe_op_in_unsafe_fn)]
        *self.counts.get_unchecked(0)
    }
}

#[test]
fn methods_keep_their_receivers_lifetimes_and_types() {
    let records = recorded(|| {
        let mut counter = Counter {
            name: "a".into(),
            counts: vec![1],
        };
        *counter.first() += 1;
        assert_eq!(counter.grow(5), "grown");
        assert_eq!(ready(counter.sleep(6)), Ok("slept"));
        assert_eq!(
            counter.named(&Counter {
                name: String::new(),
                counts: vec![]
            }),
            "a"
        );
        #[allow(unsafe_code)]
        // SAFETY: there are three.
        let first = unsafe { counter.unchecked() };
        assert_eq!(first, 2);
        let twice: fn(u64) -> u64 = |count| count * 2;
        assert_eq!(counter.walk(twice).collect::<Vec<_>>(), [4, 10, 12]);
        assert!(counter.try_walk(true).is_err());
        assert_eq!(counter.try_walk(false).unwrap().count(), 3);
        assert_eq!(counter.into_counts(), [2, 5, 6]);
    });
    let ends: Vec<String> = records
        .iter()
        .filter(|record| record["outcome"] != Value::Null)
        .map(|record| {
            format!(
                "{}:{}",
                record["action"].as_str().unwrap(),
                record["details"]
            )
        })
        .map(|line| line.replace("\"duration_ms\":0,", ""))
        .collect();
    assert_eq!(ends[0], r#"completed:{"first":"1","name":"a"}"#);
    assert_eq!((records.len(), ends.len()), (18, 9));
}

#[test]
fn a_closure_in_impl_trait_position_is_walked() {
    #[derive(Clone, Copy)]
    struct Twice;
    impl fmt::Debug for Twice {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("twice")
        }
    }
    #[audited("walk", by = ?by)]
    fn walk<'a, T: fmt::Debug + Copy + 'a>(
        counts: &'a [u64],
        by: T,
    ) -> impl Iterator<Item = (u64, T)> + 'a {
        counts.iter().map(move |count| (*count, by))
    }
    let records = recorded(|| assert_eq!(walk(&[1, 2], Twice).count(), 2));
    assert_eq!(records[1]["details"]["by"], "twice");
}

#[test]
fn whole_parts_may_be_moved_by_the_body() {
    #[audited("moved", actor, resource = resource, details.names = names)]
    fn moved(actor: Actor, resource: Resource, names: Vec<String>) -> usize {
        drop((actor, resource));
        names.into_iter().map(|name| name.len()).sum()
    }
    let records = recorded(|| {
        assert_eq!(
            moved(
                Actor::user("ann").name("Ann"),
                Resource::new("file", "f-1"),
                vec!["x".into()]
            ),
            1
        );
    });
    for record in &records {
        assert_eq!(
            record["actor"],
            json!({"type": "user", "id": "ann", "name": "Ann"})
        );
        assert_eq!(record["resource"], json!({"type": "file", "id": "f-1"}));
        assert_eq!(record["details"]["names"], json!(["x"]));
    }
}

#[test]
fn what_is_kept_out_of_an_event_is_kept_out_of_those_of_a_function() {
    #[audited("sign_in", email = hashed(email), password, token = mask(token, 3), cookie = mask(token, 2))]
    fn sign_in(email: &str, password: &str, token: &str) {
        let _ = (email, password, token);
    }
    let records = recorded(|| {
        sign_in("ann@example.com", "hunter2", "abcdefghij");
        audit!("user.invited", email = hashed("ann@example.com"));
    });
    for record in &records[..2] {
        let details = &record["details"];
        assert_eq!(
            details["email"], records[2]["details"]["email"],
            "hashed with the key of the log"
        );
        assert_eq!(
            (&details["password"], &details["token"], &details["cookie"]),
            (&json!("[redacted]"), &json!("abc…"), &json!("ab…"))
        );
    }
}

#[test]
fn values_are_evaluated_once() {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    fn next() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }
    #[audited("once", call = next())]
    fn once() {}
    let records = recorded(once);
    assert_eq!(
        (
            &records[0]["details"]["call"],
            &records[1]["details"]["call"]
        ),
        (&json!(1), &json!(1))
    );
}

#[test]
fn audited_functions_call_each_other() {
    #[audited("inner")]
    fn inner(depth: u8) -> Result<u8, Refused> {
        if depth == 0 {
            Err(Refused)
        } else {
            inner(depth - 1)
        }
    }
    #[audited("outer")]
    fn outer() -> u8 {
        inner(1).unwrap_or_default()
    }
    let records = recorded(|| assert_eq!(outer(), 0));
    assert_eq!(
        types(&records),
        [
            "outer.started",
            "inner.started",
            "inner.started",
            "inner.failed",
            "inner.failed",
            "outer.completed"
        ]
    );
}

#[async_trait::async_trait]
trait Vault {
    async fn open(&self, key: String) -> Result<usize, Refused>;
    async fn shut(&mut self);
}

struct Safe(u8);

#[async_trait::async_trait]
impl Vault for Safe {
    #[audited("vault.opened", key, number = self.0, completed(length = result))]
    async fn open(&self, key: String) -> Result<usize, Refused> {
        Yield::default().await;
        if key.is_empty() {
            return Err(Refused);
        }
        Ok(key.len() + usize::from(self.0))
    }

    #[audited("vault.shut", number = self.0)]
    async fn shut(&mut self) {
        self.0 = 0;
    }
}

#[test]
fn the_futures_of_async_trait_are_audited_not_their_making() {
    let records = recorded(|| {
        let mut safe = Safe(3);
        drop(safe.open("never polled".into()));
        let mut future = safe.open("ab".into());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(Ok(5)));
        drop(future);
        let mut future = safe.open(String::new());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(
            future.as_mut().poll(&mut context),
            Poll::Ready(Err(Refused))
        );
        drop(future);
        ready(safe.shut());
    });
    let expected = [
        "vault.opened.started",
        "vault.opened.completed",
        "vault.opened.started",
        "vault.opened.failed",
    ];
    assert_eq!(types(&records)[..4], expected);
    assert_eq!(
        types(&records)[4..],
        ["vault.shut.started", "vault.shut.completed"]
    );
    assert_eq!(
        (
            &records[1]["details"]["length"],
            &records[1]["details"]["key"]
        ),
        (&json!(5), &json!("ab"))
    );
    assert_eq!(records[5]["details"]["number"], 3, "as it was before");
}

#[test]
fn a_function_that_ends_in_an_async_block_is_its_future() {
    #[audited("later", number)]
    fn later(number: u8) -> impl Future<Output = Result<u8, Refused>> + Send {
        let twice = number * 2;
        async move {
            Yield::default().await;
            if number == 0 {
                Err(Refused)?;
            }
            Ok(twice)
        }
    }
    let records = recorded(|| {
        let mut future = pin!(later(4));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(Ok(8)));
        drop(later(5));
    });
    assert_eq!(types(&records), ["later.started", "later.completed"]);
}

/// As in `futures`.
trait Boxed: Future + Send + Sized {
    fn boxed<'a>(self) -> BoxFuture<'a, Self::Output>
    where
        Self: 'a,
    {
        Box::pin(self)
    }
}

impl<F: Future + Send> Boxed for F {}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[test]
fn a_future_that_is_boxed_at_the_end_is_audited_when_it_runs() {
    #[audited("boxed", number, completed(half = *result))]
    fn half(number: &u8) -> BoxFuture<'_, Result<u8, Refused>> {
        async move {
            Yield::default().await;
            if *number == 0 {
                Err(Refused)?;
            }
            Ok(number / 2)
        }
        .boxed()
    }
    let records = recorded(|| {
        drop(half(&1));
        let mut context = Context::from_waker(Waker::noop());
        for (number, result) in [(8, Ok(4)), (0, Err(Refused))] {
            let mut future = half(&number);
            assert!(future.as_mut().poll(&mut context).is_pending());
            assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(result));
        }
    });
    assert_eq!(
        types(&records),
        [
            "boxed.started",
            "boxed.completed",
            "boxed.started",
            "boxed.failed"
        ]
    );
    assert_eq!(records[1]["details"]["half"], 4);
}

#[rustfmt::skip]
mod on_one_line {
    use tracing_audit::audited;

    #[audited("line")]
    pub(super) async fn half(number: u8) -> u8 { number / 2 }

    #[audited("pattern")]
    pub(super) fn first(numbers: &mut [u8]) -> Option<(&mut u8, &mut [u8])> { if let [first, rest @ ..] = numbers { Some((first, rest)) } else { None } }
}

#[test]
fn a_body_on_one_line_gives_no_warning_and_may_return_what_a_pattern_finds() {
    let records = recorded(|| {
        assert_eq!(ready(on_one_line::half(8)), 4);
        assert_eq!(on_one_line::first(&mut [1, 2, 3]).unwrap().1.len(), 2);
    });
    assert_eq!(
        types(&records),
        [
            "line.started",
            "line.completed",
            "pattern.started",
            "pattern.completed"
        ]
    );
}

/// Aliases as applications have them, with other parameters than the output.
mod aliases {
    use std::{future::Future, pin::Pin};

    use tracing_audit::audited;

    pub(super) type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
    pub(super) type LocalBoxFuture<'a, T> =
        Pin<Box<dyn Future<Output = Result<T, std::num::ParseIntError>> + 'a>>;
    /// No future at all.
    pub(super) struct Future2025;
    pub(super) mod market {
        pub(crate) struct Future;
    }

    #[audited("alias")]
    pub(super) fn checked(number: u8) -> BoxFuture<u8, String> {
        Box::pin(async move {
            if number == 0 {
                Err("zero")?;
            }
            Ok(number)
        })
    }

    #[audited("alias")]
    pub(super) fn parsed(text: &str) -> LocalBoxFuture<'_, u8> {
        Box::pin(async move {
            use std::str::FromStr as _;
            let number = u8::from_str(text)?;
            Ok(number)
        })
    }

    #[audited("contract")]
    pub(super) fn contract() -> market::Future {
        let _ = Future2025;
        market::Future
    }

    #[audited("items")]
    pub(super) async fn with_items(number: u8) -> u8 {
        use std::cmp::max;
        const LEAST: u8 = 3;
        max(number, LEAST)
    }
}

#[test]
fn a_future_is_known_by_its_type_and_not_by_its_name_alone() {
    let records = recorded(|| {
        assert_eq!(ready(aliases::checked(0)), Err("zero".to_owned()));
        assert_eq!(ready(aliases::parsed("7")), Ok(7));
        let _ = aliases::contract();
        assert_eq!(ready(aliases::with_items(2)), 3);
    });
    let ends: Vec<_> = types(&records)
        .into_iter()
        .filter(|event_type| !event_type.ends_with("started"))
        .collect();
    assert_eq!(
        ends,
        [
            "alias.failed",
            "alias.completed",
            "contract.completed",
            "items.completed"
        ]
    );
}

/// Panics over mirrored events of one type.
struct Fragile(&'static str);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Fragile {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Found(&'static str, bool);
        impl tracing::field::Visit for Found {
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                self.1 |= field.name() == "event_type" && value == self.0;
            }

            fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn fmt::Debug) {}
        }
        let mut found = Found(self.0, false);
        event.record(&mut found);
        assert!(!found.1, "another layer panics");
    }
}

#[test]
fn a_body_has_one_end_even_if_another_layer_panics_over_it() {
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a value of the end panics")
        }
    }
    #[audited("job")]
    fn job() {
        audit!("job.step");
    }
    #[audited("broken", completed(broken = %Broken))]
    fn broken() {}
    let run = |over: &'static str, work: fn()| {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("functions")
            .open()
            .unwrap();
        let subscriber = tracing_subscriber::registry()
            .with(log.layer())
            .with(Fragile(over));
        tracing::subscriber::with_default(subscriber, || {
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        });
        log.close().unwrap();
        types(&crate::support::records(dir.path()))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run("job.completed", job),
        ["job.started", "job.step", "job.completed"]
    );
    assert_eq!(
        run("job.step", job),
        ["job.started", "job.step", "job.failed"]
    );
    let after_another = || {
        assert!(catch_unwind(job).is_err());
        broken();
    };
    assert_eq!(
        run("job.step", after_another),
        [
            "job.started",
            "job.step",
            "job.failed",
            "broken.started",
            "broken.failed"
        ]
    );
}

#[test]
fn the_catalogue_lists_the_events_of_a_function_that_nobody_calls() {
    #[audited("report", pages = 3u8, %to, lines = lines.len(), completed(size = *result, "{lines} lines"), failed("report.lost"), "To {to}")]
    #[allow(dead_code)]
    fn report(to: &str, lines: &str) -> Result<usize, Refused> {
        if to.is_empty() {
            Err(Refused)
        } else {
            Ok(lines.len())
        }
    }
    let catalogue = catalogue();
    let listed = |event_type: &str| {
        let entry = serde_json::to_value(catalogue.get(event_type).unwrap()).unwrap();
        (
            entry["fields"].clone(),
            entry["descriptions"].clone(),
            entry["severities"].clone(),
        )
    };
    let base =
        json!({"details.lines": "integer", "details.pages": "integer", "details.to": "text"});
    assert_eq!(
        listed("report.started"),
        (base.clone(), json!(["To {to}"]), json!(["info"]))
    );
    let mut completed = base.clone();
    completed["details.size"] = "any".into();
    completed["details.duration_ms"] = "integer".into();
    completed["outcome.type"] = "text".into();
    assert_eq!(
        listed("report.completed"),
        (completed, json!(["{lines} lines"]), json!(["info"]))
    );
    let mut failed = base;
    for (path, kind) in [
        ("details.duration_ms", "integer"),
        ("outcome.type", "text"),
        ("outcome.reason", "text"),
        ("outcome.error", "text"),
    ] {
        failed[path] = kind.into();
    }
    assert_eq!(
        listed("report.lost"),
        (failed, json!(["To {to}"]), json!(["warning"]))
    );
}
