//! The operations on webhooks: for administrators of all tenants.

mod schemas;
mod settings;

use serde_json::{Value, json};

use super::{
    described::{Delete, Described, Get, Patch, Post, response},
    examples::{self, with},
    managing::created,
    parameters,
};
use crate::server::json_body::{JSON, MERGE_PATCH};

pub(super) use schemas::add as add_schemas;

pub(super) fn operations() -> Vec<Described> {
    let about_webhooks = [list(), add(), one(), change(), remove()];
    let about_deliveries = [
        pause(),
        resume(),
        test(),
        replay(),
        cancel_replay(),
        skip_first(),
        delivery(),
        skip(),
        resend(),
        rotate(),
        retire(),
        attempts(),
        dead_letters(),
    ];
    about_webhooks.into_iter().chain(about_deliveries).collect()
}

/// A change of a webhook that exists.
fn change_of(described: Described) -> Described {
    described.for_administrators().refuses(&["404", "409"])
}

fn shown(described: Described) -> Described {
    let text = "The webhook, as it is now";
    described.answers("200", text, "Webhook", examples::webhook())
}

/// The process that delivers carries out the request.
fn accepted(described: Described, schema: &str, more: Value) -> Described {
    let example = with(json!({"dispatcher": examples::dispatcher()}), more);
    let text = "Accepted; `dispatcher` is the process that carries it out, or `null` if none \
                delivers now and the request waits";
    described.answers("202", text, schema, example)
}

fn delivery_id() -> Value {
    json!({"delivery_id": "msg_7f3a9c04d1e2"})
}

fn list() -> Described {
    let webhooks = json!({
        "webhooks": [examples::webhook()],
        "dispatcher": examples::dispatcher(),
    });
    Described::new(
        Get,
        "/webhooks",
        "listWebhooks",
        "All webhooks, and how they are doing",
    )
    .for_administrators()
    .answers("200", "The webhooks", "WebhookList", webhooks)
}

