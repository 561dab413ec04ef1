//! What all requests share: the database, the log and the background jobs.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tracing_audit::{AuditContext, AuditLog, InAuditContext as _};

use crate::failure::Failure;

/// How long background jobs may take to end once the service is told to stop.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct App {
    /// `None` once the service has stopped.
    db: Arc<Mutex<Option<Connection>>>,
    jobs: Arc<Mutex<JoinSet<()>>>,
    log: AuditLog,
}

impl App {
    pub(crate) fn open(dir: &Path, log: AuditLog) -> rusqlite::Result<Self> {
        let db = Connection::open(dir.join("notes.db"))?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY,
                 name TEXT NOT NULL UNIQUE, email TEXT NOT NULL, role TEXT NOT NULL,
                 salt BLOB NOT NULL, password BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS sessions (token_sha256 BLOB PRIMARY KEY,
                 user INTEGER NOT NULL REFERENCES users, expires INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT,
                 owner INTEGER NOT NULL REFERENCES users, text TEXT NOT NULL);",
        )?;
        Ok(Self {
            db: Arc::new(Mutex::new(Some(db))),
            jobs: Arc::default(),
            log,
        })
    }

    pub(crate) fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Works on the database, on a thread that may block, in the context of the request: without
    /// [`AuditContext::bind`], what is recorded there would be of an unknown actor.
    ///
    /// When a client hangs up, axum drops the handler, but this work goes on to its end. So what
    /// changes something is recorded within the work, and not in the handler around it, where a
    /// change could be made and nobody be left to record it.
    pub(crate) async fn with_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let app = self.clone();
        let work = AuditContext::current().bind(move || app.with_db_here(work));
        spawn_blocking(work).await.unwrap_or(Err(Failure::Panicked))
    }

    /// The same on this thread.
    pub(crate) fn with_db_here<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &mut *lock(&self.db) {
            Some(db) => work(db),
            None => Err(Failure::Stopping),
        }
    }

    /// Starts a job that goes on after the request, on behalf of the same user.
    pub(crate) fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        let mut jobs = lock(&self.jobs);
        while jobs.try_join_next().is_some() {}
        jobs.spawn(job.in_audit_context());
    }

    /// Waits for the jobs, and then for whoever is at the database; after them nobody gets it.
    pub(crate) async fn close(&self) {
        let mut jobs = std::mem::take(&mut *lock(&self.jobs));
        let all_ended = async { while jobs.join_next().await.is_some() {} };
        if timeout(GRACE, all_ended).await.is_err() {
            jobs.shutdown().await;
        }
        lock(&self.db).take();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
