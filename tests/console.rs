//! The console in a real browser, Chromium: with scripts and without.

#![cfg(all(feature = "console", feature = "macros", feature = "webhook"))]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says that it was skipped; what goes wrong here fails the test"
)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tracing_audit::{
    AuditLog, audit,
    http::{NewToken, RouterOptions, Scope, ServeOptions, Server},
};
use tracing_subscriber::prelude::*;

/// A text that would do harm if it were more than text.
const HOSTILE: &str = "\"'><img src=x onerror=hacked()><script>hacked()</script>\u{202e}\u{7}{{x}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_find_their_way_with_scripts_and_without() {
    let node = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .join("node");
    let has = |command: &str| {
        let asked = Command::new(command)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    };
    if !node.join("node_modules/playwright-core").exists() || !has("node") || !has("chromium") {
        println!(
            "skipped: node, chromium or playwright-core is missing; scripts/test installs them"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path())
        .source("shop")
        .lifecycle(false)
        .open()
        .unwrap();
    record(&log);
    let new = NewToken {
        name: "ann@example.com".into(),
        scope: Scope::Admin,
        tenant: None,
        expires: None,
    };
    let (info, token) = log.tokens().create(new).unwrap();
    let code = log.tokens().sign_in_code(&info.id).unwrap().unwrap();
    let routes = RouterOptions::new()
        .webhook_egress(["loopback"])
        .webhook_allow_http(true);
    let options = ServeOptions::new(([127, 0, 0, 1], 0).into()).router(routes);
    let dispatcher = log.webhooks().run().unwrap();
    let server = Server::bind(&log, options).await.unwrap();
    let url = format!("http://{}/audit", server.local_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async { drop(stopped.await) }));
    let browsing = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg("tests/support/console.cjs")
            .args([
                node.as_os_str(),
                url.as_ref(),
                token.as_ref(),
                code.as_ref(),
            ])
            .output()
    });
    let output = browsing.await.unwrap().unwrap();
    drop(stop);
    serving.await.unwrap();
    drop(dispatcher);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A hundred and twenty sign-ins, some of which fail, and an entry with hostile texts.
fn record(log: &AuditLog) {
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        audit!(
            "profile.changed",
            severity = critical,
            actor.r#type = HOSTILE,
            actor.id = HOSTILE,
            actor.name = HOSTILE,
            resource.r#type = HOSTILE,
            resource.id = HOSTILE,
            resource.name = format!("{}{HOSTILE}", "long".repeat(200)),
            resource.prior_attributes = serde_json::json!({ HOSTILE: HOSTILE, "role": "user" }),
            resource.attributes = serde_json::json!({ HOSTILE: HOSTILE, "role": "admin" }),
            tenant_id = HOSTILE,
            ip_address = HOSTILE,
            user_agent = HOSTILE,
            session_id = HOSTILE,
            request_id = HOSTILE,
            deep = serde_json::json!({ HOSTILE: [HOSTILE, { HOSTILE: "x".repeat(3000) }] }),
            "{HOSTILE}"
        );
        for n in 0..120 {
            let user = format!("user-{}", n % 6);
            if n % 5 == 0 {
                audit!(
                    "auth.login.failed",
                    severity = warning,
                    actor.id = user,
                    outcome = tracing_audit::Outcome::failure("authentication", "wrong password"),
                    ip_address = format!("192.0.2.{}", 100 + n),
                    attempt = n,
                    "Sign-in {} failed",
                    n
                );
            } else {
                audit!(
                    "auth.login.success",
                    actor.id = user,
                    ip_address = "192.0.2.8",
                    attempt = n,
                    "Sign-in {} succeeded",
                    n
                );
            }
        }
    });
    log.flush().unwrap();
}
