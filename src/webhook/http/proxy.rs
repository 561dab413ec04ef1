//! A proxy that was named for a webhook, or for all: the only way out where there is one.
//!
//! In comes a connection to the proxy, out goes the same connection, of which the other end is the
//! receiver: the proxy was asked for that with `CONNECT` (RFC 9110, section 9.3.6), for `http://`
//! receivers as well as for `https://` ones. So the proxy sees the receiver's host and port, and of
//! `https://` requests no more; what a request says to the proxy, its password among that, never
//! comes to the receiver. Invariants: an attempt that the proxy refuses or that can't reach
//! the proxy fails, and nothing is tried without the proxy.

use std::fmt;

use data_encoding::BASE64;
use http::Uri;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use url::Url;

use super::answer::FailureKind;
use crate::error::{Error, Result};

const PARAMETER: &str = "proxy";
/// Stands in the place of a user name and password where a proxy is shown.
const HIDDEN: &str = "***";
/// How long the head of the proxy's answer may be.
const MOST_HEAD: usize = 8 * 1024;

/// Where a proxy is, and how we are known to it. Its texts show no password.
#[derive(Clone)]
pub(in crate::webhook) struct Proxy {
    url: Uri,
    /// The value of `proxy-authorization`, and the password in it.
    credentials: Option<(String, String)>,
}

/// Why there is no connection through a proxy.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(in crate::webhook) struct ProxyError {
    pub(in crate::webhook) kind: FailureKind,
    problem: String,
}

impl Proxy {
    /// From `http://[user:password@]host[:port]`, or `https://` for TLS to the proxy. An error
    /// doesn't quote it.
    pub(in crate::webhook) fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: &str| Error::invalid(PARAMETER, problem);
        let form =
            "it is not a URL like http://proxy.example.com:3128, with nothing after the port";
        let mut url = Url::parse(text.trim()).map_err(|_| wrong(form))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(form));
        }
        if url.username() == HIDDEN {
            return Err(wrong(
                "this URL is shown without its user name and password: send it with them",
            ));
        }
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = decoded(url.password().unwrap_or_default());
        let user = decoded(url.username());
        let credentials = (!user.is_empty() || !password.is_empty()).then(|| {
            let basic = format!(
                "Basic {}",
                BASE64.encode(format!("{user}:{password}").as_bytes())
            );
            (basic, password)
        });
        // A URL that has a host takes both.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        Ok(Self {
            url: url.as_str().parse().map_err(|_| wrong(form))?,
            credentials,
        })
    }

    /// The setting as it is shown: without a user name and password.
    pub(in crate::webhook) fn shown(text: &str) -> String {
        match Self::parse(text) {
            Ok(proxy) => {
                let hidden = proxy.credentials.as_ref().map(|_| format!("{HIDDEN}@"));
                let scheme = proxy.url.scheme_str().unwrap_or_default();
                format!("{scheme}://{}{proxy}", hidden.unwrap_or_default())
            }
            Err(_) => HIDDEN.to_owned(),
        }
    }

    pub(in crate::webhook) fn url(&self) -> &Uri {
        &self.url
    }

    pub(in crate::webhook) fn speaks_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    pub(in crate::webhook) fn password(&self) -> Option<&str> {
        self.credentials
            .as_ref()
            .map(|(_, password)| password.as_str())
    }

    /// Why the proxy itself was not reached.
    pub(in crate::webhook) fn unreachable(&self, why: &str) -> ProxyError {
        ProxyError {
            kind: FailureKind::Connect,
            problem: format!("the proxy {self} can't be reached: {why}"),
        }
    }

    /// Has the proxy connect to the host of `receiver`. Nothing behind the head of its answer is
    /// read: that is the receiver's.
    pub(in crate::webhook) async fn connect(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        receiver: &Uri,
    ) -> std::result::Result<(), ProxyError> {
        let port = match receiver.scheme_str() {
            Some("http") => 80,
            _ => 443,
        };
        let port = receiver.port_u16().unwrap_or(port);
        let host = format!("{}:{port}", receiver.host().unwrap_or_default());
        let mut request = format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n");
        if let Some((basic, _)) = &self.credentials {
            request.push_str(&format!("proxy-authorization: {basic}\r\n"));
        }
        request.push_str("\r\n");
        let asked = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && head.len() < MOST_HEAD {
                head.push(stream.read_u8().await?);
            }
            Ok::<_, std::io::Error>(head)
        };
        let head = asked.await.map_err(|error| ProxyError {
            kind: FailureKind::Connect,
            problem: format!("the proxy {self} closed the connection: {error}"),
        })?;
        match status(&head) {
            Some(200..=299) => Ok(()),
            status => Err(self.refused(status, &host)),
        }
    }

    fn refused(&self, status: Option<u16>, host: &str) -> ProxyError {
        let kind = match status {
            // The proxy did not get there: that passes, as when we don't.
            Some(500..=599) => FailureKind::Connect,
            _ => FailureKind::Proxy,
        };
        let problem = match (status, &self.credentials) {
            (None, _) => format!(
                "the server at the address of the proxy {self} isn't an HTTP \
                proxy"
            ),
            (Some(407), None) => format!(
                "the proxy {self} answered 407: it wants a user name and a password; give them in \
                 the proxy's URL"
            ),
            (Some(407), Some(_)) => {
                format!("the proxy {self} answered 407: it refuses the user name or the password")
            }
            (Some(status), _) => {
                format!("the proxy {self} answered {status} when asked for {host}")
            }
        };
        ProxyError { kind, problem }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next().filter(|status| status.len() == 3)?;
    status.parse().ok()
}

/// Its host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.url
                .authority()
                .map_or("", |authority| authority.as_str()),
        )
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let text = "http://corp%5Cann:s3%3Acret@Proxy.corp.example:3128/";
        let proxy = Proxy::parse(text).unwrap();
        let (basic, password) = proxy.credentials.clone().unwrap();
        assert_eq!(
            basic,
            format!("Basic {}", BASE64.encode(b"corp\\ann:s3:cret"))
        );
        assert_eq!(password, "s3:cret");
        assert_eq!(Proxy::shown(text), "http://***@proxy.corp.example:3128");
        assert_eq!(Proxy::shown("http://10.0.0.1:3128"), "http://10.0.0.1:3128");
        for text in [
            format!("{proxy} {proxy:?} {}", proxy.url()),
            Proxy::shown(text),
        ] {
            assert!(!text.contains("s3") && !text.contains("ann"), "{text}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_quoted() {
        for text in [
            "hunter2",
            "hunter2:3128",
            "socks5://hunter2@proxy:1080",
            "http://hunter2@proxy:99999",
            "http://hunter2@proxy/path",
            "http://proxy/?hunter2",
            "http://***@proxy:3128",
        ] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("proxy: ") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_status_is_read_from_the_first_line() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n\r\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
