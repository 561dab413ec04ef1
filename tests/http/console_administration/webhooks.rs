//! The pages of webhooks.

use tracing_audit::http::RouterOptions;

use super::{check_is_text, page, refused, sent};
use crate::{
    console_sessions::signed_in,
    http::{Served, served},
};

/// A log with a webhook to this address, which has secrets in its settings.
pub(super) async fn with_a_webhook(url: &str) -> Served {
    let options = RouterOptions::new()
        .webhook_egress(["loopback"])
        .webhook_allow_http(true);
    let served = served(1, options);
    let webhook = serde_json::json!({
        "name": "siem", "url": url, "event_types": ["invoice.*"], "allow_http": true,
        "egress": ["loopback"], "schedule_seconds": [0], "api_key": "key-3141592653",
        "headers": {"x-team": "header-2718281828"},
    });
    let added = served.post("/audit/webhooks", webhook).await;
    assert_eq!(added.status, 201, "{}", added.text());
    served
}

pub(super) fn check_has_no_secret(page: &str) {
    for secret in ["3141592653", "2718281828", "1414213562", "whsec_"] {
        assert!(!page.contains(secret), "{secret}");
    }
}

pub(super) const HOOKS: &str = "/audit/admin/webhooks";
pub(super) const SIEM: &str = "/audit/admin/webhooks/siem";

#[tokio::test]
async fn a_webhook_is_shown_without_secrets_and_paused_and_resumed() {
    let served = with_a_webhook("http://127.0.0.1:9/hooks?key=query-1414213562").await;
    let cookie = signed_in(&served, &served.token).await;
    let all = page(&served, HOOKS, &cookie, 200).await;
    for text in [
        &*format!("href=\"{SIEM}\""),
        ">active<",
        "No process delivers",
        "invoice.*",
    ] {
        assert!(all.contains(text), "{text}");
    }
    let one = page(&served, SIEM, &cookie, 200).await;
    for text in ["api_key", "x-team", "schedule_seconds", "None yet."] {
        assert!(one.contains(text), "{text}");
    }
    for page in [&all, &one] {
        check_has_no_secret(page);
    }
    for (act, state, other) in [
        ("pause", ">paused<", "resume"),
        ("resume", ">active<", "pause"),
    ] {
        sent(&served, &format!("{SIEM}/{act}"), "", &cookie, SIEM).await;
        let one = page(&served, SIEM, &cookie, 200).await;
        assert!(one.contains(state), "{act}");
        assert!(one.contains(&format!("action=\"{SIEM}/{other}\"")));
    }
    for act in ["pause", "resume", "test", "replay"] {
        let path = format!("{HOOKS}/other/{act}");
        let page = refused(&served, &path, "", &cookie, 404).await;
        assert!(page.contains("there is no webhook"), "{act}");
    }
    page(&served, &format!("{HOOKS}/other"), &cookie, 404).await;
    served.log.flush().unwrap();
    for event_type in ["audit.webhook.paused", "audit.webhook.resumed"] {
        assert_eq!(served.records(event_type)[0]["actor"]["name"], "admin key");
    }
    assert_eq!(served.records("audit.webhook.refused").len(), 4);
    let reads = served.records("audit.access.read");
    let of = |said: &str| {
        reads
            .iter()
            .filter(|read| read["description"] == said)
            .count()
    };
    assert_eq!(of("The list of webhooks was read in the console"), 1);
    assert_eq!(of("Dead letters of a webhook were read in the console"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tested_and_its_dead_letters_are_sent_again() {
    let body = "\"><script>alert(1)</script>\u{202e}";
    let length = body.len();
    let answer = format!("HTTP/1.1 400 No\r\ncontent-length: {length}\r\n\r\n{body}");
    let receiver = crate::receiver::answering(answer);
    let served = with_a_webhook(&format!("http://{receiver}/hooks")).await;
    let cookie = signed_in(&served, &served.token).await;
    let tested = refused(&served, &format!("{SIEM}/test"), "", &cookie, 200).await;
    assert!(tested.contains("The test was not delivered") && tested.contains("400"));
    check_is_text(&tested);

    let _dispatcher = crate::receiver::dispatcher(&served.log);
    crate::http::record_one(&served.log);
    crate::support::until("a delivery is given up", || {
        let reader = served.log.reader();
        let webhooks = reader.webhooks().unwrap();
        let attempts = reader.attempts("siem").unwrap();
        webhooks[0].dead_letters == Some(1) && !attempts.is_empty()
    });
    let one = page(&served, SIEM, &cookie, 200).await;
    check_is_text(&one);
    check_has_no_secret(&one);
    assert!(one.contains("<details class=\"more\"><summary>Answer</summary>"));
    assert!(
        one.contains("title=\"Show the first of them\">1</a>"),
        "{one}"
    );
    assert!(one.contains(">Send all again<"));
    sent(&served, &format!("{SIEM}/replay"), "", &cookie, SIEM).await;
    let one = page(&served, SIEM, &cookie, 200).await;
    assert!(one.contains("Last replay"));
    served.log.flush().unwrap();
    let asked = served.records("audit.webhook.replayed");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["details"]["path"], format!("{SIEM}/replay"));
}
