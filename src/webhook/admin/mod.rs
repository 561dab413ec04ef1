//! Administering webhooks, through the library, the program or the HTTP API.
//!
//! Invariants: each act is in the log, with its actor, before it is carried out, and an act
//! that can't be recorded is not carried out. A webhook that is declared somewhere is changed only
//! there.

pub(in crate::webhook) mod declare;
mod deliveries;
pub(in crate::webhook) mod delivery;
pub(in crate::webhook) mod handle;
#[cfg(feature = "console")]
pub(in crate::webhook) mod listed;
mod read;
mod refusal;
pub(in crate::webhook) mod report;

pub(crate) use self::refusal::Refusal;
#[cfg(feature = "server")]
use crate::entry::Caller;
use crate::{
    entry::{Author, OwnEntry, Severity, json::Json},
    error::{Error, Result},
    log::AuditLog,
    query::AuditReader,
    store::layout::Layout,
    webhook::{
        http::sign::SigningSecret,
        queue::{attempts::Attempt, body::Body, delivery_id, replay},
        run::{blocking::blocking, send::send},
        settings::{
            Webhook, absolute_secret, read_proxy, shown_proxy,
            stored::{self, MOST_WEBHOOKS, Stored},
        },
    },
};

/// So many secrets sign at once, at most: each makes the requests longer.
const MOST_SECRETS: usize = 5;

/// Someone who administers the webhooks of a log.
#[derive(Debug)]
pub(crate) struct Administrator<'a> {
    pub(in crate::webhook) log: &'a AuditLog,
    author: Author,
}

impl<'a> Administrator<'a> {
    pub(in crate::webhook) fn new(log: &'a AuditLog, author: Author) -> Self {
        Self { log, author }
    }

    /// An administrator who sent a request to this path over HTTP.
    #[cfg(feature = "server")]
    pub(crate) fn outside(log: &'a AuditLog, caller: Caller, path: &str) -> Self {
        Self::new(log, Author::of_request(caller, path.to_owned()))
    }

    pub(in crate::webhook) fn layout(&self) -> &Layout {
        self.log.layout()
    }

    pub(in crate::webhook) fn about(
        &self,
        event_type: &'static str,
        severity: Severity,
        description: &str,
        name: &str,
    ) -> OwnEntry {
        let record = OwnEntry::new(event_type, severity, description).detail("webhook", name);
        self.author.sign(record)
    }

    pub(in crate::webhook) fn added(&self, webhook: &Webhook) -> OwnEntry {
        let record = self.about(
            "audit.webhook.added",
            Severity::Warning,
            "A webhook was added",
            &webhook.name,
        );
        record
            .detail("url", webhook.shown_url())
            .detail("event_types", webhook.event_types.clone())
    }

    pub(in crate::webhook) fn changed(&self, before: &Webhook, after: &Webhook) -> OwnEntry {
        let differences = before.differences(after);
        let record = self.about(
            "audit.webhook.changed",
            Severity::Warning,
            "Settings of a webhook were changed",
            &after.name,
        );
        let mut record = record.detail("settings", differences.clone());
        for (setting, value) in [
            ("url", Json::of(&after.shown_url())),
            ("event_types", Json::of(&after.event_types)),
        ] {
            if differences.contains(&setting) {
                record = record.detail(setting, value);
            }
        }
        record
    }

    pub(in crate::webhook) fn removed(&self, name: &str) -> OwnEntry {
        self.about(
            "audit.webhook.removed",
            Severity::Warning,
            "A webhook was removed",
            name,
        )
    }

    /// Durable on return.
    pub(in crate::webhook) fn record(&self, record: &OwnEntry) -> Result<()> {
        self.log.store()?.record(record)
    }

    /// Adds a webhook, which gets the entries that are recorded from now on.
    pub(crate) fn add(&self, webhook: Webhook) -> Result<(), Refusal> {
        self.begin(webhook, false)
    }

