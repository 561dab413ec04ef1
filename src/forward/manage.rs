//! The subscriptions of a log: `state/webhooks.json`.
//!
//! Who changes a subscription need not be who forwards: another process of those that share the
//! directory finds the change within a second. Changes are made under a lock, so two processes lose
//! nothing of each other's.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{
    outbox::{self, Outbox},
    report::{self, SubscriptionReport},
    subscription::Subscription,
};
use crate::{
    error::{Error, Result},
    query::{AuditReader, Filter, TailStart},
    store::{document::Document, layout::Layout},
};

/// So many a directory has at most: each has a delivery of its own, and holds in memory what it is
/// about to send.
pub(super) const MOST_SUBSCRIPTIONS: usize = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

fn document(layout: &Layout) -> Document {
    Document::new(layout, "webhooks", "webhooks")
}

/// Changes the subscriptions, unless `change` fails; durable on return.
pub(super) fn change<R, E: From<Error>>(
    layout: &Layout,
    change: impl FnOnce(&mut Vec<Subscription>) -> Result<R, E>,
) -> Result<R, E> {
    document(layout).change_unless(|all: &mut Subscriptions| change(&mut all.subscriptions))
}

/// Begins a subscription that was prepared once, with what is recorded from now on. For within a
/// change.
pub(super) fn begin(
    layout: &Layout,
    all: &mut Vec<Subscription>,
    mut subscription: Subscription,
) -> Result<()> {
    subscription.id = format!("{:08x}", fastrand::u32(..));
    subscription.revision = 0;
    // Where it begins is known before anyone forwards for it.
    let places = AuditReader::open(layout.root())?
        .tail(Filter::new(), TailStart::Now)?
        .places();
    Outbox {
        places,
        ..Outbox::default()
    }
    .save(layout, &subscription.key())?;
    all.push(subscription);
    Ok(())
}

/// All subscriptions, for who forwards. What is left of those that are no more is cleared away.
pub(super) fn all(layout: &Layout) -> Result<Vec<Subscription>> {
    let all = document(layout).read::<Subscriptions>()?.subscriptions;
    if !outbox::others(layout, &all)?.is_empty() {
        // One that is just being added has its outbox first.
        document(layout).look(|now: Subscriptions| {
            for path in outbox::others(layout, &now.subscriptions)? {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            Ok(())
        })?;
    }
    Ok(all)
}

/// All subscriptions, with how they are doing. The reader is one of this log.
pub(crate) fn reports(layout: &Layout, reader: &AuditReader) -> Result<Vec<SubscriptionReport>> {
    let all = document(layout).read::<Subscriptions>()?.subscriptions;
    Ok(report::of(layout, reader, all))
}

/// The subscription of this name, with how it is doing. The reader is one of this log.
pub(crate) fn report(
    layout: &Layout,
    reader: &AuditReader,
    name: &str,
) -> Result<Option<SubscriptionReport>> {
    Ok(find(layout, name)?
        .and_then(|subscription| report::of(layout, reader, vec![subscription]).pop()))
}

/// The subscription of this name.
pub(crate) fn find(layout: &Layout, name: &str) -> Result<Option<Subscription>> {
    let all = document(layout).read::<Subscriptions>()?.subscriptions;
    Ok(all
        .into_iter()
        .find(|subscription| subscription.name == name))
}
