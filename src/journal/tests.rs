//! The ring against a queue, alone and under threads, and its speed.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    thread,
    time::Instant,
};

use proptest::{collection::vec, prelude::*};

use super::{layout::Header, *};
use crate::{
    error::Error,
    store::fs::{Fs as _, OsFs},
};

const KEY: u64 = 0x0123_4567_89ab_cdef;

/// A journal in a new file.
pub(super) fn create_at(
    path: &Path,
    capacity: usize,
) -> crate::error::Result<(Producer, Consumer)> {
    let region = OsFs.create_mapped(path, file_len(capacity)?);
    let region = region.map_err(Error::io("create", path))?;
    create(region, &stream(), 0).map_err(Error::io("begin", path))
}

pub(super) fn stream() -> StreamId {
    "billing-7f3a9c".parse().unwrap()
}

fn heap(capacity: usize) -> (Producer, Consumer) {
    let header = Header::new(capacity, &stream(), KEY).unwrap();
    ends(Region::heap(&header), &header)
}

/// How often a test repeats something: fewer times under Miri, which is some thousand times slower.
fn times(count: u32) -> u32 {
    if cfg!(miri) {
        count.div_ceil(50)
    } else {
        count
    }
}

#[test]
fn a_payload_from_before_the_bar_is_made_again() {
    let (producer, mut consumer) = heap(4096);
    let push = |made| {
        let mut text = *b"before";
        producer.push_made(&mut text, made, |text| text.copy_from_slice(b"behind"))
    };
    let first = push(9).unwrap();
    assert_eq!(consumer.set_bar(10), first);
    push(9).unwrap();
    push(10).unwrap();
    let mut next = || String::from_utf8(consumer.next().unwrap().to_vec()).unwrap();
    assert_eq!([next(), next(), next()], ["before", "behind", "before"]);
}

/// Bytes that differ from push to push.
pub(super) fn payload(number: u64, len: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Push(usize),
    /// A thread is killed between reserving and committing.
    Die(usize),
    Next,
    Release,
    Rewind,
}

pub(super) fn steps(die: u32) -> impl Strategy<Value = Vec<Step>> {
    let len = || prop_oneof![0..=512usize, 0..40usize, Just(512)];
    vec(
        prop_oneof![
            12 => len().prop_map(Step::Push),
            die => len().prop_map(Step::Die),
            12 => Just(Step::Next),
            4 => Just(Step::Release),
            1 => Just(Step::Rewind),
        ],
        0..400,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(times(200)) })]

    #[test]
    fn any_sequence_of_steps_equals_a_queue(steps in steps(0), close_at in 0..500usize) {
        let (producer, mut consumer) = heap(4096);
        // (payload, end); the first `returned` were returned and not released.
        let mut queue: VecDeque<(Vec<u8>, u64)> = VecDeque::new();
        let (mut returned, mut end, mut tail, mut closed) = (0, 0, 0, false);
        for (number, step) in steps.into_iter().enumerate() {
            if number == close_at {
                producer.close();
                closed = true;
            }
            match step {
                Step::Push(len) => {
                    let payload = payload(number as u64 + 1, len);
                    let size = (len as u64 + 16).next_multiple_of(16);
                    let expected = if closed {
                        Err(PushError::Closed)
                    } else if end + size - tail > 4096 {
                        Err(PushError::Full)
                    } else {
                        end += size;
                        queue.push_back((payload.clone(), end));
                        Ok(Position(end))
                    };
                    prop_assert_eq!(producer.push(&payload), expected);
                }
                Step::Next => {
                    let expected = queue.get(returned).map(|(payload, _)| payload.as_slice());
                    prop_assert_eq!(consumer.next(), expected);
                    returned += usize::from(returned < queue.len());
                }
                Step::Release => {
                    let upto = consumer.position();
                    consumer.release(upto, 1);
                    queue.drain(..returned);
                    returned = 0;
                    tail = upto.0;
                }
                Step::Rewind => {
                    consumer.rewind();
                    returned = 0;
                }
                Step::Die(_) => unreachable!("nobody dies here"),
            }
            prop_assert_eq!(producer.used(), end - tail);
            prop_assert_eq!(consumer.drained(), closed && returned == queue.len());
            let position = returned.checked_sub(1).map_or(tail, |last| queue[last].1);
            prop_assert_eq!(consumer.position(), Position(position));
        }
    }
}

