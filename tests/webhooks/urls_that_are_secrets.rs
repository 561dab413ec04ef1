//! The URL of a chat's webhook has a token in its path: whoever has the URL can send. The whole URL
//! is kept in one file, and nothing shows, records or repeats it.

use std::{fs, io::Write as _};

use serde_json::json;
use tracing_audit::{AuditLog, Error, audit, webhook::Webhook};

use crate::receiver;
use crate::shop::within;
use crate::support::{files, lines, until};

const TOKEN: &str = "Xk3-1415926535-token";

/// As many frameworks answer where nothing is served.
fn repeating() -> String {
    let address = receiver::server(|mut stream| {
        while let Some(request) = receiver::request(&mut stream) {
            let body = format!("Cannot POST {}", request.path);
            let length = body.len();
            let answer = format!("HTTP/1.1 404 \r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/services/{TOKEN}?key={TOKEN}")
}

#[test]
fn a_token_in_a_url_is_nowhere_but_in_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::builder(dir.path()).open().unwrap();
    let url = repeating();
    let chat = Webhook::new("chat", &url, ["order.*"])
        .allow_http()
        .egress(["loopback"])
        .schedule([0, 0, 0]);
    let shown = format!("{}/services/…", url.split("/services").next().unwrap());
    assert_eq!(chat.shown_url(), shown);
    log.webhooks().add(chat).unwrap();
    let dispatcher = log.webhooks().run().unwrap();
    within(&log, || audit!("order.placed", n = 1));
    until("the delivery is given up", || {
        let report = log.webhooks().get("chat").unwrap().unwrap();
        report.dead_letters == Some(1) && report.status.dead_lettered == 1
    });
    drop(dispatcher);

    let report = log.webhooks().get("chat").unwrap().unwrap();
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["url"], *shown);
    assert_eq!(
        report.webhook.url(),
        url,
        "the application can have the whole URL"
    );
    let attempts = log.webhooks().attempts("chat").unwrap();
    assert_eq!(attempts[0].answer, "Cannot POST ***");
    let letters = log.webhooks().dead_letters("chat", 0, 9).unwrap();
    let delivery = log.webhooks().delivery("chat", &letters[0].delivery_id);
    let delivery = delivery.unwrap().unwrap();
    assert_eq!(delivery.request.as_ref().unwrap().url, shown);
    for text in [
        told.to_string(),
        format!("{report:?}"),
        serde_json::to_string(&attempts).unwrap(),
        serde_json::to_string(&letters).unwrap(),
        serde_json::to_string(&delivery).unwrap(),
    ] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    log.close().unwrap();
    let added = lines(dir.path());
    let added = added
        .iter()
        .find(|line| line.contains("audit.webhook.added"));
    assert!(added.unwrap().contains(&shown), "{added:?}");
    for path in files(dir.path()) {
        let kept = fs::read(&path).unwrap();
        let has_token = memchr::memmem::find(&kept, TOKEN.as_bytes()).is_some();
        assert_eq!(
            has_token,
            path.ends_with("state/webhooks.json"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_shortened_url_is_not_taken_for_the_url() {
    let log = AuditLog::for_tests();
    let url = format!("https://hooks.example.com/services/{TOKEN}");
    log.webhooks()
        .add(Webhook::new("chat", &url, ["order.*"]))
        .unwrap();
    // What a client that changes one setting of what it was shown sends back.
    let shown = serde_json::to_value(log.webhooks().get("chat").unwrap()).unwrap();
    let patch = json!({"url": shown["url"], "event_types": ["user.*"]});
    let refused = log.webhooks().patch("chat", patch.as_object().unwrap());
    let Err(Error::Invalid { parameter, problem }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(parameter, "url");
    assert!(problem.contains("shortened"), "{problem}");
    assert_eq!(
        log.webhooks().get("chat").unwrap().unwrap().webhook.url(),
        url
    );
}

#[test]
fn an_error_does_not_repeat_a_url() {
    let log = AuditLog::for_tests();
    for url in [
        format!("hooks.example.com/services/{TOKEN}"),
        format!("ftp://hooks.example.com/services/{TOKEN}"),
        format!("https://ann:{TOKEN}@hooks.example.com/"),
        format!("https://10.0.0.1/services/{TOKEN}"),
        format!("https://[::1/services/{TOKEN}"),
    ] {
        let refused = log.webhooks().add(Webhook::new("chat", &url, ["order.*"]));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with("url: "), "{refused}");
        assert!(!refused.contains(TOKEN), "{refused}");
    }
}
