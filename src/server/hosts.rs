//! The names by which a server may be asked for.
//!
//! A page of another site can give that site's name the address of this server, and so make a
//! browser send requests here; the browser then asks for the other name. Where names are configured,
//! a request for any other is refused.

use std::net::IpAddr;

use axum::http::{header, request::Parts, uri::Authority};

use crate::{
    capture::Proxies,
    error::{Error, Result},
};

/// The configured names; without any, every name is good.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// These host names and addresses, without ports.
    pub(super) fn new(names: &[String]) -> Result<Self> {
        let parse = |name: &String| {
            let host = host_of(name).filter(|host| host == &without_dot(name));
            host.ok_or_else(|| {
                let problem = format!(
                    "{name:?} is not a host name or an address without a port, such as \
                     audit.example.com, 127.0.0.1 or [::1]"
                );
                Error::invalid("hosts", problem)
            })
        };
        names.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether the request is for one of the names.
    pub(super) fn allow(&self, request: &Parts, peer: Option<IpAddr>, proxies: &Proxies) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let headers = &request.headers;
        let forwarded = proxies.host(peer, headers);
        let asked = forwarded.or_else(|| request.uri.host()).or_else(|| {
            let mut hosts = headers.get_all(header::HOST).iter();
            let only = hosts.next().filter(|_| hosts.next().is_none());
            only.and_then(|host| host.to_str().ok())
        });
        let host = asked.and_then(host_of);
        host.is_some_and(|host| self.0.contains(&host))
    }
}

/// The host without its port, in lower case.
fn host_of(text: &str) -> Option<String> {
    let authority = text.parse::<Authority>().ok()?;
    let host = authority.host();
    let known = !host.is_empty() && !text.contains('@');
    known.then(|| without_dot(host))
}

fn without_dot(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn hosts(names: &[&str]) -> Result<Hosts> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(&names)
    }

    fn is_allowed(host: &str, forwarded: Option<&str>) -> bool {
        let mut request = Request::get("/entries").header("host", host);
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-host", forwarded);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let proxies = Proxies::default().trust(["10.0.0.1"]).unwrap();
        let peer = Some("10.0.0.1".parse().unwrap());
        let hosts = hosts(&["Audit.example.com", "127.0.0.1", "[::1]"]).unwrap();
        hosts.allow(&head, peer, &proxies)
    }

    #[test]
    fn only_the_configured_names_are_good() {
        for good in [
            "audit.example.com",
            "AUDIT.example.com:8443",
            "audit.example.com.",
            "127.0.0.1:8080",
            "[::1]:80",
        ] {
            assert!(is_allowed(good, None), "{good}");
        }
        for wrong in [
            "evil.example.com",
            "audit.example.com.evil.example",
            "audit.example.com@evil.example",
            "a@audit.example.com",
            "127.0.0.2",
            "",
            "audit.example.com/x",
        ] {
            assert!(!is_allowed(wrong, None), "{wrong}");
        }
        assert!(is_allowed("upstream", Some("audit.example.com")));
        assert!(!is_allowed("audit.example.com", Some("evil.example.com")));
    }

    #[test]
    fn a_name_has_no_port_and_no_scheme() {
        for wrong in ["", "https://a.example", "a.example:80", "a b", "a/b", "x@a"] {
            assert!(hosts(&[wrong]).is_err(), "{wrong}");
        }
    }
}
