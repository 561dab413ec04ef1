//! A webhook with a proxy: each connection is one to the proxy, which learns where to and no more
//! than that; and where the proxy fails, so does the attempt.

use std::{
    io::{Read as _, Write as _, copy},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::receiver::{Receiver, dispatcher, refusing, server};
use crate::shop::{emit, open};
use tracing_audit::{
    AuditLog,
    webhook::{Attempt, Webhook},
};

const PASSWORD: &str = "s3cret-1618";
/// `ann:s3cret-1618`, and the scheme.
const BASIC: &str = "Basic YW5uOnMzY3JldC0xNjE4";

/// A proxy on loopback, which takes each name for loopback, as its own DNS might.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that answers with this status line, and connects if that is a 200.
    fn saying(status: &'static str) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let address = server(move |mut stream| {
            let head = head(&mut stream);
            let port = head
                .split(' ')
                .nth(1)
                .and_then(|to| to.rsplit(':').next()?.parse().ok());
            seen.lock().unwrap().push(head);
            let _ = write!(stream, "{status}\r\n\r\n");
            if let (Some(port), true) = (port, status.contains(" 200")) {
                join(stream, SocketAddr::from(([127, 0, 0, 1], port)));
            }
        });
        Self { address, heads }
    }

    fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}{}", self.address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// How often it was asked for a way to this receiver.
    fn asked_for(&self, receiver: &Receiver) -> usize {
        let port = format!(":{} HTTP/1.1", port(receiver));
        let heads = self.heads();
        heads.iter().filter(|head| head.contains(&port)).count()
    }
}

