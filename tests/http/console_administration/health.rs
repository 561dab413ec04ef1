//! The page of the health.

use tracing_audit::http::{RouterOptions, Scope};

use super::page;
use crate::{
    console_sessions::{key, signed_in},
    http::served,
};

#[tokio::test]
async fn the_health_says_how_the_log_and_its_process_are_doing() {
    let served = served(3, RouterOptions::new());
    let cookie = signed_in(&served, &key(&served, Scope::Read, None)).await;
    let healthy = page(&served, "/audit/health", &cookie, 200).await;
    for text in [
        "knows of no problem",
        "Complete until",
        "<dt>Sealed files</dt><dd>1</dd>",
        "<dt>Delivers webhooks</dt><dd><bdi>no process, now</bdi></dd>",
        "of 16.0 MiB",
        served.log.stream().as_str(),
        ">lives<",
    ] {
        assert!(healthy.contains(text), "{text}");
    }
    page(&served, "/audit/health?x=1", &cookie, 400).await;
    served.log.close().unwrap();
    let closed = page(&served, "/audit/health", &cookie, 200).await;
    assert!(closed.contains("the log is closed"), "{closed}");
    assert!(closed.contains("Close the log after the last event."));
}
