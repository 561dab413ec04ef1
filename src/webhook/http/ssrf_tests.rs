//! Each way to make a webhook reach what it must not, tried against a listener on loopback that
//! must not be reached.
//!
//! The same way is then tried with the grant that allows it, and must get through: a table that
//! refuses everything would prove nothing.

use std::{
    io,
    net::{IpAddr, TcpListener, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    super::{look_up::Lookup, receiver::Receiver},
    tests::{HANGS, options},
    *,
};

/// A resolver that gives one list of addresses after another, and the last from then on.
fn answering(turns: &[&[&str]]) -> (Lookup, Arc<AtomicUsize>) {
    let turns: Vec<Vec<IpAddr>> = turns
        .iter()
        .map(|turn| {
            turn.iter()
                .map(|address| address.parse().unwrap())
                .collect()
        })
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup = move |_| {
        let turn = count.fetch_add(1, Ordering::SeqCst).min(turns.len() - 1);
        let addresses = turns[turn].clone();
        Box::pin(async move { Ok(addresses) })
            as std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>
    };
    (Arc::new(lookup), asked)
}

async fn post(client: &WebhookClient, url: &Url) -> Answer {
    client.post(url, HeaderMap::new(), "{}").await
}

fn client(egress: &[&str]) -> WebhookClient {
    WebhookClient::new(options(egress)).unwrap()
}

fn resolving(egress: &[&str], turns: &[&[&str]]) -> WebhookClient {
    WebhookClient::with_lookup(options(egress), answering(turns).0).unwrap()
}

fn refusal(answer: Answer) -> Option<String> {
    match answer.outcome {
        Outcome::Failed(Failure {
            kind: FailureKind::Refused,
            detail,
        }) => Some(detail),
        _ => None,
    }
}

const SPELLINGS: [&str; 14] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "%31%32%37.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "localhost",
    "LocalHost",
];

#[tokio::test]
async fn no_spelling_of_loopback_is_reached() {
    let receiver = Receiver::ok();
    for spelling in SPELLINGS {
        let url = receiver.url("http", spelling);
        for egress in [["public"], ["private"], ["10.0.0.0/8"], ["*.example.com"]] {
            let refused = refusal(post(&client(&egress), &url).await);
            assert!(
                refused.is_some_and(|why| why.contains("egress")),
                "{spelling} with {egress:?}"
            );
        }
    }
    assert_eq!(receiver.connections(), 0);
    for (number, spelling) in SPELLINGS.into_iter().enumerate() {
        let answer = post(&client(&["loopback"]), &receiver.url("http", spelling)).await;
        assert_eq!(
            (answer.outcome, receiver.connections()),
            (Outcome::Status(200), number + 1),
            "{spelling}"
        );
    }
}

#[tokio::test]
async fn ipv6_loopback_is_not_reached_either() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return;
    };
    let receiver = Receiver::listening(listener, None, |_, to| {
        to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok()
    });
    for spelling in ["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]"] {
        let url = receiver.url("http", spelling);
        assert!(refusal(post(&client(&["private"]), &url).await).is_some());
        assert_eq!(receiver.connections(), 0);
    }
    assert_eq!(
        post(&client(&["::1"]), &receiver.url("http", "[::1]"))
            .await
            .outcome,
        Outcome::Status(204)
    );
}

