//! Signing in to the console, and what its cookie opens.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};
use tracing_audit::http::{Access, Denied, NewToken, RouterOptions, Scope};

use crate::http::{Answer, Served, served};

/// How long a session lasts, in seconds.
const LIFE: &str = "43200";

/// A form that a page of the server sends.
pub(crate) async fn form(served: &Served, path: &str, body: &str, cookie: Option<&str>) -> Answer {
    form_with(
        served,
        path,
        body,
        cookie,
        &[("sec-fetch-site", "same-origin")],
    )
    .await
}

async fn form_with(
    served: &Served,
    path: &str,
    body: &str,
    cookie: Option<&str>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::post(path)
        .header(header::HOST, "audit.example.com")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    served
        .send(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

/// Signs in, and returns the cookie as a browser sends it.
pub(crate) async fn signed_in(served: &Served, token: &str) -> String {
    let answer = form(served, "/audit/sign-in", &format!("token={token}"), None).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header(header::SET_COOKIE);
    cookie.split(';').next().unwrap().to_owned()
}

/// A request with a cookie, as a page of the server makes a browser send it.
pub(crate) async fn by_cookie(served: &Served, method: Method, path: &str, cookie: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin");
    served.send(request.body(Body::empty()).unwrap()).await
}

/// A token that holds at once.
pub(crate) fn key(served: &Served, scope: Scope, tenant: Option<&str>) -> String {
    let new = NewToken {
        name: format!("{scope} key"),
        scope,
        tenant: tenant.map(str::to_owned),
        expires: None,
    };
    served.log.tokens().create(new).unwrap().1
}

fn accesses(served: &Served, event_type: &str) -> Vec<Value> {
    served.log.flush().unwrap();
    served.records(event_type)
}

#[tokio::test]
async fn the_cookie_stays_in_the_browser_and_below_the_mount() {
    let served = served(1, RouterOptions::new());
    let body = format!("token={}&next=%3Factor%3Dann", served.token);
    let answer = form(&served, "/audit/sign-in", &body, None).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header(header::LOCATION), "/audit?actor=ann");
    let cookie = answer.header(header::SET_COOKIE);
    let (value, attributes) = cookie.split_once("; ").unwrap();
    let value = value.strip_prefix("__Secure-audit-session=").unwrap();
    assert_eq!(value.len(), 43, "32 bytes in base64url");
    let expected = format!("Path=/audit; Max-Age={LIFE}; HttpOnly; Secure; SameSite=Strict");
    assert_eq!(attributes, expected);
    assert!(!served.token.contains(value));
    let other = signed_in(&served, &served.token).await;
    assert!(
        !other.contains(value),
        "each session has a value of its own"
    );
}

#[tokio::test]
async fn a_session_opens_what_its_token_opens() {
    let served = served(4, RouterOptions::new());
    for (scope, tenant, expected) in [
        (Scope::Read, None, [200, 200, 403, 403, 200]),
        (Scope::Export, None, [200, 200, 200, 403, 200]),
        (Scope::Admin, None, [200, 200, 200, 200, 200]),
        (Scope::Admin, Some("acme"), [200, 200, 200, 403, 403]),
    ] {
        let key = key(&served, scope, tenant);
        let cookie = signed_in(&served, &key).await;
        let paths = [
            "/audit",
            "/audit/entries",
            "/audit/export?format=ndjson",
            "/audit/tokens",
            "/audit/metrics",
        ];
        for (path, status) in paths.into_iter().zip(expected) {
            let answer = by_cookie(&served, Method::GET, path, &cookie).await;
            assert_eq!(answer.status, status, "{path} {scope} {tenant:?}");
        }
    }
}

#[tokio::test]
async fn a_tenants_session_sees_its_tenant_alone() {
    let served = served(20, RouterOptions::new());
    let key = key(&served, Scope::Read, Some("acme"));
    let cookie = signed_in(&served, &key).await;
    let page = by_cookie(&served, Method::GET, "/audit/entries", &cookie)
        .await
        .json();
    let entries = page["entries"].as_array().unwrap();
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| entry["tenant_id"] == "acme"));
    let html = by_cookie(&served, Method::GET, "/audit", &cookie).await;
    // The entries of this tenant are those with even numbers; so are its actors.
    assert!(html.text().contains("10 entries"), "{}", html.text());
    assert!(html.text().contains("user-2"));
    assert!(!html.text().contains("user-1"));
    let other = "/audit?tenant_id=globex";
    assert_eq!(
        by_cookie(&served, Method::GET, other, &cookie).await.status,
        400
    );
}

