//! Programs that follow the log over HTTP: by pages in the order of arrival, and by a stream.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderName, Request, StatusCode, header},
};
use serde_json::Value;
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;
use tracing_audit::{
    audit,
    http::{RouterOptions, ServeOptions, Server},
};
use tracing_subscriber::prelude::*;

use crate::{
    http::{Served, served},
    support::HANGS,
};

/// Records events of these numbers; they have arrived on return.
fn record(served: &Served, numbers: std::ops::Range<u64>) {
    let subscriber = tracing_subscriber::registry().with(served.log.layer());
    tracing::subscriber::with_default(subscriber, || {
        let receipts: Vec<_> = numbers
            .map(|number| audit!("order.shipped", number))
            .collect();
        receipts.last().unwrap().wait().unwrap();
    });
}

fn numbers(page: &Value) -> Vec<u64> {
    let entries = page["entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["details"]["number"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_poller_gets_what_comes_and_nothing_twice() {
    let served = served(10, RouterOptions::new());
    let first = served
        .get("/audit/entries?order=arrival&cursor=now&event_type=order.*")
        .await;
    let page = first.json();
    assert_eq!((numbers(&page), &page["has_more"]), (vec![], &false.into()));
    let mut next = served.next(&first);
    let mut got = Vec::new();
    for round in 0..3 {
        record(&served, round * 10..round * 10 + 10);
        loop {
            let answer = served.get(&format!("{next}&limit=4")).await;
            let page = answer.json();
            got.extend(numbers(&page));
            let cursor = page["next_cursor"].as_str().unwrap();
            next = format!("/audit/entries?event_type=order.*&order=arrival&cursor={cursor}");
            if page["has_more"] == false {
                break;
            }
        }
    }
    assert_eq!(got, (0..30).collect::<Vec<_>>());
    let all = served.get("/audit/entries?order=arrival&limit=1000").await;
    assert_eq!(all.json()["entries"].as_array().unwrap().len(), 40);
}

impl Served {
    /// Where the `Link` header leads.
    fn next(&self, answer: &crate::http::Answer) -> String {
        let links = answer.header(header::LINK);
        let next = links
            .split(", ")
            .find(|link| link.ends_with("rel=\"next\""));
        let (url, _) = next.unwrap()[1..].split_once('>').unwrap();
        url.to_owned()
    }
}

#[tokio::test]
async fn links_lead_to_the_next_and_the_first_page() {
    let served = served(10, RouterOptions::new());
    let mut answer = served
        .get("/audit/entries?limit=4&q=invoice%20&order=asc&offset=0")
        .await;
    let first = "</audit/entries?limit=4&q=invoice%20&order=asc>; rel=\"first\"";
    let mut got = numbers(&answer.json());
    while answer.json()["has_more"] == true {
        assert!(answer.header(header::LINK).ends_with(first));
        answer = served.get(&served.next(&answer)).await;
        got.extend(numbers(&answer.json()));
    }
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    // The last page leads to what will come.
    record(&served, 10..12);
    let query = "event_type=order.*&order=asc";
    let empty = served
        .get(&format!("/audit/entries?{query}&actor=nobody"))
        .await;
    let cursor = empty.json()["next_cursor"].as_str().unwrap().to_owned();
    let later = format!("/audit/entries?{query}&cursor={cursor}");
    assert_eq!(numbers(&served.get(&later).await.json()), [10, 11]);
}

#[tokio::test]
async fn reads_of_the_log_are_given_only_when_asked_for() {
    let served = served(3, RouterOptions::new());
    let types = async |query: &str| {
        let page = served.get(&format!("/audit/entries{query}")).await.json();
        let entries = page["entries"].as_array().unwrap().clone();
        let mut types: Vec<_> = entries
            .iter()
            .map(|entry| entry["event_type"].as_str().unwrap().to_owned())
            .collect();
        types.dedup();
        types
    };
    served.get("/audit/entries").await;
    served.accesses(1);
    assert_eq!(types("").await, ["invoice.sent"]);
    assert_eq!(types("?offset=1").await, ["invoice.sent"]);
    let both = ["audit.access.read", "invoice.sent"];
    assert_eq!(types("?include=access").await, both);
    assert_eq!(types("?event_type=audit.*").await, ["audit.access.read"]);
    assert_eq!(
        types("?event_type=audit.access.read").await,
        ["audit.access.read"]
    );
    let wrong = served.get("/audit/entries?include=all").await.problem(400);
    assert_eq!(wrong["parameter"], "include");
}

#[tokio::test]
async fn a_page_says_up_to_when_the_log_is_complete() {
    let served = served(3, RouterOptions::new());
    let begun = tracing_audit::Timestamp::now();
    let waited = std::time::Instant::now();
    loop {
        let page = served.get("/audit/entries").await.json();
        let until = page["complete_until"]
            .as_str()
            .unwrap()
            .parse::<tracing_audit::Timestamp>();
        if until.unwrap() > begun {
            return;
        }
        assert!(waited.elapsed() < HANGS, "{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client of the stream.
struct Client {
    body: BodyDataStream,
    text: String,
    last_id: String,
}

struct Event {
    name: String,
    data: Value,
}

impl Client {
    async fn new(served: &Served, query: &str, last_id: Option<&str>) -> Self {
        let mut request = Request::get(format!("/audit/stream{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", served.token));
        if let Some(id) = last_id {
            request = request.header(HeaderName::from_static("last-event-id"), id);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = served.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers().get(header::CONTENT_TYPE).unwrap();
        assert_eq!(kind, "text/event-stream");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
            last_id: String::new(),
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        while !self.text.contains("\n\n") {
            let chunk = tokio::time::timeout(HANGS, self.body.next())
                .await
                .unwrap()?;
            self.text += std::str::from_utf8(&chunk.unwrap()).unwrap();
        }
        let (event, rest) = self.text.split_once("\n\n").unwrap();
        let (event, rest) = (event.to_owned(), rest.to_owned());
        self.text = rest;
        let field = |name: &str| {
            let mut lines = event.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value.to_owned())
        };
        if let Some(id) = field("id") {
            self.last_id = id;
        }
        Some(Event {
            name: field("event").unwrap(),
            data: serde_json::from_str(&field("data").unwrap()).unwrap(),
        })
    }

    /// The numbers of the next `count` entries or more.
    async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut got = Vec::new();
        while got.len() < count {
            let event = self.next().await.unwrap();
            assert!(event.data["complete_until"].is_string(), "{}", event.data);
            if event.name == "entries" {
                got.extend(numbers(&event.data));
            }
        }
        got
    }

    async fn end(&mut self) -> String {
        loop {
            let event = self.next().await.expect("the end is said");
            if event.name == "end" {
                assert!(self.next().await.is_none());
                return event.data["why"].as_str().unwrap().to_owned();
            }
        }
    }
}

const ORDERS: &str = "?event_type=order.*";

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event() {
    let served = served(5, RouterOptions::new());
    record(&served, 0..5);
    let mut client = Client::new(&served, ORDERS, None).await;
    // It begins now, and says so at once.
    assert_eq!(client.next().await.unwrap().name, "progress");
    record(&served, 5..10);
    assert_eq!(client.numbers(5).await, [5, 6, 7, 8, 9]);
    let last_id = client.last_id.clone();
    drop(client);
    record(&served, 10..700);
    let mut client = Client::new(&served, ORDERS, Some(&last_id)).await;
    assert_eq!(client.numbers(690).await, (10..700).collect::<Vec<_>>());
    let cursor = &client.last_id;
    let mut other = Client::new(&served, &format!("{ORDERS}&cursor={cursor}"), None).await;
    record(&served, 700..701);
    assert_eq!(client.numbers(1).await, [700]);
    assert_eq!(other.numbers(1).await, [700]);
}

#[tokio::test]
async fn a_stream_ends_with_the_token() {
    let served = served(1, RouterOptions::new());
    let mut client = Client::new(&served, ORDERS, None).await;
    client.next().await.unwrap();
    std::fs::write(
        served.dir.path().join("state/tokens.json"),
        r#"{"version": 1, "tokens": []}"#,
    )
    .unwrap();
    assert_eq!(client.end().await, "the token is no longer valid");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_goes_on() {
    let options = RouterOptions::new().stall_time(Duration::from_millis(100));
    let served = served(1, options.max_streams(1));
    let mut client = Client::new(&served, ORDERS, None).await;
    client.next().await.unwrap();
    record(&served, 0..2_000);
    let refused = served.get("/audit/stream").await.problem(503);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("too many clients")
    );
    // It reads nothing until it is cut off, which makes room for another.
    let begun = std::time::Instant::now();
    let mut last_id = None;
    while last_id.is_none() {
        assert!(begun.elapsed() < HANGS);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let request = Request::get("/audit/stream")
            .header(header::AUTHORIZATION, format!("Bearer {}", served.token))
            .body(Body::empty())
            .unwrap();
        let response = served.app.clone().oneshot(request).await.unwrap();
        if response.status() == StatusCode::OK {
            let mut got = Vec::new();
            loop {
                let event = client.next().await.unwrap();
                match event.name.as_str() {
                    "entries" => got.extend(numbers(&event.data)),
                    "end" => break,
                    _ => {}
                }
            }
            assert!(got.len() < 2_000);
            assert!(got.iter().copied().eq(0..got.len() as u64));
            last_id = Some((client.last_id.clone(), got.len() as u64));
        }
    }
    let (last_id, next) = last_id.unwrap();
    let begun = std::time::Instant::now();
    // The other one is gone, which its place shows a little later.
    let mut client = loop {
        assert!(begun.elapsed() < HANGS);
        let probe = served.get_stream(&last_id).await;
        if let Some(client) = probe {
            break client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let got = client.numbers((2_000 - next) as usize).await;
    assert!(got.into_iter().eq(next..2_000));
}

impl Served {
    /// The stream, if there is room for another client.
    async fn get_stream(&self, last_id: &str) -> Option<Client> {
        let request = Request::get(format!("/audit/stream{ORDERS}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header("last-event-id", last_id)
            .body(Body::empty())
            .unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        (response.status() == StatusCode::OK).then(|| Client {
            body: response.into_body().into_data_stream(),
            text: String::new(),
            last_id: String::new(),
        })
    }
}

#[tokio::test]
async fn parameters_of_pages_are_none_of_a_stream() {
    let served = served(1, RouterOptions::new());
    for (query, parameter) in [
        ("?limit=5", "limit"),
        ("?order=asc", "order"),
        ("?offset=1", "offset"),
        ("?cursor=v1", "cursor"),
        ("?actr=x", "actr"),
    ] {
        let problem = served
            .get(&format!("/audit/stream{query}"))
            .await
            .problem(400);
        assert_eq!(problem["parameter"], parameter);
    }
}

/// A server that stops doesn't wait for its streams.
#[tokio::test]
async fn a_stream_ends_with_the_server() {
    let served = served(1, RouterOptions::new());
    let options = ServeOptions::new(([127, 0, 0, 1], 0).into());
    let server = Server::bind(&served.log, options).await.unwrap();
    let address = server.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    let head = format!(
        "GET /audit/stream HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        served.token
    );
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    while !text.contains("event: progress") {
        let mut chunk = [0; 4096];
        let read = tokio::io::AsyncReadExt::read(&mut socket, &mut chunk)
            .await
            .unwrap();
        assert!(read > 0, "{text}");
        text += std::str::from_utf8(&chunk[..read]).unwrap();
    }
    let begun = std::time::Instant::now();
    stop.send(()).unwrap();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut text)
        .await
        .unwrap();
    assert!(text.contains("the server stops; connect again"), "{text}");
    running.await.unwrap();
    // Ten seconds are given to answers that go on.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn an_archive_says_up_to_when_it_is_complete() {
    let served = served(10, RouterOptions::new());
    let until = async |query: &str| {
        let answer = served.get(&format!("/audit/export?{query}")).await;
        assert_eq!(answer.status, 200);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
        let manifest = archive.by_name("manifest.json").unwrap();
        let manifest: Value = serde_json::from_reader(manifest).unwrap();
        let until = manifest["complete_until"].as_str().unwrap();
        until.parse::<tracing_audit::Timestamp>().unwrap()
    };
    let past = "2020-01-01".parse::<tracing_audit::Day>().unwrap();
    let of_past = "start_date=2019-01-01&end_date=2020-01-01";
    for filter in ["", "&actor=user-1"] {
        // The range is complete, so its end is as far as it goes.
        assert_eq!(until(&format!("{of_past}{filter}")).await, past.end());
        let now = tracing_audit::Timestamp::now();
        assert!(until(&format!("start_date={past}{filter}")).await <= now);
    }
}
