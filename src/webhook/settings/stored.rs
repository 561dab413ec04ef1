//! The webhooks of a log: `state/webhooks.json`.
//!
//! Any process that shares the directory may change a webhook; the dispatcher notices the change
//! within a second. Changes are made under a lock, so that no process overwrites the change of
//! another.

use std::{fs, ops::Deref};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    query::{AuditReader, Filter, TailStart},
    store::{
        document::{Document, Version},
        layout::Layout,
    },
    webhook::{
        queue::{self, Queue},
        settings::{Prepared, Webhook},
    },
};

/// The most webhooks that a log has: each has a task of its own, and holds in memory what it is
/// about to send.
pub(in crate::webhook) const MOST_WEBHOOKS: usize = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::webhook) struct All {
    #[serde(alias = "subscriptions")]
    pub(in crate::webhook) webhooks: Vec<Stored>,
    /// The proxy of those that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) proxy: Option<String>,
}

/// A webhook as it is kept: its settings, and its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Distinguishes it from an earlier webhook of the same name.
    pub(in crate::webhook) id: String,
    /// Counts its changes.
    pub(in crate::webhook) revision: u64,
    /// The source and the place that declare it, if it is declared: then nobody else changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::webhook) declared: Option<Declared>,
    #[serde(default)]
    pub(in crate::webhook) paused: bool,
    #[serde(flatten)]
    pub(in crate::webhook) settings: Webhook,
    /// The proxy for all webhooks, where this one was read and names none.
    #[serde(skip)]
    pub(in crate::webhook) proxy_for_all: Option<String>,
}

/// The source that declares a webhook, and the place where it does. The two own the webhook
/// together: it is removed when that source no longer declares it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::webhook) struct Declared {
    /// The source of the log.
    pub(in crate::webhook) by: String,
    /// The application, or the absolute path of a file.
    pub(in crate::webhook) place: String,
}

impl Deref for Stored {
    type Target = Webhook;

    fn deref(&self) -> &Webhook {
        &self.settings
    }
}

impl Stored {
    pub(in crate::webhook) fn new(id: String, settings: Webhook) -> Self {
        Self {
            id,
            revision: 0,
            declared: None,
            paused: false,
            settings,
            proxy_for_all: None,
        }
    }

    /// The key that names its files: no other webhook has it, not even a later one of the same
    /// name.
    pub(in crate::webhook) fn key(&self) -> String {
        format!("{}.{}", self.settings.name, self.id)
    }

    /// Gives it other settings; false if they are the same.
    pub(in crate::webhook) fn set(&mut self, settings: Webhook) -> bool {
        let changed = self.settings != settings;
        self.settings = settings;
        self.revision += u64::from(changed);
        changed
    }

    /// Checks the settings and reads the secrets, as delivering needs them.
    pub(in crate::webhook) fn prepare(&self) -> Result<Prepared> {
        let mut settings = self.settings.clone();
        settings.proxy = settings.proxy.or_else(|| self.proxy_for_all.clone());
        settings.prepare()
    }

    pub(in crate::webhook) fn declared_in(&self) -> Option<&str> {
        let declared = self.declared.as_ref();
        declared.map(|declared| declared.place.as_str())
    }
}

fn document(layout: &Layout) -> Document {
    Document::new(layout, "webhooks", "webhooks")
}

/// Which version of the webhooks there is now, if there is one.
pub(in crate::webhook) fn version(layout: &Layout) -> Result<Option<Version>> {
    document(layout).version()
}

/// Changes the webhooks, unless `change` fails; durable on return.
pub(in crate::webhook) fn change<R, E: From<Error>>(
    layout: &Layout,
    change: impl FnOnce(&mut Vec<Stored>) -> Result<R, E>,
) -> Result<R, E> {
    change_all(layout, |all| change(&mut all.webhooks))
}

/// Changes the webhooks and what holds for all of them, unless `change` fails; durable on return.
pub(in crate::webhook) fn change_all<R, E: From<Error>>(
    layout: &Layout,
    change: impl FnOnce(&mut All) -> Result<R, E>,
) -> Result<R, E> {
    document(layout).change_unless(change)
}

/// Adds a webhook whose settings have been checked; it gets the entries that are recorded from now
/// on. To be called within a change.
pub(in crate::webhook) fn begin(
    layout: &Layout,
    all: &mut Vec<Stored>,
    settings: Webhook,
    declared: Option<Declared>,
) -> Result<()> {
    let webhook = Stored {
        declared,
        ..Stored::new(format!("{:08x}", fastrand::u32(..)), settings)
    };
    // Its cursor is durable before anything is delivered for it.
    let cursor = AuditReader::open(layout.root())?
        .tail(Filter::new(), TailStart::Now)?
        .places();
    Queue {
        cursor,
        ..Queue::default()
    }
    .save(layout, &webhook.key())?;
    all.push(webhook);
    Ok(())
}

/// All webhooks.
pub(in crate::webhook) fn read(layout: &Layout) -> Result<Vec<Stored>> {
    let mut all: All = document(layout).read()?;
    for webhook in &mut all.webhooks {
        if webhook.settings.proxy.is_none() {
            webhook.proxy_for_all.clone_from(&all.proxy);
        }
    }
    Ok(all.webhooks)
}

/// All webhooks, for the dispatcher. Files that removed webhooks left are deleted.
pub(in crate::webhook) fn all(layout: &Layout) -> Result<Vec<Stored>> {
    let all = read(layout)?;
    if !queue::others(layout, &all)?.is_empty() {
        // Under the lock, because a webhook that is just being added has its queue first.
        document(layout).look(|now: All| {
            for path in queue::others(layout, &now.webhooks)? {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            Ok(())
        })?;
    }
    Ok(all)
}

/// Looks whether the settings by which a webhook is delivered are still the current ones.
#[derive(Debug, Default)]
pub(in crate::webhook) struct Watch {
    /// The document that was read last.
    seen: Option<Version>,
}

impl Watch {
    /// Whether the webhook has other settings by now, or is gone. A change that was made before
    /// this call is always found. `webhook` is its state when its settings were read.
    pub(in crate::webhook) fn is_outdated(
        &mut self,
        layout: &Layout,
        webhook: &Stored,
    ) -> Result<bool> {
        let version = document(layout).version()?;
        if version.is_some() && version == self.seen {
            return Ok(false);
        }
        let found = find(layout, &webhook.name)?;
        let is_current =
            found.is_some_and(|found| found.id == webhook.id && found.revision == webhook.revision);
        self.seen = version.filter(|_| is_current);
        Ok(!is_current)
    }
}

/// The webhook of this name.
pub(crate) fn find(layout: &Layout, name: &str) -> Result<Option<Stored>> {
    let all = read(layout)?;
    Ok(all.into_iter().find(|webhook| webhook.name == name))
}
