//! Saved views of the console: names for what the URL of the page of entries asks for.

use std::fs;

use tracing_audit::http::{RouterOptions, Scope};

use crate::{
    console_administration::{HOSTILE, check_is_text, page, refused, sent},
    console_sessions::{key, signed_in},
    http::{Served, served},
};

const VIEWS: &str = "/audit/views";
const FAILED: &str = "name=Failed+sign-ins&query=%3Foutcome%3Dfailure%26range%3D7d";

async fn cookie(served: &Served, scope: Scope, tenant: Option<&str>) -> String {
    signed_in(served, &key(served, scope, tenant)).await
}

/// The links of the menu on the page of entries: a path and a name each.
fn menu(page: &str) -> Vec<(String, String)> {
    let menu = page.split("<details class=\"menu views\">").nth(1).unwrap();
    let menu = menu.split("</details>").next().unwrap();
    let links = menu.split("<li><a href=\"").skip(1);
    let link = |text: &str| {
        let (path, rest) = text.split_once('"').unwrap();
        let name = rest.split("<bdi>").nth(1).unwrap();
        (path.to_owned(), name.split('<').next().unwrap().to_owned())
    };
    links.map(link).collect()
}

#[tokio::test]
async fn a_view_is_saved_shown_in_the_menu_and_removed() {
    let served = served(3, RouterOptions::new());
    let admin = cookie(&served, Scope::Admin, None).await;
    let empty = page(&served, "/audit", &admin, 200).await;
    assert!(menu(&empty).is_empty() && empty.contains("name=\"query\" value=\"\""));
    let there = "/audit?outcome=failure&range=7d";
    sent(&served, VIEWS, FAILED, &admin, there).await;

    let reader = cookie(&served, Scope::Read, None).await;
    let saved = (there.replace('&', "&#38;"), "Failed sign-ins".to_owned());
    for (visitor, may_save) in [(&admin, true), (&reader, false)] {
        let there = page(&served, there, visitor, 200).await;
        assert_eq!(menu(&there), std::slice::from_ref(&saved));
        assert!(there.contains("range=7d\" aria-current=\"true\"><bdi>Failed"));
        assert_eq!(there.contains("action=\"/audit/views\""), may_save);
        let list = page(&served, VIEWS, visitor, 200).await;
        assert!(list.contains("<code><bdi>outcome:failure</bdi></code>"));
        assert!(list.contains("Last 7 days") && list.contains("by <bdi>"));
        assert!(list.contains("aria-current=\"page\">Entries</a>"));
        assert_eq!(list.contains("/remove\""), may_save);
    }
    let list = page(&served, VIEWS, &admin, 200).await;
    let remove = list
        .split("action=\"")
        .find(|text| text.contains("/remove\""));
    let remove = remove.unwrap().split('"').next().unwrap();
    refused(&served, remove, "", &reader, 403).await;
    sent(&served, remove, "", &admin, VIEWS).await;
    refused(&served, remove, "", &admin, 404).await;
    assert!(menu(&page(&served, there, &reader, 200).await).is_empty());

    served.log.flush().unwrap();
    for event_type in ["audit.view.saved", "audit.view.removed"] {
        let entry = &served.records(event_type)[0];
        assert_eq!(entry["details"]["name"], "Failed sign-ins");
        assert_eq!(entry["details"]["query"], "?outcome=failure&range=7d");
        assert!(
            entry["details"]["path"]
                .as_str()
                .unwrap()
                .starts_with(VIEWS)
        );
    }
    assert_eq!(served.records("audit.view.refused").len(), 1);
}

