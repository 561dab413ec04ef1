//! Signing in and out, and who a request is from.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing_audit::{Actor, AuditContext, AuditEvent, Outcome, audit, audit_context};

use crate::{app::App, failure::Failure};

const SESSION_SECONDS: i64 = 12 * 3600;

/// Who a request is from. A handler that takes one is only for those who have signed in, and all
/// that is recorded from there on is by this user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    is_admin: bool,
    session: [u8; 32],
}

impl FromRequestParts<App> for User {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let header = parts.headers.get(AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let session = Sha256::digest(token.unwrap_or_default()).into();
        let user = app.with_db(move |db| find(db, session)).await?;
        let Some(user) = user else {
            audit!(
                "auth.token.rejected",
                severity = warning,
                actor = Actor::anonymous(),
                outcome = Outcome::failure("authentication", "no token, or not one of a session"),
                path = parts.uri.path(),
                "Request without a valid token"
            );
            return Err(Failure::Unauthenticated);
        };
        AuditContext::update(audit_context! {
            actor = Actor::user(user.id).name(&user.name),
            session_id = name_of(&user.session),
        });
        Ok(user)
    }
}

/// What the trail calls a session: enough to know it by, too little to log in with.
fn name_of(session: &[u8; 32]) -> String {
    session[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn find(db: &Connection, session: [u8; 32]) -> Result<Option<User>, Failure> {
    let found = db.query_row(
        "SELECT id, name, role FROM users JOIN sessions ON user = id
         WHERE token_sha256 = ?1 AND expires > unixepoch()",
        [session],
        |row| {
            Ok(User {
                id: row.get(0)?,
                name: row.get(1)?,
                is_admin: row.get::<_, String>(2)? == "admin",
                session,
            })
        },
    );
    Ok(found.optional()?)
}

/// What somebody tried and may not.
#[derive(AuditEvent)]
#[audit(
    "access.denied",
    severity = warning,
    outcome = Outcome::failure("authorization", "this user may not do that"),
    "{} of {} {} denied", self.action, self.kind, self.id
)]
struct AccessDenied<'a> {
    #[audit(details.action)]
    action: &'a str,
    #[audit(resource.type)]
    kind: &'a str,
    #[audit(resource.id)]
    id: &'a str,
}

impl User {
    /// Lets administrators and, if there is one, the owner pass; records who else tried.
    pub(crate) fn require(
        &self,
        owner: Option<i64>,
        action: &str,
        (kind, id): (&str, &str),
    ) -> Result<(), Failure> {
        if self.is_admin || owner == Some(self.id) {
            return Ok(());
        }
        audit!(AccessDenied { action, kind, id });
        Err(Failure::Forbidden)
    }
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

#[derive(Serialize)]
pub(crate) struct NewSession {
    token: String,
}

/// A session is made first and recorded then. A kill in between leaves one that nobody can use,
/// because its token was not sent yet.
pub(crate) async fn sign_in(
    State(app): State<App>,
    Json(Credentials { name, password }): Json<Credentials>,
) -> Result<Json<NewSession>, Failure> {
    let given = name.clone();
    let found = app
        .with_db(move |db| {
            let query = "SELECT id, salt, password FROM users WHERE name = ?1";
            let row = db.query_row(query, [given], |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, [u8; 16]>(1)?,
                    row.get::<_, [u8; 32]>(2)?,
                ))
            });
            Ok(row.optional()?)
        })
        .await?;
    // As much work for an unknown name, so that the time doesn't reveal that it is unknown.
    let (id, salt, known): (i64, _, _) = found.unwrap_or_default();
    let stretched = tokio::task::spawn_blocking(move || stretch(&password, &salt))
        .await
        .map_err(|_| Failure::Panicked)?;
    if id == 0 || !same(&stretched, &known) {
        audit!(
            "auth.login.failed",
            severity = warning,
            actor = Actor::anonymous().name(&name), // a claim, until the password is right
            outcome = Outcome::failure("authentication", "wrong name or password"),
            "Login as {name} failed"
        );
        return Err(Failure::Unauthenticated);
    }
    let token: String = random::<32>()?.iter().map(|b| format!("{b:02x}")).collect();
    let session: [u8; 32] = Sha256::digest(&token).into();
    app.with_db(move |db| {
        db.execute(
            "INSERT INTO sessions VALUES (?1, ?2, unixepoch() + ?3)",
            params![session, id, SESSION_SECONDS],
        )?;
        audit!(
            "auth.login.success",
            actor = Actor::user(id).name(&name),
            session_id = name_of(&session),
            outcome.type = "success",
            "{name} logged in"
        );
        Ok(())
    })
    .await?;
    Ok(Json(NewSession { token }))
}

pub(crate) async fn sign_out(State(app): State<App>, user: User) -> Result<StatusCode, Failure> {
    app.with_db(move |db| {
        db.execute(
            "DELETE FROM sessions WHERE token_sha256 = ?1",
            [user.session],
        )?;
        audit!("auth.logout", "{} logged out", user.name);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// PBKDF2 with HMAC-SHA256. In production, take a crate for argon2 or scrypt, which are harder to
/// guess against, and more work.
pub(crate) fn stretch(password: &str, salt: &[u8; 16]) -> [u8; 32] {
    const ROUNDS: u32 = 10_000;
    let keyed = Hmac::<Sha256>::new_from_slice(password.as_bytes());
    let keyed = keyed.expect("a key of HMAC may have any length");
    let mac = |text: &[u8]| -> [u8; 32] {
        keyed
            .clone()
            .chain_update(text)
            .finalize()
            .into_bytes()
            .into()
    };
    let mut block = mac(&[&salt[..], &1_u32.to_be_bytes()].concat());
    let mut stretched = block;
    for _ in 1..ROUNDS {
        block = mac(&block);
        stretched
            .iter_mut()
            .zip(block)
            .for_each(|(of, with)| *of ^= with);
    }
    stretched
}

/// Compares in a time that doesn't depend on where they differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differ = |differ, (a, b): (&u8, &u8)| differ | (a ^ b);
    one.iter().zip(other).fold(0, differ) == 0
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Panicked)?;
    Ok(bytes)
}
