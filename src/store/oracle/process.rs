//! A process that has the log open, whose threads take turns.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    task::Waker,
    time::Duration,
};

use crate::{
    entry::{StreamId, set_now},
    journal::{Durability, Fate, Producer},
    store::{
        assemble::{Assembled, assemble},
        clock::Clock as _,
        fs::FsLock,
        health::Health,
        open::StoreOptions,
        sealer::{Job, Sealer},
        set_clock::SetClock,
        sim::SimFs,
        writer::{self, Writer},
    },
};

/// The time of all processes, of the disk, and of what is recorded.
#[derive(Clone)]
pub(super) struct Time {
    pub(super) clock: Arc<SetClock>,
    pub(super) disk: SimFs,
}

impl Time {
    pub(super) fn new(disk: SimFs) -> Self {
        let clock = Arc::new(SetClock::new("2026-11-21T10:00:00Z"));
        let time = Self { clock, disk };
        time.pass(Duration::ZERO);
        time
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.pass(time);
        let now = self.clock.now();
        self.disk.set_time(now);
        set_now(Some(now));
    }
}

pub(super) struct Process {
    pub(super) stream: StreamId,
    fs: SimFs,
    time: Time,
    lock: Box<dyn FsLock>,
    producer: Producer,
    durability: &'static Durability,
    health: Arc<Health>,
    jobs: std::sync::mpsc::Sender<Job>,
    stopping: Arc<std::sync::atomic::AtomicBool>,
    /// Shared with the sealer, which has it take turns while it waits for it.
    writer: Arc<Mutex<Writer>>,
    sealer: Sealer,
    /// Which promises are its, and at which position each becomes durable.
    recorded: Vec<(usize, u64)>,
}

impl Process {
    /// `None` if the log can't be opened: then the process ends. `meanwhile` is done when the
    /// sealer waits for the writer.
    pub(super) fn open(
        time: &Time,
        dir: &Path,
        options: StoreOptions,
        meanwhile: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        let fs = time.disk.process();
        let parts = assemble(Arc::new(fs.clone()), time.clock.clone(), dir, options);
        let Ok(Assembled {
            stream,
            lock,
            producer,
            durability,
            health,
            jobs,
            stopping,
            writer,
            mut sealer,
            ..
        }) = parts
        else {
            fs.end();
            return None;
        };
        let writer = Arc::new(Mutex::new(writer));
        let (waited_for, passing) = (writer.clone(), time.clone());
        sealer.pruner.wait = Box::new(move |position| {
            meanwhile();
            let mut writer = waited_for.lock().unwrap();
            wait(&mut writer, durability, &passing, position)
        });
        sealer.begin();
        Some(Self {
            stream,
            fs,
            time: time.clone(),
            lock,
            producer,
            durability,
            health,
            jobs,
            stopping,
            writer,
            sealer,
            recorded: Vec::new(),
        })
    }

    /// Records an event; false if the journal is full: then it is counted, and nothing is promised.
    pub(super) fn record(&mut self, event: &[u8], promise: usize) -> bool {
        let pushed = self.producer.push(event);
        let position = pushed.as_ref().ok().map(|position| position.0);
        self.recorded
            .extend(position.map(|position| (promise, position)));
        if pushed.is_err() {
            let now = self.time.clock.now();
            self.producer.count_dropped(now.as_micros());
        }
        pushed.is_ok()
    }

    pub(super) fn write(&mut self) {
        turn(&mut self.writer.lock().unwrap());
    }

    pub(super) fn seal(&mut self) {
        self.sealer.take_all();
        self.sealer.turn();
    }

    pub(super) fn prune(&mut self) {
        self.jobs.send(Job::Prune).unwrap();
        self.seal();
    }

    /// The promises that are durable.
    pub(super) fn durable(&self) -> impl Iterator<Item = usize> {
        let durable = |(_, position): &&(usize, u64)| self.durability.is_durable(*position);
        self.recorded.iter().filter(durable).map(|(at, _)| *at)
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// As `Store::close` and the threads do it.
    pub(super) fn close(&mut self) -> bool {
        self.producer.close();
        let mut writer = self.writer.lock().unwrap();
        let written = loop {
            match writer.step() {
                Ok(writer::Step::Done) => break true,
                Ok(_) => self.time.pass(Duration::from_millis(3)),
                Err(error) => {
                    if !writer.failed(&error) {
                        break false;
                    }
                }
            }
        };
        let written = written && writer.finish().is_ok();
        drop(writer);
        self.sealer.take_all();
        self.stopping.store(true, Ordering::Relaxed);
        self.sealer.wind_up();
        written
    }

    /// After [`close`](Self::close).
    pub(super) fn end(self, written: bool) {
        match written {
            true => drop(self.lock.remove()),
            false => drop(self.lock),
        }
        self.fs.end();
    }

    pub(super) fn kill(self) {
        self.fs.end();
    }
}

fn turn(writer: &mut Writer) -> bool {
    match writer.step() {
        Ok(step) => step == writer::Step::Busy,
        Err(error) => {
            writer.failed(&error);
            false
        }
    }
}

/// Waits for a position as the sealer's thread does, while the writer's works.
fn wait(writer: &mut Writer, durability: &Durability, time: &Time, position: u64) -> Fate {
    let mut key = None;
    let mut turns = 0;
    let fate = loop {
        if let Some(fate) = durability.poll(position, &mut key, Waker::noop()) {
            break fate;
        }
        if !turn(writer) {
            time.pass(Duration::from_millis(3));
        }
        turns += 1;
        assert!(turns < 10_000, "nobody wakes who waits");
    };
    if let Some(key) = key {
        durability.forget(key);
    }
    fate
}
