//! The line in which people write what they look for: `actor:ann !event_type:auth.* "lost key"`.
//!
//! In comes a line; out go the parameters of the API, and back. A piece `name:value` is a
//! parameter; every other word is a text to search for (`q`), and words beside each other are one
//! text; but a word that is an address or a network is an `ip_address`. A `!` before a piece
//! excludes. What has spaces stands in quotes, in which `\"` is a quote and `\\` a backslash.

use std::{iter::Peekable, net::IpAddr, str::Chars};

use ipnet::IpNet;

use crate::error::{Error, Result};

type Pairs = Vec<(String, String)>;

/// Names by which the pages call parameters, and which people therefore write.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("address", "ip_address"),
    ("text", "q"),
    ("type", "event_type"),
];

/// The parameters that a line asks for. Whether there are such parameters, and such values, is for
/// the API to say.
pub(super) fn parse(line: &str) -> Result<Pairs> {
    let mut parser = Parser {
        rest: line.chars().peekable(),
        words: Vec::new(),
        found: Vec::new(),
    };
    while parser.skip_spaces() {
        parser.piece()?;
    }
    parser.end_words();
    Ok(parser.found)
}

/// The line that asks for these parameters.
pub(super) fn line<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let piece = |(name, value): (&str, &str)| {
        let (sign, value) = match value.strip_prefix('!') {
            Some(value) => ("!", value),
            None => ("", value),
        };
        match name {
            "q" => format!("{sign}{}", quoted(value)),
            name if is_name(name) => format!("{sign}{name}:{}", quoted_if_needed(value)),
            name => format!("{sign}{}:{}", quoted(name), quoted_if_needed(value)),
        }
    };
    let pieces: Vec<_> = params.into_iter().map(piece).collect();
    pieces.join(" ")
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// The words beside each other so far.
    words: Vec<String>,
    found: Pairs,
}

impl Parser<'_> {
    /// Whether there is something after the spaces.
    fn skip_spaces(&mut self) -> bool {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        self.rest.peek().is_some()
    }

    fn piece(&mut self) -> Result<()> {
        let sign = match self.rest.next_if_eq(&'!') {
            Some(_) => "!",
            None => "",
        };
        let is_quoted = self.rest.peek() == Some(&'"');
        let first = match is_quoted {
            true => self.quoted()?,
            false => self.bare(|c| c == ':'),
        };
        let has_value = self.rest.peek() == Some(&':') && (is_quoted || is_name(&first));
        if has_value {
            self.rest.next();
            let value = match self.rest.peek() {
                Some('"') => self.quoted()?,
                _ => self.bare(|_| false),
            };
            self.end_words();
            let other = OTHER_NAMES.iter().find(|(other, _)| *other == first);
            let name = other.map_or(first, |(_, name)| (*name).to_owned());
            self.found.push((name, format!("{sign}{value}")));
        } else if is_quoted || !sign.is_empty() {
            let rest = if is_quoted {
                String::new()
            } else {
                self.bare(|_| false)
            };
            self.end_words();
            let text = first + &rest;
            let name = match !is_quoted && is_address(&text) {
                true => "ip_address",
                false => "q",
            };
            self.found.push((name.to_owned(), format!("{sign}{text}")));
        } else {
            let word = first + &self.bare(|_| false);
            if is_address(&word) {
                self.end_words();
                self.found.push(("ip_address".to_owned(), word));
            } else {
                self.words.push(word);
            }
        }
        Ok(())
    }

    /// The text up to a space, or to where it ends.
    fn bare(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| !c.is_whitespace() && !ends(*c)) {
            text.push(c);
        }
        text
    }

    fn quoted(&mut self) -> Result<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.extend(self.rest.next()),
                Some(c) => text.push(c),
                None => {
                    let problem = "a quote is opened and not closed; write another \" where the \
                                   text ends";
                    return Err(Error::invalid("search", problem));
                }
            }
        }
    }

    fn end_words(&mut self) {
        if !self.words.is_empty() {
            let text = self.words.join(" ");
            self.words.clear();
            self.found.push(("q".to_owned(), text));
        }
    }
}

/// Whether a word before a `:` is the name of a parameter, and not part of a text such as `12:30`.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

fn is_address(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn quoted_if_needed(value: &str) -> String {
    let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
    if is_plain {
        value.to_owned()
    } else {
        quoted(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_as_people_mean_it() {
        for (line, expected) in [
            ("", &[][..]),
            ("actor:ann", &[("actor", "ann")]),
            (
                "actor:ann outcome:failure !event_type:auth.* \"text\"",
                &[
                    ("actor", "ann"),
                    ("outcome", "failure"),
                    ("event_type", "!auth.*"),
                    ("q", "text"),
                ],
            ),
            ("  lost   key ", &[("q", "lost key")]),
            (
                "lost actor:ann key",
                &[("q", "lost"), ("actor", "ann"), ("q", "key")],
            ),
            ("!lost key", &[("q", "!lost"), ("q", "key")]),
            ("\"a\" \"b c\"", &[("q", "a"), ("q", "b c")]),
            ("actor:\"Ann Lee\"", &[("actor", "Ann Lee")]),
            (r#"actor:"a\"b\\c""#, &[("actor", r#"a"b\c"#)]),
            (r"actor:\!x", &[("actor", r"\!x")]),
            ("ip_address:2001:db8::1", &[("ip_address", "2001:db8::1")]),
            ("details.plan:gold", &[("details.plan", "gold")]),
            ("\"details.a b\":1", &[("details.a b", "1")]),
            ("actor:", &[("actor", "")]),
            ("at 12:30", &[("q", "at 12:30")]),
            ("!12:30", &[("q", "!12:30")]),
            (":", &[("q", ":")]),
            (
                "203.0.113.66 lost key",
                &[("ip_address", "203.0.113.66"), ("q", "lost key")],
            ),
            ("!10.0.0.0/8", &[("ip_address", "!10.0.0.0/8")]),
            ("2001:db8::1", &[("ip_address", "2001:db8::1")]),
            (
                "\"10.0.0.1\" version 1.2.3",
                &[("q", "10.0.0.1"), ("q", "version 1.2.3")],
            ),
            (
                "!address:10.0.0.1 type:auth.* text:key",
                &[
                    ("ip_address", "!10.0.0.1"),
                    ("event_type", "auth.*"),
                    ("q", "key"),
                ],
            ),
        ] {
            let found = parse(line).unwrap();
            let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(found, expected, "{line}");
        }
        for wrong in ["\"a", "actor:\"a", r#""a\""#] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("not closed"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            params in proptest::collection::vec(("[a-z_.]{1,9}|details.\\PC{1,4}|q", "!?[^!]\\PC{0,9}"), 0..5),
        ) {
            prop_assume!(params.iter().all(|(name, _)| OTHER_NAMES.iter().all(|(other, _)| other != name)));
            let text = line(params.iter().map(|(name, value)| (&**name, &**value)));
            prop_assert_eq!(parse(&text).unwrap(), params, "{}", text);
        }
    }
}
