//! Who a request is from, and what of it can be believed.

use std::{convert::Infallible, future::ready};

use super::*;
use crate::{capture::in_force, entry::render::Inherited};

/// What events inherit within a request.
fn within(layer: &RequestContextLayer, request: Request<()>) -> Vec<(&'static str, String)> {
    struct Look;
    impl Service<Request<()>> for Look {
        type Response = Vec<(&'static str, String)>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            let mut inherited = Inherited::default();
            in_force::gather(&mut inherited);
            ready(Ok(inherited
                .named()
                .map(|(name, value)| (name, String::from_utf8(value.to_vec()).unwrap()))
                .collect()))
        }
    }
    let mut future = std::pin::pin!(layer.layer(Look).call(request));
    match future
        .as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()))
    {
        Poll::Ready(Ok(found)) => found,
        Poll::Pending => unreachable!("it is ready"),
    }
}

fn address(layer: &RequestContextLayer, peer: &str, forwarded: &[&str]) -> String {
    let mut request = Request::builder().extension(peer.parse::<IpAddr>().unwrap());
    for line in forwarded {
        request = request.header("X-Forwarded-For", *line);
    }
    let found = within(layer, request.body(()).unwrap());
    found
        .into_iter()
        .find(|(name, _)| *name == "ip_address")
        .unwrap()
        .1
}

#[test]
fn an_address_is_believed_as_far_as_trusted_proxies_vouch_for_it() {
    let nobody = RequestContextLayer::new();
    let ours = RequestContextLayer::new()
        .trusted_proxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])
        .unwrap();
    assert_eq!(
        address(&nobody, "10.0.0.1", &["192.0.2.50"]),
        "\"10.0.0.1\""
    );
    for (peer, forwarded, client) in [
        ("10.0.0.1", &["192.0.2.50"][..], "192.0.2.50"),
        // The client may write what it likes before what our proxies add.
        ("10.0.0.1", &["1.2.3.4, 192.0.2.50"], "192.0.2.50"),
        (
            "10.0.0.1",
            &["1.2.3.4", "192.0.2.50, 10.9.9.9"],
            "192.0.2.50",
        ),
        ("192.0.2.1", &["1.2.3.4"], "192.0.2.1"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", &["192.0.2.50:4711"], "192.0.2.50"),
        ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", &["::ffff:192.0.2.50"], "192.0.2.50"),
        ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", &["1.2.3.4,,192.0.2.50"], "192.0.2.50"),
        ("10.0.0.1", &["1.2.3.4,"], "10.0.0.1"),
        ("10.0.0.1", &["1.2.3.4", "192.0.2.50é"], "10.0.0.1"),
        ("10.0.0.1", &["1.2.3.4é, 192.0.2.50"], "192.0.2.50"),
        ("10.0.0.1", &["192.0.2.50, 010.0.0.9"], "10.0.0.1"),
    ] {
        assert_eq!(
            address(&ours, peer, forwarded),
            format!("\"{client}\""),
            "{peer} {forwarded:?}"
        );
    }
    assert!(
        RequestContextLayer::new()
            .trusted_proxies(["10.0.0.0/40"])
            .unwrap_err()
            .to_string()
            .contains("10.0.0.0/40")
    );
}

