//! Waiting for the durable end, as a future and blocking. A waiter that no interleaving may leave
//! asleep is what loom finds as a deadlock.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use loom::{sync::Notify, thread};

use super::*;

struct Task(Notify);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits as the simplest of executors does.
fn block_on(durability: &Durability, position: u64) -> Fate {
    let task = Arc::new(Task(Notify::new()));
    let waker = Waker::from(task.clone());
    let mut key = None;
    let fate = loop {
        match durability.poll(position, &mut key, &waker) {
            Some(fate) => break fate,
            None => task.0.wait(),
        }
    };
    if let Some(key) = key {
        durability.forget(key);
    }
    fate
}

const WAYS: [fn(&Durability, u64) -> Fate; 2] = [Durability::wait, block_on];

/// One waits while the writer does `last`, after which nothing else ever happens.
fn who_waits_learns(last: fn(&Durability), expected: fn(&Fate) -> bool) {
    for wait in WAYS {
        check(None, move || {
            let durability = Arc::new(Durability::default());
            let writers = durability.clone();
            let writer = thread::spawn(move || last(&writers));
            let fate = wait(&durability, 32);
            assert!(expected(&fate) && !durability.has_waiters(), "{fate:?}");
            writer.join().unwrap();
        });
    }
}

#[test]
fn a_waiter_learns_that_its_position_is_durable() {
    let durable = |fate: &Fate| matches!(fate, Fate::Durable);
    who_waits_learns(|durability| durability.advance(32), durable);
}

#[test]
fn a_waiter_learns_that_writing_failed() {
    let failed = |fate: &Fate| matches!(fate, Fate::Failed(_));
    who_waits_learns(|durability| durability.fail("no space"), failed);
}

#[test]
fn a_waiter_learns_that_the_log_was_closed() {
    let closed = |fate: &Fate| matches!(fate, Fate::Closed);
    who_waits_learns(Durability::close, closed);
}

#[test]
fn a_waiter_learns_that_the_writer_died() {
    let failed = |fate: &Fate| matches!(fate, Fate::Failed(_));
    who_waits_learns(|durability| durability.die("it panicked"), failed);
}

#[test]
fn each_of_two_waiters_learns_its_own() {
    check(Some(2), || {
        let durability = Arc::new(Durability::default());
        let waiters = [(WAYS[0], 32), (WAYS[1], 64)].map(|(wait, position)| {
            let durability = durability.clone();
            thread::spawn(move || wait(&durability, position))
        });
        durability.advance(32);
        durability.fail("no space");
        durability.recovered();
        durability.advance(64);
        durability.close();
        for waiter in waiters {
            let fate = waiter.join().unwrap();
            assert!(!matches!(fate, Fate::Closed), "{fate:?}");
        }
    });
}

/// The writer, without a file: what it takes is durable at once.
fn write(consumer: &mut Consumer<Model>, durability: &Durability) {
    let mut seq = 1;
    while !consumer.drained() {
        match take(consumer) {
            Some(_) => {
                seq += 1;
                consumer.release(consumer.position(), seq);
                durability.advance(consumer.position().0);
            }
            None => thread::yield_now(),
        }
    }
    durability.close();
}

#[test]
fn what_is_pushed_before_the_close_becomes_durable() {
    for wait in WAYS {
        check(Some(3), move || {
            let (producer, mut consumer) = ring(64);
            let durability = Arc::new(Durability::default());
            let (other, caller) = (producer.clone(), durability.clone());
            let pushing = thread::spawn(move || match push(&other, 1) {
                Ok(end) => assert!(matches!(wait(&caller, end.0), Fate::Durable)),
                Err(refused) => assert_eq!(refused, PushError::Closed),
            });
            let closing = thread::spawn(move || producer.close());
            write(&mut consumer, &durability);
            pushing.join().unwrap();
            closing.join().unwrap();
        });
    }
}

/// The order of `store::open::guarded`. The ring is full, so the caller stands.
#[test]
fn nobody_stands_in_a_log_whose_writer_died() {
    for wait in WAYS {
        check(Some(3), move || {
            let (producer, mut consumer) = ring(64);
            push(&producer, 1).unwrap();
            push(&producer, 2).unwrap();
            let durability = Arc::new(Durability::default());
            let (other, caller) = (producer.clone(), durability.clone());
            let pushing = thread::spawn(move || {
                loop {
                    match push(&other, 3) {
                        Err(PushError::Full) => thread::yield_now(),
                        Err(refused) => break assert_eq!(refused, PushError::Closed),
                        Ok(end) => {
                            break assert!(matches!(wait(&caller, end.0), Fate::Failed(_)));
                        }
                    }
                }
            });
            take(&mut consumer);
            consumer.release(consumer.position(), 2);
            durability.advance(consumer.position().0);
            producer.close();
            durability.die("it panicked");
            pushing.join().unwrap();
        });
    }
}
