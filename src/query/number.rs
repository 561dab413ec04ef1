//! Numbers of JSON, compared by their value.

use std::sync::LazyLock;

use regex::bytes::Regex;

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$")
        .expect("the pattern is right")
});

/// A number in one form, however it was written: `1`, `1.0` and `10e-1` are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    /// Without zeros at the ends; none for zero.
    digits: Vec<u8>,
    /// The power of ten that the last digit stands for.
    exponent: i64,
}

impl Number {
    /// `None` if the text isn't a number as JSON writes it, so a text like `007` isn't.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let parts = NUMBER.captures(text)?;
        let part = |n: usize| parts.get(n).map_or(&[][..], |part| part.as_bytes());
        let mut exponent: i64 = match part(4) {
            [] => 0,
            digits => str::from_utf8(digits).ok()?.parse().ok()?,
        };
        let mut digits = [part(2), part(3)].concat();
        exponent = exponent.checked_sub(part(3).len() as i64)?;
        while digits.pop_if(|digit| *digit == b'0').is_some() {
            exponent = exponent.checked_add(1)?;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        if digits.is_empty() {
            exponent = 0;
        }
        Some(Self {
            negative: part(1) == b"-" && !digits.is_empty(),
            digits,
            exponent,
        })
    }

    /// A pattern that finds the beginning of every text of the number.
    pub(super) fn pattern(&self) -> String {
        if self.digits.is_empty() {
            return "-?0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        let digits: Vec<_> = self
            .digits
            .iter()
            .map(|b| char::from(*b).to_string())
            .collect();
        format!("{sign}[0.]*{}", digits.join(r"\.?"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_number_is_equal_in_all_its_forms() {
        for same in [
            &["1", "1.0", "1.00", "1e0", "10e-1", "0.1E+1"][..],
            &["100", "1e2", "100.0"],
            &["-0.05", "-5e-2", "-0.050"],
            &["0", "-0", "0.0", "0e9"],
            &["9007199254740993", "9007199254740993.0"],
        ] {
            for text in same {
                assert_eq!(number(text), number(same[0]), "{text}");
            }
        }
        assert_ne!(number("9007199254740993"), number("9007199254740992"));
        assert_ne!(number("1"), number("-1"));
        assert_ne!(number("1"), number("10"));
        for text in [
            "",
            "007",
            "+1",
            ".5",
            "1.",
            "1e",
            "0x1",
            "NaN",
            "1 ",
            "1e99999999999999999999",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn floats_are_equal_where_their_texts_say_so(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            // serde_json may choose the other one of two shortest texts.
            let forms = [format!("{value}"), format!("{value:e}")];
            for form in &forms {
                prop_assert_eq!(number(form), number(&forms[0]));
                let pattern = Regex::new(&format!("^{}", number(&forms[0]).pattern())).unwrap();
                prop_assert!(pattern.is_match(form.as_bytes()), "{} in {}", pattern, form);
            }
        }
    }
}
