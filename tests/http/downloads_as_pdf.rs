//! Downloads for people: PDF, as CertifyClouds' document asks for it.

#![cfg(feature = "pdf")]

use std::{fs, process::Command};

use axum::http::header;
use tracing_audit::http::RouterOptions;

use crate::http::{Answer, served};

/// The text of the document, after `qpdf` has checked it.
fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/pdf");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.pdf");
    fs::write(&path, &answer.body).unwrap();
    let checked = Command::new("qpdf").arg("--check").arg(&path).output();
    let checked = checked.unwrap();
    let problems = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && problems.is_empty(),
        "{problems}"
    );
    let args = ["-raw", path.to_str().unwrap(), "-"];
    let text = Command::new("pdftotext").args(args).output().unwrap();
    String::from_utf8(text.stdout).unwrap()
}

/// What stands beside a label of the title page.
fn fact<'a>(text: &'a str, label: &str) -> &'a str {
    let mut lines = text.lines();
    let fact = lines.find_map(|line| line.strip_prefix(label)?.strip_prefix(' '));
    fact.unwrap_or_else(|| panic!("{label}: {text}"))
}

#[tokio::test]
async fn certify_clouds_gets_pdf_as_its_document_says() {
    let served = served(300, RouterOptions::new());
    let path = "/audit/export?format=pdf&start_date=2025-01-01&end_date=2025-01-31";
    let none = served.get(path).await;
    let name = "attachment; filename=\"audit-2025-01-01-2025-01-31.pdf\"";
    assert_eq!(none.header(header::CONTENT_DISPOSITION), name);
    let text_of_none = text(&none);
    assert!(text_of_none.starts_with("Audit log\n2025-01-01 to 2025-01-31\n"));
    assert_eq!(fact(&text_of_none, "Number"), "0");
    assert!(text_of_none.contains("Page 1 of 1"), "{text_of_none}");

    let range = format!("{}&category=invoice", served.past());
    let all = format!("/audit/export?format=json&{range}");
    let all = served.get(&all).await.json();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 300);
    let oldest = format!("/audit/export?format=pdf&{range}");
    let text_of_all = text(&served.get(&oldest).await);
    assert_eq!(fact(&text_of_all, "Number"), "300");
    let ids = all.iter().map(|entry| entry["id"].as_str().unwrap());
    let places: Vec<_> = ids.map(|id| text_of_all.find(id).unwrap()).collect();
    assert!(places.is_sorted(), "the oldest first");
    let newest = format!("/audit/export?format=pdf&order=desc&{range}");
    let text_of_newest = text(&served.get(&newest).await);
    let ids = all.iter().map(|entry| entry["id"].as_str().unwrap());
    let places: Vec<_> = ids.map(|id| text_of_newest.find(id).unwrap()).collect();
    assert!(places.iter().rev().is_sorted(), "the newest first");
}

#[tokio::test]
async fn the_title_page_says_who_asked_for_what() {
    let served = served(20, RouterOptions::new());
    let path = "/audit/export?format=pdf&start_date=2025-01-01&event_type=invoice.*&event_type=auth.*\
                &actor=!system&q=Invoice&details.mode=full&category=%5C!x";
    let text = text(&served.get(path).await);
    let id = served.token.split('_').nth(1).unwrap();
    let caller = format!("admin key (api_key {id})");
    assert_eq!(fact(&text, "Requested by"), caller);
    assert_eq!(
        fact(&text, "Range"),
        "from 2025-01-01 00:00:00.000000 UTC on"
    );
    let filters = "actor's id, name or type is not system; category is !x; details.mode is full; \
                   event type is auth.* or invoice.*; text contains Invoice";
    assert_eq!(fact(&text, "Filters"), filters);
    assert_eq!(fact(&text, "Order"), "the oldest entry first");
    assert!(
        text.starts_with("Audit log\nfrom 2025-01-01 on, filtered\n"),
        "{text}"
    );
}
