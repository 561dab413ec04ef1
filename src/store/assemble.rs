//! What an open log is made of, before its threads run: the stream, its journal, the writer, the
//! sealer.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{self, Sender},
    },
};

use super::{
    clock::Clock,
    fs::{Fs, FsLock},
    health::Health,
    layout::Layout,
    open::StoreOptions,
    prepare::prepare,
    prune::Pruner,
    room,
    sealed::LocalSealed,
    sealer::{Job, Sealer, SealerPlace},
    watch::Watch,
    writer::{Place, Writer, is_full},
};
use crate::{
    error::{Error, Result},
    journal::{self, Consumer, Durability, Producer},
    record::{Source, StreamId},
};

/// The parts of an open log.
pub(super) struct Assembled {
    pub(super) layout: Layout,
    pub(super) stream: StreamId,
    pub(super) lock: Box<dyn FsLock>,
    pub(super) producer: Producer,
    pub(super) durability: &'static Durability,
    pub(super) health: Arc<Health>,
    /// To the sealer.
    pub(super) jobs: Sender<Job>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) writer: Writer,
    pub(super) sealer: Sealer,
}

/// Makes the directory ready, and in it a stream with its journal. An error leaves nothing that the
/// next process would not take over.
pub(super) fn assemble(
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    dir: &Path,
    options: StoreOptions,
) -> Result<Assembled> {
    let layout = prepare(&*fs, dir, options.permissions)?;
    let health = options.health;
    let capacity = options.journal_capacity;
    room::recover_first(&*fs, &layout, &*clock, &health, capacity as u64);
    let begin = || begin_stream(&*fs, &layout, &options.source, capacity);
    let level = options.sealer.level;
    let begun = match begin() {
        Err(full) if is_full(&full) => {
            room::make(&*fs, &layout, &*clock, &health, level, full, begin)?
        }
        begun => begun?,
    };
    let BegunStream {
        stream,
        lock,
        producer,
        consumer,
    } = begun;
    let watch = Watch::new(&*fs, &layout, &stream, dir, clock.monotonic())?;
    let durability = Durability::leak();
    let stopping = Arc::new(AtomicBool::new(false));
    let (jobs, queue) = mpsc::channel();
    let sealed = Arc::new(LocalSealed::new(fs.clone(), layout.clone()));
    let pruner = Pruner::new(sealed, producer.clone(), durability, options.source.clone());
    let sealer_place = SealerPlace {
        fs: fs.clone(),
        layout: layout.clone(),
        clock: clock.clone(),
        health: health.clone(),
        options: options.sealer,
        own: stream.clone(),
        stopping: stopping.clone(),
    };
    let place = Place {
        fs,
        layout: layout.clone(),
        clock,
        stream: stream.clone(),
        source: options.source,
        health: health.clone(),
        sealer: jobs.clone(),
        options: options.writer,
    };
    Ok(Assembled {
        layout,
        stream,
        lock,
        producer,
        durability,
        health,
        jobs,
        stopping,
        writer: Writer::new(place, consumer, durability, watch),
        sealer: Sealer::new(sealer_place, pruner, queue),
    })
}

/// A stream with its lock and the two ends of its journal.
struct BegunStream {
    stream: StreamId,
    lock: Box<dyn FsLock>,
    producer: Producer,
    consumer: Consumer,
}

fn begin_stream(
    fs: &dyn Fs,
    layout: &Layout,
    source: &Source,
    capacity: usize,
) -> Result<BegunStream> {
    let (stream, lock) = new_stream(fs, layout, source)?;
    match new_journal(fs, layout, &stream, capacity) {
        Ok((producer, consumer)) => Ok(BegunStream {
            stream,
            lock,
            producer,
            consumer,
        }),
        Err(error) => {
            // Nothing was begun under this name.
            let _ = lock.remove();
            Err(error)
        }
    }
}

/// A stream with a name of its own, and its lock. Its 48 random bits make it one of its own without a
/// look at all that was ever written.
fn new_stream(
    fs: &dyn Fs,
    layout: &Layout,
    source: &Source,
) -> Result<(StreamId, Box<dyn FsLock>)> {
    loop {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(|e| {
            Error::io("name a stream in", layout.root())(io::Error::other(e.to_string()))
        })?;
        let stream = StreamId::new(source, u64::from_ne_bytes(suffix));
        let ring = layout.ring(&stream);
        let taken = fs.identity(&ring).map_err(Error::io("look at", &ring))?;
        if taken.is_none()
            && let Some(lock) = fs.try_lock(&layout.lock(stream.as_str()))?
        {
            return Ok((stream, lock));
        }
    }
}

/// Creates the journal of a stream; durable on return.
pub(crate) fn new_journal(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
    capacity: usize,
) -> Result<(Producer, Consumer)> {
    let path = layout.ring(stream);
    let dir = layout.journal_dir();
    let region = fs
        .create_mapped(&path, journal::file_len(capacity)?)
        .map_err(Error::io("create", &path))?;
    let made = journal::create(region, stream)
        .map_err(Error::io("begin", &path))
        .and_then(|ends| {
            fs.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
            Ok(ends)
        });
    made.inspect_err(|_| drop(fs.remove_file(&path)))
}
