//! The menu of downloads on the page of entries: what it says of a file is what the file is.

use std::time::Instant;

use axum::http::header;
use tracing_audit::http::{RouterOptions, Scope};

use crate::{
    console_administration::page,
    console_sessions::{key, signed_in},
    http::{Served, served},
    support::HANGS,
};

/// A download as the menu offers it: its link, and all that is said of it.
fn downloads(page: &str) -> Vec<(String, String)> {
    let menu = page
        .split("<details class=\"menu export\">")
        .nth(1)
        .unwrap();
    let menu = menu.split("</details>").next().unwrap();
    let links = menu.split("<li><a href=\"").skip(1);
    let link = |text: &str| {
        let (path, rest) = text.split_once('"').unwrap();
        let said = rest.split("</a>").next().unwrap();
        (path.replace("&#38;", "&"), said.to_owned())
    };
    links.map(link).collect()
}

/// The bytes that `about 3.4 KiB` says.
fn about(said: &str) -> f64 {
    let words: Vec<_> = said
        .split("about ")
        .nth(1)
        .unwrap()
        .split([' ', '<'])
        .collect();
    let unit = match words[1] {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        other => panic!("{other}"),
    };
    words[0].parse::<f64>().unwrap() * unit
}

/// The page, once the machine is fast enough to count what a download has.
async fn menu(served: &Served, scope: Scope, tenant: Option<&str>, query: &str) -> String {
    let cookie = signed_in(served, &key(served, scope, tenant)).await;
    let end = Instant::now() + HANGS;
    loop {
        let page = page(served, &format!("/audit{query}"), &cookie, 200).await;
        if !page.contains("<b>An unknown number") {
            return page;
        }
        assert!(Instant::now() < end, "the entries are never counted");
    }
}

#[tokio::test]
async fn each_download_has_the_name_and_about_the_length_that_the_menu_says() {
    let served = served(400, RouterOptions::new());
    let end = served.past();
    for query in [format!("?{end}"), format!("?actor=user-1&{end}")] {
        let page = menu(&served, Scope::Export, None, &query).await;
        let downloads = downloads(&page);
        assert!(downloads.len() >= 5, "{page}");
        for (path, said) in downloads {
            let file = served.get(&path).await;
            assert_eq!(file.status, 200, "{path}");
            let name = file
                .header(header::CONTENT_DISPOSITION)
                .split('"')
                .nth(1)
                .unwrap();
            assert!(said.contains(&format!(">{name}<")), "{path}: {said}");
            if path.contains("format=pdf") {
                assert!(!said.contains("about"), "{said}");
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "the file is small")]
            let ratio = about(&said) / file.body.len() as f64;
            // A ZIP has its manifest besides, which is much of a small one.
            let least = if path.contains("zip") { 0.3 } else { 0.8 };
            assert!((least..1.3).contains(&ratio), "{path}: {said}, {ratio}");
            if path.contains("ndjson") {
                let lines = file.text().lines().count();
                let reads = match query.contains("actor") {
                    true => "reads of the log not counted",
                    false => "with reads of the log",
                };
                let count = format!("<b>{lines} entries</b> <span class=\"muted\">{reads}<");
                assert!(page.contains(&count), "{query}: {page}");
            }
        }
    }
}

#[tokio::test]
async fn the_menu_is_for_those_who_may_download_and_counts_what_they_get() {
    let served = served(10, RouterOptions::new());
    let page = menu(&served, Scope::Read, None, "").await;
    assert!(!page.contains("menu export"));
    let page = menu(
        &served,
        Scope::Export,
        Some("acme"),
        "?event_type=invoice.*",
    )
    .await;
    assert!(page.contains("<b>5 entries</b> <span class=\"muted\">reads of the log not counted"));
    let nothing = menu(&served, Scope::Export, None, "?actor=nobody").await;
    assert!(
        nothing.contains("<b>0 entries</b> <span class=\"muted\">reads of the log not counted")
    );
    for (_, said) in downloads(&nothing) {
        assert!(!said.contains("about"), "{said}");
    }
    let with_reads = menu(&served, Scope::Export, None, "?actor=user-1&include=access").await;
    assert!(!with_reads.contains("not counted"), "{with_reads}");
}

#[tokio::test]
async fn a_range_that_has_not_begun_has_a_page_for_everybody() {
    let served = served(3, RouterOptions::new());
    for scope in [Scope::Read, Scope::Export] {
        let page = menu(&served, scope, None, "?start_date=2999-01-01").await;
        assert!(page.contains("No entries in this range"), "{page}");
    }
}