/// The systems' resolvers are never asked for these, so nothing but the connector sees them.
#[tokio::test]
async fn the_connector_refuses_addresses_even_if_nobody_checked_the_url() {
    let receiver = Receiver::ok();
    let client = client(&["public"]);
    for spelling in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let uri = receiver.url("http", spelling).as_str().parse().unwrap();
        let error = client.http.get(uri).await.unwrap_err();
        assert_eq!(
            Failure::from_chain(&error, FailureKind::Other).kind,
            FailureKind::Refused,
            "{spelling}"
        );
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_after_the_check_gains_nothing() {
    let receiver = Receiver::ok();
    let url = receiver.url("http", "hooks.example.com");
    let (lookup, asked) = answering(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let client = WebhookClient::with_lookup(
        options(&["public", "hooks.example.com"]),
        Arc::clone(&lookup),
    )
    .unwrap();
    let first = lookup("hooks.example.com".to_owned()).await.unwrap();
    assert!(
        options(&["public"])
            .egress
            .check_address(Some("hooks.example.com"), first[0])
            .is_ok()
    );
    let refused = refusal(post(&client, &url).await).unwrap();
    assert!(
        refused.contains("hooks.example.com, which is 127.0.0.1 here"),
        "{refused}"
    );
    assert_eq!(
        (receiver.connections(), asked.load(Ordering::SeqCst)),
        (0, 2)
    );
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_tried() {
    let receiver = Receiver::ok();
    let url = receiver.url("http", "hooks.example.com");
    for addresses in [
        &["127.0.0.1", "::1"][..],
        &["::ffff:127.0.0.1"],
        &["0.0.0.0"],
        &["::"],
        &["169.254.169.254", "10.0.0.1"],
    ] {
        assert!(
            refusal(post(&resolving(&["public"], &[addresses]), &url).await).is_some(),
            "{addresses:?}"
        );
    }
    assert_eq!(receiver.connections(), 0);
    // Nobody ever answers at the first two, and they are not even tried.
    let (lookup, _) = answering(&[&["10.255.255.1", "169.254.169.254", "127.0.0.1"]]);
    let client = WebhookClient::with_lookup(options(&["loopback"]), lookup).unwrap();
    let answer = post(&client, &url).await;
    assert_eq!(answer.outcome, Outcome::Status(200));
    assert!(answer.took < HANGS / 10, "{:?}", answer.took);
}

#[tokio::test]
async fn what_is_never_allowed_is_not_even_connected_to() {
    let all = [
        "public",
        "private",
        "loopback",
        "0.0.0.0/0",
        "::/0",
        "hooks.example.com",
    ];
    for address in [
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[::ffff:a9fe:a9fe]",
        "0.0.0.0",
        "[::]",
        "0",
        "255.255.255.255",
        "224.0.0.1",
        "100.100.100.200",
    ] {
        let url = Url::parse(&format!("http://{address}/latest/meta-data/")).unwrap();
        let answer = post(&client(&all), &url).await;
        let refused = refusal(answer).unwrap();
        assert!(!refused.contains("to allow it"), "{refused}");
        let bare = address.trim_matches(['[', ']']);
        if bare.parse::<IpAddr>().is_ok() {
            let named = Url::parse("http://hooks.example.com/").unwrap();
            assert!(
                refusal(post(&resolving(&all, &[&[bare]]), &named).await).is_some(),
                "{address}"
            );
        }
    }
}

/// 0.0.0.0 connects to loopback on Linux, so this one is no theory.
#[tokio::test]
async fn the_unspecified_address_is_no_way_to_loopback() {
    let receiver = Receiver::ok();
    for spelling in ["0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]"] {
        assert!(
            refusal(
                post(
                    &client(&["public", "loopback"]),
                    &receiver.url("http", spelling)
                )
                .await
            )
            .is_some(),
            "{spelling}"
        );
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn this_machines_private_address_is_reached_in_private_mode_only() {
    // Sends nothing: only asks which address would be used.
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket
            .connect("192.0.2.1:9")
            .and_then(|()| socket.local_addr())
    });
    let Some(IpAddr::V4(own)) = own
        .ok()
        .map(|own| own.ip())
        .filter(|own| matches!(own, IpAddr::V4(v4) if v4.is_private()))
    else {
        return;
    };
    let receiver = Receiver::listening(TcpListener::bind((own, 0)).unwrap(), None, |_, to| {
        to.write_all(b"HTTP/1.1 204 X\r\n\r\n").is_ok()
    });
    let url = receiver.url("http", &own.to_string());
    let refused = refusal(post(&client(&["public"]), &url).await).unwrap();
    assert!(refused.contains("add \"private\""), "{refused}");
    assert_eq!(receiver.connections(), 0);
    for egress in ["private".to_owned(), format!("{own}/32"), own.to_string()] {
        assert_eq!(
            post(&client(&[&egress]), &url).await.outcome,
            Outcome::Status(204),
            "{egress}"
        );
    }
}

#[tokio::test]
async fn private_addresses_are_tried_in_private_mode_only() {
    let quick = |egress: &str| {
        WebhookClient::new(ClientOptions {
            connect_timeout: Duration::from_millis(50),
            ..options(&[egress])
        })
        .unwrap()
    };
    for address in ["10.255.255.1", "192.168.255.1", "[fd12:3456::1]"] {
        let url = Url::parse(&format!("http://{address}:9/")).unwrap();
        assert!(
            refusal(post(&quick("public"), &url).await).is_some(),
            "{address}"
        );
        assert!(
            refusal(post(&quick("private"), &url).await).is_none(),
            "{address}"
        );
    }
}

#[tokio::test]
async fn plain_http_needs_to_be_allowed() {
    let receiver = Receiver::ok();
    let client = WebhookClient::new(ClientOptions {
        allow_http: false,
        ..options(&["loopback"])
    })
    .unwrap();
    let url = receiver.url("http", "127.0.0.1");
    assert!(
        refusal(post(&client, &url).await)
            .unwrap()
            .contains("allow_http")
    );
    assert!(
        client
            .http
            .get(url.as_str().parse().unwrap())
            .await
            .is_err(),
        "the connector alone refuses it too"
    );
    assert_eq!(receiver.connections(), 0);
}

const CHILD_TARGET: &str = "TRACING_AUDIT_TEST_TARGET";

/// In a process of its own, since the environment belongs to all tests.
#[test]
fn a_proxy_in_the_environment_opens_no_hole() {
    let (proxy, target) = (Receiver::ok(), Receiver::ok());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "webhook::http::client::ssrf_tests::child_with_a_proxy_in_its_environment",
    ]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, format!("http://{}", proxy.address));
    }
    let output = child
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env(CHILD_TARGET, target.address.port().to_string())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    assert_eq!((proxy.connections(), target.connections()), (0, 1));
}

/// Does nothing unless that test started it.
#[tokio::test]
async fn child_with_a_proxy_in_its_environment() {
    let Ok(port) = std::env::var(CHILD_TARGET) else {
        return;
    };
    let url = |scheme: &str, host: &str| Url::parse(&format!("{scheme}://{host}:{port}/")).unwrap();
    for scheme in ["http", "https"] {
        assert!(refusal(post(&client(&["public"]), &url(scheme, "127.0.0.1")).await).is_some());
        assert!(
            refusal(
                post(
                    &resolving(&["public"], &[&["127.0.0.1"]]),
                    &url(scheme, "hooks.example.com")
                )
                .await
            )
            .is_some()
        );
    }
    let reached = post(
        &resolving(&["loopback"], &[&["127.0.0.1"]]),
        &url("http", "hooks.example.com"),
    )
    .await;
    assert_eq!(reached.outcome, Outcome::Status(200));
}
