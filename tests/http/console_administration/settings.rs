//! The page of the settings and the holds.

use tracing_audit::http::RouterOptions;

use super::{HOSTILE, check_is_text, page, refused, sent};
use crate::{console_sessions::signed_in, http::served};

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
