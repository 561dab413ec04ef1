//! The JSON of bodies about webhooks.

#![allow(dead_code, reason = "no value of these types is ever made")]

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, Object, RefOr, Schema, Type,
        schema::{AdditionalProperties, ObjectBuilder},
    },
};

use super::settings;
use crate::server::openapi::{
    entry::Entry,
    schemas::{Instant, closed, with},
};

pub(in super::super) fn add(components: ComponentsBuilder) -> ComponentsBuilder {
    let patch = settings::sent().description(Some("The settings to change."));
    [
        with::<WebhookList>,
        with::<CreatedWebhook>,
        with::<AttemptList>,
        with::<Delivery>,
        with::<DeadLetterList>,
        with::<FilterParameters>,
        with::<ReplayCount>,
        with::<Accepted>,
        with::<AcceptedDelivery>,
        with::<AcceptedReplay>,
    ]
    .into_iter()
    .fold(components, |components, with| with(components))
    .schema("NewWebhook", new_webhook())
    .schema("WebhookPatch", patch)
    .schema("Replay", closed(Replay::schema()))
}

fn new_webhook() -> ObjectBuilder {
    let unsigned = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("`true`: requests are not signed."));
    ["name", "url", "event_types"]
        .into_iter()
        .fold(settings::sent(), ObjectBuilder::required)
        .property("unsigned", unsigned)
        .description(Some("A webhook to be added."))
}

/// A webhook as answers show it: its settings and its figures in one object.
struct Webhook;

impl ToSchema for Webhook {
    fn name() -> Cow<'static, str> {
        "Webhook".into()
    }

    fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
        Figures::schemas(parts);
    }
}

impl PartialSchema for Webhook {
    fn schema() -> RefOr<Schema> {
        shown("A webhook: its settings without their secrets, and how it is doing.").into()
    }
}

/// A webhook with the secret that was made.
struct CreatedWebhook;

impl ToSchema for CreatedWebhook {
    fn name() -> Cow<'static, str> {
        "CreatedWebhook".into()
    }

    fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
        Figures::schemas(parts);
    }
}

impl PartialSchema for CreatedWebhook {
    fn schema() -> RefOr<Schema> {
        let secret = |text| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(text))
        };
        let mut webhook = shown("A webhook, with the secret that was made, if one was.");
        for (name, text) in [
            ("signing_secret", "The secret, which is shown only here."),
            (
                "signing_public_key",
                "Of a key pair, the key that the receiver verifies with.",
            ),
        ] {
            let schema = Schema::Object(secret(text).build());
            webhook.properties.insert(name.to_owned(), schema.into());
        }
        webhook.into()
    }
}

fn shown(description: &str) -> Object {
    let mut shown = settings::shown().description(Some(description)).build();
    if let RefOr::T(Schema::Object(figures)) = Figures::schema() {
        shown.properties.extend(figures.properties);
        shown.required.extend(figures.required);
    }
    shown
}

/// How a webhook is doing.
#[derive(ToSchema)]
struct Figures {
    /// The proxy for all webhooks, without its password.
    proxy_for_all: Option<String>,
    /// Whether the webhook is declared by an application or a file, and changed only there.
    declared: bool,
    /// The application or the file.
    declared_in: Option<String>,
    /// `unusable`, `paused`, `gone`, `parked`, `failing` or `active`.
    state: String,
    /// The reason for the state, in a sentence.
    reason: Option<String>,
    /// The reason why nothing is sent.
    problem: Option<String>,
    status: Status,
    /// Deliveries that are made and not delivered.
    waiting_deliveries: u64,
    /// The time of the next attempt.
    #[schema(required = true)]
    next_attempt: Option<Instant>,
    /// How many dead letters there are; `null` if they can't be read.
    #[schema(required = true)]
    dead_letters: Option<u64>,
    /// The last replay.
    replay: Option<ReplayProgress>,
    /// The time of the oldest entry in the waiting deliveries.
    #[schema(required = true)]
    oldest_waiting: Option<Instant>,
    /// For how long that entry has waited.
    lag_seconds: f64,
    /// The time of the oldest entry that was not read for the webhook yet.
    #[schema(required = true)]
    unread_since: Option<Instant>,
    /// How many bytes of the log were not read for it yet.
    #[schema(required = true)]
    unread_bytes: Option<u64>,
    /// The age of the oldest entry that waits in a delivery or in the log.
    #[schema(required = true)]
    behind_seconds: Option<f64>,
    /// The reason why the figures about unread entries are not known.
    unread_problem: Option<String>,
}

/// The results of a webhook so far.
#[derive(ToSchema)]
struct Status {
    /// Entries delivered.
    delivered: u64,
    /// Entries given up.
    dead_lettered: u64,
    failed_attempts: u64,
    failures_in_a_row: u64,
    last_attempt: Option<Instant>,
    last_delivered: Option<Instant>,
    /// Since when every attempt has failed.
    failing_since: Option<Instant>,
    last_failure: Option<LastFailure>,
    /// The result of the last attempt, in a sentence.
    last_answer: Option<String>,
}