fn port(receiver: &Receiver) -> &str {
    let port = receiver.url.rsplit(':').next().unwrap();
    port.strip_suffix("/hook").unwrap()
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn join(mut from: TcpStream, to: SocketAddr) {
    let mut to = TcpStream::connect(to).unwrap();
    let (mut back, mut forth) = (to.try_clone().unwrap(), from.try_clone().unwrap());
    thread::spawn(move || {
        let _ = copy(&mut back, &mut forth);
        let _ = forth.shutdown(Shutdown::Both);
    });
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn test(log: &AuditLog, name: &str) -> Attempt {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let attempt = runtime.block_on(log.webhooks().test(name));
    attempt.unwrap().unwrap()
}

/// A URL of the receiver under a name that only the proxy knows.
fn by_name(receiver: &Receiver) -> String {
    receiver.url.replace("127.0.0.1", "siem.invalid")
}

#[test]
fn the_proxy_finds_the_receiver_and_keeps_its_password() {
    let receiver = Receiver::new();
    let proxy = Proxy::saying("HTTP/1.1 200 Connection established");
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let webhook = Webhook::new("siem", by_name(&receiver), ["order.*"])
        .allow_http()
        .proxy(proxy.url(&format!("ann:{PASSWORD}@")));
    log.webhooks().add(webhook).unwrap();
    let dispatcher = dispatcher(&log);
    emit(&log, 0..20);
    receiver.wait_for_numbers(20);
    drop(dispatcher);

    let heads = proxy.heads();
    let port = port(&receiver);
    for head in &heads {
        assert!(
            head.starts_with(&format!("CONNECT siem.invalid:{port} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&format!("proxy-authorization: {BASIC}\r\n")),
            "{head}"
        );
    }
    // Four attempts are under way at once. One that begins while a connection is on its way back
    // to those that are kept opens another.
    assert!(
        (1..=10).contains(&heads.len()),
        "connections are kept: {} for 20 requests",
        heads.len()
    );
    receiver.look(|came| {
        for came in came {
            let names: Vec<_> = came.request.headers.keys().collect();
            assert!(
                !names.iter().any(|name| name.contains("proxy")),
                "{names:?}"
            );
        }
    });
    let shown = serde_json::to_string(&log.webhooks().list().unwrap()).unwrap();
    assert!(
        shown.contains(&format!("http://***@{}", proxy.address)),
        "{shown}"
    );
    log.close().unwrap();
    let lines = crate::support::lines(dir.path()).join("\n");
    assert!(!format!("{shown}{lines}").contains(PASSWORD));
}

#[test]
fn what_the_proxy_refuses_does_not_go_another_way() {
    let receiver = Receiver::new();
    let log = AuditLog::for_tests();
    let (closed, _socket) = refusing();
    for (name, proxy, says) in [
        ("closed", Err(closed), "can't be reached"),
        (
            "unknown",
            Ok(Proxy::saying("HTTP/1.1 407 Proxy Authentication Required")),
            "answered 407: it refuses the user name or the password",
        ),
        (
            "forbidden",
            Ok(Proxy::saying("HTTP/1.1 403 Forbidden")),
            "answered 403 when asked for 127.0.0.1:",
        ),
        (
            "unavailable",
            Ok(Proxy::saying("HTTP/1.1 503 Service Unavailable")),
            "answered 503 when asked for",
        ),
        (
            "other",
            Ok(Proxy::saying("SSH-2.0-OpenSSH")),
            "isn't an HTTP proxy",
        ),
        ("mute", Ok(Proxy::saying("")), "isn't an HTTP proxy"),
    ] {
        let address = match &proxy {
            Ok(proxy) => proxy.address,
            Err(address) => *address,
        };
        // Without the proxy this receiver would be reached.
        let webhook = Webhook::new(name, &receiver.url, ["order.*"])
            .allow_http()
            .egress(["loopback"])
            .proxy(format!("http://ann:{PASSWORD}@{address}"));
        log.webhooks().add(webhook).unwrap();
        let attempt = test(&log, name);
        assert!(
            !attempt.delivered && attempt.status.is_none(),
            "{attempt:?}"
        );
        assert!(attempt.result.contains(says), "{name}: {}", attempt.result);
        assert!(
            attempt.result.contains(&address.to_string()),
            "{name}: {}",
            attempt.result
        );
        assert!(!attempt.result.contains(PASSWORD) && !attempt.result.contains("ann"));
        let asked = proxy.map_or(0, |proxy| proxy.heads().len());
        assert_eq!(asked, usize::from(name != "closed"), "{name}");
    }
    assert_eq!(receiver.count(), 0);
}

#[test]
fn an_address_in_the_url_is_checked_here_all_the_same() {
    let proxy = Proxy::saying("HTTP/1.1 200 Connection established");
    let log = AuditLog::for_tests();
    for url in [
        "https://169.254.169.254/latest",
        "https://[::ffff:169.254.169.254]/",
        "https://10.0.0.1/",
        "https://2130706433/",
        "https://localhost/",
    ] {
        let webhook = Webhook::new("siem", url, ["*"]).proxy(proxy.url(""));
        let refused = log.webhooks().add(webhook).unwrap_err().to_string();
        assert!(refused.contains("is refused"), "{url}: {refused}");
    }
    assert!(proxy.heads().is_empty());
}

#[test]
fn a_proxy_for_all_holds_for_each_webhook_that_names_none() {
    // Deliveries go to one, and tests to the other.
    let [receiver, tested] = [0; 2].map(|_| Receiver::new());
    let [for_all, own] = [0; 2].map(|_| Proxy::saying("HTTP/1.1 200 OK"));
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let webhook = |name: &str, to: &Receiver, event_type: &str| {
        Webhook::new(name, &to.url, [event_type])
            .allow_http()
            .egress(["loopback"])
            .schedule([0, 1, 1, 1, 1])
    };
    let webhooks = log.webhooks();
    webhooks.add(webhook("siem", &receiver, "order.*")).unwrap();
    webhooks.add(webhook("desk", &tested, "nothing.*")).unwrap();
    webhooks
        .add(webhook("chat", &tested, "nothing.*").proxy(own.url("")))
        .unwrap();
    let dispatcher = webhooks.run().unwrap();
    emit(&log, 0..1);
    receiver.wait_for_numbers(1);
    assert!(for_all.heads().is_empty(), "nobody named it yet");

    let url = for_all.url(&format!("ann:{PASSWORD}@"));
    webhooks.set_proxy(Some(&url)).unwrap();
    crate::support::until("the dispatcher uses the proxy", || {
        emit(&log, 1..2);
        !for_all.heads().is_empty()
    });
    drop(dispatcher);
    assert!(test(&log, "desk").delivered && test(&log, "chat").delivered);
    assert_eq!(for_all.asked_for(&tested), 1, "also a test goes through it");
    assert_eq!(own.heads().len(), 1);
    let shown = serde_json::to_value(webhooks.get("siem").unwrap().unwrap()).unwrap();
    assert_eq!(
        shown["proxy_for_all"],
        format!("http://***@{}", for_all.address)
    );
    log.close().unwrap();

    // It is the log's, and not the process's.
    let log = open(dir.path());
    assert!(test(&log, "desk").delivered);
    assert_eq!(for_all.asked_for(&tested), 2);
    log.webhooks().set_proxy(None).unwrap();
    assert!(test(&log, "desk").delivered);
    assert_eq!(for_all.asked_for(&tested), 2, "it was taken back");
    for wrong in ["socks5://proxy:1080", "env:NO_SUCH_VARIABLE", "hunter2"] {
        let refused = log.webhooks().set_proxy(Some(wrong)).unwrap_err();
        assert!(refused.to_string().starts_with("proxy: "), "{refused}");
    }
    log.close().unwrap();
    let lines = crate::support::lines(dir.path());
    let changes: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("audit.webhook.proxy_changed"))
        .collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(!lines.join("\n").contains(PASSWORD));
}
