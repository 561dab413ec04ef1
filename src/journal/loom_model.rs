//! The protocol under loom: every interleaving of a few threads on a ring of two or four frames,
//! and of those who wait for the durable end. `scripts/loom` runs it.
//!
//! Loom's memory is made of words. Each is an atomic that holds the value, beside a cell that holds
//! nothing and only tells loom what was touched how: a plain write must meet no other access, so
//! the reuse of a payload's place as a commit word is checked too.

mod durable;
mod sleep;

use loom::{cell::UnsafeCell, model::Builder, sync::atomic::AtomicU64, thread};
use std::sync::atomic::Ordering::{self, Relaxed};

use super::{
    layout::{Header, PAGE, at},
    memory::{Memory, Word},
    *,
};

struct Cell {
    value: AtomicU64,
    touched: UnsafeCell<()>,
}

impl Cell {
    fn new(value: u64) -> Self {
        Self {
            value: AtomicU64::new(value),
            touched: UnsafeCell::new(()),
        }
    }

    /// Accesses that may meet each other, but no plain write.
    fn shared(&self) -> &AtomicU64 {
        self.touched.with(|_| ());
        &self.value
    }

    fn write(&self, value: u64) {
        self.touched.with_mut(|_| ());
        self.value.store(value, Relaxed);
    }
}

impl Word for Cell {
    fn load(&self, order: Ordering) -> u64 {
        self.shared().load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.shared().store(value, order);
    }
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.shared().swap(value, order)
    }
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.shared().fetch_add(value, order)
    }
    fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.shared().fetch_or(value, order)
    }
    fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.shared()
            .compare_exchange_weak(current, new, success, failure)
    }
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.shared()
            .compare_exchange(current, new, success, failure)
    }
}

/// The words of the header that are used, then the data.
const HEADER: [usize; 15] = [
    at::HEAD,
    at::LIMIT,
    at::BAR,
    at::TAIL,
    at::DROPPED_TOTAL,
    at::DROPPED_SINCE,
    at::DROPPED_REPORTED,
    at::SLOTS[0],
    at::SLOTS[0] + 8,
    at::SLOTS[0] + 16,
    at::SLOTS[0] + 24,
    at::SLOTS[1],
    at::SLOTS[1] + 8,
    at::SLOTS[1] + 16,
    at::SLOTS[1] + 24,
];

struct Model {
    header: Vec<Cell>,
    data: Vec<Cell>,
}

impl Model {
    fn cell(&self, at: usize) -> &Cell {
        assert!(at.is_multiple_of(8));
        match at.checked_sub(PAGE) {
            Some(data) => &self.data[data / 8],
            None => &self.header[HEADER.iter().position(|word| *word == at).unwrap()],
        }
    }
}

// SAFETY: nothing here is accessed through pointers; a race is loom's panic.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

// SAFETY: as above.
unsafe impl Memory for Model {
    type Word = Cell;

    fn word(&self, at: usize) -> &Cell {
        self.cell(at)
    }
    unsafe fn write_word(&self, at: usize, value: u64) {
        self.cell(at).write(value);
    }
    unsafe fn read_word(&self, at: usize) -> u64 {
        self.cell(at).shared().load(Relaxed)
    }
    unsafe fn write(&self, at: usize, bytes: &[u8]) {
        for (number, word) in bytes.chunks_exact(8).enumerate() {
            self.cell(at + 8 * number)
                .write(u64::from_le_bytes(word.try_into().unwrap()));
        }
    }
    unsafe fn read(&self, at: usize, len: usize, into: &mut Vec<u8>) {
        for word in 0..len / 8 {
            into.extend(
                self.cell(at + 8 * word)
                    .shared()
                    .load(Relaxed)
                    .to_le_bytes(),
            );
        }
    }
    unsafe fn slice(&self, _at: usize, _len: usize) -> Option<&[u8]> {
        None
    }
}

/// A ring of this many bytes. A frame of one word of payload takes 32.
fn ring(capacity: usize) -> (Producer<Model>, Consumer<Model>) {
    let header = Header {
        capacity,
        key: 0x0123_4567_89ab_cdef,
        stream: "a-000000".parse().unwrap(),
    };
    let page = header.page(0);
    let model = Model {
        header: HEADER
            .iter()
            .map(|at| Cell::new(super::layout::word(&page, *at)))
            .collect(),
        data: (0..capacity / 8).map(|_| Cell::new(0)).collect(),
    };
    ends(model, &header)
}

/// Tries every interleaving, or only those in which threads are interrupted at most this often.
fn check(interruptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = interruptions;
    model.check(body);
}

