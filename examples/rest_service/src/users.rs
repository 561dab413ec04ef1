//! Users and their roles, which administrators give.

use std::env;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use rusqlite::{Connection, params};
use serde::Deserialize;
use tracing_audit::{AuditLog, audited, hashed, mask};

use crate::{
    app::App,
    auth::{User, random, stretch},
    failure::Failure,
};

const ROLES: [&str; 2] = ["member", "admin"];

#[derive(Deserialize)]
pub(crate) struct NewUser {
    name: String,
    email: String,
    password: String,
    role: String,
}

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
}

/// Adds `root`, whose password is in `ADMIN_PASSWORD`, where there are no users yet.
pub(crate) fn add_first(app: &App) -> Result<(), Failure> {
    app.with_db_here(|db| {
        let query = "SELECT count(*) FROM users";
        if db.query_row(query, [], |row| row.get::<_, i64>(0))? > 0 {
            return Ok(());
        }
        let password = env::var("ADMIN_PASSWORD");
        let password = password.map_err(|_| Failure::Invalid("set ADMIN_PASSWORD"))?;
        let root = NewUser {
            name: "root".to_owned(),
            email: "root@localhost".to_owned(),
            password,
            role: "admin".to_owned(),
        };
        insert(db, &root).map(|_id| ())
    })
}

pub(crate) async fn create(
    State(app): State<App>,
    admin: User,
    Json(new): Json<NewUser>,
) -> Result<StatusCode, Failure> {
    admin.require(None, "create", ("user", &new.name))?;
    app.with_db(move |db| insert(db, &new)).await?;
    Ok(StatusCode::CREATED)
}

pub(crate) async fn change_role(
    State(app): State<App>,
    admin: User,
    Path(name): Path<String>,
    Json(NewRole { role }): Json<NewRole>,
) -> Result<StatusCode, Failure> {
    admin.require(None, "change_role", ("user", &name))?;
    let log = app.log().clone();
    app.with_db(move |db| set_role(db, &log, &name, &role))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The e-mail address is recorded twice, and never as it is: its beginning for people, its keyed
/// hash to search by (`tracing-audit hash`). The password has no place in any event.
#[audited(
    "user.create",
    resource.type = "user",
    resource.name = new.name,
    resource.attributes.role = new.role,
    email = mask(&new.email, 3),
    email_hash = hashed(&new.email),
    completed("user.created", resource.id = result, "User {} created", new.name),
    failed(outcome.reason = error.reason()),
)]
fn insert(db: &Connection, new: &NewUser) -> Result<i64, Failure> {
    known(&new.role)?;
    let salt = random::<16>()?;
    db.execute(
        "INSERT INTO users (name, email, role, salt, password) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            new.name,
            new.email,
            new.role,
            salt,
            stretch(&new.password, &salt)
        ],
    )?;
    Ok(db.last_insert_rowid())
}

/// Fails closed: nobody gets a role before it is on stable storage who gave it. The end is as safe
/// as all other entries: power that is lost right then may leave the start only.
#[audited(
    "user.role_change",
    resource.type = "user",
    resource.name = name,
    resource.attributes.role = role,
    severity = warning,
    completed("user.role_changed", resource.prior_attributes.role = result, "{name} is {role} now"),
    failed(outcome.reason = error.reason()),
)]
fn set_role(
    db: &mut Connection,
    log: &AuditLog,
    name: &str,
    role: &str,
) -> Result<String, Failure> {
    known(role)?;
    let change = db.transaction()?;
    let query = "SELECT role FROM users WHERE name = ?1";
    let before = change.query_row(query, [name], |row| row.get(0))?;
    change.execute("UPDATE users SET role = ?2 WHERE name = ?1", [name, role])?;
    // All that was recorded up to here, the start of this function too.
    log.flush()?;
    change.commit()?;
    Ok(before)
}

fn known(role: &str) -> Result<(), Failure> {
    match ROLES.contains(&role) {
        true => Ok(()),
        false => Err(Failure::Invalid("a role is member or admin")),
    }
}
