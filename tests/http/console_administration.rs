//! The pages of the console beside the entries: the catalogue, the health, and what administrators
//! see and change.

use axum::http::Method;
use tracing_audit::http::{RouterOptions, Scope};

use crate::{
    console_sessions::{by_cookie, form, key, signed_in},
    http::{Answer, Served, served},
};

async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    by_cookie(served, Method::GET, path, cookie).await
}

/// The text of a page that was answered with this status.
async fn page(served: &Served, path: &str, cookie: &str, status: u16) -> String {
    let answer = get(served, path, cookie).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert_eq!(
        answer.header(axum::http::header::CONTENT_TYPE),
        "text/html; charset=utf-8"
    );
    answer.text().to_owned()
}

/// The names of the pages in the navigation.
fn navigation(page: &str) -> Vec<String> {
    let nav = page.split("<nav aria-label=\"Pages\">").nth(1).unwrap();
    let nav = nav.split("</nav>").next().unwrap();
    let names = nav.split("</a>").filter_map(|link| link.rsplit_once('>'));
    names
        .map(|(_, name)| name.to_owned())
        .filter(|name| !name.trim().is_empty())
        .collect()
}

#[tokio::test]
async fn the_catalogue_has_each_event_type_with_its_fields_and_its_place() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, None)).await;
    let all = page(&served, "/audit/catalogue", &cookie, 200).await;
    for text in [
        "<code>details.number</code>",
        "support/http.rs:",
        "billing",
        "href=\"/audit?event_type=invoice.sent&#38;range=all\"",
        "<td class=\"number\" data-label=\"Entries\">3</td>",
        "never seen",
    ] {
        assert!(all.contains(text), "{text}");
    }
    let found = page(
        &served,
        "/audit/catalogue?search=INVOICE+number",
        &cookie,
        200,
    )
    .await;
    assert!(found.contains("1 event type<"), "{found}");
    let none = page(
        &served,
        "/audit/catalogue?search=invoice+nothing%3Cb%3E",
        &cookie,
        200,
    )
    .await;
    assert!(none.contains("Nothing matches") && !none.contains("<b>"));
    page(&served, "/audit/catalogue?sarch=x", &cookie, 400).await;
    served.log.flush().unwrap();
    let read = served.records("audit.access.read");
    let of_search =
        |read: &&serde_json::Value| read["details"]["parameters"]["search"] == "INVOICE number";
    assert_eq!(read.iter().filter(of_search).count(), 1, "{read:?}");
}

#[tokio::test]
async fn a_tenants_token_counts_entries_of_its_tenant_only() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("globex"))).await;
    let all = page(
        &served,
        "/audit/catalogue?search=invoice.sent",
        &cookie,
        200,
    )
    .await;
    assert!(all.contains("data-label=\"Entries\">1</td>"), "{all}");
}

#[tokio::test]
async fn the_health_says_how_the_log_and_its_process_are_doing() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, None)).await;
    let healthy = page(&served, "/audit/health", &cookie, 200).await;
    for text in [
        "knows of no problem",
        "Complete until",
        "<dt>Sealed files</dt><dd>1</dd>",
        "<dt>Delivers webhooks</dt><dd><bdi>no process, now</bdi></dd>",
        "of 16.0 MiB",
        served.log.stream().as_str(),
        ">lives<",
    ] {
        assert!(healthy.contains(text), "{text}");
    }
    page(&served, "/audit/health?x=1", &cookie, 400).await;
    served.log.close().unwrap();
    let closed = page(&served, "/audit/health", &cookie, 200).await;
    assert!(closed.contains("the log is closed"), "{closed}");
    assert!(closed.contains("Close the log after the last event."));
}

#[tokio::test]
async fn the_navigation_offers_what_the_token_opens() {
    let served = served(1, RouterOptions::new());
    for (scope, tenant, pages) in [
        (Scope::Read, Some("acme"), &["Entries", "Catalogue"][..]),
        (Scope::Admin, Some("acme"), &["Entries", "Catalogue"]),
        (Scope::Export, None, &["Entries", "Catalogue", "Health"]),
        (
            Scope::Admin,
            None,
            &[
                "Entries",
                "Catalogue",
                "Health",
                "Tokens",
                "Settings",
                "Webhooks",
            ],
        ),
    ] {
        let cookie = signed_in(&served, &key(&served, scope, tenant)).await;
        let home = page(&served, "/audit", &cookie, 200).await;
        assert_eq!(navigation(&home), pages, "{scope} {tenant:?}");
        let status = if tenant.is_none() { 200 } else { 403 };
        page(&served, "/audit/health", &cookie, status).await;
    }
}

/// A form that a page sends, and the answer to which leads back to a page.
async fn sent(served: &Served, path: &str, body: &str, cookie: &str, back: &str) {
    let answer = form(served, path, body, Some(cookie)).await;
    assert_eq!(answer.status, 303, "{path}: {}", answer.text());
    assert_eq!(answer.header(axum::http::header::LOCATION), back);
}

