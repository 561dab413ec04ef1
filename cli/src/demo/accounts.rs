//! People: they log in and out, are added, changed and removed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use serde_json::json;
use tracing_audit::{Actor, audit};

use super::{
    model::{Answer, MAX_ATTEMPTS, Model, PASSWORD, Session, ok, refused},
    request::LoggedIn,
};

#[derive(Deserialize)]
pub(super) struct Login {
    username: String,
    password: String,
}

pub(super) async fn login(State(model): State<Arc<Model>>, Json(login): Json<Login>) -> Answer {
    let mut state = model.lock();
    let Some(user) = state
        .users
        .values_mut()
        .find(|user| user.name == login.username)
    else {
        audit!(
            "auth.login.failed",
            actor = Actor::anonymous(),
            severity = warning,
            outcome.type = "failure",
            outcome.reason = "authentication",
            username = login.username,
            failure_reason = "unknown_user",
            "Failed login attempt for {}",
            login.username
        );
        return refused(StatusCode::UNAUTHORIZED, "wrong username or password");
    };
    let actor = Actor::user(&user.id).name(&user.name);
    let reason = match () {
        () if user.failed_logins >= MAX_ATTEMPTS => "account_locked",
        () if login.password != user.password => "wrong_password",
        () => {
            user.failed_logins = 0;
            let secret = format!("{:032x}", fastrand::u128(..));
            let user = user.clone();
            let session = Session {
                id: state.next_id("session"),
                user,
            };
            audit!(
                "auth.login.success",
                actor = actor,
                session_id = session.id,
                outcome.type = "success",
                username = login.username,
                "User {} logged in",
                login.username
            );
            let id = session.user.id.clone();
            state.sessions.insert(secret.clone(), session);
            return ok(json!({ "token": secret, "user": id }));
        }
    };
    user.failed_logins += 1;
    let attempts = user.failed_logins;
    audit!(
        "auth.login.failed",
        actor = actor,
        severity = warning,
        outcome.type = "failure",
        outcome.reason = "authentication",
        username = login.username,
        failure_reason = reason,
        "Failed login attempt for {}",
        login.username
    );
    if attempts == MAX_ATTEMPTS {
        audit!(
            "auth.account.locked",
            actor = actor,
            resource.type = "user",
            resource.id = user.id,
            resource.name = user.name,
            severity = error,
            attempt_count = attempts,
            "Account {} locked after {attempts} failed attempts",
            login.username
        );
    }
    refused(StatusCode::UNAUTHORIZED, "wrong username or password")
}

pub(super) async fn logout(
    State(model): State<Arc<Model>>,
    LoggedIn(user): LoggedIn,
    headers: HeaderMap,
) -> Answer {
    let secret = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(secret) = secret {
        model.lock().sessions.remove(secret);
    }
    audit!(
        "auth.logout",
        username = user.name,
        "User {} logged out",
        user.name
    );
    ok(json!({}))
}

#[derive(Deserialize)]
pub(super) struct NewUser {
    name: String,
    role: String,
}

pub(super) async fn create(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Json(new): Json<NewUser>,
) -> Answer {
    let user = model.lock().add_user(&new.name, &new.role, PASSWORD);
    audit!(
        "user.created",
        resource.type = "user",
        resource.id = user.id,
        resource.name = user.name,
        resource.attributes.role = user.role,
        username = user.name,
        role = user.role,
        created_by = by.name,
        "User {} created with the role {}",
        user.name,
        user.role
    );
    ok(json!({ "id": user.id }))
}

#[derive(Deserialize)]
pub(super) struct UserChange {
    role: String,
}

pub(super) async fn update(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> Answer {
    let mut state = model.lock();
    let Some(user) = state.users.get_mut(&id) else {
        return refused(StatusCode::NOT_FOUND, "there is no such user");
    };
    if by.role != "admin" {
        audit!(
            "user.updated",
            resource.type = "user",
            resource.id = user.id,
            resource.name = user.name,
            severity = warning,
            outcome.type = "failure",
            outcome.reason = "authorization",
            outcome.error = "only an admin changes roles",
            changed_fields = ["role"],
            modified_by = by.name,
            "{} may not change the role of {}",
            by.name,
            user.name
        );
        return refused(StatusCode::FORBIDDEN, "only an admin changes roles");
    }
    let before = std::mem::replace(&mut user.role, change.role);
    audit!(
        "user.updated",
        resource.type = "user",
        resource.id = user.id,
        resource.name = user.name,
        resource.prior_attributes.role = before,
        resource.attributes.role = user.role,
        changed_fields = ["role"],
        modified_by = by.name,
        "Role of {} changed from {before} to {}",
        user.name,
        user.role
    );
    ok(json!({}))
}

pub(super) async fn delete(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    let Some(user) = model.lock().users.remove(&id) else {
        return refused(StatusCode::NOT_FOUND, "there is no such user");
    };
    audit!(
        "user.deleted",
        resource.type = "user",
        resource.id = user.id,
        resource.name = user.name,
        severity = warning,
        username = user.name,
        deleted_by = by.name,
        "User {} deleted",
        user.name
    );
    ok(json!({}))
}

/// Lets someone in again who was locked out.
pub(super) async fn unlock(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    let mut state = model.lock();
    let Some(user) = state.users.get_mut(&id) else {
        return refused(StatusCode::NOT_FOUND, "there is no such user");
    };
    user.failed_logins = 0;
    audit!(
        "auth.account.unlocked",
        resource.type = "user",
        resource.id = user.id,
        resource.name = user.name,
        unlocked_by = by.name,
        "Account {} unlocked",
        user.name
    );
    ok(json!({}))
}

/// Gives an account a new password and ends its sessions.
pub(super) async fn reset(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    let mut state = model.lock();
    let before = state.sessions.len();
    state.sessions.retain(|_, session| session.user.id != id);
    let sessions_ended = before - state.sessions.len();
    let Some(user) = state.users.get_mut(&id) else {
        return refused(StatusCode::NOT_FOUND, "there is no such user");
    };
    user.password = format!("{:032x}", fastrand::u128(..));
    audit!(
        "auth.password.reset",
        resource.type = "user",
        resource.id = user.id,
        resource.name = user.name,
        severity = warning,
        reset_by = by.name,
        sessions_ended,
        "Password of {} reset, {sessions_ended} of its sessions ended",
        user.name
    );
    ok(json!({}))
}
