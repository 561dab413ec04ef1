//! Downloads: what is in them, their byte ranges, and that one that was cut off is resumed to the
//! same file.

use std::{
    io::{Cursor, Read},
    process::Command,
    time::{Duration, Instant},
};

use crate::http::{open, record_one, served, token, write};
use crate::support::HANGS;
use axum::http::header;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tracing_audit::{
    AuditLog, Timestamp,
    http::{RouterOptions, Scope, ServeOptions, Server},
};

/// The lines of all entries, the manifest left out.
fn unzip(bytes: &[u8]) -> Vec<String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut lines = Vec::new();
    for n in 0..zip.len() {
        let mut entry = zip.by_index(n).unwrap();
        let (name, mut text) = (entry.name().unwrap().into_owned(), String::new());
        entry.read_to_string(&mut text).unwrap();
        if name != "manifest.json" {
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

fn stored(dir: &std::path::Path, event_type: &str) -> Vec<String> {
    let wanted = format!("\"event_type\":\"{event_type}\"");
    let mut lines: Vec<_> = crate::support::lines(dir)
        .into_iter()
        .filter(|line| line.contains(&wanted))
        .collect();
    lines.sort();
    lines
}

/// A question for all that is finished now.
async fn past() -> String {
    tokio::time::sleep(Duration::from_millis(5)).await;
    format!("end_date={}", Timestamp::now())
}

#[tokio::test]
async fn a_download_has_every_line_as_stored() {
    let served = served(3_000, RouterOptions::new());
    let mut source = stored(served.dir.path(), "invoice.sent");
    assert_eq!(source.len(), 3_000);
    let past = past().await;
    let zip = served.get(&format!("/audit/export?{past}")).await;
    assert_eq!(zip.header(header::CONTENT_TYPE), "application/zip");
    assert_eq!(
        zip.header(header::CONTENT_LENGTH),
        zip.body.len().to_string()
    );
    assert_eq!(zip.header(header::ACCEPT_RANGES), "bytes");
    let name = zip.header(header::CONTENT_DISPOSITION).to_owned();
    let day = &past["end_date=".len()..][..10];
    assert_eq!(
        name,
        format!("attachment; filename=\"audit-begin-{day}.zip\"")
    );
    let gz = served.get(&format!("/audit/export?format=gz&{past}")).await;
    let gz = std::io::read_to_string(flate2::read::GzDecoder::new(&gz.body[..])).unwrap();
    let ndjson = served
        .get(&format!("/audit/export?format=ndjson&{past}"))
        .await;
    assert_eq!(ndjson.header(header::CONTENT_TYPE), "application/x-ndjson");
    let ndjson = String::from_utf8(ndjson.body).unwrap();
    for lines in [
        unzip(&zip.body),
        gz.lines().map(str::to_owned).collect(),
        ndjson.lines().map(str::to_owned).collect(),
    ] {
        let mut lines: Vec<_> = lines
            .into_iter()
            .filter(|line| line.contains("\"event_type\":\"invoice.sent\""))
            .collect();
        lines.sort();
        assert_eq!(lines, source);
    }

    source.retain(|line| line.contains("\"id\":\"user-3\""));
    let some = served
        .get(&format!("/audit/export?actor=user-3&{past}"))
        .await;
    assert!(some.headers.get(header::CONTENT_LENGTH).is_none());
    let mut lines = unzip(&some.body);
    lines.sort();
    assert_eq!(lines, source);
    let mut archive = zip::ZipArchive::new(Cursor::new(some.body)).unwrap();
    let last = archive.by_index(archive.len() - 1).unwrap();
    assert_eq!(last.name().unwrap(), "manifest.json");
    let manifest: serde_json::Value = serde_json::from_reader(last).unwrap();
    assert_eq!(manifest["entries"][0]["count"], 300);
    assert_eq!(manifest["filters"]["actor"], serde_json::json!(["user-3"]));
}

#[tokio::test]
async fn parts_of_a_file_are_its_parts() {
    let served = served(2_000, RouterOptions::new());
    let path = format!("/audit/export?{}", past().await);
    let whole = served.get(&path).await;
    let (etag, len) = (whole.header(header::ETAG).to_owned(), whole.body.len());
    assert!(etag.starts_with('"') && etag.len() > 32);
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000-4999", 1000..5000),
        ("bytes=-100", len - 100..len),
        ("bytes=100-", 100..len),
    ] {
        let answer = served.get_with(&path, &[(header::RANGE, range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(
            answer.header(header::CONTENT_RANGE),
            format!("bytes {}-{}/{len}", part.start, part.end - 1)
        );
        assert_eq!(
            answer.header(header::CONTENT_LENGTH),
            part.len().to_string()
        );
        assert!(answer.body == whole.body[part], "{range}");
    }
    let beyond = format!("bytes={len}-");
    let answer = served.get_with(&path, &[(header::RANGE, &beyond)]).await;
    answer.problem(416);
    assert_eq!(
        answer.header(header::CONTENT_RANGE),
        format!("bytes */{len}")
    );
    for headers in [
        [
            (header::RANGE, "bytes=5-9"),
            (header::IF_RANGE, "\"another\""),
        ],
        [
            (header::RANGE, "bytes=5-9"),
            (header::IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ],
        [(header::RANGE, "bytes=5-9,20-29"), (header::ACCEPT, "*/*")],
    ] {
        let answer = served.get_with(&path, &headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (200, len),
            "{headers:?}"
        );
    }
    let answer = served
        .get_with(
            &path,
            &[(header::RANGE, "bytes=5-9"), (header::IF_RANGE, &etag)],
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (206, &whole.body[5..10])
    );
    let answer = served
        .get_with(&path, &[(header::IF_NONE_MATCH, &etag)])
        .await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    let request = axum::http::Request::head(&path)
        .header(header::AUTHORIZATION, format!("Bearer {}", served.token));
    let head = served
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(
        (
            head.status.as_u16(),
            head.body.len(),
            head.header(header::ETAG)
        ),
        (200, 0, etag.as_str())
    );
    assert_eq!(head.header(header::CONTENT_LENGTH), len.to_string());
}

#[tokio::test]
async fn todays_download_resumes_while_the_log_goes_on() {
    let served = served(500, RouterOptions::new());
    let whole = served.get("/audit/export").await;
    let etag = whole.header(header::ETAG).to_owned();
    record_one(&served.log);
    served.accesses(1);
    // Without the tag, nobody knows of which file the first bytes are.
    let blind = served
        .get_with("/audit/export", &[(header::RANGE, "bytes=1000-")])
        .await;
    assert_eq!(blind.status, 200);
    assert_ne!(blind.header(header::ETAG), etag);
    let rest = served
        .get_with(
            "/audit/export",
            &[(header::RANGE, "bytes=1000-"), (header::IF_RANGE, &etag)],
        )
        .await;
    assert_eq!(rest.status, 206);
    assert!([&whole.body[..1000], &rest.body].concat() == whole.body);
    // The tag opens nothing else.
    let other = served
        .get_with(
            "/audit/export?format=gz",
            &[(header::RANGE, "bytes=1000-"), (header::IF_RANGE, &etag)],
        )
        .await;
    assert_eq!(other.status, 200);
}

/// A server on loopback.
pub(crate) struct Running {
    log: AuditLog,
    addr: std::net::SocketAddr,
    token: String,
    pub(crate) dir: tempfile::TempDir,
    stop: tokio::sync::oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

pub(crate) async fn running(events: usize, options: RouterOptions) -> Running {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), events);
    let log = open(dir.path());
    let token = token(dir.path(), Scope::Export, None);
    let server = Server::bind(
        &log,
        ServeOptions::new(([127, 0, 0, 1], 0).into()).router(options),
    )
    .await
    .unwrap();
    let (addr, (stop, stopped)) = (server.local_addr(), tokio::sync::oneshot::channel());
    let ended = tokio::spawn(server.run(async { drop(stopped.await) }));
    Running {
        log,
        addr,
        token,
        dir,
        stop,
        ended,
    }
}

impl Running {
    async fn request(&self, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            self.token
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn status(&self, path: &str) -> String {
        let mut answer = Vec::new();
        self.request(path)
            .await
            .read_to_end(&mut answer)
            .await
            .unwrap();
        String::from_utf8_lossy(&answer)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--header",
            &format!("Authorization: Bearer {}", self.token),
        ]);
        curl.args(arguments)
            .arg(format!("http://{}{path}", self.addr));
        curl
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_resumes_a_download_that_was_cut_off() {
    let server = running(3_000, RouterOptions::new()).await;
    let path = format!("/audit/export?{}", past().await);
    let (whole, cut) = (
        server.dir.path().join("whole.zip"),
        server.dir.path().join("cut.zip"),
    );
    let (curl_whole, curl_rest) = {
        let whole = server.curl(&path, &["--output", whole.to_str().unwrap()]);
        (
            whole,
            server.curl(
                &path,
                &["--continue-at", "-", "--output", cut.to_str().unwrap()],
            ),
        )
    };
    let run = async |mut command: Command| {
        tokio::task::spawn_blocking(move || command.status().unwrap())
            .await
            .unwrap()
    };
    assert!(run(curl_whole).await.success());
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 3]).unwrap();
    assert!(run(curl_rest).await.success());
    assert!(
        std::fs::read(&cut).unwrap() == bytes,
        "the resumed file is another"
    );
    assert_eq!(
        unzip(&bytes)
            .iter()
            .filter(|line| line.contains("invoice.sent"))
            .count(),
        3_000
    );
}

/// A download of megabytes of which nobody takes more than one byte.
async fn slow(server: &Running) -> TcpStream {
    let mut download = server
        .request("/audit/export?format=ndjson&event_type=invoice.sent")
        .await;
    download.read_exact(&mut [0]).await.unwrap();
    download
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_holds_up_only_who_wants_the_same_place() {
    let server = running(
        30_000,
        RouterOptions::new().max_downloads(1).stall_time(HANGS),
    )
    .await;
    let _slow = slow(&server).await;
    assert_eq!(
        server.status("/audit/export").await,
        "HTTP/1.1 503 Service Unavailable"
    );
    assert_eq!(server.status("/audit/entries").await, "HTTP/1.1 200 OK");
    record_one(&server.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_for_too_long_loses_his_place() {
    let server = running(
        30_000,
        RouterOptions::new()
            .max_downloads(1)
            .stall_time(Duration::from_secs(1)),
    )
    .await;
    let mut slow = slow(&server).await;
    let start = Instant::now();
    while server.status("/audit/export").await != "HTTP/1.1 200 OK" {
        assert!(start.elapsed() < HANGS, "the place is not free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What it got does not look complete.
    let mut rest = Vec::new();
    let end = slow.read_to_end(&mut rest).await;
    assert!(end.is_err() || !rest.ends_with(b"\r\n0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_a_download_end() {
    let server = running(30_000, RouterOptions::new()).await;
    let mut download = slow(&server).await;
    server.stop.send(()).unwrap();
    let start = Instant::now();
    while TcpStream::connect(server.addr).await.is_ok() {
        assert!(
            start.elapsed() < HANGS,
            "it takes connections when it was stopped"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!server.ended.is_finished());
    let mut text = Vec::new();
    download.read_to_end(&mut text).await.unwrap();
    assert!(text.ends_with(b"\r\n0\r\n\r\n"));
    server.ended.await.unwrap();
}

#[tokio::test]
async fn beyond_loopback_needs_tls_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let anywhere = ServeOptions::new(([0, 0, 0, 0], 0).into());
    let refused = Server::bind(&log, anywhere.clone())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("put a TLS proxy in front and give allow_plain_http"),
        "{refused}"
    );
    let refused = Server::bind(&log, anywhere.clone().allow_plain_http(true))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no tokens"), "{refused}");
    token(dir.path(), Scope::Read, None);
    Server::bind(&log, anywhere.allow_plain_http(true))
        .await
        .unwrap();
}