/// A form that is refused with this status, and the page that says why.
async fn refused(served: &Served, path: &str, body: &str, cookie: &str, status: u16) -> String {
    let answer = form(served, path, body, Some(cookie)).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    answer.text().to_owned()
}

const HOSTILE: &str = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE";

fn check_is_text(page: &str) {
    for forbidden in ["<script>", "\u{202e}"] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
}

#[tokio::test]
async fn a_token_is_created_shown_once_and_revoked_by_forms() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let body = "name=siem&scope=export&tenant_id=acme&expires=2099-12-31";
    let made = form(&served, "/audit/admin/tokens", body, Some(&cookie)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made
        .text()
        .split("aria-label=\"The token\">")
        .nth(1)
        .unwrap();
    let secret = secret.split('<').next().unwrap().to_owned();
    let access = served.log.tokens().verify(&secret).unwrap().unwrap();
    assert_eq!((&*access.name, access.scope), ("siem", Scope::Export));
    assert_eq!(access.tenant.as_deref(), Some("acme"));

    let list = page(&served, "/audit/admin/tokens", &cookie, 200).await;
    assert!(list.contains("siem") && list.contains("Dec 31, 2099"));
    assert!(!list.contains(&secret[12..]));
    assert!(list.contains("You are here by it"));
    let revoke = format!("/audit/admin/tokens/{}/revoke", access.id);
    assert!(list.contains(&format!("action=\"{revoke}\"")));
    sent(&served, &revoke, "", &cookie, "/audit/admin/tokens").await;
    assert!(served.log.tokens().verify(&secret).unwrap().is_none());
    refused(&served, &revoke, "", &cookie, 404).await;

    served.log.flush().unwrap();
    for (event_type, path) in [
        ("audit.token.created", "/audit/admin/tokens"),
        ("audit.token.revoked", &revoke),
    ] {
        let entry = &served.records(event_type)[0];
        assert_eq!(entry["actor"]["name"], "admin key");
        assert_eq!(entry["details"]["token_id"], access.id);
        assert_eq!(entry["details"]["path"], path);
    }
    let reads = served.records("audit.access.read");
    let of_list = |read: &&serde_json::Value| {
        read["description"] == "The list of tokens was read in the console"
    };
    assert_eq!(reads.iter().filter(of_list).count(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said_beside_its_field() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let before = served.log.tokens().list().unwrap().len();
    let long = "n".repeat(129);
    for (body, field, said) in [
        ("name=", "name", "1 to 128 bytes"),
        (&*format!("name={long}"), "name", "128"),
        (
            "name=a&scope=root",
            "scope",
            "is not one of read, export, admin",
        ),
        ("name=a&expires=soon", "expires", "it must be a date like"),
        ("name=a&expires=2001-01-01", "expires", "past"),
    ] {
        let page = refused(&served, "/audit/admin/tokens", body, &cookie, 400).await;
        let wrong = page.split(&format!("id=\"{field}-wrong\"")).nth(1);
        let wrong = wrong.unwrap_or_else(|| panic!("{body}: {page}"));
        let wrong = wrong.split("</span>").next().unwrap();
        assert!(wrong.contains(said), "{body}: {wrong}");
    }
    for (body, said) in [
        ("name=a&other=b", "other: there is no such setting"),
        ("name=a&name=b", "it is given twice"),
    ] {
        let page = refused(&served, "/audit/admin/tokens", body, &cookie, 400).await;
        assert!(page.contains(said), "{body}");
    }
    let body = format!("name={HOSTILE}&tenant_id={HOSTILE}&expires={HOSTILE}");
    check_is_text(&refused(&served, "/audit/admin/tokens", &body, &cookie, 400).await);
    assert_eq!(served.log.tokens().list().unwrap().len(), before);
    served.log.flush().unwrap();
    let refusals = served.records("audit.token.refused");
    assert_eq!(refusals[0]["details"]["parameter"], "name");
    assert_eq!(refusals.len(), 8);
}

#[tokio::test]
async fn a_change_needs_a_page_of_this_server_and_an_administrator() {
    let served = served(1, RouterOptions::new());
    let before = served.log.tokens().list().unwrap().len();
    let cookie = signed_in(&served, &served.token).await;
    let request = axum::http::Request::post("/audit/admin/tokens")
        .header("cookie", &cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body("name=evil&scope=admin".into());
    assert_eq!(served.send(request.unwrap()).await.status, 403);
    for (scope, tenant) in [(Scope::Export, None), (Scope::Admin, Some("acme"))] {
        let token = key(&served, scope, tenant);
        let cookie = signed_in(&served, &token).await;
        for path in ["tokens", "settings", "webhooks"] {
            let path = format!("/audit/admin/{path}");
            let page = page(&served, &path, &cookie, 403).await;
            assert!(page.contains("Not allowed") && !page.contains("<th>"));
        }
        let path = "/audit/admin/tokens";
        refused(&served, path, "name=evil&scope=admin", &cookie, 403).await;
    }
    let after = served.log.tokens().list().unwrap();
    assert_eq!(after.len(), before + 2);
    assert!(after.iter().all(|token| token.name != "evil"));
}

#[tokio::test]
async fn a_server_that_only_reads_offers_no_change() {
    let served = served(1, RouterOptions::new());
    let options = RouterOptions::new().unrecorded_reads(true);
    let app = tracing_audit::http::read_only_router(served.dir.path(), options).unwrap();
    let served = Served {
        app: axum::Router::new().nest("/audit", app),
        ..served
    };
    let cookie = signed_in(&served, &served.token).await;
    for path in ["/audit/admin/tokens", "/audit/admin/settings"] {
        let page = page(&served, path, &cookie, 200).await;
        assert!(page.contains("nothing can be changed here"));
        assert_eq!(page.matches("<form").count(), 1, "only that to sign out");
    }
    refused(&served, "/audit/admin/tokens", "name=a", &cookie, 503).await;
    let health = page(&served, "/audit/health", &cookie, 200).await;
    assert!(health.contains("only reads the log") && !health.contains("This process<"));
}

#[tokio::test]
async fn the_retention_is_changed_by_a_form() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit/admin/settings/retention";
    for (body, said) in [
        ("limit=days&retention_days=30", "stay <b>30 days</b>"),
        (
            "limit=unlimited&retention_days=30",
            "stay <b>without limit</b>",
        ),
        (
            "limit=own&retention_days=",
            "stay <b>as each application sets it</b>",
        ),
    ] {
        sent(&served, path, body, &cookie, "/audit/admin/settings").await;
        let page = page(&served, "/audit/admin/settings", &cookie, 200).await;
        assert!(page.contains(said), "{body}");
    }
    for body in ["limit=days&retention_days=7", "limit=days&retention_days="] {
        let page = refused(&served, path, body, &cookie, 400).await;
        let said = "it must be a number of days from 30 to 365";
        let wrong = page.split("id=\"retention_days-wrong\"").nth(1).unwrap();
        assert!(wrong.contains(said), "{body}");
    }
    let body = format!("limit={HOSTILE}&retention_days={HOSTILE}");
    check_is_text(&refused(&served, path, &body, &cookie, 400).await);
    served.log.flush().unwrap();
    assert_eq!(served.records("audit.setting.changed").len(), 3);
    assert_eq!(served.records("audit.setting.refused").len(), 3);
}

#[tokio::test]
async fn a_hold_is_placed_and_released_by_forms() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit/admin/settings/holds";
    let body = format!("name=case-17&start_date=2026-10-01&end_date=2026-10-31&reason={HOSTILE}");
    sent(&served, path, &body, &cookie, "/audit/admin/settings").await;
    let list = page(&served, "/audit/admin/settings", &cookie, 200).await;
    assert!(list.contains("case-17") && list.contains("by <bdi>admin key</bdi>"));
    check_is_text(&list);
    let held = served.log.reader().holds().unwrap();
    assert_eq!(
        held[0].end().unwrap().to_string(),
        "2026-11-01T00:00:00.000000Z"
    );
    for (body, field, said) in [
        ("name=case-17", "name", "there is already a hold"),
        ("name=a+b", "name", "is not 1 to 64 of"),
        (
            "name=b&start_date=2026-10-02&end_date=2026-10-01",
            "end_date",
            "the hold ends at",
        ),
    ] {
        let page = refused(&served, path, body, &cookie, 400).await;
        let wrong = page.split(&format!("id=\"{field}-wrong\"")).nth(1).unwrap();
        assert!(wrong.contains(said), "{body}");
    }
    let release = "/audit/admin/settings/holds/case-17/release";
    assert!(list.contains(&format!("action=\"{release}\"")));
    sent(&served, release, "", &cookie, "/audit/admin/settings").await;
    assert!(served.log.reader().holds().unwrap().is_empty());
    refused(&served, release, "", &cookie, 404).await;
    served.log.flush().unwrap();
    for event_type in ["audit.hold.placed", "audit.hold.released"] {
        assert_eq!(served.records(event_type)[0]["actor"]["name"], "admin key");
    }
}

/// A log with a webhook to this address, which has secrets in its settings.
async fn with_a_webhook(url: &str) -> Served {
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

fn check_has_no_secret(page: &str) {
    for secret in ["3141592653", "2718281828", "1414213562", "whsec_"] {
        assert!(!page.contains(secret), "{secret}");
    }
}

const HOOKS: &str = "/audit/admin/webhooks";
const SIEM: &str = "/audit/admin/webhooks/siem";

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