#[tokio::test]
async fn a_view_that_the_page_would_not_take_is_refused() {
    let served = served(1, RouterOptions::new());
    let admin = cookie(&served, Scope::Admin, None).await;
    for (body, said) in [
        ("name=&query=", "1 to 64 characters"),
        (
            &*format!("name={}&query=", "n".repeat(65)),
            "1 to 64 characters",
        ),
        ("name=a&query=%3Factr%3Dann", "actr: "),
        ("name=a&query=range%3D1y", "range: "),
        ("name=a&query=start_date%3Dsoon", "start_date: "),
        ("name=a&query=search%3Dann", "search first"),
        ("name=a&query=%25zz", "percent-encoded"),
        (
            &*format!("name=a&query=actor%3D{0}%26actor%3Dx{0}", "n".repeat(1000)),
            "2000 at most",
        ),
        ("name=a&query=&other=b", "other: there is no such field"),
    ] {
        let page = refused(&served, VIEWS, body, &admin, 400).await;
        assert!(page.contains(said), "{body}: {page}");
    }
    let hostile = format!("name={HOSTILE}&query=actor%3D{HOSTILE}%26split%3D{HOSTILE}");
    check_is_text(&refused(&served, VIEWS, &hostile, &admin, 400).await);
    // Neither a cursor nor another page of the server gets into the link.
    let with_cursor = "name=a&query=%3Fcursor%3Dx%26actor%3Dann%23f";
    sent(&served, VIEWS, with_cursor, &admin, "/audit?actor=ann%23f").await;
    let elsewhere = "name=b&query=%2F%2Fevil.example%2F%3Factor%3Dann";
    refused(&served, VIEWS, elsewhere, &admin, 400).await;
    let text = format!("name={HOSTILE}&query=actor%3D{HOSTILE}");
    let path = format!("/audit?actor={}", HOSTILE.replace("%2F", "/"));
    sent(&served, VIEWS, &text, &admin, &path).await;
    for path in ["/audit", VIEWS] {
        check_is_text(&page(&served, path, &admin, 200).await);
    }
    let page = refused(&served, VIEWS, "name=a&query=", &admin, 400).await;
    assert!(page.contains("there is already a view of this name"));
}

#[tokio::test]
async fn a_tenant_has_views_of_its_own() {
    let served = served(4, RouterOptions::new());
    let admin = cookie(&served, Scope::Admin, None).await;
    let acme = cookie(&served, Scope::Admin, Some("acme")).await;
    let globex = cookie(&served, Scope::Admin, Some("globex")).await;
    sent(
        &served,
        VIEWS,
        FAILED,
        &admin,
        "/audit?outcome=failure&range=7d",
    )
    .await;
    sent(
        &served,
        VIEWS,
        "name=Ours&query=actor%3Dann",
        &acme,
        "/audit?actor=ann",
    )
    .await;
    let other = "name=Theirs&query=tenant_id%3Dglobex";
    refused(&served, VIEWS, other, &acme, 400).await;
    for (visitor, expected) in [
        (&admin, Some("Failed sign-ins")),
        (&acme, Some("Ours")),
        (&globex, None),
    ] {
        let home = page(&served, "/audit", visitor, 200).await;
        let names: Vec<_> = menu(&home).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, Vec::from_iter(expected));
    }
    let list = page(&served, VIEWS, &acme, 200).await;
    let remove = list
        .split("action=\"")
        .find(|text| text.contains("/remove\""));
    let remove = remove.unwrap().split('"').next().unwrap();
    refused(&served, remove, "", &globex, 404).await;
    refused(&served, remove, "", &admin, 404).await;
    sent(&served, remove, "", &acme, VIEWS).await;
    served.log.flush().unwrap();
    let entries = served.records("audit.view.removed");
    assert_eq!(entries[0]["tenant_id"], "acme");
}

#[tokio::test]
async fn a_broken_or_hostile_file_of_views_breaks_no_page() {
    let served = served(1, RouterOptions::new());
    let admin = cookie(&served, Scope::Admin, None).await;
    sent(
        &served,
        VIEWS,
        FAILED,
        &admin,
        "/audit?outcome=failure&range=7d",
    )
    .await;
    let path = served.dir.path().join("state/views.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("?outcome=failure", "//evil.example/?outcome=failure"),
    )
    .unwrap();
    for place in ["/audit", VIEWS] {
        let page = page(&served, place, &admin, 200).await;
        assert!(!page.contains("evil.example"), "{place}");
    }
    // It counts and has its name, so it can be found and removed.
    let list = page(&served, VIEWS, &admin, 200).await;
    assert!(list.contains("Failed sign-ins") && list.contains("can't be opened"));
    assert!(list.contains("/remove\""));
    fs::write(&path, "not JSON").unwrap();
    let home = page(&served, "/audit", &admin, 200).await;
    assert!(menu(&home).is_empty() && home.contains("The saved views can't be read."));
    assert!(!home.contains("No views are saved"));
    page(&served, VIEWS, &admin, 500).await;
}