#[test]
fn what_is_too_long_never_fits_and_what_fits_exactly_does() {
    let (producer, _consumer) = heap(4096);
    assert_eq!(producer.max_payload(), 512);
    assert_eq!(producer.push(&[0; 513]), Err(PushError::TooLong));
    for _ in 0..4096 / 512 {
        producer.push(&[1; 496]).unwrap();
    }
    assert_eq!(producer.used(), producer.capacity());
    assert_eq!(producer.push(&[]), Err(PushError::Full));
}

#[test]
#[should_panic(expected = "only what was returned can be released")]
fn what_was_not_returned_is_never_released() {
    let (producer, mut consumer) = heap(4096);
    let end = producer.push(b"unread").unwrap();
    consumer.release(end, 2);
}

#[test]
fn many_threads_lose_nothing_and_keep_their_own_order() {
    let (producer, mut consumer) = heap(8192);
    let threads = 3;
    let each = times(20_000);
    thread::scope(|scope| {
        for thread in 0..threads {
            let producer = producer.clone();
            scope.spawn(move || {
                for number in 0..each {
                    let mut payload = vec![thread; 9 + (number % 700) as usize];
                    payload[1..5].copy_from_slice(&number.to_le_bytes());
                    while producer.push_made(&mut payload, i64::MAX, |_| ()) == Err(PushError::Full)
                    {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut next = vec![0; threads as usize];
        let mut seq = 1;
        while seq <= u64::from(each) * u64::from(threads) {
            let Some(payload) = consumer.next() else {
                thread::yield_now();
                continue;
            };
            let number = u32::from_le_bytes(payload[1..5].try_into().unwrap());
            assert_eq!(number, next[payload[0] as usize]);
            assert_eq!(payload.len(), 9 + (number % 700) as usize);
            assert!(payload[5..].iter().all(|byte| *byte == payload[0]));
            next[payload[0] as usize] += 1;
            seq += 1;
            if seq % 3 == 0 {
                consumer.release(consumer.position(), seq);
            }
        }
    });
}

#[test]
fn closing_under_load_returns_exactly_what_was_pushed() {
    for _ in 0..times(50) {
        let (producer, mut consumer) = heap(4096);
        thread::scope(|scope| {
            let pushers = [(); 2].map(|()| {
                let producer = producer.clone();
                scope.spawn(move || {
                    let mut taken = 0;
                    loop {
                        match producer.push(b"an event") {
                            Ok(_) => taken += 1,
                            Err(PushError::Full) => thread::yield_now(),
                            Err(_) => return taken,
                        }
                    }
                })
            });
            let mut returned = 0;
            while !consumer.drained() {
                if consumer.next().is_some() {
                    returned += 1;
                    consumer.release(consumer.position(), returned + 1);
                } else {
                    thread::yield_now();
                }
                if returned == 300 {
                    producer.close();
                }
            }
            assert_eq!(
                returned,
                pushers
                    .map(|pusher| pusher.join().unwrap())
                    .iter()
                    .sum::<u64>()
            );
        });
    }
}

/// `cargo test --release --lib journal -- --ignored --nocapture`: nanoseconds of a push, with one
/// and two threads against a consumer.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "its result")]
fn how_long_a_push_takes() {
    let directory = tempfile::tempdir().unwrap();
    for threads in [1, 2] {
        for round in 0..3 {
            let path = directory.path().join(format!("{threads}-{round}.ring"));
            let (producer, consumer) = create_at(&path, DEFAULT_CAPACITY).unwrap();
            let drain = thread::spawn(move || drain(consumer));
            let pushers: Vec<_> = (0..threads)
                .map(|_| {
                    thread::spawn({
                        let producer = producer.clone();
                        move || push_many(&producer)
                    })
                })
                .collect();
            let nanos: Vec<_> = pushers
                .into_iter()
                .map(|pusher| pusher.join().unwrap())
                .collect();
            producer.close();
            let frames = drain.join().unwrap();
            println!("{threads} threads: mean/p50/p99/p99.9 ns {nanos:?}, {frames} frames");
        }
    }
}

/// Pushes bursts of a hundred, each followed by a pause in which the consumer catches up; times
/// each push but not the pauses.
fn push_many(producer: &Producer) -> [u64; 4] {
    let payload = payload(1, 450);
    let mut bursts = Vec::new();
    for _ in 0..5_000 {
        let begin = Instant::now();
        for _ in 0..100 {
            while producer.push(&payload) == Err(PushError::Full) {
                thread::yield_now();
            }
        }
        bursts.push(begin.elapsed().as_nanos() as u64 / 100);
        while producer.used() > producer.capacity() / 2 {
            thread::yield_now();
        }
    }
    bursts.sort_unstable();
    let at = |share: f64| bursts[(bursts.len() as f64 * share) as usize];
    [
        bursts.iter().sum::<u64>() / bursts.len() as u64,
        at(0.5),
        at(0.99),
        at(0.999),
    ]
}

/// Takes everything out as a writer does, in batches and with short sleeps.
fn drain(mut consumer: Consumer) -> u64 {
    let (mut frames, mut batch) = (0, Vec::new());
    while !consumer.drained() {
        batch.clear();
        while batch.len() < 256 << 10
            && let Some(payload) = consumer.next()
        {
            batch.extend_from_slice(payload);
            frames += 1;
        }
        consumer.release(consumer.position(), frames + 1);
        if batch.is_empty() {
            thread::sleep(std::time::Duration::from_micros(200));
        }
    }
    frames
}

/// Calls it when woken, and when dropped.
struct Calls<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(call)))
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_waking() {
    let ends: [fn(&Durability); 4] = [
        |durability| durability.advance(32),
        |durability| durability.fail("no space"),
        Durability::close,
        |durability| durability.die("it panicked"),
    ];
    for end in ends {
        let durability = Durability::leak();
        let woken = Arc::new(AtomicUsize::new(0));
        let counts = {
            let woken = woken.clone();
            waker(move || _ = woken.fetch_add(1, Relaxed))
        };
        let mut keys = [None; 4];
        for (number, key) in keys.iter_mut().enumerate() {
            let waker = match number % 2 {
                0 => waker(|| panic!("on purpose")),
                _ => counts.clone(),
            };
            assert!(durability.poll(32, key, &waker).is_none());
        }
        end(durability);
        assert_eq!(woken.load(Relaxed), 2);
        for key in keys {
            durability.forget(key.unwrap());
        }
        assert!(!durability.has_waiters());
    }
}

/// As an executor does that polls at once, or one that drops the future with its last waker.
#[test]
fn a_waker_may_use_what_it_is_woken_for() {
    struct Forgets(&'static Durability, Mutex<Option<u64>>);
    impl Wake for Forgets {
        fn wake(self: Arc<Self>) {
            self.0.poll(32, &mut self.1.lock().unwrap(), Waker::noop());
        }
    }
    impl Drop for Forgets {
        fn drop(&mut self) {
            if let Some(key) = self.1.get_mut().unwrap().take() {
                self.0.forget(key);
            }
        }
    }
    let (done, waits) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let durability = Durability::leak();
        let forgets = || Arc::new(Forgets(durability, Mutex::default()));
        let ask = |task: Arc<Forgets>| {
            let mut key = None;
            let fate = durability.poll(32, &mut key, &Waker::from(task.clone()));
            *task.1.lock().unwrap() = key;
            fate.is_none()
        };
        assert!(ask(forgets()));
        durability.fail("no space");
        durability.recovered();
        assert!(!durability.has_waiters());
        // Another waker in the place of the last one, and none.
        let task = forgets();
        assert!(ask(task.clone()));
        let mut key = task.1.lock().unwrap().take();
        let other = forgets();
        let mut others = None;
        assert!(durability.poll(32, &mut others, Waker::noop()).is_none());
        *other.1.lock().unwrap() = others;
        assert!(durability.poll(32, &mut key, &Waker::from(other)).is_none());
        assert!(durability.poll(32, &mut key, Waker::noop()).is_none());
        durability.forget(key.unwrap());
        assert!(!durability.has_waiters());
        done.send(()).unwrap();
    });
    let ended = waits.recv_timeout(std::time::Duration::from_secs(60));
    ended.expect("the lock is free while wakers run and go");
}
