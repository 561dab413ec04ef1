//! Parameters of a query string, read strictly: what can't be decoded is an error and not something
//! else.

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// The longest query string.
pub(super) const MAX_QUERY: usize = 24 * 1024;

/// The parameters in their order, decoded.
pub(super) fn parse(query: Option<&str>) -> Result<Vec<(String, String)>> {
    let parts = query
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name)
                .ok_or_else(|| Error::invalid(name, "its name is not percent-encoded UTF-8"))?;
            let value = decode(value)
                .ok_or_else(|| Error::invalid(&name, "its value is not percent-encoded UTF-8"))?;
            Ok((name, value))
        })
        .collect()
}

/// Takes the values of one name out of the parameters; an error if there are several.
pub(super) fn take(params: &mut Vec<(String, String)>, name: &str) -> Result<Option<String>> {
    let mut found = params.extract_if(.., |(known, _)| known == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Error::invalid(name, "it is given twice; give it once")),
        (found, None) => Ok(found.map(|(_, value)| value)),
    }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    // The crate leaves a `%` without its digits as it is.
    let encoded = text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(&text).decode_utf8();
    encoded.then(|| decoded.ok().map(Into::into))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_right_and_names_what_is_not() {
        let params = parse(Some("a=1&b=x%20y+z&details.k=%C3%A4&empty=&flag")).unwrap();
        let pairs: Vec<_> = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b", "x y z"),
                ("details.k", "ä"),
                ("empty", ""),
                ("flag", "")
            ]
        );
        for wrong in ["q=%", "q=%4", "q=%zz", "q=%ff", "q=%+1"] {
            assert!(
                matches!(parse(Some(wrong)), Err(Error::Invalid { parameter, .. }) if parameter == "q"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_parameter_is_taken_once() {
        let mut params = parse(Some("a=1&format=zip&b=2")).unwrap();
        assert_eq!(take(&mut params, "format").unwrap().as_deref(), Some("zip"));
        assert_eq!(take(&mut params, "format").unwrap(), None);
        assert_eq!(params.len(), 2);
        assert!(take(&mut parse(Some("format=zip&format=gz")).unwrap(), "format").is_err());
    }
}
