//! Headers of a delivery that it doesn't set itself: those an administrator adds, the one that has
//! the API key, and those of a format.
//!
//! None of them can replace what a delivery itself says (signature, host, length, type) nor what
//! only concerns the connection, and no two of them have one name. The values that an administrator
//! sets are secret: Debug shows the names.

use std::fmt;

use http::{
    HeaderMap,
    header::{Entry, HeaderName, HeaderValue},
};

use crate::error::{Error, Result};

const MAX_HEADERS: usize = 32;
const MAX_BYTES: usize = 8 * 1024;

/// The headers that nobody sets but the delivery itself, and why.
const RESERVED: [(&str, &str); 13] = [
    ("host", "it follows from the URL"),
    ("content-length", "it follows from the body"),
    ("content-type", "it follows from the format"),
    (
        "content-encoding",
        "the bytes that are signed are the bytes that are sent",
    ),
    ("user-agent", "it names this program"),
    ("connection", HOP_BY_HOP),
    ("expect", HOP_BY_HOP),
    ("http2-settings", HOP_BY_HOP),
    ("keep-alive", HOP_BY_HOP),
    ("te", HOP_BY_HOP),
    ("trailer", HOP_BY_HOP),
    ("transfer-encoding", HOP_BY_HOP),
    ("upgrade", HOP_BY_HOP),
];
const RESERVED_PREFIXES: [(&str, &str); 2] = [
    ("webhook-", "it is part of the signature"),
    ("proxy-", HOP_BY_HOP),
];
/// The headers of a format that has them, which nobody else sets.
const OF_FORMATS: &str = "ce-";
const HOP_BY_HOP: &str = "it concerns the connection, not the delivery";

/// The origin of a header that the delivery doesn't set itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhook) enum SetBy {
    /// In a setting of the webhook.
    Administrator,
    /// With each request that the format encodes.
    Format,
}

/// The header of this name, if it can be set. Otherwise the problem with it, which does not repeat
/// the name.
pub(in crate::webhook) fn settable(
    name: &str,
    by: SetBy,
) -> std::result::Result<HeaderName, String> {
    let parsed =
        HeaderName::try_from(name).map_err(|_| "no header can have this name".to_owned())?;
    match reserved(parsed.as_str(), by) {
        Some(why) => Err(format!("can't be set: {why}")),
        None => Ok(parsed),
    }
}

/// Headers for each delivery to a webhook, checked.
#[derive(Clone, Default)]
pub(crate) struct CustomHeaders(HeaderMap);

impl CustomHeaders {
    /// From names and values; [`Error::Invalid`] names the header that can't be sent, and never its
    /// value.
    pub(crate) fn parse<N: AsRef<str>, V: AsRef<str>>(
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let mut checked = HeaderMap::new();
        let mut bytes = 0;
        for (name, value) in headers {
            let (name, value) = (name.as_ref().trim(), value.as_ref().trim());
            let invalid = |problem: String| Error::invalid(format!("headers.{name}"), problem);
            let parsed = settable(name, SetBy::Administrator).map_err(invalid)?;
            // `HeaderValue` takes any byte above, which receivers read in one encoding or another.
            let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let secret = HeaderValue::from_str(value).ok().filter(|_| visible);
            let mut secret = secret.ok_or_else(|| {
                invalid("its value may hold only visible ASCII characters and spaces".to_owned())
            })?;
            secret.set_sensitive(true);
            bytes += name.len() + value.len();
            match checked.entry(parsed) {
                Entry::Occupied(_) => return Err(invalid("is given twice".to_owned())),
                Entry::Vacant(free) => free.insert(secret),
            };
        }
        if checked.len() > MAX_HEADERS || bytes > MAX_BYTES {
            let problem = format!(
                "{} headers of {bytes} bytes; at most {MAX_HEADERS} of {MAX_BYTES} bytes can be sent",
                checked.len()
            );
            return Err(Error::invalid("headers", problem));
        }
        Ok(Self(checked))
    }

    pub(in crate::webhook) fn as_map(&self) -> &HeaderMap {
        &self.0
    }

    /// What must not appear in a stored answer: each value, and what follows a scheme such as
    /// `Bearer` in it.
    pub(in crate::webhook) fn secrets(&self) -> impl Iterator<Item = &str> {
        let values = self.0.values().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| {
                [
                    Some(value),
                    value
                        .split_once(' ')
                        .map(|(_, credentials)| credentials.trim()),
                ]
            })
            .flatten()
    }
}

/// Why nobody may set the header of this lower-case name, or not this one.
fn reserved(name: &str, by: SetBy) -> Option<&'static str> {
    let prefixes = RESERVED_PREFIXES.iter();
    let prefixed = prefixes.filter(|(prefix, _)| name.starts_with(prefix));
    let whole = RESERVED.iter().filter(|(reserved, _)| *reserved == name);
    let of_format = by == SetBy::Administrator && name.starts_with(OF_FORMATS);
    let of_format = of_format.then_some("it follows from the format");
    whole
        .chain(prefixed)
        .map(|(_, why)| *why)
        .next()
        .or(of_format)
}

impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|name| (name, format_args!("***"))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_delivery_says_itself_can_not_be_replaced() {
        for name in [
            "Host",
            "webhook-id",
            "Webhook-Signature",
            "CONTENT-LENGTH",
            "transfer-encoding",
            "Connection",
            "TE",
            "ce-id",
            "Content-Type",
        ] {
            let error = CustomHeaders::parse([(name, "x")]).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("can't be set"),
                "{error}"
            );
        }
        CustomHeaders::parse([("Authorization", "Bearer s3cret"), ("X-Tenant", "acme")]).unwrap();
    }

    #[test]
    fn a_header_can_not_smuggle_another_in() {
        for (name, value) in [
            ("x", "a\r\nhost: b"),
            ("x", "a\nb"),
            ("x y", "a"),
            ("", "a"),
            ("x:", "a"),
            ("x", "ä"),
            ("x", "a\0"),
            ("x", "a\tb"),
        ] {
            let error = CustomHeaders::parse([(name, value)])
                .unwrap_err()
                .to_string();
            assert!(!error.contains("host: b"), "{error}");
        }
        assert!(
            CustomHeaders::parse([("x-a", "1"), ("X-A", "2")])
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
        assert!(CustomHeaders::parse([("x-a", "1".repeat(9000))]).is_err());
    }

    #[test]
    fn values_are_neither_shown_nor_kept_in_answers() {
        let headers = CustomHeaders::parse([("Authorization", "Bearer s3cret")]).unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"authorization": ***}"#);
        assert_eq!(
            headers.secrets().collect::<Vec<_>>(),
            ["Bearer s3cret", "s3cret"]
        );
    }
}