    /// The same; if it is paused, its deliveries are held back from its first entry on.
    pub(crate) fn begin(&self, webhook: Webhook, is_paused: bool) -> Result<(), Refusal> {
        let webhook = webhook.with_absolute_paths(None)?;
        webhook.prepare()?;
        stored::change(self.layout(), |all| {
            check_new(all, &webhook.name)?;
            let record = self.added(&webhook);
            self.record(&match is_paused {
                true => record.detail("paused", true),
                false => record,
            })?;
            stored::begin(self.layout(), all, webhook, None)?;
            if let Some(added) = all.last_mut() {
                added.paused = is_paused;
            }
            Ok(())
        })
    }

    /// Checks what adding this webhook would check, and adds nothing.
    #[cfg(feature = "console")]
    pub(crate) fn check_new(&self, webhook: Webhook) -> Result<(), Refusal> {
        let webhook = webhook.with_absolute_paths(None)?;
        webhook.prepare()?;
        check_new(&stored::read(self.layout())?, &webhook.name)
    }

    /// Changes the settings of a webhook, which keeps its cursor.
    pub(crate) fn change<R>(
        &self,
        name: &str,
        change: impl FnOnce(&Webhook) -> Result<(Webhook, R)>,
    ) -> Result<R, Refusal> {
        self.with(name, true, |found| {
            let (after, result) = change(found)?;
            let after = checked(found, after)?;
            if found.settings != after {
                self.record(&self.changed(found, &after))?;
                found.set(after);
            }
            Ok(result)
        })
    }

    /// Checks what this change would check, and changes nothing.
    #[cfg(feature = "console")]
    pub(crate) fn check_change(
        &self,
        name: &str,
        change: impl FnOnce(&Webhook) -> Result<Webhook>,
    ) -> Result<(), Refusal> {
        let found = self.find(name)?;
        check_own(&found)?;
        Ok(checked(&found, change(&found)?).map(drop)?)
    }

    /// Changes one of the webhooks: its `settings`, which nobody but the place that declares them
    /// may change, or else its state.
    fn with<R>(
        &self,
        name: &str,
        settings: bool,
        act: impl FnOnce(&mut Stored) -> Result<R>,
    ) -> Result<R, Refusal> {
        stored::change(self.layout(), |all| {
            let found = all
                .iter_mut()
                .find(|one| one.name == name)
                .ok_or_else(|| Refusal::NoSuch(name.to_owned()))?;
            if settings {
                check_own(found)?;
            }
            Ok(act(found)?)
        })
    }

