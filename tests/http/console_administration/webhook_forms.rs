//! Webhooks are added, changed and removed by forms, and their secrets rotated.

use axum::http::header;
use serde_json::{Value, json};
use tracing_audit::{
    http::RouterOptions,
    webhook::{Webhook, WebhookReport},
};

use super::{
    HOSTILE, check_is_text, page, refused, sent,
    webhooks::{HOOKS, SIEM, check_has_no_secret, with_a_webhook},
};
use crate::{
    console_sessions::{form, signed_in},
    http::{Served, served},
};

const CHECK: &str = "/audit/admin/webhook-check";

/// The text of an element with this label.
fn labelled<'a>(page: &'a str, label: &str) -> &'a str {
    let after = page.split(&format!("aria-label=\"{label}\">")).nth(1);
    after.unwrap().split('<').next().unwrap()
}

/// The mistake that is said beside a field.
fn wrong<'a>(page: &'a str, field: &str) -> &'a str {
    let after = page.split(&format!("id=\"{field}-wrong\"")).nth(1).unwrap();
    after.split('>').nth(1).unwrap().split('<').next().unwrap()
}

/// The field in which a form sends the digest of the settings that it was made of.
fn before(page: &str) -> &str {
    let after = page.split("name=\"before\" value=\"").nth(1).unwrap();
    after.split('"').next().unwrap()
}

fn webhook(served: &Served, name: &str) -> Option<WebhookReport> {
    served.log.webhooks().get(name).unwrap()
}

fn shown(served: &Served, name: &str) -> Value {
    serde_json::to_value(webhook(served, name).unwrap()).unwrap()
}

#[tokio::test]
async fn a_webhook_is_added_by_a_form_which_shows_its_secret_once() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let empty = page(&served, HOOKS, &cookie, 200).await;
    assert!(empty.contains("There are no webhooks yet"));
    let body = "name=siem&url=https%3A%2F%2Fsiem.example.com%2Fhooks&event_types=auth.*%0D%0Auser.*\
                &format=cloudevents-batch&batch.max_entries=50&batch.max_wait_ms=&headers=x-team%3Dblue\
                &severity=error%0D%0Acritical&schedule_seconds=0%2C5&order=on&timeout_ms=5000\
                &before=&signed=on&paused=on&api_key=key-3141592653";
    let added = form(&served, HOOKS, body, Some(&cookie)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let secret = labelled(added.text(), "The secret").to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let told = shown(&served, "siem");
    for (setting, expected) in [
        ("event_types", json!(["auth.*", "user.*"])),
        ("format", json!("cloudevents-batch")),
        ("batch", json!({"max_entries": 50, "max_wait_ms": 1000})),
        ("headers", json!({"x-team": {"set": true}})),
        ("severity", json!(["error", "critical"])),
        ("schedule_seconds", json!([0, 5])),
        ("order", json!("strict")),
        ("timeout_ms", json!(5000)),
        ("state", json!("paused")),
    ] {
        assert_eq!(told[setting], expected, "{setting}");
    }
    for path in [HOOKS, SIEM, "/audit/admin/webhooks/siem/settings"] {
        let page = page(&served, path, &cookie, 200).await;
        assert!(
            !page.contains(&secret) && !page.contains("key-3141"),
            "{path}"
        );
    }
    let unsigned = "name=plain&url=https%3A%2F%2Fsiem.example.com%2F&event_types=*&format=native";
    let back = "/audit/admin/webhooks/plain";
    sent(&served, HOOKS, unsigned, &cookie, back).await;
    assert_eq!(shown(&served, "plain")["signing_secrets"], Value::Null);
    served.log.flush().unwrap();
    let entry = &served.records("audit.webhook.added")[0];
    assert_eq!(entry["actor"]["name"], "admin key");
    assert_eq!(entry["details"]["paused"], true);
    assert_eq!(entry["details"]["path"], HOOKS);
}

const GOOD: &str =
    "name=siem&url=https%3A%2F%2Fsiem.example.com%2F&event_types=auth.*&format=native";

/// Forms with one mistake each, the field that it is in, and what is said.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("name=a+b", "name", "is not 1 to 64 of"),
    ("url=ftp%3A%2F%2Fa.example", "url", "ftp"),
    ("url=http%3A%2F%2Fsiem.example.com", "url", "http"),
    ("url=https%3A%2F%2F127.0.0.1%2F", "url", "127.0.0.1"),
    ("event_types=", "event_types", "it is missing"),
    ("event_types=%21auth", "event_types", "must be"),
    ("format=xml", "format", "is not one of native"),
    (
        "batch.max_entries=0",
        "batch.max_entries",
        "between 1 and 1000",
    ),
    (
        "batch.max_wait_ms=x",
        "batch.max_wait_ms",
        "is not a whole number",
    ),
    (
        "batch.max_entries=5&format=cloudevents",
        "batch.max_entries",
        "takes one entry a request",
    ),
    ("headers=host%3Da", "headers", "follows from the URL"),
    (
        "format_options=index%3Da",
        "format_options",
        "no such option",
    ),
    ("severity=loud", "severity", "loud"),
    ("timeout_ms=700000", "timeout_ms", "between 1 and 600000"),
    ("egress=private", "egress", "more than this server"),
    ("allow_http=on", "allow_http", "does not allow it"),
    ("api_key=env%3AHOME", "api_key", "environment variable"),
    ("concurrency=9&order=on", "concurrency", "strict order"),
];

