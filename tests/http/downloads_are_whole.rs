//! A download is whole, or it is refused or breaks off; and the log says which.

use std::{
    fs,
    path::{Path, PathBuf},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, Version, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tracing_audit::{AuditReader, Query, http::RouterOptions};

use crate::downloads_resume::running;
use crate::http::{Served, record_one, served};
use crate::support::{files, wait_for};

/// Whole files, and files of a filter, in every format.
const EXPORTS: [&str; 11] = [
    "format=zip",
    "format=gz",
    "format=ndjson",
    "format=json",
    "format=csv",
    "format=csv&details=columns&category=invoice",
    "format=pdf",
    "format=pdf&category=invoice",
    "format=zip&category=invoice",
    "format=gz&category=invoice",
    "format=ndjson&category=invoice",
];

impl Served {
    /// The answer as it comes, its body not read yet.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Response {
        let token = format!("Bearer {}", self.token);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, token);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.app.clone().oneshot(request).await.unwrap()
    }

    fn sealed(&self) -> Vec<PathBuf> {
        sealed(self.dir.path())
    }

    /// The entry about the end of the last download, once there are `count` of them.
    fn ended(&self, count: usize) -> Value {
        // The records of a whole log can't be had where a file is damaged.
        let reader = AuditReader::open(self.dir.path()).unwrap();
        let ended = Query::parse([("event_type", "audit.access.export_ended")]).unwrap();
        wait_for("the end of the download is recorded", || {
            let found = reader.page(&ended).unwrap().entries;
            match found.first() {
                Some(last) if found.len() == count => Ok(last.parse().unwrap()),
                _ => Err(format!("{} of {count}", found.len())),
            }
        })
    }
}

/// The sealed files, the oldest first.
fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut files = files(&dir.join("sealed"));
    files.retain(|path| path.to_string_lossy().ends_with(".gz"));
    files.sort();
    files
}

