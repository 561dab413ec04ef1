//! The bytes that a browser loads for a page.

use axum::http::Method;
use tracing_audit::{audit, http::RouterOptions};
use tracing_subscriber::prelude::*;

use crate::{
    console_sessions::{by_cookie, signed_in},
    http::{Served, served},
};

/// Full pages of entries as an application records them.
fn record(served: &Served) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..60 {
            audit!(
                dyn format!("secret.rotation.completed_{}", n % 9),
                actor.r#type = "user",
                actor.id = format!("user-{}", n % 9),
                actor.name = format!("user{}@example.com", n % 9),
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
    record(&served);
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
