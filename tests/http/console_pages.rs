//! The pages of the console.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, header},
};
use tracing_audit::{
    audit,
    http::{RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, key, signed_in},
    http::{Answer, Served, served},
};

async fn get(served: &Served, path: &str, cookie: &str) -> Answer {
    by_cookie(served, Method::GET, path, cookie).await
}

/// The links of a page that have this text in them.
fn links<'a>(page: &'a Answer, text: &str) -> Vec<String> {
    let pieces: Vec<&'a str> = page.text().split("<a ").skip(1).collect();
    let links = pieces.into_iter().filter(|piece| {
        let whole = piece.split("</a>").next().unwrap();
        whole.contains(text)
    });
    // A template of rows has links that lead nowhere yet.
    let href = |piece: &str| {
        let href = piece.split("href=\"").nth(1)?.split('"').next()?;
        Some(href.replace("&#38;", "&").replace("&amp;", "&"))
    };
    links.filter_map(href).collect()
}

fn check_headers(headers: &HeaderMap) {
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|one| one == part), "{part}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
    assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
}

#[tokio::test]
async fn every_page_keeps_others_out_of_itself() {
    let served = served(2, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let page = served.get("/audit/entries").await.json();
    let id = page["entries"][0]["id"].as_str().unwrap();
    for (path, status) in [
        ("/audit", 200),
        ("/audit?actr=ann", 400),
        ("/audit/sign-in", 200),
        (&*format!("/audit/entry/{id}"), 200),
        ("/audit/entry/0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11", 404),
        ("/audit/entry/wrong", 400),
    ] {
        let answer = get(&served, path, &cookie).await;
        assert_eq!(answer.status, status, "{path}");
        check_headers(&answer.headers);
        for forbidden in ["style=", "<script>", "onclick=", "http://", "javascript:"] {
            let text = answer
                .text()
                .replace("xmlns='http://www.w3.org/2000/svg'", "");
            assert!(!text.contains(forbidden), "{path} {forbidden}");
        }
    }
    let request = Request::get("/audit").body(Body::empty()).unwrap();
    let answer = served.send(request).await;
    assert_eq!(answer.status, 401);
    check_headers(&answer.headers);
    assert!(answer.text().contains("name=\"token\""));
}

#[tokio::test]
async fn a_page_is_a_recorded_read() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    get(&served, "/audit?actor=user-1&range=7d", &cookie).await;
    let accesses = served.accesses(2);
    let read = &accesses[1];
    assert_eq!(read["event_type"], "audit.access.read");
    assert_eq!(read["actor"]["name"], "admin key");
    assert_eq!(read["details"]["path"], "/audit");
    assert_eq!(read["details"]["parameters"]["actor"], "user-1");
    assert_eq!(read["details"]["entries"], 1);
    assert_eq!(read["details"]["counted"], 1);
}

