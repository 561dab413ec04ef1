//! A log with some entries in it, and its API without a network.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; what goes wrong here fails the test"
)]

use std::{fs, path::Path, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use tracing_audit::{
    AuditLog, AuditReader, Timestamp, audit,
    http::{RouterOptions, Scope},
};
use tracing_subscriber::prelude::*;

use crate::support::{files, records, until, wait_for};

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(&name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// Checks that it is a problem as RFC 9457 wants it.
    pub(crate) fn problem(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json",
            "{text}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for text in ["type", "title", "detail"] {
            assert!(
                problem[text].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem
    }
}

/// Writes `count` events of two tenants in turn and closes the log: when it is opened again, they
/// are sealed.
pub(crate) fn write(dir: &Path, count: usize) {
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("billing")
        .rotate_bytes(400_000)
        .open()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..count {
            let tenant = if n % 2 == 0 { "acme" } else { "globex" };
            let noise = format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..));
            audit!(
                "invoice.sent",
                actor.id = format!("user-{}", n % 10),
                tenant_id = tenant,
                number = n,
                noise = noise,
                "Invoice {} sent",
                n
            );
        }
    });
    log.close().unwrap();
}

/// A log of a server's own in that directory, once what was written before is sealed.
pub(crate) fn open(dir: &Path) -> AuditLog {
    let log = AuditLog::builder(dir)
        .lifecycle(false)
        .source("tracing-audit")
        .live_grace(Duration::ZERO)
        .open()
        .unwrap();
    until("what was written before is sealed", || {
        files(&dir.join("live"))
            .iter()
            .all(|file| file.to_string_lossy().contains("-tracing-audit-"))
    });
    log
}

/// A token of the log in this directory, put there without the entry about it, so that tests can
/// count entries.
pub(crate) fn token(dir: &Path, scope: Scope, tenant: Option<&str>) -> String {
    let path = dir.join("state/tokens.json");
    let mut document = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) => json!({"version": 1, "tokens": []}),
    };
    let (id, secret) = (fastrand::u32(..), "s".repeat(43));
    let sha256: String = Sha256::digest(&secret)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut token = json!({
        "id": format!("{id:08x}"),
        "name": format!("{scope} key"),
        "scope": scope,
        "created": Timestamp::now(),
        "sha256": sha256,
    });
    if let Some(tenant) = tenant {
        token["tenant"] = tenant.into();
    }
    document["tokens"].as_array_mut().unwrap().push(token);
    let new = dir.join("state/tokens.json.new");
    fs::write(&new, document.to_string()).unwrap();
    fs::rename(new, path).unwrap();
    format!("ta_{id:08x}_{secret}")
}

/// A range up to now, once the log is complete up to there: its download has one version.
pub(crate) fn past(dir: &Path) -> String {
    let now = Timestamp::now();
    let reader = AuditReader::open(dir).unwrap();
    until("the log is complete", || {
        reader.complete_until().unwrap().unwrap() >= now
    });
    format!("end_date={now}")
}

/// One log with its API, mounted as an application would.
pub(crate) struct Served {
    pub(crate) log: AuditLog,
    pub(crate) app: Router,
    pub(crate) token: String,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn served(events: usize, options: RouterOptions) -> Served {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), events);
    let log = open(dir.path());
    let token = token(dir.path(), Scope::Admin, None);
    let app = Router::new().nest("/audit", log.router(options).unwrap());
    Served {
        log,
        app,
        token,
        dir,
    }
}

impl Served {
    /// A range up to now, as of [`past`].
    pub(crate) fn past(&self) -> String {
        past(self.dir.path())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(
            Request::get(path)
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn get_with(
        &self,
        path: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Answer {
        let mut request =
            Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// With a body of JSON, or with none.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// What needs no body to be done.
    pub(crate) async fn act(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        request
            .extensions_mut()
            .insert(ConnectInfo(std::net::SocketAddr::from((
                [192, 0, 2, 7],
                4711,
            ))));
        let path = request.uri().path().to_owned();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        // The console's files have a hash in their names, so they never change.
        let is_file = head.status == 200 && path.contains("/assets/");
        let cached = match is_file {
            true => "public, max-age=31536000, immutable",
            false => "no-store",
        };
        for (name, value) in [
            (header::CACHE_CONTROL, cached),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            assert_eq!(head.headers.get(&name).unwrap(), value);
        }
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// The records of this event type so far.
    pub(crate) fn records(&self, event_type: &str) -> Vec<Value> {
        // A log that was closed has all of them in its files.
        let _ = self.log.flush();
        records(self.dir.path())
            .into_iter()
            .filter(|record| record["event_type"] == event_type)
            .collect()
    }

    /// The log's own records of accesses so far, once `count` of them are written.
    pub(crate) fn accesses(&self, count: usize) -> Vec<Value> {
        wait_for("accesses are recorded", || {
            let mut found = records(self.dir.path());
            found.retain(|record| {
                record["event_type"]
                    .as_str()
                    .unwrap()
                    .starts_with("audit.access.")
            });
            if found.len() >= count {
                Ok(found)
            } else {
                Err(format!("{} of {count}", found.len()))
            }
        })
    }
}

/// One event through this log; it is there on return.
pub(crate) fn record_one(log: &AuditLog) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
        audit!("invoice.sent", number = 0, "Another")
            .wait()
            .unwrap();
    });
}
