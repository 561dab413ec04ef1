//! The token of a tenant says nothing of how much others write.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::Value;
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;
use tracing_audit::http::{RouterOptions, Scope};

use crate::http::{Answer, Served, record_one, served, token};

async fn by(served: &Served, token: &str, path: &str) -> Answer {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    served.send(request.body(Body::empty()).unwrap()).await
}

fn numbers(page: &Value) -> Vec<u64> {
    let entries = page["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["details"]["number"].as_u64().unwrap())
        .collect()
}

/// The first event of a stream, and its id.
async fn first_event(served: &Served, token: &str, last: &str) -> (Value, String) {
    let request = Request::get("/audit/stream?event_type=invoice.*")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("last-event-id", last);
    let request = request.body(Body::empty()).unwrap();
    let response = served.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("\n\n") {
        text += std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap();
    }
    let field = |name: &str| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap().to_owned()
    };
    (serde_json::from_str(&field("data")).unwrap(), field("id"))
}

const PAGE: &str = "/audit/entries?event_type=invoice.*&order=arrival&limit=3";

#[tokio::test]
async fn a_cursor_of_a_tenant_is_sealed_and_leads_on() {
    let served = served(20, RouterOptions::new());
    let of_acme = token(served.dir.path(), Scope::Read, Some("acme"));
    let stream = served.log.stream().as_str().to_owned();
    let mut cursor = String::new();
    let mut found = Vec::new();
    let mut seen = Vec::new();
    while found.len() < 9 {
        let page = by(&served, &of_acme, &format!("{PAGE}{cursor}")).await;
        assert_eq!(page.status, 200);
        for text in [
            String::from_utf8_lossy(&page.body),
            page.header(header::LINK).into(),
        ] {
            assert!(!text.contains("a1~") && !text.contains(&stream), "{text}");
        }
        let page = page.json();
        found.extend(numbers(&page));
        let next = page["next_cursor"].as_str().unwrap();
        assert!(next.starts_with("t1~"), "{next}");
        seen.push(next.to_owned());
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
    // Another server of the log reads it, and a stream goes on after it.
    let again = served.log.router(RouterOptions::new()).unwrap();
    let served = Served {
        app: axum::Router::new().nest("/audit", again),
        ..served
    };
    let last = seen.last().unwrap();
    let (event, id) = first_event(&served, &of_acme, last).await;
    assert_eq!(numbers(&event), [18]);
    assert!(id.starts_with("t1~") && event["next_cursor"] == id.as_str());
    record_one(&served.log);
    let (event, id) = first_event(&served, &of_acme, &id).await;
    assert_eq!(numbers(&event), [0; 0]);
    // Nobody can see in it that others have written: it is another one each time.
    let (_, same) = first_event(&served, &of_acme, &id).await;
    assert!(same != id && same.len() == id.len());
}

#[tokio::test]
async fn an_altered_or_foreign_cursor_is_refused() {
    let served = served(20, RouterOptions::new());
    let of_acme = token(served.dir.path(), Scope::Read, Some("acme"));
    let of_globex = token(served.dir.path(), Scope::Read, Some("globex"));
    let next = async |token: &str| {
        let page = by(&served, token, PAGE).await.json();
        page["next_cursor"].as_str().unwrap().to_owned()
    };
    let sealed = next(&of_acme).await;
    let plain = next(&served.token).await;
    assert!(plain.starts_with("a1~"), "{plain}");
    let mut altered = sealed.clone();
    let last = if sealed.ends_with('A') { "B" } else { "A" };
    altered.replace_range(sealed.len() - 10..sealed.len() - 9, last);
    for (token, cursor, why) in [
        (&of_acme, &altered, "it was altered"),
        (
            &of_globex,
            &sealed,
            "isn't a next_cursor that your token's tenant was given",
        ),
        (
            &of_acme,
            &plain,
            "isn't a next_cursor that your token's tenant was given",
        ),
        (&served.token, &sealed, "was given to a token of one tenant"),
    ] {
        let pages = format!("{PAGE}&cursor={cursor}");
        let streams = format!("/audit/stream?cursor={cursor}");
        for path in [pages, streams] {
            let problem = by(&served, token, &path).await.problem(400);
            assert_eq!(problem["parameter"], "cursor");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(why), "{detail}");
        }
    }
    // A cursor of another order stays one.
    let path = format!("/audit/entries?cursor={sealed}");
    by(&served, &of_acme, &path).await.problem(400);
    assert_eq!(
        by(&served, &served.token, &format!("{PAGE}&cursor={plain}"))
            .await
            .status,
        200
    );
}

/// By time, a cursor is the place of the last entry that was given.
#[tokio::test]
async fn a_cursor_by_time_is_of_an_entry_of_the_tenant() {
    let served = served(20, RouterOptions::new());
    let of_acme = token(served.dir.path(), Scope::Read, Some("acme"));
    for query in ["limit=3", "order=asc&limit=3&offset=2", "limit=1000"] {
        let path = format!("/audit/entries?event_type=invoice.*&{query}");
        let page = by(&served, &of_acme, &path).await.json();
        let last = page["entries"].as_array().unwrap().last().unwrap();
        assert_eq!(last["tenant_id"], "acme");
        let cursor = page["next_cursor"].as_str().unwrap();
        assert!(cursor.ends_with(last["id"].as_str().unwrap()), "{cursor}");
    }
}
