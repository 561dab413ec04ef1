//! Internet addresses in one spelling, so that equal addresses are equal texts.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use super::{Buffer, json};

/// The longest spelling, between its quotes:
/// `0000:0000:0000:0000:0000:ffff:255.255.255.255`.
const LONGEST: usize = 2 + 45;

/// Writes the address that stands, as a JSON string, from `start` to the end, in its canonical
/// form: that of RFC 5952, and that of IPv4 if it is an IPv4-mapped one. Text that isn't an address
/// stays.
#[inline]
pub(crate) fn canonicalize(out: &mut Buffer, start: usize) {
    // An IPv4 address has only one spelling; an IPv6 one begins with up to four digits and a colon,
    // behind its quote.
    let text = out.get(start..).unwrap_or_default();
    let beginning = text.first_chunk::<6>();
    // Compared all at once: as a slice it would be searched.
    let has_colon = |text: &[u8; 6]| text.iter().fold(false, |has, byte| has | (*byte == b':'));
    if beginning.is_none_or(has_colon) && text.len() <= LONGEST {
        canonicalize_long(out, start);
    }
}

#[inline(never)]
fn canonicalize_long(out: &mut Buffer, start: usize) {
    let text = out.get(start + 1..out.len() - 1);
    let address: Option<Ipv6Addr> = text
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse().ok());
    if let Some(address) = address {
        out.truncate(start);
        json::write_display(out, address.to_canonical());
    }
}

/// The address that a text of a line spells, IPv4 if it is an IPv4-mapped one.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// A text of a line in the canonical form of the address that it spells. Text that isn't an address
/// stays.
pub(crate) fn canonical(text: &[u8]) -> Cow<'_, [u8]> {
    // An IPv4 address has only one spelling.
    if memchr::memchr(b':', text).is_none() {
        return Cow::Borrowed(text);
    }
    parse(text).map_or(Cow::Borrowed(text), |address| {
        Cow::Owned(address.to_string().into_bytes())
    })
}
