//! What an administrator does with subscriptions, through the library, the program or the HTTP API.
//!
//! What always holds: what is done is in the log, with who did it, before it is done; what can't be
//! recorded is not done. What is declared somewhere is changed only there.

use super::{
    history::DeliveryAttempt,
    manage::{self, MOST_SUBSCRIPTIONS},
    replay::{self, Replay},
    sign::SigningSecret,
    subscription::Subscription,
};
use crate::{
    error::{Error, Result},
    log::AuditLog,
    record::{Caller, OwnRecord, Severity, json::Json},
    store::layout::Layout,
};

/// So many secrets sign at once, at most: each makes the requests longer.
const MOST_SECRETS: usize = 5;

/// Why something is not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no subscription of this name.
    NoSuch(String),
    /// There is one already.
    Exists(String),
    /// There are as many as there may be.
    Full,
    /// It is declared at this place.
    Declared(String, String),
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Refusal {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::NoSuch(name) => format!("there is no webhook {name:?}"),
            Self::Exists(name) => format!(
                "there is a webhook {name:?} already; remove it first or choose another name"
            ),
            Self::Full => {
                format!(
                    "there are {MOST_SUBSCRIPTIONS} webhooks already, which is the limit: \
                     first remove one that is not needed"
                )
            }
            Self::Declared(name, place) => {
                format!("the webhook {name:?} is declared in {place}: change it there")
            }
            Self::Error(error) => error.to_string(),
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::NoSuch(_) => Error::invalid("name", self.text()),
            other => Error::Conflict(other.text()),
        }
    }

    /// For methods that tell by their result whether there is such a subscription.
    pub(super) fn or_none<T>(self) -> Result<Option<T>> {
        match self {
            Self::NoSuch(_) => Ok(None),
            other => Err(other.into_error()),
        }
    }
}

/// Someone who administers the subscriptions of a log.
#[derive(Debug)]
pub(crate) struct Administrator<'a> {
    pub(super) log: &'a AuditLog,
    /// Without one, it is the log's own process.
    caller: Option<(Caller, String)>,
}

impl<'a> Administrator<'a> {
    pub(crate) fn new(log: &'a AuditLog) -> Self {
        Self { log, caller: None }
    }