fn take(consumer: &mut Consumer<Model>) -> Option<u64> {
    consumer
        .next()
        .map(|payload| u64::from_le_bytes(payload.try_into().unwrap()))
}

fn push(producer: &Producer<Model>, number: u64) -> Result<Position, PushError> {
    producer.push(&number.to_le_bytes())
}

#[test]
fn racing_producers_and_the_consumer_agree() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        let other = producer.clone();
        let racing = thread::spawn(move || push(&other, 2).unwrap());
        let mine = thread::spawn(move || push(&producer, 1).unwrap());
        let mut got = Vec::new();
        got.extend(take(&mut consumer));
        let ends = [mine.join().unwrap(), racing.join().unwrap()];
        while let Some(number) = take(&mut consumer) {
            got.push(number);
        }
        assert_eq!(got, if ends[0] < ends[1] { [1, 2] } else { [2, 1] });
    });
}

#[test]
fn space_is_reused_only_after_its_release() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        push(&producer, 1).unwrap();
        push(&producer, 2).unwrap();
        // Full. Two producers race for what the consumer frees, in the lap after; a lost race is a
        // full ring.
        let others = [3, 4].map(|number| {
            let producer = producer.clone();
            thread::spawn(move || push(&producer, number).ok().map(|end| (end, number)))
        });
        for number in [1, 2] {
            assert_eq!(take(&mut consumer), Some(number));
            consumer.release(consumer.position(), number + 1);
        }
        let mut expected: Vec<_> = others
            .into_iter()
            .filter_map(|other| other.join().unwrap())
            .collect();
        expected.sort_unstable();
        for (end, number) in expected {
            assert_eq!(take(&mut consumer), Some(number));
            assert_eq!(consumer.position(), end);
        }
        assert_eq!(take(&mut consumer), None);
    });
}

#[test]
fn a_commit_word_takes_the_place_of_an_earlier_payload() {
    check(None, || {
        // Frames of 16 and 32 bytes by turns: in the second lap they begin where in the first a
        // payload lay.
        let (producer, mut consumer) = ring(64);
        producer.push(&[]).unwrap();
        push(&producer, 1).unwrap();
        let other = producer.clone();
        let racing = thread::spawn(move || (push(&other, 2).is_ok(), other.push(&[]).is_ok()));
        let mut got = 0;
        for _ in 0..4 {
            if consumer.next().is_some() {
                got += 1;
                consumer.release(consumer.position(), got + 1);
            }
        }
        let (first, second) = racing.join().unwrap();
        while consumer.next().is_some() {
            got += 1;
        }
        assert_eq!(got, 2 + u64::from(first) + u64::from(second));
    });
}

#[test]
fn closing_is_exact() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        let other = producer.clone();
        let pushing = thread::spawn(move || push(&other, 1));
        let closing = thread::spawn(move || {
            producer.close();
            assert_eq!(push(&producer, 2), Err(PushError::Closed));
        });
        let early = take(&mut consumer);
        if consumer.drained() {
            // Nothing can follow: what is pushed was returned before, or refused.
            let pushed = pushing.join().unwrap();
            assert_eq!(pushed.is_ok(), early.is_some());
            assert_eq!(take(&mut consumer), None);
            return;
        }
        let pushed = pushing.join().unwrap();
        closing.join().unwrap();
        assert_eq!(
            early.or_else(|| take(&mut consumer)),
            pushed.ok().map(|_| 1)
        );
        assert!(consumer.drained());
    });
}

#[test]
fn a_push_that_the_bar_does_not_know_sees_the_bar() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        let pushing = thread::spawn(move || {
            let mut made_again = false;
            let end = producer.push_made(&mut 1_u64.to_le_bytes(), 5, |_| made_again = true);
            (end.unwrap(), made_again)
        });
        let known = consumer.set_bar(10);
        let (end, made_again) = pushing.join().unwrap();
        assert!(made_again || end <= known);
    });
}

#[test]
fn a_drop_is_never_without_its_time() {
    check(Some(4), || {
        let (producer, mut consumer) = ring(64);
        let others = [10, 20].map(|now| {
            let producer = producer.clone();
            thread::spawn(move || producer.count_dropped(now))
        });
        let seen = consumer.dropped();
        consumer.mark_dropped_reported(seen.total);
        others.into_iter().for_each(|other| other.join().unwrap());
        let rest = consumer.dropped();
        assert_eq!((rest.total, rest.unreported), (2, 2 - seen.total));
        assert_eq!(rest.since_micros.is_some(), rest.unreported > 0);
    });
}
