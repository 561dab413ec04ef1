//! A body that is made on a blocking thread while it is sent.
//!
//! A few chunks wait between the thread and the client. The thread waits for the client, up to the
//! time that a client may stall. When the thread gives up or fails, the body ends with an error and
//! the connection breaks, so that no client takes a part for the whole.

use std::{
    io::{self, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use tokio::{runtime::Handle, sync::mpsc, task, time};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use super::{
    ending::{Ending, is_client_gone},
    state::App,
};
use crate::query::cancel::Cancel;

/// How many chunks wait.
const WAITING: usize = 2;
const CHUNK: usize = 64 * 1024;

/// Where the body is written. Small writes are collected.
pub(super) struct BodyWriter {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    stall_time: Duration,
    runtime: Handle,
    buffer: Vec<u8>,
    sent: Arc<AtomicU64>,
}

impl BodyWriter {
    /// Cancels what reads for a client that is gone.
    pub(super) fn cancel(&self) -> Cancel {
        let chunks = self.chunks.clone();
        Cancel::when(move || chunks.is_closed())
    }

    /// Sends a chunk. An error means that the client is gone or has stalled.
    pub(super) fn send(&self, chunk: impl Into<Bytes>) -> io::Result<()> {
        let chunk = chunk.into();
        let len = chunk.len() as u64;
        // In the usual case there is room, and no timer is needed.
        let chunk = match self.chunks.try_send(Ok(chunk)) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Err(mpsc::error::TrySendError::Full(chunk)) => Some(chunk),
        };
        if let Some(chunk) = chunk {
            let sent = self
                .runtime
                .block_on(async { time::timeout(self.stall_time, self.chunks.send(chunk)).await });
            sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        self.sent.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + 1024));
        self.send(full)
    }
}

/// A body that `make` writes. The slots are held until the body has ended; its end is recorded.
pub(super) fn body(
    app: &App,
    slots: impl Send + 'static,
    ending: Ending,
    make: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
) -> Body {
    let (chunks, waiting) = mpsc::channel(WAITING);
    let mut writer = BodyWriter {
        chunks: chunks.clone(),
        stall_time: app.options.stall_time,
        runtime: Handle::current(),
        buffer: Vec::new(),
        sent: Arc::clone(&app.counts.exported_bytes),
    };
    let cut = Arc::clone(&app.counts.cut_exports);
    let is_made = Arc::new(AtomicBool::new(false));
    let made = Arc::clone(&is_made);
    task::spawn_blocking(move || {
        let result = make(&mut writer).and_then(|()| writer.flush());
        made.store(result.is_ok(), Ordering::Release);
        if let Err(error) = result {
            cut.fetch_add(1, Ordering::Relaxed);
            if !is_client_gone(&error) {
                tracing::error!(target: "tracing_audit", "a download from the audit log was cut \
                                                          off: {error}");
            }
            // The error must reach the connection: the mere end of the channel would look like the
            // end of the file. A client that has stalled leaves no room for it, so it is handed to
            // a task that costs no thread.
            drop(
                writer
                    .runtime
                    .spawn(async move { chunks.send(Err(error)).await }),
            );
        }
        drop(slots);
    });
    Body::from_stream(Watched {
        chunks: ReceiverStream::new(waiting),
        is_made,
        error: None,
        has_failed: false,
        ending,
    })
}

/// The chunks of a download, whose end is recorded.
struct Watched {
    chunks: ReceiverStream<io::Result<Bytes>>,
    /// Whether all was made. The chunks also end when the thread that makes them panics.
    is_made: Arc<AtomicBool>,
    /// The error, until it is given.
    error: Option<io::Error>,
    has_failed: bool,
    ending: Ending,
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut next = ready!(Pin::new(&mut self.chunks).poll_next(context));
        if next.is_none() && !self.has_failed && !self.is_made.load(Ordering::Acquire) {
            next = Some(Err(io::Error::other("the download could not be made")));
        }
        let chunk = next.as_ref();
        let chunk = chunk.map(|chunk| chunk.as_ref().map(Bytes::len));
        self.ending.gave(chunk);
        match next {
            Some(Err(error)) => {
                self.has_failed = true;
                self.error = Some(error);
                // At an error the connection drops what it has not sent yet, the head of the answer
                // included; it sends that while it waits.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            next => Poll::Ready(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::{
        entry::{OwnEntry, Severity},
        http::RouterOptions,
        log::AuditLog,
        server::{ending::Entries, state::Slot},
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_body_ends_in_order_only_if_all_of_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::builder(dir.path()).source("a").open().unwrap();
        let app = App::new(dir.path(), Some(log), RouterOptions::new()).unwrap();
        let slot = || {
            let slot = Arc::clone(&app.requests).try_acquire_owned();
            Slot(Arc::new(slot.unwrap()))
        };
        let made = |make: fn(&mut BodyWriter) -> io::Result<()>| {
            let entry = OwnEntry::new("audit.access.export_ended", Severity::Info, "");
            let ending = Ending::new(&app, entry, None, Entries::Unknown);
            to_bytes(body(&app, slot(), ending, make), usize::MAX)
        };
        assert_eq!(made(|writer| writer.send("all")).await.unwrap(), "all");
        let failed = made(|writer| {
            writer.send("a part")?;
            Err(io::Error::other("the disk is gone"))
        });
        assert!(failed.await.is_err());
        let panicked = made(|writer| {
            writer.send("a part")?;
            panic!("a bug")
        });
        assert!(panicked.await.is_err());
    }
}
