//! The headers in which proxies name the client that they forward a request for.
//!
//! Each proxy adds to the right what it saw; to the left is what came with the request, which its
//! client may have made up. So all is read from the right, piece by piece, and nothing to the left
//! can change how a piece is read.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// The headers that are read. One kind, never both: a proxy passes on what it doesn't write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    X,
    /// `Forwarded` (RFC 7239).
    Standard,
}

impl Header {
    /// From whom each proxy had the request, the nearest proxy first; `None` where that can't be
    /// read.
    pub(super) fn hops(self, headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
        let name = if self == Self::X {
            "x-forwarded-for"
        } else {
            "forwarded"
        };
        pieces(headers, name).map(move |piece| {
            address(if self == Self::X {
                piece
            } else {
                parameter(piece, "for")?
            })
        })
    }

    /// The scheme that the nearest proxy was asked with.
    #[cfg(any(feature = "tower", feature = "console"))]
    pub(super) fn scheme(self, headers: &HeaderMap) -> Option<&str> {
        self.nearest(headers, "x-forwarded-proto", "proto")
    }

    /// The host that the nearest proxy was asked for.
    pub(super) fn host(self, headers: &HeaderMap) -> Option<&str> {
        self.nearest(headers, "x-forwarded-host", "host")
    }

    fn nearest<'a>(
        self,
        headers: &'a HeaderMap,
        header: &'static str,
        name: &str,
    ) -> Option<&'a str> {
        let told = match self {
            Self::X => pieces(headers, header).next(),
            Self::Standard => pieces(headers, "forwarded")
                .next()
                .and_then(|piece| parameter(piece, name)),
        };
        told.filter(|text| !text.is_empty())
    }
}

/// The pieces between the commas of all headers of a name, from the right. A piece that isn't text
/// is empty.
fn pieces<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    let piece = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default().trim();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| parted(line.as_bytes(), b','))
        .map(piece)
}

/// The value of a parameter: of `for`, `[2001:db8::1]` in `by=10.0.0.1; For="[2001:db8::1]"`. None
/// if it is there twice: then the piece is not what it seems.
fn parameter<'a>(piece: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parted(piece.as_bytes(), b';')
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    let mut values = pairs
        .filter(|(given, _)| given.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim());
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let bare = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    (!bare.contains('"')).then_some(bare)
}

/// The parts of a text between separators outside quotes, from the right: the proxy that wrote what
/// stands there has closed its quotes, and a quote that is left open to the left of it opens
/// nothing in it.
fn parted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut quoted = false;
        for (at, byte) in text.iter().enumerate().rev() {
            if *byte == b'"' {
                let escapes = text[..at]
                    .iter()
                    .rev()
                    .take_while(|before| **before == b'\\')
                    .count();
                quoted ^= escapes % 2 == 0;
            } else if *byte == separator && !quoted {
                rest = Some(&text[..at]);
                return Some(&text[at + 1..]);
            }
        }
        Some(text)
    })
}

/// An address, with or without a port, that of IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}
