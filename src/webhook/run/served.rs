//! A webhook that is served: its settings, and what the parts of its task share.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    error::Result,
    query::AuditReader,
    store::layout::Layout,
    webhook::{
        queue::{
            batches::Batches,
            dead_letter::{self, Kept},
            memory::{Memory, Share},
        },
        run::blocking::blocking,
        settings::{Prepared, stored::Stored},
    },
};

/// The pause after which a failed write of a dead letter is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// A webhook that is served.
pub(in crate::webhook) struct Served {
    pub(in crate::webhook) stored: Stored,
    /// The key under which its state is kept.
    pub(in crate::webhook) key: String,
    prepared: Prepared,
    /// Reads the log that its entries are from.
    pub(in crate::webhook) reader: AuditReader,
    /// The source of the log in this process, for formats.
    pub(in crate::webhook) source: Arc<str>,
    /// Its share of the memory for deliveries.
    pub(in crate::webhook) share: Arc<Share>,
    /// The batches that are made of its entries.
    pub(in crate::webhook) made: Arc<Batches>,
    /// Its dead letters are written one after the other.
    turn: Arc<Semaphore>,
}

impl Deref for Served {
    type Target = Prepared;

    fn deref(&self) -> &Prepared {
        &self.prepared
    }
}

impl Served {
    /// Reads its secrets and certificates.
    pub(in crate::webhook) fn new(
        stored: Stored,
        reader: AuditReader,
        source: Arc<str>,
        memory: &Arc<Memory>,
    ) -> Result<Self> {
        let prepared = stored.prepare()?;
        let key = stored.key();
        Ok(Self {
            stored,
            share: memory.share(),
            made: Arc::new(Batches::new(&key, reader.clone())),
            turn: Arc::new(Semaphore::new(1)),
            key,
            prepared,
            reader,
            source,
        })
    }

    pub(in crate::webhook) fn layout(&self) -> &Layout {
        self.reader.layout()
    }

    /// Keeps a dead letter.
    pub(in crate::webhook) async fn keep(self: &Arc<Self>, letter: Kept) {
        self.written("keeping a dead letter", move |layout, key| {
            letter.append(layout, key)
        })
        .await;
    }

    /// Notes that a delivery has arrived, if it was a dead letter.
    pub(in crate::webhook) async fn noted(self: &Arc<Self>, id: &str, dead: bool) {
        if dead {
            let id = id.to_owned();
            self.written("noting a delivery", move |layout, key| {
                dead_letter::delivered(layout, key, &id)
            })
            .await;
        }
    }

    /// Tries until it is written, so that no delivery is sent again because a disk is full.
    async fn written(
        self: &Arc<Self>,
        what: &'static str,
        write: impl Fn(&Layout, &str) -> Result<()> + Send + Sync + 'static,
    ) {
        let write = Arc::new(write);
        loop {
            let turn = Arc::clone(&self.turn).acquire_owned().await;
            let (write, served) = (Arc::clone(&write), Arc::clone(self));
            let done = blocking(what, move || {
                let _turn = turn;
                write(served.layout(), &served.key)
            });
            match done.await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(target: "tracing_audit", "{what} failed and is tried again: {error}")
                }
            }
            tokio::time::sleep(WRITE_AGAIN).await;
        }
    }
}
