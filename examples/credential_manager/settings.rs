//! What administrators change: settings, subscriptions, alert rules.

use serde::Serialize;
use serde_json::{Value, json};
use tracing_audit::{Outcome, Resource, audit};

use super::CredentialManager;

/// The setting that says how long the log is kept, in days.
pub(crate) const RETENTION: &str = "audit_log_retention";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AlertRule {
    pub(crate) event_type: String,
    pub(crate) threshold: u32,
    pub(crate) channel: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    #[error("there is no setting {0}")]
    Unknown(String),
    #[error("the log is kept for 30 to 365 days, not for {0}")]
    Retention(Value),
}

impl CredentialManager {
    pub(crate) fn set(&mut self, name: &str, value: Value) -> Result<(), SettingError> {
        let old = self
            .settings
            .get_mut(name)
            .ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
        let change = Resource::new("setting", name)
            .prior_attributes(json!({ "value": old }))
            .attributes(json!({ "value": value }));
        if name == RETENTION
            && !value
                .as_u64()
                .is_some_and(|days| (30..=365).contains(&days))
        {
            let error = SettingError::Retention(value);
            audit!(
                "settings.updated",
                resource = change,
                severity = warning,
                outcome = Outcome::failure("validation", &error),
                "Setting {name} is not changed"
            );
            return Err(error);
        }
        audit!(
            "settings.updated",
            resource = change,
            outcome = Outcome::success(),
            "Setting {name} is {value}, no longer {old}"
        );
        *old = value;
        Ok(())
    }

    pub(crate) fn add_subscription(&mut self, id: &str) {
        self.subscriptions.insert(id.to_owned());
        audit!(
            "subscription.added",
            resource = Resource::new("subscription", id),
            "Subscription {id} added"
        );
    }

    /// False if there is none of this id.
    pub(crate) fn remove_subscription(&mut self, id: &str) -> bool {
        if !self.subscriptions.remove(id) {
            return false;
        }
        audit!(
            "subscription.removed",
            resource = Resource::new("subscription", id),
            severity = warning,
            "Subscription {id} removed"
        );
        true
    }

    pub(crate) fn create_rule(&mut self, id: &str, rule: AlertRule) {
        let created = Resource::new("alert_rule", id).attributes(&rule);
        audit!(
            "alert.rule.created",
            resource = created,
            "Alert rule {id} created for {}",
            rule.event_type
        );
        self.rules.insert(id.to_owned(), rule);
    }

    /// False if there is none of this id.
    pub(crate) fn update_rule(&mut self, id: &str, rule: AlertRule) -> bool {
        let Some(old) = self.rules.get_mut(id) else {
            return false;
        };
        let differs = [
            ("event_type", old.event_type != rule.event_type),
            ("threshold", old.threshold != rule.threshold),
            ("channel", old.channel != rule.channel),
        ];
        let changed_fields: Vec<_> = differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(field, _)| field)
            .collect();
        let resource = Resource::new("alert_rule", id)
            .prior_attributes(&old)
            .attributes(&rule);
        audit!(
            "alert.rule.updated",
            resource,
            changed_fields,
            "Alert rule {id} changed"
        );
        *old = rule;
        true
    }

    /// False if there is none of this id.
    pub(crate) fn delete_rule(&mut self, id: &str) -> bool {
        let Some(rule) = self.rules.remove(id) else {
            return false;
        };
        let deleted = Resource::new("alert_rule", id).prior_attributes(&rule);
        audit!(
            "alert.rule.deleted",
            resource = deleted,
            severity = warning,
            "Alert rule {id} deleted"
        );
        true
    }
}
