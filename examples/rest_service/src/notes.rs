//! Notes: everybody has their own, and administrators see all.
//!
//! Every change is a function with `#[audited]`, on the thread that works on the database:
//!
//! ```text
//! note.update.started    by whom, on what                   before the commit
//! note.updated           with the prior and the new text    after the commit, before the answer
//! note.update.failed     with the reason, instead
//! ```
//!
//! `audit!` has no part in the database's transaction, so one of the two comes first. Recorded only
//! after the commit, a kill in between would leave a change that nobody is known to have made;
//! recorded only before it, an entry could report a change that never happened. With both, a kill
//! leaves a start without an end: the trail says who was at what, and that the end is not known.
//!
//! So much for a kill. A loss of power takes the entries of the last second, and not the commit,
//! which SQLite has synced. Where that matters, flush the log before the commit, as for a role
//! (`users.rs`).

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use tracing_audit::{audit, audited};

use crate::{
    app::App,
    auth::{User, random},
    failure::Failure,
};

#[derive(Debug, Serialize)]
pub(crate) struct Note {
    id: i64,
    owner: i64,
    text: String,
}

#[derive(Deserialize)]
pub(crate) struct Text {
    text: String,
}

#[derive(Serialize)]
pub(crate) struct Job {
    job: String,
}

pub(crate) async fn create(
    State(app): State<App>,
    user: User,
    Json(Text { text }): Json<Text>,
) -> Result<(StatusCode, Json<Note>), Failure> {
    let note = app.with_db(move |db| insert(db, user.id, text)).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

pub(crate) async fn read(
    State(app): State<App>,
    user: User,
    Path(id): Path<i64>,
) -> Result<Json<Note>, Failure> {
    app.with_db(move |db| note_for(db, &user, id, "read").map(Json))
        .await
}

pub(crate) async fn update(
    State(app): State<App>,
    user: User,
    Path(id): Path<i64>,
    Json(Text { text }): Json<Text>,
) -> Result<StatusCode, Failure> {
    app.with_db(move |db| {
        let note = note_for(db, &user, id, "update")?;
        replace(db, &note, &text)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

pub(crate) async fn delete(
    State(app): State<App>,
    user: User,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    app.with_db(move |db| {
        let note = note_for(db, &user, id, "delete")?;
        remove(db, &note)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Orders a job that goes on after the answer. The order is recorded before it is acknowledged; the
/// job can't do that, because nobody knows when it begins.
pub(crate) async fn export(
    State(app): State<App>,
    user: User,
) -> Result<(StatusCode, Json<Job>), Failure> {
    let job: String = random::<8>()?.iter().map(|b| format!("{b:02x}")).collect();
    audit!(
        "export.requested",
        resource.type = "export",
        resource.id = job,
        "Export of all notes of {}", user.name
    );
    let (of_job, name) = (app.clone(), job.clone());
    app.spawn(async move {
        if let Err(error) = make_export(&of_job, user.id, &name).await {
            tracing::error!(%error, "an export failed");
        }
    });
    Ok((StatusCode::ACCEPTED, Json(Job { job })))
}

#[audited(
    "export",
    resource.type = "export",
    resource.id = job,
    skip_started,
    completed(notes = result, "{result} notes exported"),
    failed(outcome.reason = error.reason()),
)]
async fn make_export(app: &App, owner: i64, job: &str) -> Result<i64, Failure> {
    // Here a real service writes a file.
    app.with_db(move |db| {
        let query = "SELECT count(*) FROM notes WHERE owner = ?1";
        Ok(db.query_row(query, [owner], |row| row.get(0))?)
    })
    .await
}

/// A note that this user may do that to. What is denied is recorded; what is read is not.
fn note_for(db: &Connection, user: &User, id: i64, action: &str) -> Result<Note, Failure> {
    let query = "SELECT id, owner, text FROM notes WHERE id = ?1";
    let note = db.query_row(query, [id], |row| {
        Ok(Note {
            id: row.get(0)?,
            owner: row.get(1)?,
            text: row.get(2)?,
        })
    })?;
    user.require(Some(note.owner), action, ("note", &id.to_string()))?;
    Ok(note)
}

#[audited(
    "note.create",
    resource.type = "note",
    resource.attributes.text = text,
    completed("note.created", resource.id = result.id, "Note {} created", result.id),
    failed(outcome.reason = error.reason()),
)]
fn insert(db: &Connection, owner: i64, text: String) -> Result<Note, Failure> {
    db.execute(
        "INSERT INTO notes (owner, text) VALUES (?1, ?2)",
        params![owner, text],
    )?;
    let id = db.last_insert_rowid();
    Ok(Note { id, owner, text })
}

#[audited(
    "note.update",
    resource.type = "note",
    resource.id = note.id,
    resource.prior_attributes.text = note.text,
    resource.attributes.text = text,
    completed("note.updated", "Note {} updated", note.id),
    failed(outcome.reason = error.reason()),
)]
fn replace(db: &Connection, note: &Note, text: &str) -> Result<(), Failure> {
    db.execute(
        "UPDATE notes SET text = ?2 WHERE id = ?1",
        params![note.id, text],
    )?;
    Ok(())
}

#[audited(
    "note.delete",
    resource.type = "note",
    resource.id = note.id,
    resource.prior_attributes.text = note.text,
    completed("note.deleted", "Note {} deleted", note.id),
    failed(outcome.reason = error.reason()),
)]
fn remove(db: &Connection, note: &Note) -> Result<(), Failure> {
    db.execute("DELETE FROM notes WHERE id = ?1", [note.id])?;
    Ok(())
}
