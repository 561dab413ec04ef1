//! Byte ranges (RFC 9110, section 14), and when they may be trusted.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};
use http_range_header::parse_range_header;

/// The part of a file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// 200
    Whole,
    /// 206
    Part(Range<u64>),
    /// 416
    Nothing,
    /// 304
    Known,
}

/// The part of a file of this length and tag (in its quotes) that the headers ask for.
///
/// A range without `If-Range` says that the client has some bytes and not of which version. It is
/// honoured only if there is no other version: `fixed`. Several ranges are answered with the whole.
pub(super) fn wanted(headers: &HeaderMap, len: u64, etag: &str, fixed: bool) -> Wanted {
    if listed(headers, &header::IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    {
        return Wanted::Known;
    }
    let valid = match headers.get(header::IF_RANGE) {
        // Compared strongly: a weak tag or a date says nothing about bytes.
        Some(tag) => tag.as_bytes() == etag.as_bytes(),
        None => fixed,
    };
    let mut ranges = headers.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if valid => range
            .to_str()
            .map_or(Wanted::Whole, |range| parse(range, len)),
        _ => Wanted::Whole,
    }
}

/// The tag of `If-Range`, if it is a strong one.
pub(super) fn if_range(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::IF_RANGE)?
        .to_str()
        .ok()
        .filter(|tag| tag.starts_with('"'))
}

/// A range that isn't one in bytes, or one of several, is ignored.
fn parse(range: &str, len: u64) -> Wanted {
    let one = match parse_range_header(range) {
        Ok(ranges) if ranges.len() == 1 => ranges,
        _ => return Wanted::Whole,
    };
    match one.validate(len).as_deref() {
        Ok([part]) => Wanted::Part(*part.start()..part.end() + 1),
        _ => Wanted::Nothing,
    }
}

fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn ranges_of_a_hundred_bytes() {
        for (range, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-99", Wanted::Part(99..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("lines=0-9", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(
                wanted(&headers(&[(header::RANGE, range)]), 100, "\"a\"", true),
                expected,
                "{range}"
            );
        }
    }

    #[test]
    fn a_range_needs_the_right_version() {
        for (tag, fixed, part) in [
            (None, true, true),
            (None, false, false),
            (Some("\"a\""), false, true),
            (Some("\"b\""), true, false),
            (Some("W/\"a\""), true, false),
        ] {
            let mut headers = headers(&[(header::RANGE, "bytes=5-")]);
            if let Some(tag) = tag {
                headers.insert(header::IF_RANGE, tag.parse().unwrap());
            }
            let expected = if part {
                Wanted::Part(5..100)
            } else {
                Wanted::Whole
            };
            assert_eq!(
                wanted(&headers, 100, "\"a\"", fixed),
                expected,
                "{tag:?} {fixed}"
            );
        }
        for tags in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert_eq!(
                wanted(
                    &headers(&[(header::IF_NONE_MATCH, tags)]),
                    100,
                    "\"a\"",
                    false
                ),
                Wanted::Known,
                "{tags}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(text in "[ -~]{0,40}", from in any::<u64>(), to in any::<u64>(), len in any::<u64>()) {
            for range in [text, format!("bytes={from}-{to}"), format!("bytes=-{to}")] {
                if let Wanted::Part(part) = parse(&range, len) {
                    prop_assert!(part.start < part.end && part.end <= len);
                }
            }
        }
    }
}
