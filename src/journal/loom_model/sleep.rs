//! The sleep of the writer. A wake-up that is lost leaves the writer parked for ever, which loom
//! finds as a deadlock.
//!
//! Loom has no `membarrier`. The model has a sequentially consistent fence on both sides instead,
//! which is what the two halves of the barrier come to.

use std::{sync::Arc, time::Duration};

use loom::thread;

use super::*;

/// The writer, until the ring is closed or it has taken `wanted` events. It never polls.
fn write(consumer: &mut Consumer<Model>, wanted: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < wanted && !consumer.drained() {
        match take(consumer) {
            Some(event) => taken.push(event),
            None => {
                consumer.sleep(Duration::MAX);
            }
        }
    }
    taken
}

#[test]
fn a_push_wakes_the_writer() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        let pushing = thread::spawn(move || push(&producer, 1).unwrap());
        assert_eq!(write(&mut consumer, 1), [1]);
        pushing.join().unwrap();
    });
}

#[test]
fn pushes_of_two_threads_wake_the_writer() {
    check(Some(3), || {
        let (producer, mut consumer) = ring(64);
        let other = producer.clone();
        let writing = thread::spawn(move || write(&mut consumer, 2));
        let racing = thread::spawn(move || push(&other, 2).unwrap());
        push(&producer, 1).unwrap();
        racing.join().unwrap();
        let mut taken = writing.join().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn two_pushes_of_a_thread_wake_the_writer_twice_if_need_be() {
    check(Some(3), || {
        let (producer, mut consumer) = ring(64);
        let pushing = thread::spawn(move || [1, 2].map(|event| push(&producer, event).unwrap()));
        assert_eq!(write(&mut consumer, 2), [1, 2]);
        pushing.join().unwrap();
    });
}

#[test]
fn the_close_wakes_the_writer() {
    check(None, || {
        let (producer, mut consumer) = ring(64);
        let closing = thread::spawn(move || producer.close());
        assert!(write(&mut consumer, 1).is_empty());
        closing.join().unwrap();
    });
}

#[test]
fn a_waiter_wakes_the_writer_that_has_taken_everything() {
    check(Some(3), || {
        let (producer, mut consumer) = ring(64);
        let position = push(&producer, 1).unwrap().0;
        assert_eq!(take(&mut consumer), Some(1));
        let durability = Arc::new(Durability::default());
        let of_writer = durability.clone();
        let writing = thread::spawn(move || {
            of_writer.attach_writer();
            loop {
                of_writer.awake();
                if of_writer.has_waiters() {
                    consumer.release(consumer.position(), 2);
                    of_writer.advance(position);
                    break;
                }
                consumer.sleep(Duration::MAX);
            }
        });
        assert!(matches!(durability.wait(position), Fate::Durable));
        writing.join().unwrap();
    });
}
