//! The things that administrators change: settings, subscriptions, alert rules.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tracing_audit::audit;

use super::{
    model::{AlertRule, Answer, Model, ok, refused},
    request::LoggedIn,
};

pub(super) async fn update(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(name): Path<String>,
    Json(value): Json<Value>,
) -> Answer {
    let mut state = model.lock();
    let Some(setting) = state.settings.get_mut(&name) else {
        return refused(StatusCode::NOT_FOUND, "there is no such setting");
    };
    let old = std::mem::replace(setting, value);
    audit!(
        "settings.updated",
        resource.type = "setting",
        resource.id = name,
        setting_name = name,
        old_value = old,
        new_value = *setting,
        modified_by = by.name,
        "Setting {name} changed"
    );
    ok(json!({}))
}

pub(super) async fn subscribe(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    model
        .lock()
        .subscriptions
        .insert(id.clone(), by.name.clone());
    audit!(
        "subscription.added",
        resource.type = "subscription",
        resource.id = id,
        subscription_id = id,
        added_by = by.name,
        "Subscription {id} added"
    );
    ok(json!({}))
}

pub(super) async fn unsubscribe(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    if model.lock().subscriptions.remove(&id).is_none() {
        return refused(StatusCode::NOT_FOUND, "there is no such subscription");
    }
    audit!(
        "subscription.removed",
        resource.type = "subscription",
        resource.id = id,
        subscription_id = id,
        removed_by = by.name,
        "Subscription {id} removed"
    );
    ok(json!({}))
}

pub(super) async fn create_rule(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Json(rule): Json<AlertRule>,
) -> Answer {
    let mut state = model.lock();
    let id = state.next_id("rule");
    audit!(
        "alert.rule.created",
        resource.type = "alert_rule",
        resource.id = id,
        resource.attributes = rule,
        rule_details = rule,
        created_by = by.name,
        "Alert rule {id} created"
    );
    state.alert_rules.insert(id.clone(), rule);
    ok(json!({ "id": id }))
}

pub(super) async fn update_rule(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
    Json(rule): Json<AlertRule>,
) -> Answer {
    let mut state = model.lock();
    let Some(known) = state.alert_rules.get_mut(&id) else {
        return refused(StatusCode::NOT_FOUND, "there is no such rule");
    };
    let before = std::mem::replace(known, rule);
    audit!(
        "alert.rule.updated",
        resource.type = "alert_rule",
        resource.id = id,
        resource.prior_attributes = before,
        resource.attributes = *known,
        changed_fields = ["days_before_expiry", "channel"],
        modified_by = by.name,
        "Alert rule {id} changed"
    );
    ok(json!({}))
}

pub(super) async fn delete_rule(
    State(model): State<Arc<Model>>,
    LoggedIn(by): LoggedIn,
    Path(id): Path<String>,
) -> Answer {
    if model.lock().alert_rules.remove(&id).is_none() {
        return refused(StatusCode::NOT_FOUND, "there is no such rule");
    }
    audit!(
        "alert.rule.deleted",
        resource.type = "alert_rule",
        resource.id = id,
        severity = warning,
        rule_id = id,
        deleted_by = by.name,
        "Alert rule {id} deleted"
    );
    ok(json!({}))
}
