//! One attempt, against receivers on real sockets that behave well and badly.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use super::{
    super::receiver::{Receiver, read_request},
    *,
};

/// After this time, a test counts as hanging. It says nothing about how long anything may take.
pub(super) const HANGS: Duration = Duration::from_secs(300);

pub(super) fn options(egress: &[&str]) -> ClientOptions {
    ClientOptions {
        allow_http: true,
        egress: Egress::parse(egress).unwrap(),
        connect_timeout: HANGS,
        timeout: HANGS,
        ..ClientOptions::default()
    }
}

fn local(options_: impl FnOnce(&mut ClientOptions)) -> WebhookClient {
    let mut options = options(&["loopback"]);
    options_(&mut options);
    WebhookClient::new(options).unwrap()
}

async fn post(client: &WebhookClient, receiver: &Receiver) -> Answer {
    client
        .post(&receiver.url("http", "127.0.0.1"), HeaderMap::new(), "{}")
        .await
}

fn kind(answer: &Answer) -> Option<FailureKind> {
    match &answer.outcome {
        Outcome::Failed(failure) => Some(failure.kind),
        Outcome::Status(_) => None,
    }
}

#[tokio::test]
async fn a_delivery_arrives_as_it_was_given() {
    let receiver = Receiver::ok();
    let client = local(|options| {
        options.headers =
            CustomHeaders::parse([("Authorization", "Bearer s3cret"), ("X-Tenant", "acme")])
                .unwrap();
    });
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "msg_1".parse().unwrap());
    headers.insert("content-type", "application/json".parse().unwrap());
    let answer = client
        .post(&receiver.url("http", "127.0.0.1"), headers, r#"{"a":1}"#)
        .await;
    assert_eq!(
        (
            answer.outcome.clone(),
            answer.excerpt.as_str(),
            answer.problem()
        ),
        (Outcome::Status(200), "ok", None)
    );
    let request = receiver.requests().remove(0);
    let host = format!("host: {}", receiver.address);
    let agent = concat!("user-agent: tracing-audit/", env!("CARGO_PKG_VERSION"));
    for line in [
        "POST /hook HTTP/1.1",
        &host,
        agent,
        "authorization: Bearer s3cret",
        "x-tenant: acme",
        "webhook-id: msg_1",
        "content-length: 7",
    ] {
        assert!(
            request.lines().any(|found| found == line),
            "{line} in {request}"
        );
    }
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"));
}

#[tokio::test]
async fn connections_are_used_again() {
    let receiver = Receiver::ok();
    let client = local(|_| {});
    for _ in 0..5 {
        assert_eq!(post(&client, &receiver).await.outcome, Outcome::Status(200));
    }
    assert_eq!((receiver.requests().len(), receiver.connections()), (5, 1));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_attempt() {
    // Takes the second request and hangs up without an answer, as a server does whose idle time ran
    // out just then.
    let receiver = Receiver::scripted(|number, to| {
        number != 1 && to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok()
    });
    let client = local(|_| {});
    for _ in 0..3 {
        assert_eq!(post(&client, &receiver).await.outcome, Outcome::Status(204));
    }
    // The connection of the second try isn't kept.
    assert_eq!((receiver.requests().len(), receiver.connections()), (4, 3));
}

/// Answers the first request of each connection; takes the second, and hangs up without an answer
/// when others had time to open connections. Gives how many requests were answered.
fn closing_after_one() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&answered);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                if read_request(&mut stream).is_none() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                let _ = read_request(&mut stream);
                thread::sleep(Duration::from_millis(10));
            });
        }
    });
    (address, answered)
}

