//! The ring against a queue, its file against what a kill, a power loss or a bad disk can do to it, and its speed.

use std::{
    collections::VecDeque,
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    thread,
};

use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::{layout::Header, *};

const KEY: u64 = 0x0123_4567_89ab_cdef;

fn stream() -> StreamId {
    "billing-7f3a9c".parse().unwrap()
}

fn heap(capacity: usize) -> (Producer, Consumer) {
    let header = Header::new(capacity, &stream(), KEY).unwrap();
    ends(Region::heap(&header), &header)
}

/// A ring in a file, and what reading it gives.
struct Filed {
    path: PathBuf,
    producer: Producer,
    consumer: Consumer,
    _directory: TempDir,
}

impl Filed {
    fn new(capacity: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("billing-7f3a9c.ring");
        let (producer, consumer) = create(&path, capacity, &stream()).unwrap();
        Self { path, producer, consumer, _directory: directory }
    }

    /// The file as a kill at this moment leaves it: the page cache holds every store.
    fn killed(&self) -> Leftover {
        Leftover::read(&self.path).unwrap().expect("it was created")
    }

    fn poke(&self, at: u64, bytes: &[u8]) {
        fs::File::options().write(true).open(&self.path).unwrap().write_all_at(bytes, at).unwrap();
    }

    fn damage(&self) -> String {
        match Leftover::read(&self.path) {
            Err(Error::Damaged { what, path }) if path == self.path => what,
            other => panic!("not reported as damaged: {:?}", other.map(|leftover| leftover.is_some())),
        }
    }
}

fn payloads(leftover: &Leftover) -> Vec<Vec<u8>> {
    leftover.frames().map(<[u8]>::to_vec).collect()
}

/// Bytes that differ from push to push.
fn payload(number: u64, len: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    /// A thread is killed between reserving and committing.
    Die(usize),
    Next,
    Release,
    Rewind,
    Close,
}

fn steps(die: u32) -> impl Strategy<Value = Vec<Step>> {
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

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
                Step::Die(_) | Step::Close => unreachable!(),
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
    let (threads, each) = (3, 20_000u32);
    thread::scope(|scope| {
        for thread in 0..threads {
            let producer = producer.clone();
            scope.spawn(move || {
                for number in 0..each {
                    let mut payload = vec![thread; 9 + (number % 700) as usize];
                    payload[1..5].copy_from_slice(&number.to_le_bytes());
                    while producer.push(&payload) == Err(PushError::Full) {
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
    for _ in 0..50 {
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
            assert_eq!(returned, pushers.map(|pusher| pusher.join().unwrap()).iter().sum::<u64>());
        });
    }
}