/// The good form with other values for some of its fields.
fn form_with(changed: &str) -> String {
    let name = |pair: &str| pair.split('=').next().unwrap().to_owned();
    let changes: Vec<_> = changed.split('&').map(name).collect();
    let kept = GOOD
        .split('&')
        .filter(|pair| !changes.contains(&name(pair)));
    kept.chain(changed.split('&')).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_said_beside_its_field_and_what_was_typed_stays() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    for (changed, field, said) in MISTAKES {
        let body = form_with(changed);
        let page = refused(&served, HOOKS, &body, &cookie, 400).await;
        assert!(
            wrong(&page, field).contains(said),
            "{changed}: {}",
            wrong(&page, field)
        );
        let is_typed = changed.starts_with("event_types") || page.contains(">\nauth.*</textarea>");
        assert!(is_typed, "{changed}");
        // The same is said while the form is filled in.
        let checked = form(&served, CHECK, &body, Some(&cookie)).await;
        assert_eq!(checked.status, 200, "{changed}: {}", checked.text());
        let told = checked.json();
        assert!(
            told["problem"].as_str().unwrap().contains(said),
            "{changed}: {told}"
        );
        let about = told["field"].as_str().unwrap();
        let is_about = about.starts_with(field) || field.starts_with(about);
        assert!(is_about, "{changed}: {told}");
    }
    assert!(served.log.webhooks().list().unwrap().is_empty());
    let checked = form(&served, CHECK, &form_with("signed=on"), Some(&cookie)).await;
    assert_eq!(checked.json(), json!({"field": null, "problem": null}));
    assert!(
        served.log.webhooks().list().unwrap().is_empty(),
        "a check adds nothing"
    );
    for (body, said) in [
        (form_with("proxy=http%3A%2F%2Fp"), "there is no such field"),
        (format!("{GOOD}&name=b"), "it is given twice"),
    ] {
        let page = refused(&served, HOOKS, &body, &cookie, 400).await;
        assert!(page.contains(said), "{body}");
    }
    let fields = [
        "url",
        "event_types",
        "headers",
        "tenant_id",
        "api_key_header",
    ];
    let hostile = fields.map(|field| format!("{field}={HOSTILE}")).join("&");
    check_is_text(&refused(&served, HOOKS, &form_with(&hostile), &cookie, 400).await);
    served.log.flush().unwrap();
    let refusals = served.records("audit.webhook.refused");
    let is_sent = |entry: &Value| entry["details"]["path"] == HOOKS;
    assert!(
        refusals.len() > 2 && refusals.iter().all(is_sent),
        "a check isn't recorded"
    );
    sent(&served, HOOKS, GOOD, &cookie, SIEM).await;
    let page = refused(&served, HOOKS, GOOD, &cookie, 409).await;
    assert!(wrong(&page, "name").contains("already"));
}

#[tokio::test]
async fn a_webhook_is_changed_by_a_form_and_keeps_the_secrets_that_are_not_shown() {
    let served = with_a_webhook("http://127.0.0.1:9/hooks?key=query-1414213562").await;
    let cookie = signed_in(&served, &served.token).await;
    let path = format!("{SIEM}/settings");
    let form_page = page(&served, &path, &cookie, 200).await;
    check_has_no_secret(&form_page);
    assert!(form_page.contains("http://127.0.0.1:9/hooks?…"));
    assert!(form_page.contains(">\nx-team=(kept)</textarea>"));
    let same = format!(
        "before={}&url=&event_types=invoice.*&format=native&headers=x-team%3D%28kept%29\
         &egress=loopback&allow_http=on&schedule_seconds=0",
        before(&form_page)
    );
    let settings = webhook(&served, "siem").unwrap().webhook;
    sent(&served, &path, &same, &cookie, SIEM).await;
    assert_eq!(webhook(&served, "siem").unwrap().webhook, settings);
    served.log.flush().unwrap();
    assert!(served.records("audit.webhook.changed").is_empty());

    // A receiver on another server gets no secret of the old one.
    let moved = same.replace("url=", "url=http%3A%2F%2F127.0.0.1%3A10%2F");
    for body in [&moved, &moved.replace("egress=", "timeout_ms=9&egress=")] {
        let page = refused(&served, &path, body, &cookie, 400).await;
        assert!(wrong(&page, "api_key").contains("on another server"));
        assert!(page.contains("value=\"http://127.0.0.1:10/\""));
        let checked = form(&served, &format!("{path}/check"), body, Some(&cookie)).await;
        assert_eq!(checked.json()["field"], "api_key");
    }

    let changed = same.replace("event_types=invoice.*", "event_types=invoice.*%0D%0Aauth.*");
    sent(&served, &path, &changed, &cookie, SIEM).await;
    let after = webhook(&served, "siem").unwrap().webhook;
    assert_eq!(after.event_types(), ["invoice.*", "auth.*"]);
    assert_eq!(after.url(), settings.url());
    served.log.flush().unwrap();
    let entry = &served.records("audit.webhook.changed")[0];
    assert_eq!(entry["details"]["settings"], json!(["event_types"]));
    assert_eq!(entry["details"]["path"], path);

    let stale = refused(&served, &path, &changed, &cookie, 409).await;
    assert!(stale.contains("changed meanwhile by somebody else"));

    let moved = moved.replace("headers=x-team%3D%28kept%29", "headers=x-new%3Da");
    let moved = moved.replace(before(&form_page), before(&stale)) + "&api_key_removed=on";
    sent(&served, &path, &moved, &cookie, SIEM).await;
    let told = shown(&served, "siem");
    assert_eq!(
        (&told["url"], &told["api_key"]),
        (&json!("http://127.0.0.1:10/"), &Value::Null)
    );
    assert_eq!(told["headers"], json!({"x-new": {"set": true}}));
}