/// The last attempt that failed.
#[derive(ToSchema)]
struct LastFailure {
    ended: Instant,
    /// The answer's status, if there was an answer.
    status: Option<u16>,
    /// The first words of the answer, or the reason why there was none.
    answer: String,
}

/// How far a replay is.
#[derive(ToSchema)]
struct ReplayProgress {
    number: u64,
    /// `waiting`, `running`, `done` or `cancelled`.
    state: String,
    /// How many entries it sends; `null` while they are counted.
    #[schema(required = true)]
    entries: Option<u64>,
    delivered: u64,
    given_up: u64,
}

#[derive(ToSchema)]
struct WebhookList {
    webhooks: Vec<Webhook>,
    /// The process that delivers; `null` if none does.
    #[schema(required = true)]
    dispatcher: Option<Dispatcher>,
}

/// The process that delivers.
#[derive(ToSchema)]
struct Dispatcher {
    pid: u32,
    host: String,
    source: String,
    since: Instant,
}

/// One HTTP request of a delivery.
#[derive(ToSchema)]
struct Attempt {
    delivery_id: String,
    ended: Instant,
    took_ms: u64,
    /// The number among those of the delivery, from 1.
    attempt: u32,
    /// The number of entries in the request.
    entries: u64,
    first_entry_id: String,
    delivered: bool,
    /// The answer's status, if there was an answer.
    status: Option<u16>,
    /// The result, in a sentence.
    result: String,
    /// The first 2 KiB of the answer.
    answer: Option<String>,
}

#[derive(ToSchema)]
struct AttemptList {
    attempts: Vec<Attempt>,
}

/// One delivery.
#[derive(ToSchema)]
struct Delivery {
    delivery_id: String,
    webhook: String,
    /// `waiting`, `dead_letter`, `delivered` or `ended`.
    state: String,
    entries: u64,
    /// The number of its entries that the log no longer has.
    missing: u64,
    first: Option<Instant>,
    request: Option<DeliveryRequest>,
    /// The reason why the request can't be shown.
    problem: Option<String>,
    attempts: Vec<Attempt>,
}

/// The request that carries a delivery, a `POST`.
#[derive(ToSchema)]
struct DeliveryRequest {
    url: String,
    /// Names and values, with `(secret)` in the place of a secret.
    headers: Vec<Vec<String>>,
    body: String,
}

#[derive(ToSchema)]
struct DeadLetterList {
    dead_letters: Vec<DeadLetter>,
    /// The number of all dead letters of the webhook.
    total: u64,
    /// Whether there are more after these. An answer ends early when its entries have 8 MiB; the
    /// next begins at `offset` plus the number of dead letters in this one.
    has_more: bool,
}

/// A delivery that was given up.
#[derive(ToSchema)]
struct DeadLetter {
    delivery_id: String,
    webhook: String,
    given_up: Instant,
    attempts: u32,
    /// The reason, in a sentence.
    reason: String,
    places: Vec<EntryRange>,
    entries: Vec<Entry>,
    /// The number of its entries that the log no longer has.
    missing: u64,
}

/// Entries that follow each other in a stream.
#[derive(ToSchema)]
struct EntryRange {
    stream: String,
    first_seq: u64,
    last_seq: u64,
}

/// What is to be sent again: either of the two.
#[derive(ToSchema)]
struct Replay {
    /// `true`: all that was given up and not delivered since.
    #[schema(nullable = false)]
    dead_letters: Option<bool>,
    /// The entries that these parameters of a filter name. A list gives several values.
    #[schema(nullable = false)]
    entries: Option<FilterParameters>,
    /// `true`: only count what would be sent.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
}

/// The parameters of a filter, as `GET /entries` takes them.
struct FilterParameters;

impl ToSchema for FilterParameters {
    fn name() -> Cow<'static, str> {
        "FilterParameters".into()
    }
}

impl PartialSchema for FilterParameters {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some(
                "The parameters of a filter, as `GET /entries` takes them: texts, or lists of \
                 texts.",
            ))
            .into()
    }
}

/// What a replay would send now.
#[derive(ToSchema)]
struct ReplayCount {
    entries: u64,
    deliveries: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

#[derive(ToSchema)]
struct Accepted {
    #[schema(required = true)]
    dispatcher: Option<Dispatcher>,
}

#[derive(ToSchema)]
struct AcceptedDelivery {
    delivery_id: String,
    #[schema(required = true)]
    dispatcher: Option<Dispatcher>,
}

#[derive(ToSchema)]
struct AcceptedReplay {
    replay: Replay,
    #[schema(required = true)]
    dispatcher: Option<Dispatcher>,
}