#[test]
fn the_standard_header_is_read_where_proxies_write_it() {
    let ours = || {
        RequestContextLayer::new()
            .trusted_proxies(["10.0.0.0/8", "fd00::/8"])
            .unwrap()
            .forwarded_header()
    };
    let found = |forwarded: &[&str]| {
        let mut request = Request::builder().extension("10.0.0.1".parse::<IpAddr>().unwrap());
        for line in forwarded {
            request = request.header("Forwarded", *line);
        }
        // Of the other headers the proxies know nothing.
        let request = request
            .header("X-Forwarded-For", "1.2.3.4")
            .header("X-Forwarded-Host", "evil.example");
        let found = within(&ours(), request.body(()).unwrap());
        let field = |name: &str| {
            found
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value.trim_matches('"').to_owned())
        };
        (
            field("ip_address").unwrap(),
            field("protocol"),
            field("host"),
        )
    };
    let client = |forwarded: &[&str]| found(forwarded).0;
    assert_eq!(client(&["for=192.0.2.50"]), "192.0.2.50");
    assert_eq!(
        client(&["for=1.2.3.4, For=\"[2001:db8::1]:4711\";proto=https, for=10.2.2.2"]),
        "2001:db8::1"
    );
    assert_eq!(
        client(&["for=1.2.3.4", "by=10.0.0.1 ; for = \"192.0.2.50:80\""]),
        "192.0.2.50"
    );
    // Neither a quote that is left open nor a hop without a name hides whom our proxy saw.
    assert_eq!(client(&["for=\"1.2.3.4, for=192.0.2.50"]), "192.0.2.50");
    assert_eq!(
        client(&["for=unknown, for=_hidden, for=10.2.2.2"]),
        "10.2.2.2"
    );
    assert_eq!(client(&["proto=https", "for=1.2.3.4;"]), "1.2.3.4");
    assert_eq!(
        (client(&[]), client(&["by=1.2.3.4"])),
        ("10.0.0.1".into(), "10.0.0.1".into())
    );
    // A host is the client's word, quoted by the proxy.
    for host in [
        "x;for=6.6.6.6",
        "x,for=6.6.6.6",
        "x;proto=gopher",
        "\\\";for=6.6.6.6;x=\\\"",
        "x\\\\",
    ] {
        let name = format!("host=\"{host}\"");
        for piece in [
            format!("proto=https;{name};for=192.0.2.50"),
            format!("for=192.0.2.50;proto=https;{name}"),
        ] {
            let (ip, scheme, _) = found(&[&piece]);
            assert_eq!(
                (ip.as_str(), scheme.as_deref()),
                ("192.0.2.50", Some("https")),
                "{piece}"
            );
        }
    }
    assert_eq!(client(&["for=192.0.2.50;for=6.6.6.6"]), "10.0.0.1");
    let (_, scheme, host) = found(&[
        "for=1.2.3.4;host=evil.example;proto=gopher, for=192.0.2.50;host=\"audit.example.com\";proto=https",
    ]);
    assert_eq!(
        (scheme.as_deref(), host.as_deref()),
        (Some("https"), Some("audit.example.com"))
    );
    assert_eq!(found(&["for=192.0.2.50"]).2, None);
}

#[test]
fn what_a_proxy_has_added_wins_over_what_the_client_has_sent() {
    let layer = RequestContextLayer::new()
        .trusted_proxies(["10.0.0.1"])
        .unwrap()
        .session_id(|_| Some("ä".repeat(5000)));
    let request = Request::builder()
        .extension("10.0.0.1".parse::<IpAddr>().unwrap())
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Host", "evil.example, audit.example.com")
        .header("X-Forwarded-Proto", "gopher, https");
    let found = within(&layer, request.body(()).unwrap());
    for expected in [
        ("host", "audit.example.com"),
        ("protocol", "https"),
        ("session_id", &"ä".repeat(256)),
    ] {
        assert!(
            found.contains(&(expected.0, format!("\"{}\"", expected.1))),
            "{expected:?} in {found:?}"
        );
    }
}

#[test]
fn a_request_says_who_and_where() {
    let layer = RequestContextLayer::new()
        .trusted_proxies(["10.0.0.1"])
        .unwrap()
        .session_id(|request| Some(format!("session of {}", request.uri.path())))
        .actor(|request| {
            request
                .extensions
                .get::<u64>()
                .map(|user| Actor::user(user.to_string()).name("ann"))
        });
    let request = || {
        Request::builder()
            .uri("http://internal/reports")
            .header("Host", "outside.example.com")
            .header("User-Agent", "x".repeat(600))
            .header("X-Request-Id", "r-1")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "audit.example.com")
            .extension(7_u64)
    };
    let found = within(
        &layer,
        request()
            .extension("10.0.0.1:80".parse::<SocketAddr>().unwrap())
            .body(())
            .unwrap(),
    );
    let expected = [
        ("actor.type", "user"),
        ("actor.id", "7"),
        ("actor.name", "ann"),
        ("ip_address", "10.0.0.1"),
        ("user_agent", &"x".repeat(512)),
        ("session_id", "session of /reports"),
        ("request_id", "r-1"),
        ("protocol", "https"),
        ("host", "audit.example.com"),
    ];
    assert_eq!(
        found,
        expected.map(|(name, value)| (name, format!("\"{value}\"")))
    );
    // From a peer that nobody trusts, the forwarded words are a stranger's.
    let found = within(&layer, request().body(()).unwrap());
    assert!(
        found.contains(&("protocol", "\"http\"".into()))
            && found.contains(&("host", "\"internal\"".into())),
        "{found:?}"
    );
}

#[test]
fn without_an_id_a_request_gets_one() {
    let layer = RequestContextLayer::new();
    let mut ids: Vec<_> = (0..2)
        .map(|_| {
            within(&layer, Request::new(()))
                .into_iter()
                .find(|(name, _)| *name == "request_id")
                .unwrap()
                .1
        })
        .collect();
    ids.dedup();
    assert!(
        ids.len() == 2
            && ids
                .iter()
                .all(|id| id.trim_matches('"').parse::<uuid::Uuid>().is_ok()),
        "{ids:?}"
    );
}
