//! The bytes that a browser loads for a page.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use tracing_audit::{audit, http::RouterOptions};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, signed_in},
    http::{Served, served},
};

/// Full pages of entries as an application records them.
fn record(served: &Served, count: usize, actors: usize) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..count {
            audit!(
                dyn format!("secret.rotation.completed_{}", n % 9),
                actor.r#type = "user",
                actor.id = format!("user-{}", n % actors),
                actor.name = format!("user{}@example.com", n % actors),
                resource.r#type = "secret",
                resource.id = format!("secret-{n}"),
                resource.name = format!("database password {n}"),
                ip_address = format!("192.0.2.{n}"),
                user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                session_id = fastrand::u64(..),
                "Rotation of the database password {} completed",
                n
            );
        }
    });
    served.log.flush().unwrap();
}

#[tokio::test]
async fn a_page_with_its_files_is_no_more_than_150_kilobytes() {
    let served = served(0, RouterOptions::new());
    record(&served, 60, 9);
    let cookie = signed_in(&served, &served.token).await;
    for path in [
        "/audit",
        "/audit?event_type=secret.*&outcome=success&columns=actor&columns=description",
        "/audit/actor?actor=user-1",
        "/audit/actor?actor=user",
    ] {
        let page = by_cookie(&served, Method::GET, path, &cookie).await;
        let mut bytes = page.body.len();
        for asset in page.text().split("/audit/assets/").skip(1) {
            let name = asset.split('"').next().unwrap();
            let path = format!("/audit/assets/{name}");
            let file = by_cookie(&served, Method::GET, &path, &cookie).await;
            bytes += file.body.len();
        }
        assert!(bytes > 50_000 && bytes <= 150_000, "{path}: {bytes}");
    }
}

/// The bytes that a browser gets, which takes what is compressed.
async fn sent(served: &Served, path: &str, cookie: &str) -> (usize, String) {
    let request = Request::get(path)
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT_ENCODING, "gzip")
        .header("sec-fetch-site", "same-origin");
    let answer = served.send(request.body(Body::empty()).unwrap()).await;
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(&answer.body[..]));
    (answer.body.len(), text.unwrap())
}

#[tokio::test]
async fn all_values_of_an_opened_field_are_a_few_kilobytes_to_a_browser() {
    let served = served(0, RouterOptions::new());
    record(&served, 400, 200);
    let cookie = signed_in(&served, &served.token).await;
    let (closed, _) = sent(&served, "/audit", &cookie).await;
    let (opened, page) = sent(&served, "/audit?facet=actor", &cookie).await;
    assert_eq!(page.matches("aria-label=\"Exclude user").count(), 100);
    assert!(page.contains("100 more values in 200 entries"));
    assert!(
        opened < closed + 10_000 && opened < 50_000,
        "{closed} {opened}"
    );
}