    /// Someone outside, who asks by this path.
    #[cfg(feature = "server")]
    pub(crate) fn outside(log: &'a AuditLog, caller: Caller, path: &str) -> Self {
        Self {
            log,
            caller: Some((caller, path.to_owned())),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        self.log.layout()
    }

    pub(super) fn about(
        &self,
        event_type: &'static str,
        severity: Severity,
        description: &str,
        name: &str,
    ) -> OwnRecord {
        let record = OwnRecord::new(event_type, severity, description).detail("endpoint", name);
        match &self.caller {
            Some((caller, path)) => record.caller(caller.clone()).detail("path", path.as_str()),
            None => record,
        }
    }

    pub(super) fn added(&self, subscription: &Subscription) -> OwnRecord {
        let record = self.about(
            "audit.subscription.added",
            Severity::Warning,
            "Events are forwarded to another endpoint",
            &subscription.name,
        );
        record
            .detail("url", url_for_record(&subscription.url))
            .detail("event_types", subscription.event_types.clone())
    }

    pub(super) fn changed(&self, before: &Subscription, after: &Subscription) -> OwnRecord {
        let differences = before.differences(after);
        let record = self.about(
            "audit.subscription.changed",
            Severity::Warning,
            "Settings of an endpoint were changed",
            &after.name,
        );
        let mut record = record.detail("settings", differences.clone());
        for (setting, value) in [
            ("url", Json::of(&url_for_record(&after.url))),
            ("event_types", Json::of(&after.event_types)),
        ] {
            if differences.contains(&setting) {
                record = record.detail(setting, value);
            }
        }
        record
    }

    pub(super) fn removed(&self, name: &str) -> OwnRecord {
        self.about(
            "audit.subscription.removed",
            Severity::Warning,
            "Events are no longer forwarded to an endpoint",
            name,
        )
    }

    /// Durable on return.
    pub(super) fn record(&self, record: &OwnRecord) -> Result<()> {
        self.log.store()?.record(record)
    }

    /// Begins a subscription with what is recorded from now on.
    pub(crate) fn add(&self, mut subscription: Subscription) -> Result<(), Refusal> {
        subscription.prepare()?;
        subscription.declared = None;
        manage::change(self.layout(), |all| {
            if all.iter().any(|other| other.name == subscription.name) {
                return Err(Refusal::Exists(subscription.name));
            }
            if all.len() >= MOST_SUBSCRIPTIONS {
                return Err(Refusal::Full);
            }
            self.record(&self.added(&subscription))?;
            Ok(manage::begin(self.layout(), all, subscription)?)
        })
    }

    /// Changes the settings of a subscription, which goes on where it is.
    pub(crate) fn change<R>(
        &self,
        name: &str,
        change: impl FnOnce(&Subscription) -> Result<(Subscription, R)>,
    ) -> Result<R, Refusal> {
        self.with(name, true, |found| {
            let (after, result) = change(found)?;
            let after = after.in_place_of(found);
            if after.name != name {
                return Err(Error::invalid(
                    "name",
                    "a webhook keeps its name; add another one",
                ));
            }
            after.check_after(found)?;
            if !found.differences(&after).is_empty() {
                self.record(&self.changed(found, &after))?;
                *found = after;
                found.revision += 1;
            }
            Ok(result)
        })
    }

    /// Something done to one of the subscriptions.
    fn with<R>(
        &self,
        name: &str,
        settings: bool,
        act: impl FnOnce(&mut Subscription) -> Result<R>,
    ) -> Result<R, Refusal> {
        manage::change(self.layout(), |all| {
            let found = all
                .iter_mut()
                .find(|one| one.name == name)
                .ok_or_else(|| Refusal::NoSuch(name.to_owned()))?;
            match found.declared_in() {
                Some(place) if settings => {
                    Err(Refusal::Declared(name.to_owned(), place.to_owned()))
                }
                _ => Ok(act(found)?),
            }
        })
    }

    /// Ends a subscription; what waits for it is not sent.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        manage::change(self.layout(), |all| {
            let at = all
                .iter()
                .position(|one| one.name == name)
                .ok_or_else(|| Refusal::NoSuch(name.to_owned()))?;
            if let Some(place) = all[at].declared_in() {
                return Err(Refusal::Declared(name.to_owned(), place.to_owned()));
            }
            self.record(&self.removed(name))?;
            all.remove(at);
            Ok(replay::forget(self.layout(), name)?)
        })
    }

    /// Holds deliveries back, or lets them go on.
    pub(crate) fn pause(&self, name: &str, paused: bool) -> Result<(), Refusal> {
        let (event_type, description) = match paused {
            true => ("audit.subscription.paused", "Deliveries are held back"),
            false => ("audit.subscription.resumed", "Deliveries go on"),
        };
        self.with(name, false, |found| {
            self.record(&self.about(event_type, Severity::Info, description, name))?;
            found.paused = paused;
            found.revision += 1;
            Ok(())
        })
    }

    /// Signs with a new secret as well, of the kind of the newest.
    pub(crate) fn rotate(&self, name: &str) -> Result<SigningSecret, Refusal> {
        self.change(name, |found| {
            if found.signing_secrets.len() >= MOST_SECRETS {
                let problem =
                    format!("{MOST_SECRETS} secrets sign already: retire the older ones first");
                return Err(Error::invalid("signing_secrets", problem));
            }
            let is_pair = found
                .signing_secrets
                .last()
                .is_some_and(|newest| newest.starts_with("whsk_"));
            let secret = if is_pair {
                SigningSecret::random_key_pair()?
            } else {
                SigningSecret::random()?
            };
            let mut after = found.clone();
            after.signing_secrets.push(secret.reveal());
            Ok((after, secret))
        })
    }

    /// Signs with the newest secret alone; tells how many no longer sign.
    pub(crate) fn retire(&self, name: &str) -> Result<usize, Refusal> {
        self.change(name, |found| {
            let mut after = found.clone();
            let older = after.signing_secrets.len().saturating_sub(1);
            after.signing_secrets.drain(..older);
            Ok((after, older))
        })
    }

    /// Has entries sent again.
    pub(crate) fn replay(&self, name: &str, replay: Replay) -> Result<(), Refusal> {
        replay.check()?;
        if manage::find(self.layout(), name)?.is_none() {
            return Err(Refusal::NoSuch(name.to_owned()));
        }
        let record = self.about(
            "audit.subscription.replayed",
            Severity::Warning,
            "Entries are sent to an endpoint again",
            name,
        );
        self.record(&record.detail("what", &replay))?;
        Ok(replay::ask(self.layout(), name, replay)?)
    }

    /// Sends an event, now and once.
    #[cfg(feature = "server")]
    pub(crate) async fn test(&self, name: &str) -> Result<DeliveryAttempt, Refusal> {
        let description = "An event was sent to an endpoint, to see whether it arrives";
        let record = self.about(
            "audit.subscription.tested",
            Severity::Info,
            description,
            name,
        );
        self.log
            .test_with(name, record)
            .await?
            .ok_or_else(|| Refusal::NoSuch(name.to_owned()))
    }
}

/// A URL's query can be a secret, and more people read the log than may see a webhook.
fn url_for_record(url: &str) -> String {
    match url.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => url.to_owned(),
    }
}
