//! The keys and their values, in memory, and what the trail says of each change.
//!
//! A change and its event are made under one lock. So the trail has the changes in the order in
//! which they were made, and the prior value of an entry is what the entry before it made of the
//! key. `audit!` takes a fraction of a microsecond and waits for no disk, so it may be called
//! there.
//!
//! Each method changes the store first and records then, and the caller answers last. A kill
//! between the two leaves a change without an entry, which matters to nobody here: the change was
//! never acknowledged, and it dies with the process. Where changes outlive the process, record
//! before them, as `delete` does, or as the example `rest_service`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing_audit::{NotDurable, Outcome, Receipt, audit};

#[derive(Debug, Default)]
pub(crate) struct Store {
    // A std mutex, because it is never held across an `await`.
    keys: Mutex<HashMap<String, Value>>,
}

#[derive(Debug)]
struct Value {
    text: String,
    expires: Option<Instant>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.lock().get(key).map(|value| value.text.clone())
    }

    /// The values are part of the trail, which shows what a key was before. Where values are
    /// secret, record `hashed(&text)` instead, or only their length.
    pub(crate) fn set(&self, key: &str, text: &str) -> Receipt {
        let mut keys = self.lock();
        let value = Value {
            text: text.to_owned(),
            expires: None,
        };
        let prior = keys.insert(key.to_owned(), value).map(|prior| prior.text);
        audit!(
            "key.set",
            resource.type = "key",
            resource.id = key,
            resource.prior_attributes.value = prior, // left out if there was none
            resource.attributes.value = text,
            "{key} set"
        )
    }

    /// Lets a key expire; `None` if there is no such key.
    pub(crate) fn expire(&self, key: &str, after: Duration) -> Option<Receipt> {
        let mut keys = self.lock();
        keys.get_mut(key)?.expires = Some(Instant::now() + after);
        let milliseconds = after.as_millis() as u64;
        Some(audit!(
            "key.expiry_set",
            resource.type = "key",
            resource.id = key,
            milliseconds,
            "{key} expires in {milliseconds} ms"
        ))
    }

    /// Fails closed: nothing is deleted before the request is on stable storage, and when this
    /// returns, so is what came of it. Both events share their fsyncs with whatever else is
    /// recorded at the time.
    ///
    /// There are two events, because no lock is held while waiting for the disk: the key may have
    /// another value by then, or be gone. A request without an end means that the server was killed
    /// in between.
    pub(crate) async fn delete(&self, key: &str) -> Result<Option<Receipt>, NotDurable> {
        let requested = audit!(
            "key.delete.requested",
            resource.type = "key",
            resource.id = key,
            "{key} is to be deleted"
        );
        requested.durable().await?;
        let ended = self.remove(key);
        let receipt = ended.unwrap_or_else(|not_found| not_found);
        receipt.durable().await?;
        Ok(ended.ok())
    }

    fn remove(&self, key: &str) -> Result<Receipt, Receipt> {
        let mut keys = self.lock();
        match keys.remove(key) {
            Some(prior) => Ok(audit!(
                "key.deleted",
                resource.type = "key",
                resource.id = key,
                resource.prior_attributes.value = prior.text,
                "{key} deleted"
            )),
            None => Err(audit!(
                "key.delete.failed",
                resource.type = "key",
                resource.id = key,
                outcome = Outcome::failure("not_found", "no such key"),
                "{key} not deleted"
            )),
        }
    }

    /// Removes what has expired.
    pub(crate) fn remove_expired(&self) {
        let now = Instant::now();
        self.lock().retain(|key, value| {
            let expired = value.expires.is_some_and(|expires| expires <= now);
            if expired {
                audit!(
                    "key.expired",
                    resource.type = "key",
                    resource.id = key,
                    resource.prior_attributes.value = value.text,
                    "{key} expired"
                );
            }
            !expired
        });
    }
}