#[tokio::test]
async fn a_line_becomes_the_parameters_of_the_api() {
    let served = served(10, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit?range=7d&search=actor%3Auser-1+%21outcome%3Afailure+%22Invoice+1%22";
    let answer = get(&served, path, &cookie).await;
    assert_eq!(answer.status, 303);
    let to = answer.header(header::LOCATION);
    assert_eq!(
        to,
        "/audit?actor=user-1&outcome=!failure&q=Invoice%201&range=7d"
    );
    let page = get(&served, to, &cookie).await;
    assert!(page.text().contains("1 entry"), "{}", page.text());
    let line = "value=\"actor:user-1 !outcome:failure &#34;Invoice 1&#34;\"";
    assert!(page.text().contains(line), "{}", page.text());
}

#[tokio::test]
async fn what_is_wrong_with_a_line_is_said_beside_it_in_the_words_of_the_api() {
    let served = served(1, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    for (line, said) in [
        (
            "actr%3Aann",
            "actr: there is no such parameter; there are start_date",
        ),
        ("outcome%3Abad", "outcome: "),
        ("%22open", "a quote is opened and not closed"),
        ("ip_address%3A300.1.1.1", "ip_address: "),
    ] {
        let page = get(&served, &format!("/audit?search={line}"), &cookie).await;
        assert_eq!(page.status, 400, "{line}");
        assert!(page.text().contains(said), "{line}: {}", page.text());
        assert!(page.text().contains("aria-invalid"));
    }
    for query in [
        "cursor=wrong",
        "range=1y",
        "columns=x",
        "limit=5",
        "order=asc",
        "include=all",
    ] {
        let page = get(&served, &format!("/audit?{query}"), &cookie).await;
        assert_eq!(page.status, 400, "{query}");
    }
}

#[tokio::test]
async fn pages_lead_to_older_entries_and_back() {
    let served = served(120, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let numbers = |page: &Answer| -> Vec<u64> {
        let cells = page
            .text()
            .split("<td class=\"description\"><bdi>Invoice ")
            .skip(1);
        cells
            .map(|cell| cell.split(' ').next().unwrap().parse().unwrap())
            .collect()
    };
    let path = "/audit/entries?event_type=invoice.sent&limit=1000";
    let all = served.get(path).await.json();
    let all = all["entries"].as_array().unwrap().iter();
    let all: Vec<u64> = all
        .map(|entry| entry["details"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(all.len(), 120);
    let first = get(&served, "/audit", &cookie).await;
    assert_eq!(numbers(&first), all[..50]);
    assert!(links(&first, ">Newer").is_empty());
    let older = format!("/audit{}", links(&first, ">Older")[0]);
    let second = get(&served, &older, &cookie).await;
    assert_eq!(numbers(&second), all[50..100]);
    let older = format!("/audit{}", links(&second, ">Older")[0]);
    let third = get(&served, &older, &cookie).await;
    assert_eq!(numbers(&third), all[100..]);
    assert!(links(&third, ">Older").is_empty());
    let newer = format!("/audit{}", links(&third, ">Newer")[0]);
    assert_eq!(
        numbers(&get(&served, &newer, &cookie).await),
        numbers(&second)
    );
    let newer = format!("/audit{}", links(&second, ">Newer")[0]);
    assert_eq!(
        numbers(&get(&served, &newer, &cookie).await),
        numbers(&first)
    );
}

#[tokio::test]
async fn a_value_is_wanted_and_excluded_by_links() {
    let served = served(20, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let page = get(&served, "/audit", &cookie).await;
    assert!(page.text().contains("20 entries"));
    let only = &links(&page, "title=\"Only user-3\"")[0];
    let only = get(&served, &format!("/audit{only}"), &cookie).await;
    assert!(only.text().contains("2 entries"), "{}", only.text());
    let without = &links(&page, "title=\"Exclude user-3\"")[0];
    let without = get(&served, &format!("/audit{without}"), &cookie).await;
    assert!(without.text().contains("18 entries"));
    // A bar leads to its time, where there are as many entries.
    let bar = page.text().split("<title>").last().unwrap();
    assert!(bar.contains("info"), "{bar}");
    let empty = get(&served, "/audit?actor=nobody", &cookie).await;
    assert!(empty.text().contains("Nothing matches"));
    assert_eq!(links(&empty, "Remove all conditions"), ["?"]);
}

#[tokio::test]
async fn the_other_values_of_a_field_are_a_link_away() {
    let served = served(20, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let actors = |page: &Answer| page.text().matches("title=\"Only user-").count();
    let page = get(&served, "/audit?range=7d", &cookie).await;
    assert_eq!(actors(&page), 8);
    let more = links(&page, "2 more values in 4 entries");
    assert_eq!(more, ["?range=7d&facet=actor#facet-actor"]);
    let opened = get(&served, "/audit?range=7d&facet=actor", &cookie).await;
    assert!(opened.text().contains("id=\"facet-actor\""));
    assert_eq!(actors(&opened), 10);
    assert_eq!(links(&opened, "Fewer values"), ["?range=7d#facet-actor"]);
    // It stays open while values are chosen, and by the line of the search.
    let only = &links(&opened, "title=\"Only user-9\"")[0];
    assert_eq!(only, "?actor=user-9&range=7d&facet=actor");
    let line = "/audit?range=7d&facet=actor&search=actor%3Auser-9";
    let searched = get(&served, line, &cookie).await;
    assert_eq!(searched.header(header::LOCATION), format!("/audit{only}"));
}

#[tokio::test]
async fn an_empty_range_says_where_the_newest_entry_is() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let path = "/audit?start_date=2020-01-01&end_date=2020-01-02&actor=user-1";
    let page = get(&served, path, &cookie).await;
    assert!(
        page.text().contains("Show the newest one"),
        "{}",
        page.text()
    );
    assert_eq!(
        links(&page, "Show the newest one"),
        ["?actor=user-1&range=all"]
    );
}

#[tokio::test]
async fn the_page_of_an_actor_says_since_when_it_is_known() {
    let served = served(20, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let entries = served
        .get("/audit/entries?actor=user-3&order=asc")
        .await
        .json();
    let time = |at: usize| entries["entries"][at]["timestamp"].as_str().unwrap();
    // Also where the range has none of its entries.
    for query in [
        "actor=user-3",
        "actor=user-3&start_date=2020-01-01&end_date=2020-01-02",
    ] {
        let page = get(&served, &format!("/audit?{query}"), &cookie).await;
        let card = page.text().split("class=\"card subject\"").nth(1).unwrap();
        let card = card.split("</section>").next().unwrap();
        let seen: Vec<_> = card.split("datetime=\"").skip(1).collect();
        assert!(
            seen[0].starts_with(time(0)) && seen[1].starts_with(time(1)),
            "{card}"
        );
        assert!(card.contains("<bdi>user-3</bdi>"), "{card}");
    }
    for query in [
        "",
        "actor=!user-3",
        "actor=user-3&actor=user-4",
        "actor=nobody",
    ] {
        let page = get(&served, &format!("/audit?{query}"), &cookie).await;
        assert!(!page.text().contains("card subject"), "{query}");
    }
    // The holder of a tenant's token learns nothing of an actor of another.
    let cookie = signed_in(&served, &key(&served, Scope::Read, Some("acme"))).await;
    for (actor, is_known) in [("user-2", true), ("user-3", false)] {
        let page = get(&served, &format!("/audit?actor={actor}"), &cookie).await;
        assert_eq!(page.text().contains("card subject"), is_known, "{actor}");
    }
}

#[tokio::test]
async fn texts_of_entries_stay_texts() {
    let served = served(0, RouterOptions::new());
    let hostile = "\"'><script>alert(1)</script>&lt;\u{202e}\u{7}]]>";
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!(
            "login.failed",
            actor.r#type = hostile,
            actor.id = hostile,
            actor.name = hostile,
            resource.r#type = hostile,
            resource.id = hostile,
            resource.attributes = serde_json::json!({ hostile: hostile }),
            tenant_id = hostile,
            ip_address = hostile,
            user_agent = hostile,
            session_id = hostile,
            details.deep = serde_json::json!({ hostile: [hostile] }),
            "{hostile}"
        )
        .wait()
        .unwrap();
    });
    let cookie = signed_in(&served, &served.token).await;
    let page = served.get("/audit/entries").await.json();
    let id = page["entries"][0]["id"].as_str().unwrap().to_owned();
    for path in ["/audit".to_owned(), format!("/audit/entry/{id}")] {
        let answer = get(&served, &path, &cookie).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.text().contains("&#60;script&#62;") || answer.text().contains("&lt;script&gt;")
        );
        for forbidden in ["<script>", "\u{202e}", "\u{7}", "\"'>"] {
            assert!(!answer.text().contains(forbidden), "{path} {forbidden:?}");
        }
    }
}

#[tokio::test]
async fn an_entry_has_a_page_with_its_neighbours() {
    let served = served(5, RouterOptions::new());
    let cookie = signed_in(&served, &served.token).await;
    let page = get(&served, "/audit?actor=!user-2", &cookie).await;
    let entry = links(&page, "class=\"open\"");
    assert_eq!(entry.len(), 4);
    assert!(entry[1].ends_with("?actor=!user-2"));
    let shown = get(&served, &entry[1], &cookie).await;
    let id = entry[1].split(['/', '?']).nth(3).unwrap();
    for text in ["invoice.sent", id, "In the catalogue"] {
        assert!(shown.text().contains(text), "{text}");
    }
    assert_eq!(links(&shown, ">Newer"), entry[..1]);
    // Not the one of user-2.
    assert_eq!(links(&shown, ">Older"), entry[2..3]);
    assert_eq!(
        links(&shown, "Back to the entries"),
        ["/audit?actor=!user-2"]
    );
    served.log.flush().unwrap();
    let read = served.records("audit.access.read");
    assert!(
        read.iter()
            .any(|read| read["description"] == "An entry of the audit log was read in the console")
    );
}

#[tokio::test]
async fn a_download_is_offered_to_those_who_may_have_it() {
    let served = served(2, RouterOptions::new());
    for (scope, is_offered) in [(Scope::Read, false), (Scope::Export, true)] {
        let key = key(&served, scope, None);
        let cookie = signed_in(&served, &key).await;
        let page = get(&served, "/audit?actor=user-1", &cookie).await;
        let found = links(&page, ">CSV");
        assert_eq!(!found.is_empty(), is_offered);
        if let Some(href) = found.first() {
            let file = get(&served, href, &cookie).await;
            assert_eq!(file.status, 200);
            assert!(file.text().contains("user-1") && !file.text().contains("user-0"));
        }
    }
}

#[tokio::test]
async fn a_page_that_is_refused_is_a_page_too() {
    let served = served(0, RouterOptions::new().hosts(["audit.example.com"]));
    let long = format!("/audit?q={}", "x".repeat(30_000));
    for (path, host, status) in [
        ("/audit", "elsewhere.example", 421),
        ("/audit/sign-in", "elsewhere.example", 421),
        (&*long, "audit.example.com", 414),
    ] {
        let request = Request::get(path).header(header::HOST, host);
        let answer = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status);
        check_headers(&answer.headers);
        assert!(answer.text().contains("<h1>"), "{}", answer.text());
    }
    let request = Request::get("/audit/entries").header(header::HOST, "elsewhere.example");
    let answer = served.send(request.body(Body::empty()).unwrap()).await;
    answer.problem(421);
}

#[tokio::test]
async fn styles_and_scripts_are_stored_by_browsers() {
    let served = served(0, RouterOptions::new());
    let request = Request::get("/audit/sign-in").body(Body::empty()).unwrap();
    let page = served.send(request).await;
    let mut files = 0;
    for piece in page.text().split("/audit/assets/").skip(1) {
        let name = piece.split('"').next().unwrap();
        assert!(name.contains("?v="));
        let request = Request::get(format!("/audit/assets/{name}")).body(Body::empty());
        let file = served.send(request.unwrap()).await;
        assert_eq!(file.status, 200);
        assert!(file.header(header::CONTENT_TYPE).starts_with("text/"));
        files += 1;
    }
    assert_eq!(files, 2);
    let request = Request::get("/audit/assets/other.css")
        .body(Body::empty())
        .unwrap();
    assert_eq!(served.send(request).await.status, 404);
}

#[tokio::test]
async fn pages_and_styles_are_compressed_for_browsers_that_want_that() {
    let served = served(0, RouterOptions::new());
    let plain = Request::get("/audit/sign-in").body(Body::empty()).unwrap();
    let plain = served.send(plain).await;
    assert!(plain.headers.get(header::CONTENT_ENCODING).is_none());
    let style = plain.text().split("/audit/assets/").nth(1).unwrap();
    let style = format!("/audit/assets/{}", style.split('"').next().unwrap());
    for path in ["/audit/sign-in", &style] {
        let request = Request::get(path).header(header::ACCEPT_ENCODING, "gzip, br");
        let packed = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip", "{path}");
        assert_eq!(packed.header(header::VARY), "accept-encoding", "{path}");
        let text = flate2::read::GzDecoder::new(&packed.body[..]);
        let text = std::io::read_to_string(text).unwrap();
        assert!(packed.body.len() < text.len() / 2, "{path}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(served.send(request).await.text(), text, "{path}");
    }
}

#[tokio::test]
async fn the_console_works_at_any_path() {
    let served = served(1, RouterOptions::new());
    let root = served.log.router(RouterOptions::new()).unwrap();
    let deep =
        axum::Router::new().nest("/a/{b}/c", served.log.router(RouterOptions::new()).unwrap());
    for (app, mount) in [(root, ""), (deep, "/a/x/c")] {
        let home = if mount.is_empty() { "/" } else { mount };
        for path in [home.to_owned(), format!("{mount}/sign-in")] {
            use tower::ServiceExt as _;
            let request = Request::get(&path)
                .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
                .body(Body::empty());
            let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
                .await
                .unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(
                text.contains(&format!("href=\"{mount}/assets/console.css?v=")),
                "{text}"
            );
        }
    }
}
