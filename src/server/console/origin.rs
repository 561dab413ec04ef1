//! Whether a page of this server made a browser send a request.
//!
//! A browser says so in `Sec-Fetch-Site`, which no page can change. One that doesn't know that
//! header names the page's origin in `Origin`. A request with neither is no request of our pages.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header, request::Parts, uri::Authority};

use crate::capture::Proxies;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request comes from a page of this server.
pub(in crate::server) fn is_same(request: &Parts, peer: Option<IpAddr>, proxies: &Proxies) -> bool {
    let headers = &request.headers;
    if headers.contains_key(SEC_FETCH_SITE) {
        return only(headers, &SEC_FETCH_SITE) == Some("same-origin");
    }
    let Some((scheme, asked_from)) = only(headers, &header::ORIGIN).and_then(parts) else {
        return false;
    };
    let forwarded = proxies.host(peer, headers);
    let asked_for = forwarded
        .or_else(|| request.uri.authority().map(Authority::as_str))
        .or_else(|| only(headers, &header::HOST));
    // Without a trusted proxy, nobody says whether the browser's connection had TLS.
    let is_scheme = |known: &str| known.eq_ignore_ascii_case(scheme);
    proxies.scheme(peer, headers).is_none_or(is_scheme)
        && asked_for.is_some_and(|host| is_same_host(scheme, host, asked_from))
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

/// The scheme and the host of an origin. `null`, the origin of pages that have none, has neither.
fn parts(origin: &str) -> Option<(&str, &str)> {
    let (scheme, host) = origin.split_once("://")?;
    matches!(scheme, "http" | "https").then_some((scheme, host))
}

/// Whether two texts name the same host and port.
fn is_same_host(scheme: &str, one: &str, other: &str) -> bool {
    let standard_port = if scheme == "https" { 443 } else { 80 };
    let parse = |text: &str| {
        let authority = text.parse::<Authority>().ok()?;
        let is_plain = !text.contains('@') && !authority.host().is_empty();
        let port = authority.port_u16().unwrap_or(standard_port);
        is_plain.then(|| (authority.host().to_ascii_lowercase(), port))
    };
    parse(one).is_some_and(|one| parse(other).as_ref() == Some(&one))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Whether a request with these headers, from a trusted proxy, is one of our pages'.
    fn is_ours(given: &[(&str, &str)]) -> bool {
        let mut request = Request::post("/sign-in");
        for (name, value) in given {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let proxies = Proxies::default().trust(["10.0.0.1"]).unwrap();
        is_same(&head, Some("10.0.0.1".parse().unwrap()), &proxies)
    }

    #[test]
    fn only_requests_of_our_own_pages_are_ours() {
        let host = ("host", "audit.example.com");
        let origin = |text| ("origin", text);
        let site = |text| ("sec-fetch-site", text);
        let ours = origin("https://audit.example.com");
        let theirs = origin("https://evil.example.com");
        for (given, expected) in [
            (vec![host, site("same-origin")], true),
            // A browser that says so knows it better than `Origin`, which may be `null`.
            (vec![host, site("same-origin"), origin("null")], true),
            (vec![host, site("same-site"), ours], false),
            (vec![host, site("cross-site"), ours], false),
            (vec![host, site("none"), ours], false),
            (vec![host, site("SAME-ORIGIN"), ours], false),
            (vec![host, site(""), ours], false),
            (vec![host, site("same-origin"), site("same-origin")], false),
            (vec![host], false),
            (vec![host, ours], true),
            (vec![host, origin("http://audit.example.com")], true),
            (vec![host, origin("https://AUDIT.example.com:443")], true),
            (vec![host, theirs], false),
            (vec![host, ours, theirs], false),
            (vec![host, ours, ours], false),
            (vec![host, origin("null")], false),
            (vec![host, origin("")], false),
            (vec![host, origin("audit.example.com")], false),
            (vec![host, origin("ftp://audit.example.com")], false),
            (vec![host, origin("https://audit.example.com:8443")], false),
            (vec![host, origin("https://a@audit.example.com")], false),
            (vec![host, origin("https://audit.example.com.evil")], false),
            (vec![host, origin("https://audit.example.com/x")], false),
            (vec![ours], false),
            (vec![("host", "audit.example.com:8443"), ours], false),
        ] {
            assert_eq!(is_ours(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_knows_the_name_and_the_scheme() {
        let inner = ("host", "10.0.0.2:8080");
        let host = ("x-forwarded-host", "audit.example.com");
        let tls = ("x-forwarded-proto", "https");
        assert!(is_ours(&[
            inner,
            host,
            tls,
            ("origin", "https://audit.example.com")
        ]));
        assert!(!is_ours(&[
            inner,
            host,
            tls,
            ("origin", "http://audit.example.com")
        ]));
        assert!(!is_ours(&[
            inner,
            host,
            tls,
            ("origin", "http://10.0.0.2:8080")
        ]));
        assert!(is_ours(&[inner, ("origin", "http://10.0.0.2:8080")]));
    }
}
