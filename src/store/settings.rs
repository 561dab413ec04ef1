//! The settings of a log that hold in all its processes, and change while the log is open: so far,
//! for how long entries stay.
//!
//! The settings stand in `state/settings.json`, and override those of applications. They are
//! changed and read under the lock of pruning, so a pruning by the old settings has ended when a
//! change returns. If the settings can't be read, nothing is pruned. Paths and modes are not among
//! these settings: an administrator over HTTP must not be able to move a log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "server")]
use super::{Store, fs::OsFs};
use super::{document::Document, fs::Fs, hold::LOCK, layout::Layout, retention::Retention};
#[cfg(feature = "server")]
use crate::entry::{Author, OwnEntry, Severity, json::Json};
use crate::error::Result;

/// The age limits that can be set, in days.
pub(crate) const DAYS: std::ops::RangeInclusive<u64> = 30..=365;

/// How long entries stay, in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) enum AgeLimit {
    Days(u32),
    Unlimited,
}

/// The settings that are set. For every other setting, that of each application holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention_days: Option<AgeLimit>,
}

impl TryFrom<Value> for AgeLimit {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let days = value.as_u64().filter(|days| DAYS.contains(days));
        match days.and_then(|days| u32::try_from(days).ok()) {
            Some(days) => Ok(Self::Days(days)),
            None if value == "unlimited" => Ok(Self::Unlimited),
            None => Err(format!(
                "it must be a number of days from {} to {}, or \"unlimited\"",
                DAYS.start(),
                DAYS.end()
            )),
        }
    }
}

impl From<AgeLimit> for Value {
    fn from(limit: AgeLimit) -> Self {
        match limit {
            AgeLimit::Days(days) => days.into(),
            AgeLimit::Unlimited => "unlimited".into(),
        }
    }
}

impl LogSettings {
    pub(crate) fn read(fs: Arc<dyn Fs>, layout: &Layout) -> Result<Self> {
        document(fs, layout).read()
    }

    /// A retention of the application's with the age limit that is set, if there is one.
    pub(super) fn apply(&self, retention: &Retention) -> Retention {
        match self.retention_days {
            _ if retention.is_fixed => *retention,
            None => *retention,
            Some(AgeLimit::Days(days)) => retention.age_limit(days),
            Some(AgeLimit::Unlimited) => retention.without_age_limit(),
        }
    }
}

#[cfg(feature = "server")]
impl Store {
    /// Sets the age limit that holds in every process, and records the change first. With `None`,
    /// the age limit of each application holds. A pruning by the old limit has ended when this
    /// returns.
    pub(crate) fn set_age_limit(
        &self,
        limit: Option<AgeLimit>,
        author: &Author,
    ) -> Result<LogSettings> {
        let change = |settings: &mut LogSettings| {
            let before = settings.clone();
            settings.retention_days = limit;
            if *settings != before {
                self.record(&author.sign(changed(&before, settings)))?;
            }
            Ok(settings.clone())
        };
        let settings = document(Arc::new(OsFs), &self.layout).change(change)?;
        self.prune_soon();
        Ok(settings)
    }
}

#[cfg(feature = "server")]
fn changed(before: &LogSettings, after: &LogSettings) -> OwnEntry {
    let description = "A setting of the log was changed";
    OwnEntry::new("audit.setting.changed", Severity::Warning, description)
        .detail("setting", "retention_days")
        .detail("before", Json::of(&before.retention_days))
        .detail("after", Json::of(&after.retention_days))
}

fn document(fs: Arc<dyn Fs>, layout: &Layout) -> Document {
    Document::on(fs, layout, "settings", LOCK)
}
