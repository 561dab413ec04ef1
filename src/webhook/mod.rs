//! Webhooks: sends the events of the log to other systems.
//!
//! In come entries, read from the log behind its writer; out go signed requests that carry their
//! bytes as stored. Invariants:
//!
//! - The log is the queue. A webhook's cursor, the deliveries that were made of what it has passed,
//!   and which entries each of them has, outlive the process. So each entry arrives at least once,
//!   in spite of deaths and outages, and a retry has the same id and entries.
//! - No application thread waits for a receiver.
//! - Nothing is sent to an address that the webhook's `egress` does not allow, whatever the name,
//!   the spelling, the DNS, a redirect or the environment says. Where a [proxy](Webhook::proxy) is
//!   named, it is the only way out, and it resolves the names.
//!
//! | word | means |
//! |---|---|
//! | [`Webhook`] | a URL with the event types it gets, and its settings |
//! | receiver | the other side, which answers at that URL |
//! | delivery | what is sent: one or more entries under one id, the `webhook-id` of Standard Webhooks |
//! | [`Attempt`] | one HTTP request of a delivery |
//! | cursor | how far the log was read for a webhook |
//! | [`DeadLetter`] | a delivery that was given up; it can be [replayed](Replay) |
//! | [`Dispatcher`] | the thread that delivers, in one of the processes that share a log |

// The rooms inside, in the order of the data:
//
//  admin     what administrators do, in code, over HTTP, from a shell; how webhooks are doing
//     │ state/webhooks.json
//  settings  a webhook's settings: read, checked, shown, prepared for delivering
//     │
//  run       the dispatcher; a task for each webhook, which reads the log on, makes deliveries,
//     │      has attempts made, and notes what came of them
//  queue     what a webhook is still to get, and keeps over a restart; which delivery goes next,
//     │      and when again; dead letters; the last attempts
//  format    entries become the body of a request
//  http      the request is signed, sent where it may go, and answered

#[cfg(feature = "webhook")]
mod admin;
#[cfg(feature = "webhook")]
mod format;
#[cfg(feature = "webhook")]
mod http;
#[cfg(feature = "webhook")]
mod queue;
#[cfg(feature = "webhook")]
mod run;
#[cfg(feature = "webhook")]
mod settings;
#[cfg(feature = "webhook")]
#[cfg(test)]
mod testing;
pub(crate) mod unread;

// The HTTP API manages webhooks with these.
#[cfg(all(feature = "server", feature = "webhook"))]
pub(crate) use self::{
    admin::{Administrator, Refusal},
    queue::dead_letter::{LetterPage, dead_letters},
    settings::{OutsidePolicy, stored::find},
};
// The console shows deliveries in a list of its own.
#[cfg(all(feature = "console", feature = "webhook"))]
pub(crate) use self::admin::listed::{ListedDelivery, MOST_LETTERS, deliveries};
#[cfg(feature = "webhook")]
pub use self::{
    admin::{
        delivery::{DeliveryReport, DeliveryRequest, DeliveryState},
        handle::Webhooks,
        report::WebhookReport,
    },
    format::{
        Batch, CloudEvents, CloudEventsMode, Encoded, Format, FormatName, FormatOptions, Native,
        Otlp, Question, SplunkHec, Unencodable, Verdict, register_format,
    },
    http::sign::{SigningSecret, sign},
    queue::{
        LastFailure, Status as WebhookStatus,
        attempts::Attempt,
        dead_letter::{DeadLetter, EntryRange},
        replay::{Replay, ReplayCount, ReplayReport, ReplayState},
    },
    run::{Dispatcher, presence::DispatcherReport},
    settings::{Batching, DeliveryOrder, Setting, SettingKind, Webhook},
};