#[tokio::test]
async fn attempts_side_by_side_know_each_whether_its_own_connection_was_a_kept_one() {
    const AT_ONCE: usize = 4;
    const ROUNDS: usize = 25;
    let (address, answered) = closing_after_one();
    let url = Url::parse(&format!("http://{address}/hook")).unwrap();
    let client = local(|_| {});
    let mut posters = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, url) = (client.clone(), url.clone());
        posters.spawn(async move {
            for _ in 0..ROUNDS {
                let answer = client.post(&url, HeaderMap::new(), "{}").await;
                assert_eq!(answer.outcome, Outcome::Status(204), "{answer:?}");
            }
        });
    }
    while let Some(posted) = posters.join_next().await {
        posted.unwrap();
    }
    assert_eq!(answered.load(Ordering::SeqCst), AT_ONCE * ROUNDS);
}

#[tokio::test]
async fn the_second_try_goes_over_a_connection_of_its_own() {
    // Both kept connections take one more request, and hang up.
    let (address, answered) = closing_after_one();
    let url = Url::parse(&format!("http://{address}/hook")).unwrap();
    let client = local(|_| {});
    let post = || client.post(&url, HeaderMap::new(), "{}");
    let (one, other) = tokio::join!(post(), post());
    assert!(one.problem().is_none() && other.problem().is_none());
    let answer = post().await;
    assert_eq!(answer.outcome, Outcome::Status(204), "{answer:?}");
    assert_eq!(answered.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_a_failed_attempt() {
    let receiver = Receiver::scripted(|_, _| false);
    let answer = post(&local(|_| {}), &receiver).await;
    assert_eq!(kind(&answer), Some(FailureKind::Other), "{answer:?}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    // Bound, so that nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let url = Url::parse(&format!("http://{address}/s3cret-path")).unwrap();
    let answer = local(|_| {}).post(&url, HeaderMap::new(), "{}").await;
    assert_eq!(kind(&answer), Some(FailureKind::Connect));
    let problem = answer.problem().unwrap();
    assert!(
        problem.contains("refused") && !problem.contains("s3cret"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    for status in [301, 302, 303, 307, 308] {
        let forbidden = Receiver::ok();
        let location = forbidden.url("http", "127.0.0.1");
        let receiver = Receiver::scripted(move |_, to| {
            write!(
                to,
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            )
            .is_ok()
        });
        let answer = post(&local(|_| {}), &receiver).await;
        assert_eq!(
            (answer.outcome.clone(), answer.location_host.as_deref()),
            (Outcome::Status(status), Some("127.0.0.1"))
        );
        assert!(
            answer
                .problem()
                .unwrap()
                .contains("127.0.0.1; redirects are not followed")
        );
        assert_eq!(forbidden.connections(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_drips_is_cut_by_the_time_limit() {
    for start in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: ",
    ] {
        let receiver = Receiver::scripted(move |_, to| {
            let _ = to.write_all(start.as_bytes());
            while to.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
            false
        });
        let client = local(|options| options.timeout = Duration::from_millis(300));
        let answer = post(&client, &receiver).await;
        assert_eq!(kind(&answer), Some(FailureKind::Timeout), "{answer:?}");
        assert!(
            answer.took >= Duration::from_millis(300) && answer.took < Duration::from_secs(3),
            "{:?}",
            answer.took
        );
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_by_the_time_limit_for_connecting() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("https://{}/", silent.local_addr().unwrap())).unwrap();
    let client = local(|options| options.connect_timeout = Duration::from_millis(200));
    let answer = client.post(&url, HeaderMap::new(), "{}").await;
    assert!(answer.took < Duration::from_secs(3), "{:?}", answer.took);
    assert_eq!(
        answer.outcome,
        Outcome::Failed(Failure::new(
            FailureKind::Timeout,
            "no connection within 200ms"
        ))
    );
}

#[tokio::test]
async fn an_endless_answer_is_read_for_64_kib_only() {
    let (sent, told) = mpsc::channel();
    let receiver = Receiver::scripted(move |_, to| {
        let _ = to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n");
        let mut written = 0u64;
        while to.write_all(&[b'x'; 8192]).is_ok() {
            written += 8192;
        }
        sent.send(written).unwrap();
        false
    });
    let answer = post(&local(|_| {}), &receiver).await;
    assert_eq!(
        (answer.outcome, answer.excerpt.len()),
        (Outcome::Status(200), 2048)
    );
    // What the sockets' buffers took besides.
    let written = tokio::task::spawn_blocking(move || told.recv_timeout(HANGS).unwrap())
        .await
        .unwrap();
    assert!(written < 32 << 20, "{written}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_success() {
    let receiver = Receiver::scripted(|_, to| {
        let _ = to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nstart");
        false
    });
    assert_eq!(
        kind(&post(&local(|_| {}), &receiver).await),
        Some(FailureKind::Body)
    );
    let receiver = Receiver::saying("no HTTP at all\r\n\r\n");
    assert_eq!(
        kind(&post(&local(|_| {}), &receiver).await),
        Some(FailureKind::Other)
    );
}

#[tokio::test]
async fn what_is_kept_of_an_answer_holds_no_secret() {
    let receiver = Receiver::saying(
        "HTTP/1.1 429 Slow\r\nretry-after: 17\r\ncontent-length: 52\r\n\r\nno: Bearer k3y-k3y, and whsec_abc too, said the server",
    );
    let client = local(|options| {
        options.headers = CustomHeaders::parse([("Authorization", "Bearer k3y-k3y")]).unwrap();
        options.secrets = vec!["whsec_abc".to_owned()];
    });
    let answer = post(&client, &receiver).await;
    assert_eq!(answer.excerpt, "no: ***, and *** too, said the serv");
    assert_eq!(
        (answer.outcome, answer.retry_after),
        (Outcome::Status(429), Some(Duration::from_secs(17)))
    );
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("k3y") && !shown.contains("whsec_abc"),
        "{shown}"
    );
}

#[tokio::test]
async fn only_429_and_503_can_ask_to_be_left_alone() {
    let day = Some(Duration::from_secs(86_400));
    for (status, asked) in [
        ("429 Too Many Requests", day),
        ("503 Service Unavailable", day),
        ("200 OK", None),
        ("302 Found", None),
        ("404 Not Found", None),
        ("500 Internal Server Error", None),
    ] {
        let answer =
            format!("HTTP/1.1 {status}\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::scripted(move |_, to| to.write_all(answer.as_bytes()).is_ok());
        let answer = post(&local(|_| {}), &receiver).await;
        assert_eq!(answer.retry_after, asked, "{status}");
    }
}

#[tokio::test]
async fn a_location_is_cut_where_it_comes_in() {
    for length in [100, 300, 30_000, 300_000] {
        let host = "a".repeat(length);
        let answer =
            format!("HTTP/1.1 302 Found\r\nlocation: http://{host}/\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::scripted(move |_, to| to.write_all(answer.as_bytes()).is_ok());
        let answer = post(&local(|_| {}), &receiver).await;
        let kept = answer.location_host.as_ref().map_or(0, String::len);
        assert!(kept <= 255, "{kept} bytes of {length}");
        assert!(answer.problem().unwrap().len() < 1024, "{length}");
        // A head of more than 64 KiB isn't read to its end.
        let is_read = matches!(answer.outcome, Outcome::Status(302));
        assert_eq!(is_read, length < 64 * 1024, "{:?}", answer.outcome);
    }
}

#[tokio::test]
async fn a_location_that_echoes_a_secret_is_kept_without_it() {
    let receiver = Receiver::saying(
        "HTTP/1.1 302 Found\r\nlocation: http://k3y-k3y.example/\r\ncontent-length: 0\r\n\r\n",
    );
    let client = local(|options| options.secrets = vec!["k3y-k3y".to_owned()]);
    let answer = post(&client, &receiver).await;
    assert_eq!(answer.location_host.as_deref(), Some("***.example"));
}
