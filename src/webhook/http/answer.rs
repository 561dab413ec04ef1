//! The outcome of one attempt: a status or a failure, and the part of the answer that is kept.
//!
//! That part is short, names no secret of the webhook, and holds nothing that could act on a
//! terminal.

use crate::webhook::http::{egress::Refused, proxy::ProxyError};
use std::{error::Error as StdError, io, time::Duration};

/// How much of an answer is read; the rest is cut off with its connection.
pub(in crate::webhook) const MAX_READ: usize = 64 * 1024;
/// How much of it is kept.
const MAX_KEPT: usize = 2 * 1024;
/// The longest name of a host, in bytes.
pub(in crate::webhook) const MAX_HOST: usize = 255;
/// So many bytes of a failure are kept. A certificate that is refused is named with all its names,
/// and the peer chooses how many.
const MAX_DETAIL: usize = 1000;
const HIDDEN: &str = "***";

/// The outcome of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status, or why there is none.
    pub(crate) outcome: Outcome,
    /// How long the receiver wants to be left alone; only with 429 and 503.
    pub(crate) retry_after: Option<Duration>,
    /// Where a redirect points to, 255 bytes at most; it is never followed.
    pub(crate) location_host: Option<String>,
    /// The answer's body, 64 KiB at most: for the webhook's format, not to be kept.
    pub(crate) body: Vec<u8>,
    /// The first 2 KiB of it as text, secrets replaced.
    pub(crate) excerpt: String,
    /// From the start of the attempt to the end of the answer.
    pub(crate) took: Duration,
}

/// The status of a complete answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u16),
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// For the administrator: neither the URL nor a secret is in it.
    pub(crate) detail: String,
}

/// Where an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The egress does not allow the place.
    Refused,
    /// The name did not resolve, or nobody listens.
    Connect,
    /// The proxy refuses to connect.
    Proxy,
    /// The peer's certificate, or ours, was not accepted, or there is no common version.
    Tls,
    /// Connecting, or the whole exchange, took too long.
    Timeout,
    /// The connection was lost within the answer's body.
    Body,
    /// The connection was lost before the answer, or what came is no HTTP.
    Other,
}

impl Answer {
    /// The problem with it, for the administrator; `None` for a success.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Status(200..=299) => None,
            Outcome::Status(status @ 300..=399) => {
                let place = self.location_host.as_deref().unwrap_or("nowhere");
                Some(format!(
                    "answered {status}, pointing to {place}; redirects are not followed: give the \
                     webhook its final address"
                ))
            }
            Outcome::Status(status) => Some(format!("answered {status}")),
            Outcome::Failed(failure) => Some(failure.detail.clone()),
        }
    }
}

impl Failure {
    pub(in crate::webhook) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        cut(&mut detail, MAX_DETAIL);
        Self { kind, detail }
    }

    /// From an error of the HTTP client; `otherwise` is its kind if nothing in the chain of its
    /// sources tells a better one.
    pub(in crate::webhook) fn from_chain(
        error: &(dyn StdError + 'static),
        otherwise: FailureKind,
    ) -> Self {
        let mut messages: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<Refused>() {
                return Self::new(FailureKind::Refused, refused.to_string());
            }
            if let Some(error) = error.downcast_ref::<ProxyError>() {
                return Self::new(error.kind, error.to_string());
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Self::new(FailureKind::Tls, tls_detail(error));
            }
            let io = error.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return Self::new(FailureKind::Timeout, error.to_string());
            }
            let message = error.to_string();
            if messages.last().is_none_or(|last| !last.contains(&message)) {
                messages.push(message);
            }
            // An `io::Error` made of another error shows that one's sources as its own, but not
            // itself.
            next = match io.and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        // The first says no more than "client error".
        let told = if messages.len() > 1 {
            &messages[1..]
        } else {
            &messages[..]
        };
        Self::new(otherwise, told.join(": "))
    }
}

fn tls_detail(error: &rustls::Error) -> String {
    let advice = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "; if its issuer is to be trusted, give that certificate to the webhook as its CA"
        }
        _ => "",
    };
    format!("TLS: {error}{advice}")
}

/// Cuts a text to so many bytes at most.
pub(in crate::webhook) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
}

/// The first bytes of a body as they are kept. A secret that begins among them is replaced whole,
/// even if it ends beyond.
pub(in crate::webhook) fn excerpt<'a>(
    body: &[u8],
    secrets: impl Iterator<Item = &'a str>,
) -> String {
    // The longest first: one secret can be the beginning of another.
    let mut secrets: Vec<&[u8]> = secrets
        .map(str::as_bytes)
        .filter(|secret| !secret.is_empty())
        .collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut kept = Vec::with_capacity(body.len().min(MAX_KEPT));
    let mut at = 0;
    while at < body.len().min(MAX_KEPT) {
        match secrets.iter().find(|secret| body[at..].starts_with(secret)) {
            Some(secret) => {
                kept.extend_from_slice(HIDDEN.as_bytes());
                at += secret.len();
            }
            None => {
                kept.push(body[at]);
                at += 1;
            }
        }
    }
    let text = String::from_utf8_lossy(&kept);
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_echoed_secret_is_not_kept() {
        let body = format!(
            "{}key s3cret-and-more, key s3cret\u{1b}[2J",
            "x".repeat(2000)
        );
        let kept = excerpt(body.as_bytes(), ["s3cret", "s3cret-and-more"].into_iter());
        assert_eq!(&kept[2000..], "key ***, key ***\u{fffd}[2J");
    }

    #[test]
    fn a_secret_across_the_end_of_the_excerpt_is_not_kept_in_part() {
        for lead in MAX_KEPT - 8..MAX_KEPT {
            let body = format!("{}s3cret-s3cret{}", "x".repeat(lead), "y".repeat(5000));
            let kept = excerpt(body.as_bytes(), ["s3cret-s3cret"].into_iter());
            assert_eq!(kept, "x".repeat(lead) + HIDDEN);
        }
    }

    #[test]
    fn a_peer_can_not_make_a_failure_long() {
        let failure = Failure::new(FailureKind::Tls, format!("x{}", "ä".repeat(5000)));
        assert_eq!(
            failure.detail,
            format!("x{}", "ä".repeat((MAX_DETAIL - 1) / 2))
        );
    }

    proptest! {
        #[test]
        fn an_excerpt_is_short_and_tame(body in proptest::collection::vec(any::<u8>(), 0..5000), secret in "[a-z]{1,3}") {
            let kept = excerpt(&body, [secret.as_str()].into_iter());
            prop_assert!(kept.chars().count() <= MAX_KEPT * 3);
            prop_assert!(!kept.contains(&secret));
            prop_assert!(kept.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
