//! A webhook's URL as it may be shown.
//!
//! Chat programs and many others put a token into the path of the URL that they give out: whoever
//! has the URL can send. So a URL is shown, recorded and logged only as far as the first word of
//! its path, and the rest is replaced in the receiver's answers.

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::Webhook;

/// Stands for the part that is not shown.
const ELLIPSIS: char = '…';
/// The longest segment of a path that can be a word; a longer one may be a token.
const LONGEST_WORD: usize = 16;
/// The shortest text that is taken for a secret.
const SHORTEST_SECRET: usize = 6;

impl Webhook {
    /// The URL as it may be shown: the host, and the path as far as its first word. The rest of a
    /// path, and a query, can be a secret.
    ///
    /// ```
    /// use tracing_audit::webhook::Webhook;
    ///
    /// let url = "https://hooks.example.com/services/T0/B0/x7Kq";
    /// let chat = Webhook::new("chat", url, ["user.*"]);
    /// assert_eq!(chat.shown_url(), "https://hooks.example.com/services/…");
    /// ```
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }
}

/// This URL as it may be shown. Nothing is shown of a text that isn't a URL.
pub(super) fn shown_url(url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return ELLIPSIS.to_string();
    };
    let place = &url[Position::BeforeHost..Position::AfterPort];
    let (first, more) = split(&url);
    let shown = format!("{}://{place}/{first}", url.scheme());
    match more {
        "" => shown,
        _ if first.is_empty() => format!("{shown}{ELLIPSIS}"),
        // It begins with the slash, question mark or hash that ends the word.
        more => format!("{shown}{}{ELLIPSIS}", &more[..1]),
    }
}

/// Whether a text is a URL as it is shown, and not the URL itself.
pub(super) fn is_shortened(url: &str) -> bool {
    url.ends_with(ELLIPSIS)
}

/// The texts of a URL that must not appear in what is kept of an answer, because receivers like to
/// repeat the path that was asked for.
pub(super) fn secrets(url: &Url) -> Vec<String> {
    let (_, more) = split(url);
    if more.is_empty() {
        return Vec::new();
    }
    let whole = &url[Position::BeforePath..Position::AfterQuery];
    let parts = more.split(['/', '?', '&', '=', '#']);
    let long = parts.filter(|part| part.len() >= SHORTEST_SECRET && !is_word(part));
    let encoded = [whole, url.path()].into_iter().chain(long);
    encoded
        .flat_map(|text| [text.to_owned(), decoded(text)])
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The first segment of the path, if it is a word, and what follows.
fn split(url: &Url) -> (&str, &str) {
    let path = url[Position::BeforePath..].trim_start_matches('/');
    let end = path.find(['/', '?', '#']).unwrap_or(path.len());
    let (first, more) = path.split_at(end);
    if is_word(first) {
        (first, more)
    } else {
        ("", path)
    }
}

/// Lower-case letters with at most two digits at the end, as in `services` and `v1`: nobody's token
/// looks like that.
fn is_word(segment: &str) -> bool {
    let letters = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_letter = |c: u8| c.is_ascii_lowercase() || matches!(c, b'-' | b'_');
    segment.len() <= LONGEST_WORD
        && segment.len() - letters.len() <= 2
        && !letters.is_empty()
        && letters.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_as_far_as_the_first_word_of_its_path() {
        for (url, shown) in [
            (
                "https://hooks.example.com/services/T00/B00/XXX",
                "https://hooks.example.com/services/…",
            ),
            (
                "https://otlp.example.com:4318/v1/logs",
                "https://otlp.example.com:4318/v1/…",
            ),
            ("https://a.example/hook", "https://a.example/hook"),
            ("https://a.example/hook/", "https://a.example/hook/…"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example/", "https://a.example/"),
            ("https://a.example/hook?key=k", "https://a.example/hook?…"),
            ("https://a.example/?key=k", "https://a.example/…"),
            (
                "https://a.example/bot1102015:AAHdq/send",
                "https://a.example/…",
            ),
            ("https://a.example/k3j5h2l6k9d8s7f6", "https://a.example/…"),
            (
                "https://a.example/correcthorsebatterystaple",
                "https://a.example/…",
            ),
            ("https://ann:pw@[::1]:8/x%2fy/z", "https://[::1]:8/…"),
            ("hooks.example.com/services", "…"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
            assert_eq!(is_shortened(shown), shown.contains('…'));
        }
    }

    #[test]
    fn what_is_not_shown_is_searched_for_in_answers() {
        let of = |url: &str| secrets(&url.parse().unwrap());
        assert!(of("https://a.example/hook").is_empty());
        let found = of("https://a.example/services/T00/B00%20x/Xk3j5h2l?key=a%2Fb7&n=1");
        for secret in [
            "/services/T00/B00%20x/Xk3j5h2l?key=a%2Fb7&n=1",
            "/services/T00/B00 x/Xk3j5h2l",
            "B00%20x",
            "Xk3j5h2l",
            "a%2Fb7",
        ] {
            assert!(
                found.iter().any(|text| text == secret),
                "{secret}: {found:?}"
            );
        }
        assert!(!found.iter().any(|text| text == "services" || text == "1"));
    }
}
