//! The page of tokens.

use tracing_audit::http::{RouterOptions, Scope};

use super::{HOSTILE, check_is_text, page, refused, sent};
use crate::{
    console_sessions::{form, signed_in},
    http::served,
};

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