    /// Removes a webhook; entries that wait for it are not sent.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        stored::change(self.layout(), |all| {
            let at = all
                .iter()
                .position(|one| one.name == name)
                .ok_or_else(|| Refusal::NoSuch(name.to_owned()))?;
            // A webhook whose file is gone can be removed only here.
            if !all[at].declared_in().is_some_and(declare::is_gone) {
                check_own(&all[at])?;
            }
            self.record(&self.removed(name))?;
            all.remove(at);
            Ok(replay::forget(self.layout(), name, u64::MAX)?)
        })
    }

    /// Makes a declared webhook one that can be changed and removed here. An application or a file
    /// that still declares it takes it back.
    pub(crate) fn take_over(&self, name: &str) -> Result<(), Refusal> {
        self.with(name, false, |found| {
            let Some(place) = found.declared_in() else {
                return Ok(());
            };
            let record = self.about(
                "audit.webhook.taken_over",
                Severity::Warning,
                "A declared webhook was taken over: it can be changed and removed here",
                name,
            );
            self.record(&record.detail("declared_in", place))?;
            found.declared = None;
            Ok(())
        })
    }

    /// Sets or removes the proxy of all webhooks that name none.
    pub(crate) fn set_proxy(&self, proxy: Option<&str>) -> Result<()> {
        let absolute = proxy.map(|proxy| absolute_secret("proxy", proxy));
        let proxy = absolute.transpose()?;
        let proxy = proxy.as_deref();
        proxy.map(read_proxy).transpose()?;
        let shown = proxy.map(shown_proxy);
        stored::change_all(self.layout(), |all| {
            if all.proxy.as_deref() == proxy {
                return Ok(());
            }
            let record = OwnEntry::new(
                "audit.webhook.proxy_changed",
                Severity::Warning,
                "The proxy for all webhooks was changed",
            );
            self.record(&record.detail("proxy", shown.as_deref()))?;
            all.proxy = proxy.map(str::to_owned);
            // The process that delivers sees other revisions, and begins these webhooks again.
            for webhook in &mut all.webhooks {
                webhook.revision += u64::from(webhook.settings.proxy.is_none());
            }
            Ok(())
        })
    }

    /// Holds deliveries back, or lets them go on.
    pub(crate) fn pause(&self, name: &str, paused: bool) -> Result<(), Refusal> {
        let (event_type, description) = match paused {
            true => (
                "audit.webhook.paused",
                "A webhook was paused; its entries wait in the log",
            ),
            false => ("audit.webhook.resumed", "A webhook was resumed"),
        };
        self.with(name, false, |found| {
            self.record(&self.about(event_type, Severity::Info, description, name))?;
            found.paused = paused;
            found.revision += 1;
            Ok(())
        })
    }

    /// Adds a signing secret of the same kind as the newest one.
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
            let mut after = Webhook::clone(found);
            after.signing_secrets.push(secret.reveal());
            Ok((after, secret))
        })
    }

    /// Signs with the newest secret alone; returns how many secrets were retired.
    pub(crate) fn retire(&self, name: &str) -> Result<usize, Refusal> {
        self.change(name, |found| {
            let mut after = Webhook::clone(found);
            let older = after.signing_secrets.len().saturating_sub(1);
            after.signing_secrets.drain(..older);
            Ok((after, older))
        })
    }

    /// Records an event, and sends its entry to a webhook in a single attempt.
    pub(crate) async fn test(&self, name: &str) -> Result<Attempt, Refusal> {
        let description = "A test event was sent to a webhook";
        let record = self.about("audit.webhook.tested", Severity::Info, description, name);
        let (log, wanted) = (self.log.clone(), name.to_owned());
        let read = blocking("reading the webhook", move || {
            let Some(webhook) = stored::find(log.layout(), &wanted)? else {
                return Ok(None);
            };
            let webhook = webhook.prepare()?;
            let id = log.store()?.record_with_id(&record)?;
            let entry = AuditReader::open(log.dir())?.get(id)?;
            let entry = entry.ok_or_else(|| {
                Error::damaged(log.dir(), "an entry that was just written is not there")
            })?;
            Ok(Some((webhook, entry)))
        });
        let (webhook, entry) = (read.await?).ok_or_else(|| Refusal::NoSuch(name.to_owned()))?;
        let unencodable = |reason: String| Error::invalid("format", reason);
        let entries = [entry];
        let id = delivery_id(name, &entries);
        let body = Body::of(&webhook, self.log.stream().source(), &id, &entries);
        let sent = send(&webhook, &id, body.map_err(unencodable)?, 1).await;
        Ok(sent.map_err(unencodable)?.attempt)
    }
}

/// Whether the settings of a webhook may be changed here: not if they are declared elsewhere.
fn check_own(found: &Stored) -> Result<(), Refusal> {
    match found.declared_in() {
        Some(place) => Err(Refusal::Declared(found.name.clone(), place.to_owned())),
        None => Ok(()),
    }
}

/// Checks that a webhook of this name can be added to these.
fn check_new(all: &[Stored], name: &str) -> Result<(), Refusal> {
    if all.iter().any(|other| other.name == name) {
        return Err(Refusal::Exists(name.to_owned()));
    }
    if all.len() >= MOST_WEBHOOKS {
        return Err(Refusal::Full);
    }
    Ok(())
}

/// The settings that replace `before`, checked.
fn checked(before: &Webhook, after: Webhook) -> Result<Webhook> {
    let after = after.with_absolute_paths(Some(before))?;
    if after.name != before.name {
        return Err(Error::invalid(
            "name",
            "a webhook keeps its name; add another one",
        ));
    }
    after.check_after(before)?;
    Ok(after)
}
