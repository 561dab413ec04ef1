//! The webhooks of a log: `state/webhooks.json`.
//!
//! Who changes a webhook need not be the dispatcher: another process of those that share the
//! directory finds the change within a second. Changes are made under a lock, so two processes lose
//! nothing of each other's.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    query::{AuditReader, Filter, TailStart},
    store::{document::Document, layout::Layout},
    webhook::{
        admin::report::{self, WebhookReport},
        queue::{self, Queue},
        settings::Webhook,
    },
};

/// So many a directory has at most: each has a delivery of its own, and holds in memory what it is
/// about to send.
pub(in crate::webhook) const MOST_WEBHOOKS: usize = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    #[serde(alias = "subscriptions")]
    webhooks: Vec<Webhook>,
}

fn document(layout: &Layout) -> Document {
    Document::new(layout, "webhooks", "webhooks")
}

/// Changes the webhooks, unless `change` fails; durable on return.
pub(in crate::webhook) fn change<R, E: From<Error>>(
    layout: &Layout,
    change: impl FnOnce(&mut Vec<Webhook>) -> Result<R, E>,
) -> Result<R, E> {
    document(layout).change_unless(|all: &mut Stored| change(&mut all.webhooks))
}

/// Begins a webhook that was prepared once, with what is recorded from now on. For within a
/// change.
pub(in crate::webhook) fn begin(
    layout: &Layout,
    all: &mut Vec<Webhook>,
    mut webhook: Webhook,
) -> Result<()> {
    webhook.id = format!("{:08x}", fastrand::u32(..));
    webhook.revision = 0;
    // Where it begins is known before anything is delivered for it.
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
pub(in crate::webhook) fn read(layout: &Layout) -> Result<Vec<Webhook>> {
    Ok(document(layout).read::<Stored>()?.webhooks)
}

/// All webhooks, for the dispatcher. What is left of those that are no more is cleared away.
pub(in crate::webhook) fn all(layout: &Layout) -> Result<Vec<Webhook>> {
    let all = read(layout)?;
    if !queue::others(layout, &all)?.is_empty() {
        // One that is just being added has its queue first.
        document(layout).look(|now: Stored| {
            for path in queue::others(layout, &now.webhooks)? {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            Ok(())
        })?;
    }
    Ok(all)
}

/// All webhooks, with how they are doing. The reader is one of this log.
pub(crate) fn reports(layout: &Layout, reader: &AuditReader) -> Result<Vec<WebhookReport>> {
    let all = read(layout)?;
    Ok(report::of(layout, reader, all))
}

/// The webhook of this name, with how it is doing. The reader is one of this log.
pub(crate) fn report(
    layout: &Layout,
    reader: &AuditReader,
    name: &str,
) -> Result<Option<WebhookReport>> {
    Ok(find(layout, name)?.and_then(|webhook| report::of(layout, reader, vec![webhook]).pop()))
}

/// The webhook of this name.
pub(crate) fn find(layout: &Layout, name: &str) -> Result<Option<Webhook>> {
    let all = read(layout)?;
    Ok(all.into_iter().find(|webhook| webhook.name == name))
}