fn flip_a_bit_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn text<'a>(answer: &'a Response, name: &header::HeaderName) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("none", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_damaged_block_is_in_no_download() {
    let mut served = served(3_000, RouterOptions::new());
    let damaged = served.sealed().remove(1);
    flip_a_bit_in_the_middle(&damaged);
    let name = damaged.file_name().unwrap().to_str().unwrap();
    for (number, export) in EXPORTS.iter().enumerate() {
        let path = format!("/audit/export?{export}");
        let answer = served.ask(Method::GET, &path, &[]).await;
        assert_eq!(answer.status(), 200, "{export}");
        let body = to_bytes(answer.into_body(), usize::MAX).await;
        assert!(body.is_err(), "{export} ends as if it were whole");
        let ended = served.ended(number + 1);
        assert_eq!(ended["details"]["result"], "broken", "{ended}");
        let reason = ended["details"]["reason"].as_str().unwrap();
        assert!(reason.contains(name), "{ended}");
        assert_eq!(ended["outcome"]["type"], "failure");
        assert!(ended["details"]["bytes"].is_u64(), "{ended}");
    }
    // A file that shows at once that it is damaged is refused before the first byte.
    let file = fs::File::options().write(true).open(&damaged).unwrap();
    file.set_len(1_000).unwrap();
    let router = served.log.router(RouterOptions::new()).unwrap();
    served.app = Router::new().nest("/audit", router);
    let refused = served.get("/audit/export?format=zip").await.problem(500);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(name), "{refused}");
    assert!(!detail.contains(served.dir.path().to_str().unwrap()));
    let ended = served.ended(EXPORTS.len() + 1);
    assert_eq!(ended["details"]["result"], "broken", "{ended}");
    assert_eq!(ended["details"]["bytes"], 0, "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sees_that_a_download_broke_off() {
    let server = running(3_000, RouterOptions::new()).await;
    flip_a_bit_in_the_middle(&sealed(server.dir.path())[1]);
    for export in EXPORTS {
        let path = format!("/audit/export?{export}");
        let to = server.dir.path().join("downloaded");
        let mut curl = server.curl(&path, &["--fail", "--output", to.to_str().unwrap()]);
        let status = tokio::task::spawn_blocking(move || curl.status().unwrap());
        // "Partial file".
        assert_eq!(status.await.unwrap().code(), Some(18), "{export}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_breaks_off_when_retention_removes_a_file_meanwhile() {
    let served = served(20_000, RouterOptions::new());
    for export in EXPORTS {
        let path = format!("/audit/export?{export}");
        let answer = served.ask(Method::GET, &path, &[]).await;
        assert_eq!(answer.status(), 200, "{export}");
        let mut body = answer.into_body();
        body.frame().await.unwrap().unwrap();
        let sealed = served.sealed();
        assert!(sealed.len() > 10, "the last is far from being read");
        let last = sealed.last().unwrap();
        let away = served.dir.path().join("away");
        fs::rename(last, &away).unwrap();
        let rest = to_bytes(body, usize::MAX).await;
        assert!(rest.is_err(), "{export} ends as if it were whole");
        fs::rename(away, last).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_can_no_longer_be_had_is_planned_anew() {
    let served = served(3_000, RouterOptions::new());
    let path = "/audit/export";
    let whole = served.get(path).await;
    let etag = whole.header(header::ETAG).to_owned();
    fs::remove_file(served.sealed().remove(1)).unwrap();
    let headers = [
        (header::RANGE, "bytes=10-"),
        (header::IF_RANGE, etag.as_str()),
    ];
    let rest = served.ask(Method::GET, path, &headers).await;
    assert_eq!(rest.status(), 206);
    assert!(to_bytes(rest.into_body(), usize::MAX).await.is_err());
    // Else every new attempt would break off at the same place.
    let anew = served.ask(Method::GET, path, &headers).await;
    assert_eq!(anew.status(), 200);
    assert_ne!(text(&anew, &header::ETAG), etag);
    to_bytes(anew.into_body(), usize::MAX).await.unwrap();
}

#[tokio::test]
async fn over_http_1_0_formats_without_a_visible_end_are_refused() {
    let served = served(10, RouterOptions::new());
    for (export, status) in [
        ("format=zip", 200),
        ("format=zip&category=invoice", 200),
        ("format=gz&category=invoice", 200),
        ("format=json", 200),
        ("format=pdf", 200),
        ("format=ndjson", 505),
        ("format=csv", 505),
    ] {
        let request = Request::get(format!("/audit/export?{export}"))
            .version(Version::HTTP_10)
            .header(header::AUTHORIZATION, format!("Bearer {}", served.token));
        let answer = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{export}");
    }
}

#[tokio::test]
async fn the_end_of_a_download_is_recorded() {
    let served = served(3_000, RouterOptions::new());
    let past = served.past();
    for (number, export) in EXPORTS.iter().enumerate() {
        let path = format!("/audit/export?{export}&{past}");
        let answer = served.get(&path).await;
        let ended = served.ended(number + 1);
        let details = &ended["details"];
        assert_eq!(details["result"], "complete", "{ended}");
        assert_eq!(details["bytes"], answer.body.len(), "{ended}");
        assert_eq!(details["entries"], 3_000, "{ended}");
        assert_eq!(details["parameters"]["end_date"], past["end_date=".len()..]);
        assert_eq!(ended["outcome"]["type"], "success");
        assert!(ended["actor"]["id"].is_string(), "{ended}");
    }
    // A part is complete when it was given, and has no known number of entries.
    let path = format!("/audit/export?{past}");
    let part = served
        .get_with(&path, &[(header::RANGE, "bytes=5-104")])
        .await;
    assert_eq!(part.status, 206);
    let ended = served.ended(EXPORTS.len() + 1);
    assert_eq!(ended["details"]["bytes"], 100, "{ended}");
    assert_eq!(ended["details"]["result"], "complete");
    assert!(ended["details"]["entries"].is_null(), "{ended}");
    // Whoever goes away took a part.
    let answer = served.ask(Method::GET, &path, &[]).await;
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let ended = served.ended(EXPORTS.len() + 2);
    assert_eq!(ended["details"]["result"], "client_gone", "{ended}");
    assert_eq!(ended["outcome"]["reason"], "client_gone");
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let served = served(2_000, RouterOptions::new());
    let past = served.past();
    for export in EXPORTS {
        let path = format!("/audit/export?{export}&{past}");
        let get = served.ask(Method::GET, &path, &[]).await;
        let range = (header::RANGE, "bytes=5-9");
        let head = served.ask(Method::HEAD, &path, &[range]).await;
        assert_eq!(head.status(), 200, "{export}");
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::ACCEPT_RANGES,
            header::CONTENT_RANGE,
        ] {
            assert_eq!(text(&head, &name), text(&get, &name), "{export}: {name}");
        }
        let body = to_bytes(head.into_body(), usize::MAX).await.unwrap();
        assert!(body.is_empty());
        let length = text(&get, &header::CONTENT_LENGTH).to_owned();
        let body = to_bytes(get.into_body(), usize::MAX).await.unwrap();
        assert!(length == "none" || length == body.len().to_string());
    }
    served.ended(EXPORTS.len());
}

#[tokio::test]
async fn conditions_are_honoured() {
    // The bodies aren't read: a download whose client is gone may end after the next one begins.
    let served = served(500, RouterOptions::new().max_downloads_per_caller(100));
    let path = "/audit/export";
    let whole = served.get(path).await;
    let etag = whole.header(header::ETAG).to_owned();
    record_one(&served.log);
    for method in [Method::GET, Method::HEAD] {
        for (name, value, status) in [
            (header::IF_MATCH, "\"another\"", 412),
            (header::IF_MATCH, &format!("W/{etag}"), 412),
            // The plan is kept, so this file is still there.
            (header::IF_MATCH, &format!("\"another\", {etag}"), 200),
            (header::IF_MATCH, "*", 200),
            (header::IF_NONE_MATCH, "*", 304),
            (header::IF_NONE_MATCH, "\"another\"", 200),
        ] {
            let answer = served.ask(method.clone(), path, &[(name, value)]).await;
            assert_eq!(answer.status(), status, "{method} {value}");
        }
        for (name, value, status) in [
            (header::IF_MATCH, etag.as_str(), 412),
            (header::IF_MATCH, "*", 200),
            (header::IF_NONE_MATCH, "*", 304),
            (header::IF_NONE_MATCH, etag.as_str(), 200),
        ] {
            let path = "/audit/export?format=ndjson";
            let answer = served.ask(method.clone(), path, &[(name, value)]).await;
            assert_eq!(answer.status(), status, "{method} {value}");
        }
    }
    let headers = [
        (header::IF_MATCH, etag.as_str()),
        (header::RANGE, "bytes=1000-"),
    ];
    let rest = served.get_with(path, &headers).await;
    assert_eq!(rest.status, 206);
    assert!([&whole.body[..1000], &rest.body].concat() == whole.body);
}

#[tokio::test]
async fn a_range_of_a_changed_file_is_never_given_for_the_old_one() {
    let served = served(3_000, RouterOptions::new());
    let path = format!("/audit/export?{}", served.past());
    let range = [(header::RANGE, "bytes=1000-")];
    let first = served.get_with(&path, &range).await;
    assert_eq!(first.status, 200, "nobody knows which file the client has");
    assert_eq!(served.get_with(&path, &range).await.status, 206);
    // Retention takes the oldest file.
    let oldest = served.sealed().remove(0);
    let index = oldest.to_string_lossy().replace("sealed/", "index/");
    fs::remove_file(index.replace(".jsonl.gz", ".idx")).unwrap();
    fs::remove_file(oldest).unwrap();
    let second = served.get_with(&path, &range).await;
    assert_eq!(second.status, 200, "it is another file");
    assert_ne!(second.header(header::ETAG), first.header(header::ETAG));
    let third = served.get_with(&path, &range).await;
    assert_eq!(third.status, 200, "the client may have either");
    let etag = second.header(header::ETAG);
    let headers = [(header::RANGE, "bytes=1000-"), (header::IF_RANGE, etag)];
    let rest = served.get_with(&path, &headers).await;
    assert_eq!(
        (rest.status, &rest.body[..]),
        (StatusCode::PARTIAL_CONTENT, &second.body[1000..])
    );
}
