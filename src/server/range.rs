//! Byte ranges (RFC 9110, section 14), and when they may be trusted.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
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
    /// 412
    Changed,
}

impl Wanted {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
            Self::Nothing => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Known => StatusCode::NOT_MODIFIED,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
        }
    }
}

/// What the conditions of a request come to, before any range is looked at; `None` if they let it
/// go on. A file that is made while it is sent has no tag.
pub(super) fn condition(headers: &HeaderMap, etag: Option<&str>) -> Option<Wanted> {
    let is_any = |name| listed(headers, name).any(|tag| tag == "*");
    // Compared strongly: a weak tag says nothing about bytes.
    let is_same = |tag: &str| Some(tag) == etag;
    let is_alike = |tag: &str| Some(tag.strip_prefix("W/").unwrap_or(tag)) == etag;
    let (must, must_not) = (&header::IF_MATCH, &header::IF_NONE_MATCH);
    if headers.contains_key(must) && !is_any(must) && !listed(headers, must).any(is_same) {
        return Some(Wanted::Changed);
    }
    (is_any(must_not) || listed(headers, must_not).any(is_alike)).then_some(Wanted::Known)
}

/// The part of a file of this length and tag (in its quotes) that the headers ask for.
///
/// A range without `If-Range` or a tag in `If-Match` says that the client has some bytes and not of
/// which version. It is honoured only if there is no other version: `fixed`. Several ranges are
/// answered with the whole.
pub(super) fn wanted(headers: &HeaderMap, len: u64, etag: &str, fixed: bool) -> Wanted {
    if let Some(wanted) = condition(headers, Some(etag)) {
        return wanted;
    }
    let valid = match headers.get(header::IF_RANGE) {
        // Compared strongly: a weak tag or a date says nothing about bytes.
        Some(tag) => tag.as_bytes() == etag.as_bytes(),
        None => fixed || listed(headers, &header::IF_MATCH).any(|tag| tag == etag),
    };
    let mut ranges = headers.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if valid => range
            .to_str()
            .map_or(Wanted::Whole, |range| parse(range, len)),
        _ => Wanted::Whole,
    }
}

/// The strong tags of `If-Range` and `If-Match`: the files that the client has a part of.
pub(super) fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, &header::IF_RANGE)
        .chain(listed(headers, &header::IF_MATCH))
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

fn listed<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
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

    #[test]
    fn a_condition_on_the_version_comes_before_all_else() {
        for (tags, range, expected) in [
            ("\"a\"", "bytes=5-", Wanted::Part(5..100)),
            ("\"x\", \"a\"", "bytes=5-", Wanted::Part(5..100)),
            // Any version will do, so nobody knows which one the client has a part of.
            ("*", "bytes=5-", Wanted::Whole),
            ("\"b\"", "bytes=5-", Wanted::Changed),
            ("W/\"a\"", "bytes=5-", Wanted::Changed),
            ("", "bytes=5-", Wanted::Changed),
        ] {
            let headers = headers(&[(header::IF_MATCH, tags), (header::RANGE, range)]);
            assert_eq!(wanted(&headers, 100, "\"a\"", false), expected, "{tags}");
        }
        let both = headers(&[
            (header::IF_MATCH, "\"b\""),
            (header::IF_NONE_MATCH, "\"a\""),
        ]);
        assert_eq!(condition(&both, Some("\"a\"")), Some(Wanted::Changed));
        // What is made while it is sent is there, and is no version that anyone can know.
        for (name, tags, expected) in [
            (header::IF_MATCH, "*", None),
            (header::IF_MATCH, "\"a\"", Some(Wanted::Changed)),
            (header::IF_NONE_MATCH, "*", Some(Wanted::Known)),
            (header::IF_NONE_MATCH, "\"a\"", None),
        ] {
            assert_eq!(condition(&headers(&[(name, tags)]), None), expected);
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
