//! Requests of administrators about deliveries, for the dispatcher: `state/requests.json`.
//!
//! An administrator may be in another process than the dispatcher, and only the dispatcher changes
//! a queue. So a request is written here, under the key of its webhook, and the dispatcher hands it
//! to the webhook's task, which notes its number in the queue. A request stays here until that
//! queue is durable, so a death in between loses none. While nobody delivers, requests wait.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    store::{document::Document, layout::Layout},
    webhook::{
        queue::{Queue, contents::Contents},
        settings::stored::{self, Stored},
    },
};

/// The act that an administrator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::webhook) enum Act {
    /// Make this delivery a dead letter.
    Skip { delivery_id: String },
    /// Send nothing more of the replays up to this number.
    CancelReplays { last: u64 },
    /// Send this delivery again, under its id.
    Resend {
        delivery_id: String,
        contents: Contents,
        /// Whether the delivery is a dead letter.
        dead: bool,
    },
}

/// One request. Numbers only rise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::webhook) struct Request {
    pub(in crate::webhook) number: u64,
    /// The webhook's key.
    key: String,
    pub(in crate::webhook) act: Act,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Requests {
    last: u64,
    open: Vec<Request>,
}

/// The requests for each webhook, by its key.
pub(in crate::webhook) type Open = HashMap<String, Vec<Request>>;

fn document(layout: &Layout) -> Document {
    Document::new(layout, "requests", "requests")
}

/// Asks the dispatcher to do something about this webhook; durable on return.
pub(in crate::webhook) fn ask(layout: &Layout, key: String, act: Act) -> Result<()> {
    document(layout).change(|requests: &mut Requests| {
        requests.last += 1;
        let number = requests.last;
        requests.open.push(Request { number, key, act });
        Ok(())
    })
}

/// The requests that are still to be done. Those that are done, or whose webhook is gone, are
/// removed from the file.
pub(in crate::webhook) fn open(layout: &Layout) -> Result<Open> {
    let document = document(layout);
    let requests: Requests = document.read()?;
    if requests.open.is_empty() {
        return Ok(Open::new());
    }
    // After the requests: a webhook that was asked about is found unless it was removed.
    let webhooks = stored::read(layout)?;
    let mut done = HashMap::new();
    for key in webhooks.iter().map(Stored::key) {
        if requests.open.iter().any(|one| one.key == key)
            && let Some(queue) = Queue::read(layout, &key)?
        {
            done.insert(key, queue.request);
        }
    }
    let is_open = |one: &Request| done.get(&one.key).is_some_and(|done| one.number > *done);
    if !requests.open.iter().all(is_open) {
        let last = requests.last;
        document.change(|now: &mut Requests| {
            now.open.retain(|one| one.number > last || is_open(one));
            Ok(())
        })?;
    }
    let mut open = Open::new();
    for request in requests.open.into_iter().filter(is_open) {
        open.entry(request.key.clone()).or_default().push(request);
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::AuditLog, webhook::Webhook};

    impl Request {
        pub(in crate::webhook) fn of(number: u64, key: &str, act: Act) -> Self {
            Self {
                number,
                key: key.to_owned(),
                act,
            }
        }
    }

    #[test]
    fn a_request_is_kept_until_its_webhook_is_gone_or_its_queue_says_that_it_is_done() {
        let log = AuditLog::for_tests();
        let layout = log.layout();
        for name in ["siem", "chat"] {
            let webhook = Webhook::new(name, "https://example.com/", ["*"]);
            log.webhooks().add(webhook).unwrap();
            log.webhooks().pause(name).unwrap();
        }
        let keys: Vec<_> = stored::read(layout)
            .unwrap()
            .iter()
            .map(Stored::key)
            .collect();
        let skip = |key: &String| {
            let delivery_id = "msg_1".to_owned();
            ask(layout, key.clone(), Act::Skip { delivery_id }).unwrap();
        };
        keys.iter().chain(&keys).for_each(skip);
        let numbers = |key: &String| -> Vec<u64> {
            let open = open(layout).unwrap();
            open.get(key)
                .into_iter()
                .flatten()
                .map(|one| one.number)
                .collect()
        };
        assert_eq!(
            (numbers(&keys[0]), numbers(&keys[1])),
            (vec![1, 3], vec![2, 4])
        );
        let mut queue = Queue::read(layout, &keys[0]).unwrap().unwrap();
        queue.request = 1;
        queue.save(layout, &keys[0]).unwrap();
        log.webhooks().remove("chat").unwrap();
        assert_eq!((numbers(&keys[0]), numbers(&keys[1])), (vec![3], vec![]));
        let kept: Requests = document(layout).read().unwrap();
        assert_eq!(kept.open.len(), 1);
        // Numbers go on.
        skip(&keys[0]);
        assert_eq!(numbers(&keys[0]), [3, 5]);
    }
}