fn add() -> Described {
    let secret = json!({"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let webhook = with(examples::webhook(), secret);
    Described::new(Post, "/webhooks", "addWebhook", "Adds a webhook")
        .description(
            "100 at most. Unless `signing_secrets` or `\"unsigned\": true` is sent, a secret is \
             made, and only this answer shows it.",
        )
        .for_administrators()
        .takes(&[JSON], "NewWebhook", examples::new_webhook())
        .responds("201", created("The webhook", "CreatedWebhook", webhook))
        .refuses(&["409"])
}

fn one() -> Described {
    let described = Described::new(
        Get,
        "/webhooks/{name}",
        "webhook",
        "A webhook, and how it is doing",
    );
    shown(described.for_administrators().refuses(&["404"]))
}

fn change() -> Described {
    let patch = json!({"event_types": ["auth.*"], "tenant_id": null});
    let described = Described::new(
        Patch,
        "/webhooks/{name}",
        "changeWebhook",
        "Changes settings of a webhook",
    );
    let described = described.description(
        "A JSON merge patch (RFC 7396): `null` is the default again. With another receiver, the \
         secrets that it would see must be sent again.",
    );
    shown(change_of(described).takes(&[MERGE_PATCH, JSON], "WebhookPatch", patch))
}

fn remove() -> Described {
    let described = Described::new(
        Delete,
        "/webhooks/{name}",
        "removeWebhook",
        "Removes a webhook",
    );
    change_of(described.description("Entries that wait for it are not sent."))
        .responds("204", response("The webhook is removed"))
}

fn pause() -> Described {
    shown(change_of(Described::new(
        Post,
        "/webhooks/{name}/pause",
        "pauseWebhook",
        "Pauses deliveries",
    )))
}

fn resume() -> Described {
    shown(change_of(Described::new(
        Post,
        "/webhooks/{name}/resume",
        "resumeWebhook",
        "Resumes deliveries",
    )))
}

fn test() -> Described {
    let described = Described::new(
        Post,
        "/webhooks/{name}/test",
        "testWebhook",
        "Sends a test event in one attempt",
    );
    change_of(described).answers("200", "The attempt", "Attempt", examples::attempt())
}

fn replay() -> Described {
    let wanted = json!({"entries": {"start_date": "2026-11-01", "event_type": ["auth.*"]}});
    let count = json!({
        "entries": 17,
        "deliveries": 17,
        "first": "2026-11-01T08:00:00.000000Z",
        "last": "2026-11-21T10:30:00.123456Z",
    });
    let described = Described::new(
        Post,
        "/webhooks/{name}/replay",
        "replay",
        "Sends dead letters, or entries of the log, again",
    );
    let described = change_of(described)
        .takes(&[JSON], "Replay", wanted.clone())
        .answers(
            "200",
            "What would be sent, with `dry_run`",
            "ReplayCount",
            count,
        );
    accepted(described, "AcceptedReplay", json!({"replay": wanted}))
}

fn cancel_replay() -> Described {
    let described = Described::new(
        Delete,
        "/webhooks/{name}/replay",
        "cancelReplay",
        "Cancels the replay that is under way, and those that wait",
    );
    accepted(change_of(described), "Accepted", json!({}))
}

fn skip_first() -> Described {
    let described = Described::new(
        Post,
        "/webhooks/{name}/skip",
        "skipFirst",
        "Gives up the first delivery that waits",
    );
    let described = change_of(described.description("The delivery becomes a dead letter."));
    accepted(described, "AcceptedDelivery", delivery_id())
}

fn delivery() -> Described {
    Described::new(
        Get,
        "/webhooks/{name}/deliveries/{id}",
        "delivery",
        "One delivery: its state, its request without secrets, its last attempts",
    )
    .for_administrators()
    .refuses(&["404"])
    .answers("200", "The delivery", "Delivery", examples::delivery())
}

fn skip() -> Described {
    let described = Described::new(
        Post,
        "/webhooks/{name}/deliveries/{id}/skip",
        "skipDelivery",
        "Gives up this delivery, which waits",
    );
    let described = change_of(described.description("The delivery becomes a dead letter."));
    accepted(described, "AcceptedDelivery", delivery_id())
}

fn resend() -> Described {
    let described = Described::new(
        Post,
        "/webhooks/{name}/deliveries/{id}/resend",
        "resendDelivery",
        "Sends one delivery again, under its id",
    );
    accepted(change_of(described), "AcceptedDelivery", delivery_id())
}

fn rotate() -> Described {
    let secret = json!({"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let webhook = with(examples::webhook(), secret);
    let described = Described::new(
        Post,
        "/webhooks/{name}/signing-secrets",
        "rotateSigningSecret",
        "Makes a new signing secret",
    );
    let described = described.description("Older ones sign as well until they are retired.");
    let text = "The webhook, with the secret, this once";
    change_of(described).answers("201", text, "CreatedWebhook", webhook)
}

fn retire() -> Described {
    shown(change_of(Described::new(
        Post,
        "/webhooks/{name}/signing-secrets/retire",
        "retireSigningSecrets",
        "Removes all signing secrets but the newest",
    )))
}

fn attempts() -> Described {
    let attempts = json!({"attempts": [examples::attempt()]});
    Described::new(
        Get,
        "/webhooks/{name}/attempts",
        "attempts",
        "The last attempts, the newest first",
    )
    .for_administrators()
    .parameter(parameters::limit(100, 100))
    .parameter(parameters::offset(1_000_000_000))
    .refuses(&["404"])
    .answers("200", "The attempts", "AttemptList", attempts)
}

fn dead_letters() -> Described {
    Described::new(
        Get,
        "/webhooks/{name}/dead-letters",
        "deadLetters",
        "The dead letters, with their entries",
    )
    .for_administrators()
    .parameter(parameters::limit(20, 100))
    .parameter(parameters::offset(1_000_000_000))
    .refuses(&["404"])
    .answers(
        "200",
        "The dead letters",
        "DeadLetterList",
        examples::dead_letters(),
    )
}