#[tokio::test]
async fn a_secret_is_rotated_shown_once_and_the_older_ones_retired() {
    let served = with_a_webhook("http://127.0.0.1:9/hooks").await;
    let cookie = signed_in(&served, &served.token).await;
    let secrets = |served: &Served| {
        let told = shown(served, "siem");
        told["signing_secrets"].as_array().unwrap().len()
    };
    assert_eq!(secrets(&served), 1);
    let newest = "Sign with the newest only";
    let one = page(&served, SIEM, &cookie, 200).await;
    assert!(one.contains("To replace it, make a new one") && !one.contains(newest));
    let rotated = refused(&served, &format!("{SIEM}/rotate"), "", &cookie, 201).await;
    assert!(labelled(&rotated, "The secret").starts_with("whsec_"));
    assert_eq!(secrets(&served), 2);
    let one = page(&served, SIEM, &cookie, 200).await;
    check_has_no_secret(&one);
    let retire = format!("{SIEM}/retire");
    assert!(one.contains(&format!("action=\"{retire}\"")) && one.contains(newest));
    assert!(one.contains("signed with each of these secrets"));
    sent(&served, &retire, "", &cookie, SIEM).await;
    assert_eq!(secrets(&served), 1);
    served.log.flush().unwrap();
    assert_eq!(served.records("audit.webhook.changed").len(), 2);
}

#[tokio::test]
async fn a_webhook_is_removed_after_a_question() {
    let served = with_a_webhook("http://127.0.0.1:9/hooks").await;
    let cookie = signed_in(&served, &served.token).await;
    let remove = format!("{SIEM}/remove");
    let one = page(&served, SIEM, &cookie, 200).await;
    assert!(one.contains(&format!("action=\"{remove}\"")));
    sent(&served, &remove, "", &cookie, HOOKS).await;
    assert!(webhook(&served, "siem").is_none());
    refused(&served, &remove, "", &cookie, 404).await;
    served.log.flush().unwrap();
    let entry = &served.records("audit.webhook.removed")[0];
    assert_eq!(entry["actor"]["name"], "admin key");
}

#[tokio::test]
async fn a_declared_webhook_is_changed_only_where_it_is_declared() {
    let served = served(1, RouterOptions::new());
    let declared = Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"]);
    served.log.webhooks().declare(vec![declared]).unwrap();
    let cookie = signed_in(&served, &served.token).await;
    let one = page(&served, SIEM, &cookie, 200).await;
    assert!(one.contains("declared in <bdi>the application tracing-audit</bdi>"));
    for act in ["rotate", "remove", "retire"] {
        assert!(!one.contains(&format!("{SIEM}/{act}")), "{act}");
        let said = refused(&served, &format!("{SIEM}/{act}"), "", &cookie, 409).await;
        assert!(said.contains("change it there"), "{act}");
    }
    let path = format!("{SIEM}/settings");
    let settings = page(&served, &path, &cookie, 200).await;
    assert!(settings.contains("is declared in") && !settings.contains("data-check"));
    let said = refused(&served, &path, "event_types=*", &cookie, 409).await;
    assert!(said.contains("declared"));
    let checked = form(
        &served,
        &format!("{path}/check"),
        "event_types=*",
        Some(&cookie),
    )
    .await;
    assert!(
        checked.json()["problem"]
            .as_str()
            .unwrap()
            .contains("declared")
    );
    assert_eq!(checked.header(header::CONTENT_TYPE), "application/json");
}