#[tokio::test]
async fn a_change_must_come_from_a_page_of_this_server() {
    let served = served(0, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let origin = "https://audit.example.com";
    for (headers, is_let_in) in [
        (&[("sec-fetch-site", "same-origin")][..], true),
        (&[("origin", origin)], true),
        (
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            true,
        ),
        (&[], false),
        (&[("origin", "null")], false),
        (&[("origin", "https://evil.example.com")], false),
        (&[("origin", "https://audit.example.com:444")], false),
        (
            &[("sec-fetch-site", "same-site"), ("origin", origin)],
            false,
        ),
        (
            &[("sec-fetch-site", "cross-site"), ("origin", origin)],
            false,
        ),
        (&[("sec-fetch-site", "none")], false),
    ] {
        let mut request = Request::delete("/audit/tokens/00000000")
            .header(header::HOST, "audit.example.com")
            .header(header::COOKIE, &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = served.send(request.body(Body::empty()).unwrap()).await;
        let status = if is_let_in { 404 } else { 403 };
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
        // Whoever signs in must do so by our page too, or could be signed in as someone else.
        let body = format!("token={}", served.token);
        let answer = form_with(&served, "/audit/sign-in", &body, None, headers).await;
        let status = if is_let_in { 303 } else { 403 };
        assert_eq!(answer.status, status, "{headers:?}");
    }
    // A safe request changes nothing, and a token is in no browser's keeping.
    let request = Request::get("/audit/tokens").header(header::COOKIE, &cookie);
    let request = request.header("sec-fetch-site", "none").body(Body::empty());
    assert_eq!(served.send(request.unwrap()).await.status, 200);
    let by_token = served
        .call(Method::DELETE, "/audit/tokens/00000000", None)
        .await;
    assert_eq!(by_token.status, 404);
    let denied = accesses(&served, "audit.access.denied");
    let refused = denied
        .iter()
        .find(|entry| entry["details"]["path"] == "/audit/tokens/00000000");
    let refused = refused.unwrap();
    assert_eq!(refused["actor"]["name"], "admin key");
    assert_eq!(refused["outcome"]["reason"], "authorization");
}

#[tokio::test]
async fn an_authorization_wins_over_a_cookie() {
    let served = served(0, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let reader = key(&served, Scope::Read, None);
    for (authorization, status) in [
        (format!("Bearer {reader}"), 403),
        ("Bearer wrong".to_owned(), 401),
        ("Basic abc".to_owned(), 401),
        (String::new(), 401),
        (format!("Bearer {}", served.token), 200),
    ] {
        let request = Request::get("/audit/tokens")
            .header(header::COOKIE, &cookie)
            .header(header::AUTHORIZATION, &authorization);
        let answer = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{authorization}");
    }
}

#[tokio::test]
async fn other_cookies_open_nothing() {
    let served = served(0, RouterOptions::new());
    let good = signed_in(&served, &served.token).await;
    let value = good.split_once('=').unwrap().1;
    let long = format!("{good}{}", "x".repeat(20_000));
    for (cookie, status) in [
        (good.as_str(), 200),
        (&format!("a=b; {good}; c"), 200),
        (&format!("{good}; {good}"), 401),
        (&format!("{good}; __Secure-audit-session=other"), 401),
        (&format!("__Secure-audit-session=; {good}"), 401),
        (&format!("audit-session={value}"), 401),
        (&format!("__secure-audit-session={value}"), 401),
        (&format!("__Secure-audit-session=\"{value}\""), 401),
        (&format!("__Secure-audit-session={}", served.token), 401),
        (&good[..good.len() - 1], 401),
        (&long, 401),
        ("__Secure-audit-session", 401),
        (";;;=;", 401),
    ] {
        let answer = by_cookie(&served, Method::GET, "/audit/entries", cookie).await;
        assert_eq!(answer.status, status, "{cookie}");
    }
    let bytes = header::HeaderValue::from_bytes(b"\xff\x80=\xfe; __Secure-audit-session=\xff");
    let request = Request::get("/audit/entries").header(header::COOKIE, bytes.unwrap());
    assert_eq!(
        served
            .send(request.body(Body::empty()).unwrap())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_link_of_another_site_is_followed_with_the_session() {
    let served = served(1, RouterOptions::new());
    let arrive = async |path: &str, site: &str| {
        let request = Request::get(path)
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate");
        served.send(request.body(Body::empty()).unwrap()).await
    };
    for site in ["cross-site", "same-site"] {
        let page = arrive("/audit?actor=user-1", site).await;
        assert_eq!(page.status, 200);
        assert!(
            page.text().contains("http-equiv=\"refresh\""),
            "{}",
            page.text()
        );
        assert!(!page.text().contains("user-1"));
    }
    // The page loads itself again, which is no request of another site.
    assert_eq!(
        arrive("/audit?actor=user-1", "same-origin").await.status,
        401
    );
    assert_eq!(arrive("/audit", "none").await.status, 401);
    assert_eq!(arrive("/audit/entries", "cross-site").await.status, 401);
    assert!(
        !arrive("/audit/sign-in", "cross-site")
            .await
            .text()
            .contains("refresh")
    );
    assert_eq!(accesses(&served, "audit.access.denied").len(), 3);
}

#[tokio::test]
async fn a_session_ends_with_its_token_at_once() {
    let served = served(0, RouterOptions::new());
    let new = NewToken {
        name: "ann".into(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    };
    let (info, text) = served.log.tokens().create(new).unwrap();
    let cookie = signed_in(&served, &text).await;
    let read = || by_cookie(&served, Method::GET, "/audit/entries", &cookie);
    assert_eq!(read().await.status, 200);
    assert!(served.log.tokens().revoke(&info.id).unwrap());
    assert_eq!(read().await.status, 401);
    let page = by_cookie(&served, Method::GET, "/audit", &cookie).await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("Your session has ended"));
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let served = served(0, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let elsewhere = form_with(&served, "/audit/sign-out", "", Some(&cookie), &[]).await;
    assert_eq!(elsewhere.status, 403);
    let other = signed_in(&served, &served.token).await;
    let answer = form(&served, "/audit/sign-out", "", Some(&cookie)).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header(header::LOCATION), "/audit/sign-in");
    let gone = answer.header(header::SET_COOKIE);
    assert!(
        gone.starts_with("__Secure-audit-session=; Path=/audit; Max-Age=0;"),
        "{gone}"
    );
    let note = answer.headers.get_all(header::SET_COOKIE).iter().nth(1);
    let note = note.unwrap().to_str().unwrap();
    let path = "; Path=/audit/sign-in; Max-Age=60; HttpOnly; Secure; SameSite=Strict";
    let note = note.strip_suffix(path).unwrap();
    // The sign-in page says so, and takes the note away.
    for (cookie, is_said) in [(note, true), ("", false)] {
        let page = by_cookie(&served, Method::GET, "/audit/sign-in", cookie).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.text().contains("You are signed out."), is_said);
        let gone = page.headers.get(header::SET_COOKIE);
        let gone = gone.is_some_and(|gone| gone.to_str().unwrap().contains("; Max-Age=0;"));
        assert_eq!(gone, is_said);
    }
    for (cookie, status) in [(&cookie, 401), (&other, 200)] {
        let answer = by_cookie(&served, Method::GET, "/audit/entries", cookie).await;
        assert_eq!(answer.status, status);
    }
    let again = form(&served, "/audit/sign-out", "", Some(&cookie)).await;
    assert_eq!(again.status, 303);
    assert_eq!(accesses(&served, "audit.access.signed_out").len(), 1);
}

#[tokio::test]
async fn signing_in_and_out_is_in_the_log_without_the_token() {
    let served = served(0, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    form(&served, "/audit/sign-out", "", Some(&cookie)).await;
    form(&served, "/audit/sign-in", "token=ta_00000000_wrong", None).await;
    let [signed_in] = &accesses(&served, "audit.access.signed_in")[..] else {
        panic!("one entry")
    };
    let id = &served.token[3..11];
    assert_eq!(
        signed_in["actor"],
        json!({"type": "api_key", "id": id, "name": "admin key"})
    );
    assert_eq!(signed_in["ip_address"], "192.0.2.7");
    assert_eq!(
        signed_in["details"],
        json!({"path": "/audit/sign-in", "method": "token"})
    );
    let [signed_out] = &accesses(&served, "audit.access.signed_out")[..] else {
        panic!("one entry")
    };
    assert_eq!(signed_out["actor"], signed_in["actor"]);
    let [denied] = &accesses(&served, "audit.access.denied")[..] else {
        panic!("one entry")
    };
    assert_eq!(
        denied["outcome"],
        json!({"type": "failure", "reason": "authentication"})
    );
    let secret = &served.token[12..];
    let value = cookie.split_once('=').unwrap().1;
    for entry in [signed_in, signed_out, denied] {
        let text = entry.to_string();
        assert!(!text.contains(secret) && !text.contains(value) && !text.contains("wrong"));
    }
}

#[tokio::test]
async fn failed_sign_ins_are_counted_like_other_refusals() {
    let served = served(0, RouterOptions::new());
    for n in 0..50 {
        let answer = form(&served, "/audit/sign-in", &format!("token=wrong{n}"), None).await;
        assert_eq!(answer.status, 401);
        assert!(answer.headers.get(header::SET_COOKIE).is_none());
        assert!(
            answer.text().contains("isn&#39;t valid"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(accesses(&served, "audit.access.denied").len(), 10);
}

#[tokio::test]
async fn a_link_signs_in_once_and_only_by_its_button() {
    let served = served(0, RouterOptions::new());
    let new = NewToken {
        name: "ann".into(),
        scope: Scope::Read,
        tenant: None,
        expires: None,
    };
    let (info, _) = served.log.tokens().create(new).unwrap();
    assert_eq!(served.log.tokens().sign_in_code("00000000").unwrap(), None);
    let code = served.log.tokens().sign_in_code(&info.id).unwrap().unwrap();
    let path = format!("/audit/sign-in?code={code}");
    for _ in 0..3 {
        // As a program does that looks at the links in a mail.
        let request = Request::get(&path).body(Body::empty()).unwrap();
        let page = served.send(request).await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains(&format!("value=\"{code}\"")));
        assert!(page.headers.get(header::SET_COOKIE).is_none());
    }
    let body = format!("code={code}");
    let answer = form(&served, "/audit/sign-in", &body, None).await;
    assert_eq!(answer.status, 303);
    let cookie = answer.header(header::SET_COOKIE).split(';').next().unwrap();
    let read = by_cookie(&served, Method::GET, "/audit/entries", cookie).await;
    assert_eq!(read.status, 200);
    assert_eq!(
        form(&served, "/audit/sign-in", &body, None).await.status,
        401
    );
    let made = accesses(&served, "audit.token.sign_in_code_created");
    assert_eq!(made[0]["details"]["token_id"], info.id.as_str());
    let entries = accesses(&served, "audit.access.signed_in");
    assert_eq!(entries[0]["details"]["method"], "link");
    // A link of a token that was revoked meanwhile opens nothing.
    let code = served.log.tokens().sign_in_code(&info.id).unwrap().unwrap();
    served.log.tokens().revoke(&info.id).unwrap();
    let answer = form(&served, "/audit/sign-in", &format!("code={code}"), None).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_sign_in_leads_nowhere_else_and_takes_forms_only() {
    let served = served(0, RouterOptions::new());
    for next in ["//evil.example", "/x", "..%2Fx", "%5Cevil", "a%0D%0Ab:c"] {
        let body = format!("token={}&next={next}", served.token);
        let answer = form(&served, "/audit/sign-in", &body, None).await;
        assert_eq!(answer.header(header::LOCATION), "/audit", "{next}");
    }
    let long = format!("token={}", "x".repeat(20_000));
    assert_eq!(
        form(&served, "/audit/sign-in", &long, None).await.status,
        413
    );
    for wrong in ["token=%ff", "token=a&token=b"] {
        assert_eq!(
            form(&served, "/audit/sign-in", wrong, None).await.status,
            400
        );
    }
    let json = Request::post("/audit/sign-in")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({"token": served.token}).to_string()));
    assert_eq!(served.send(json.unwrap()).await.status, 415);
}

#[tokio::test]
async fn an_application_with_a_login_of_its_own_has_no_other() {
    let options = RouterOptions::new().authorizer(|request: &axum::http::request::Parts| {
        if !request.headers.contains_key("x-user") {
            return Err(Denied::Unauthenticated("not logged in".into()));
        }
        Ok(Access {
            actor_type: "user".into(),
            id: "user-1".into(),
            name: "ann@example.com".into(),
            scope: Scope::Read,
            tenant: None,
        })
    });
    let served = served(2, options);
    let request = Request::get("/audit/sign-in").body(Body::empty()).unwrap();
    assert_eq!(served.send(request).await.status, 404);
    let body = format!("token={}", served.token);
    assert_eq!(
        form(&served, "/audit/sign-in", &body, None).await.status,
        404
    );
    let request = Request::get("/audit").body(Body::empty()).unwrap();
    let page = served.send(request).await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("Sign in to the application"));
    assert!(!page.text().contains("name=\"token\""));
    let request = Request::get("/audit").header("x-user", "ann");
    let page = served.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("ann@example.com"));
    assert!(!page.text().contains("Sign out"));
}
