//! The parts of an open log, before its threads run: the stream, its journal, the writer, the
//! sealer.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{self, Sender},
    },
};

use super::{
    clock::Clock,
    files::Files,
    fs::{Fs, FsLock},
    health::Health,
    journal_place::JournalPlace,
    keys,
    layout::Layout,
    lifecycle, living,
    open::StoreOptions,
    own_journal,
    prepare::{prepare, prepare_journal_dir},
    prune::Pruner,
    retry::is_full,
    room::Room,
    sealer::{Job, Sealer, SealerPlace},
    watch::Watch,
    writer::{Place, Writer},
};
use crate::{
    entry::{Source, StreamId, Timestamp},
    error::{Error, Result},
    journal::{Consumer, Durability, Producer},
};

/// The parts of an open log.
pub(super) struct Assembled {
    pub(super) layout: Layout,
    pub(super) stream: StreamId,
    pub(super) lock: Box<dyn FsLock>,
    /// On the journal; see [`living`].
    pub(super) journal_lock: Option<Box<dyn FsLock>>,
    pub(super) producer: Producer,
    pub(super) durability: &'static Durability,
    /// The journal's file.
    pub(super) journal: PathBuf,
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
    let journal_dir = match &options.journal_dir {
        Some(dir) => prepare_journal_dir(&*fs, &layout, dir, options.permissions)?,
        None => None,
    };
    let health = options.health;
    let capacity = options.journal_capacity;
    let begin = || {
        if options.needs_hash_keys {
            keys::ensure_on(fs.clone(), &layout)?;
        }
        begin_stream(
            &*fs,
            &layout,
            &options.source,
            journal_dir.as_deref(),
            capacity,
            clock.now(),
        )
    };
    let room = Room {
        fs: &*fs,
        layout: &layout,
        clock: &*clock,
        health: &health,
        level: options.sealer.level,
        journal_dir: journal_dir.as_deref(),
        capacity: capacity as u64,
    };
    room.recover_first();
    let begun = match begin() {
        Err(full) if is_full(&full) => room.make(full, begin)?,
        begun => begun?,
    };
    let BegunStream {
        stream,
        lock,
        place,
        producer,
        mut consumer,
    } = begun;
    let journal = place.path().to_owned();
    let journal_lock = living::hold(&*fs, &place);
    let watched = Watch::new(
        &*fs,
        &layout,
        &stream,
        place.clone(),
        dir,
        clock.monotonic(),
    );
    let watched = watched.and_then(|watch| {
        if let Some(settings) = &options.lifecycle {
            let mut opened = lifecycle::opened(settings).render(&options.source);
            let refused = |why| Error::io("write an entry to", &journal)(io::Error::other(why));
            own_journal::push(&producer, &mut opened).map_err(refused)?;
            // After it, so that what says of itself that it was alive has said that it was opened.
            consumer.note_alive(clock.now().as_micros());
        }
        Ok(watch)
    });
    let watch = match watched {
        Ok(watch) => watch,
        Err(error) => {
            // The log was not opened, so no recovery should find that its process died.
            let _ = place.remove(&*fs, &layout, None);
            let _ = lock.remove();
            return Err(error);
        }
    };
    let durability = Durability::leak();
    let stopping = Arc::new(AtomicBool::new(false));
    let (jobs, queue) = mpsc::channel();
    let files = Files::new(fs.clone(), layout.clone()).read_by(options.readers);
    let pruner = Pruner::new(
        Arc::new(files),
        producer.clone(),
        durability,
        options.source.clone(),
    );
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
        lifecycle: options.lifecycle.is_some(),
        options: options.writer,
    };
    Ok(Assembled {
        layout,
        stream,
        lock,
        journal_lock,
        producer,
        durability,
        journal,
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
    place: JournalPlace,
    producer: Producer,
    consumer: Consumer,
}

fn begin_stream(
    fs: &dyn Fs,
    layout: &Layout,
    source: &Source,
    journal_dir: Option<&Path>,
    capacity: usize,
    born: Timestamp,
) -> Result<BegunStream> {
    let (stream, lock, place) = new_stream(fs, layout, source, journal_dir)?;
    match place.create(fs, layout, &stream, capacity, born) {
        Ok((producer, consumer)) => Ok(BegunStream {
            stream,
            lock,
            place,
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

/// A stream with a name of its own, and its lock. Its 48 random bits make it one of its own without
/// a look at all that was ever written.
fn new_stream(
    fs: &dyn Fs,
    layout: &Layout,
    source: &Source,
    journal_dir: Option<&Path>,
) -> Result<(StreamId, Box<dyn FsLock>, JournalPlace)> {
    loop {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(|e| {
            Error::io("name a stream in", layout.root())(io::Error::other(e.to_string()))
        })?;
        let stream = StreamId::new(source, u64::from_ne_bytes(suffix));
        let place = JournalPlace::new(layout, &stream, journal_dir);
        if place.is_free(fs)?
            && let Some(lock) = fs.try_lock(&layout.lock(stream.as_str()))?
        {
            return Ok((stream, lock, place));
        }
    }
}

/// Creates the journal of a stream in the log's directory; durable on return.
#[cfg(test)]
pub(crate) fn new_journal(
    fs: &dyn Fs,
    layout: &Layout,
    stream: &StreamId,
    capacity: usize,
) -> Result<(Producer, Consumer)> {
    let place = JournalPlace::new(layout, stream, None);
    place.create(fs, layout, stream, capacity, Timestamp::from_micros(0))
}
