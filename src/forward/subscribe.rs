//! What an application does with the subscriptions of its log. For the log it is the system that
//! does it.

use serde_json::{Map, Value};

use super::{
    administer::{Administrator, Refusal},
    history::{self, DeliveryAttempt},
    manage,
    replay::Replay,
    report::SubscriptionReport,
    sign::SigningSecret,
    subscription::Subscription,
};
use crate::{error::Result, log::AuditLog, query::AuditReader};

impl AuditLog {
    /// Adds a subscription; it is recorded (`audit.subscription.added`). It gets what is recorded
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the setting that can't be used;
    /// [`Error::Conflict`](crate::Error::Conflict) says that there is one of this name, or that there
    /// are 100 already: a log has no more.
    pub fn subscribe(&self, subscription: Subscription) -> Result<()> {
        Administrator::new(self)
            .add(subscription)
            .map_err(Refusal::into_error)
    }

    /// Gives the subscription of this name other settings: all of them. It goes on where it is in
    /// the log, and stays paused if it is. It is recorded (`audit.subscription.changed`). False if
    /// there is none of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the setting that can't be used;
    /// [`Error::Conflict`](crate::Error::Conflict) says where the subscription is declared.
    pub fn update_subscription(&self, subscription: Subscription) -> Result<bool> {
        let name = subscription.name.clone();
        let changed = Administrator::new(self).change(&name, |_| Ok((subscription, ())));
        changed
            .map(Some)
            .or_else(Refusal::or_none)
            .map(|found| found.is_some())
    }

    /// Changes these settings of a subscription, as a JSON merge patch (RFC 7396) does: `null` is the
    /// default again. The names of the settings are those of
    /// [`Subscription::from_settings`]. It goes on where it is in the log. It is recorded
    /// (`audit.subscription.changed`). False if there is none of this name.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use serde_json::json;
    /// use tracing_audit::webhook::Subscription;
    ///
    /// log.subscribe(Subscription::new("siem", "https://siem.example.com/hooks", ["auth.*"]))?;
    /// let patch = json!({"severity": ["error", "critical"], "tenant_id": null});
    /// assert!(log.patch_subscription("siem", patch.as_object().unwrap())?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update_subscription`](Self::update_subscription).
    pub fn patch_subscription(&self, name: &str, patch: &Map<String, Value>) -> Result<bool> {
        let changed =
            Administrator::new(self).change(name, |found| Ok((found.patched(patch)?, ())));
        changed
            .map(Some)
            .or_else(Refusal::or_none)
            .map(|found| found.is_some())
    }

    /// Removes a subscription; what waits for it is not sent. It is recorded
    /// (`audit.subscription.removed`). False if there is none of this name.
    ///
    /// # Errors
    ///
    /// If the subscriptions can't be written, or if it is declared: then it is to be removed there.
    pub fn unsubscribe(&self, name: &str) -> Result<bool> {
        Administrator::new(self)
            .remove(name)
            .map(Some)
            .or_else(Refusal::or_none)
            .map(|found| found.is_some())
    }

    /// Holds a subscription's deliveries back (`true`) or lets them go on (`false`). What is
    /// recorded meanwhile waits in the log, as long as its retention. It is recorded
    /// (`audit.subscription.paused`, `audit.subscription.resumed`). False if there is none of this
    /// name.
    ///
    /// # Errors
    ///
    /// If the subscriptions can't be written.
    pub fn pause_subscription(&self, name: &str, paused: bool) -> Result<bool> {
        Administrator::new(self)
            .pause(name, paused)
            .map(Some)
            .or_else(Refusal::or_none)
            .map(|found| found.is_some())
    }

    /// Makes a new signing secret. From now on each request is signed with it as well as with those
    /// before it, so the receiver can take it over when it likes; then
    /// [retire](Self::retire_signing_secrets) them. It is recorded (`audit.subscription.changed`).
    /// `None` if there is no such subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if five secrets sign already.
    pub fn rotate_signing_secret(&self, name: &str) -> Result<Option<SigningSecret>> {
        Administrator::new(self)
            .rotate(name)
            .map(Some)
            .or_else(Refusal::or_none)
    }

    /// Signs with the newest secret alone, and says how many no longer sign. It is recorded
    /// (`audit.subscription.changed`). `None` if there is no such subscription.
    ///
    /// # Errors
    ///
    /// If the subscriptions can't be written.
    pub fn retire_signing_secrets(&self, name: &str) -> Result<Option<usize>> {
        Administrator::new(self)
            .retire(name)
            .map(Some)
            .or_else(Refusal::or_none)
    }

    /// All subscriptions, with how they are doing.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn subscriptions(&self) -> Result<Vec<SubscriptionReport>> {
        manage::reports(self.layout(), &AuditReader::open(self.dir())?)
    }

    /// The last attempts to deliver to an endpoint, the newest first: the last 50 that failed and
    /// the last 50 that did not. None, if there is no such subscription.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn deliveries(&self, name: &str) -> Result<Vec<DeliveryAttempt>> {
        history::read(self.layout(), name)
    }

    /// Has entries sent again, by whoever forwards; see [`Replay`]. It is recorded
    /// (`audit.subscription.replayed`). False if there is no such subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) names the parameter that can't be used.
    pub fn replay(&self, name: &str, replay: Replay) -> Result<bool> {
        Administrator::new(self)
            .replay(name, replay)
            .map(Some)
            .or_else(Refusal::or_none)
            .map(|found| found.is_some())
    }
}
