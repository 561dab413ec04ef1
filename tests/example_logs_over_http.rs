//! What the examples wrote is read, searched and downloaded over HTTP as their documents ask for
//! it.

#![cfg(all(feature = "macros", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/credential_manager/main.rs"]
mod credential_manager;
#[path = "support/example.rs"]
mod example;
#[path = "support/http.rs"]
mod http;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/identity_provider/main.rs"]
mod identity_provider;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/no_code_platform/main.rs"]
mod no_code_platform;
mod support;

use std::{
    io::{Cursor, Read},
    path::Path,
};

use axum::{
    Router,
    http::{StatusCode, header},
};
use example::{Written, types};
use http::{Served, open, token};
use serde_json::Value;
use tracing_audit::http::{RouterOptions, Scope};

/// The log of an example, with its API.
fn served<T>(run: impl FnOnce(&Path) -> Result<T, Box<dyn std::error::Error>>) -> Served {
    let Written { dir, .. } = Written::by(run);
    let log = open(dir.path());
    let token = token(dir.path(), Scope::Admin, None);
    let app = Router::new().nest("/audit", log.router(RouterOptions::new()).unwrap());
    Served {
        log,
        app,
        token,
        dir,
    }
}

async fn entries(served: &Served, search: &str) -> Vec<Value> {
    let answer = served
        .get(&format!("/audit/entries?order=asc&{search}"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{search}");
    answer.json()["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_credential_managers_api_lists_filters_and_pages() {
    let served = served(credential_manager::run);
    let own = "source=credential-manager";
    let all = entries(&served, own).await;
    let today = &all[0]["timestamp"].as_str().unwrap()[..10];
    assert!(
        !entries(&served, &format!("start_date={today}&{own}"))
            .await
            .is_empty()
    );
    assert!(entries(&served, "end_date=2020-01-31").await.is_empty());

    let scans = entries(&served, "event_type=discovery.scan.started&actor=user-456").await;
    assert_eq!(
        types(&scans),
        ["discovery.scan.started", "discovery.scan.started"]
    );
    let mut paged = Vec::new();
    for offset in (0..all.len()).step_by(20) {
        paged.extend(entries(&served, &format!("{own}&limit=20&offset={offset}")).await);
    }
    assert_eq!(paged, all);
    let one = served
        .get(&format!(
            "/audit/entries/{}",
            all[5]["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(one.json(), all[5]);

    // An export of a range of days, as lines of JSON.
    let export = served
        .get(&format!(
            "/audit/export?format=ndjson&start_date={today}&event_type=auth.*"
        ))
        .await;
    assert_eq!(export.status, StatusCode::OK);
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&export.body)
        .into_iter()
        .map(|line| line.unwrap())
        .collect();
    assert!(
        types(&lines).contains(&"auth.account.locked")
            && types(&lines)
                .iter()
                .all(|event_type| event_type.starts_with("auth."))
    );
}

#[tokio::test]
async fn the_no_code_platforms_logs_of_a_range_come_as_a_zip() {
    let served = served(no_code_platform::run);
    let all = entries(&served, "source=designer-api").await;
    let time = |n: usize| all[n]["timestamp"].as_str().unwrap();
    let answer = served
        .get(&format!(
            "/audit/export?format=zip&start_date={}&end_date={}",
            time(2),
            time(9)
        ))
        .await;
    assert_eq!(
        (answer.status, answer.header(header::CONTENT_TYPE)),
        (StatusCode::OK, "application/zip")
    );

    let mut zip = zip::ZipArchive::new(Cursor::new(answer.body)).unwrap();
    let (mut lines, mut has_manifest) = (Vec::new(), false);
    for n in 0..zip.len() {
        let mut file = zip.by_index(n).unwrap();
        let (name, mut text) = (file.name().unwrap().into_owned(), String::new());
        file.read_to_string(&mut text).unwrap();
        if name == "manifest.json" {
            has_manifest = true;
        } else {
            lines.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap()),
            );
        }
    }
    let within: Vec<_> = all
        .iter()
        .filter(|entry| (time(2)..time(9)).contains(&entry["timestamp"].as_str().unwrap()))
        .cloned()
        .collect();
    assert!(has_manifest && !within.is_empty() && within.len() < all.len());
    assert_eq!(lines, within);
}

#[tokio::test]
async fn the_identity_providers_catalogue_says_what_there_is_to_subscribe_to() {
    let served = served(identity_provider::run);
    let answer = served.get("/audit/event-types").await;
    assert_eq!(answer.status, StatusCode::OK);
    let catalogue = answer.json();
    let listed = catalogue["event_types"].as_array().unwrap();
    for subscription in &identity_provider::SUBSCRIPTIONS {
        for event_type in subscription.event_types() {
            let told = listed
                .iter()
                .find(|told| told["event_type"] == *event_type)
                .unwrap_or_else(|| panic!("no {event_type}"));
            assert!(told["fields"].get("details.workspace").is_some(), "{told}");
        }
    }
}
