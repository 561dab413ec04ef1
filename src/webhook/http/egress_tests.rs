//! What each policy lets through, and what a refusal says.

use super::*;

fn egress(words: &[&str]) -> Egress {
    Egress::parse(words).unwrap()
}

fn check(egress: &Egress, url: &str) -> Result<(), Refused> {
    egress.check_url(&Url::parse(url).unwrap(), false)
}

fn address(egress: &Egress, name: Option<&str>, address: &str) -> Result<(), Refused> {
    egress.check_address(name, address.parse().unwrap())
}

#[test]
fn every_spelling_of_loopback_is_refused_unless_loopback_is_granted() {
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.8.8.8",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST.",
        "api.localhost",
    ] {
        let url = format!("https://{host}/hook");
        let refused = check(&Egress::default(), &url).unwrap_err().to_string();
        assert!(
            refused.contains("this machine itself") && refused.contains("\"loopback\""),
            "{host}: {refused}"
        );
        check(&egress(&["loopback"]), &url).unwrap();
        assert!(check(&egress(&["private"]), &url).is_err(), "{host}");
    }
}

#[test]
fn only_https_without_user_information_goes_out() {
    let url = |text: &str| Url::parse(text).unwrap();
    let egress = Egress::default();
    assert!(
        check(&egress, "http://example.com/")
            .unwrap_err()
            .to_string()
            .contains("allow_http")
    );
    egress.check_url(&url("http://example.com/"), true).unwrap();
    for other in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:,x",
        "ws://example.com/",
    ] {
        assert!(
            egress
                .check_url(&url(other), true)
                .unwrap_err()
                .to_string()
                .contains("scheme"),
            "{other}"
        );
    }
    for credentials in [
        "https://ann:pass@example.com/",
        "https://ann@example.com/",
        "https://:pass@example.com/",
        "https://example.com@127.0.0.1/",
    ] {
        let refused = check(&egress, credentials).unwrap_err().to_string();
        assert!(
            refused.contains("user information") && !refused.contains("pass@"),
            "{refused}"
        );
    }
}

#[test]
fn private_networks_need_the_private_grant() {
    for private in [
        "10.1.2.3",
        "172.16.0.9",
        "192.168.1.1",
        "100.64.0.1",
        "fd12:3456::1",
        "::ffff:10.1.2.3",
        "64:ff9b::a01:203",
    ] {
        let refused = address(&Egress::default(), Some("hooks.example.com"), private)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("\"private\"") && refused.contains("hooks.example.com"),
            "{refused}"
        );
        address(&egress(&["private"]), None, private).unwrap();
        assert!(address(&egress(&["loopback"]), None, private).is_err());
    }
    address(&egress(&["private"]), None, "1.1.1.1").unwrap();
}

#[test]
fn a_list_reaches_what_it_lists_and_nothing_else() {
    let listed = egress(&[
        "10.2.0.0/16",
        "hooks.example.com",
        "*.internal.example",
        "fd12::/16",
    ]);
    for (name, at, allowed) in [
        (None, "10.2.3.4", true),
        (None, "::ffff:10.2.3.4", true),
        (None, "10.3.0.1", false),
        (None, "fd12::7", true),
        (None, "1.1.1.1", false),
        (Some("hooks.example.com"), "1.1.1.1", true),
        (Some("hooks.example.com."), "10.9.9.9", true),
        (Some("a.b.internal.example"), "10.9.9.9", true),
        (Some("internal.example"), "10.9.9.9", false),
        (Some("evilinternal.example"), "10.9.9.9", false),
        (Some("nothooks.example.com"), "1.1.1.1", false),
        (Some("hooks.example.com"), "127.0.0.1", false),
        (Some("hooks.example.com"), "169.254.169.254", false),
    ] {
        assert_eq!(address(&listed, name, at).is_ok(), allowed, "{name:?} {at}");
    }
    let names = egress(&["hooks.example.com"]);
    check(&names, "https://HOOKS.example.com/x").unwrap();
    assert!(
        check(&names, "https://other.example.com/x")
            .unwrap_err()
            .to_string()
            .contains("\"other.example.com\"")
    );
    address(&egress(&["localhost"]), Some("localhost"), "127.0.0.1").unwrap();
    assert!(address(&egress(&["localhost"]), None, "127.0.0.1").is_err());
}

#[test]
fn some_places_are_never_reached() {
    let all = egress(&[
        "public",
        "private",
        "loopback",
        "0.0.0.0/0",
        "::/0",
        "metadata.example",
    ]);
    for never in [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "fe80::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "192.0.2.1",
        "240.0.0.1",
        "100.100.100.200",
    ] {
        let refused = address(&all, Some("metadata.example"), never)
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("to allow it"), "{refused}");
    }
    assert!(
        Egress::parse(["169.254.169.254"])
            .unwrap_err()
            .to_string()
            .contains("can't be allowed")
    );
}

#[test]
fn a_word_that_grants_nothing_is_an_error() {
    for word in [
        "",
        "all",
        "https://example.com",
        "example.com:443",
        "10.0.0.0/33",
        "*",
        "a*b.example",
        "*.10.0.0.1",
        "10.0.0.0/8/8",
        "a b",
    ] {
        let found = Egress::parse([word]);
        // A single word without a dot is a host name like any other.
        assert_eq!(found.is_ok(), word == "all", "{word}: {found:?}");
    }
    assert!(Egress::parse::<&str>([]).is_err());
    assert_eq!(
        egress(&["private", "10.2.3.4/16", "0x7f.1", "*.A.example."]).to_string(),
        "private, 10.2.0.0/16, 127.0.0.1/32, *.a.example"
    );
}
