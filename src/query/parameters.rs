//! The parameters of a filter as they were given, sorted by their names. A value stays a text here:
//! what it means is for its condition to say.

use std::{borrow::Cow, collections::BTreeMap};

use crate::error::{Error, Result};

/// How many parameters one filter takes.
const MAX_PARAMETERS: usize = 64;
/// How long a name or value may be, in bytes.
const MAX_LEN: usize = 1024;
pub(super) const DETAILS: &str = "details.";

/// The values that were given for one name.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// An entry must have one of these, if there are any.
    pub(super) wanted: Vec<String>,
    /// An entry must have none of these.
    pub(super) excluded: Vec<String>,
}

/// Parameters by the place of their name among those that are known, and by their name.
pub(super) type Parameters = BTreeMap<(usize, String), Values>;

/// Sorts parameters. The error for an unknown one lists the names in `known` and in `others`.
pub(super) fn sort<N: AsRef<str>, V: AsRef<str>>(
    known: &[&str],
    others: &[&str],
    given: impl IntoIterator<Item = (N, V)>,
) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for (count, (name, value)) in given.into_iter().enumerate() {
        let (name, value) = (name.as_ref(), value.as_ref());
        if count == MAX_PARAMETERS {
            let problem = format!("there are more than {MAX_PARAMETERS} parameters; give fewer");
            return Err(Error::invalid(shown(name), problem));
        }
        if name.len() > MAX_LEN || value.len() > MAX_LEN {
            let problem = format!("it is longer than {MAX_LEN} bytes; shorten it");
            return Err(Error::invalid(shown(name), problem));
        }
        let place = place(known, others, name)?;
        let values = parameters.entry((place, name.to_owned())).or_default();
        values.add(name, value)?;
    }
    for values in parameters.values_mut() {
        for texts in [&mut values.wanted, &mut values.excluded] {
            texts.sort_unstable();
            texts.dedup();
        }
    }
    Ok(parameters)
}

/// The text of a parameter that means just this value.
pub(super) fn literal(value: &str) -> Cow<'_, str> {
    if begins_with_sign(value) {
        Cow::Owned(format!("\\{value}"))
    } else {
        Cow::Borrowed(value)
    }
}

impl Values {
    fn add(&mut self, name: &str, value: &str) -> Result<()> {
        let invalid = |problem: &str| Error::invalid(shown(name), problem);
        if is_date(name) {
            if !self.wanted.is_empty() {
                return Err(invalid("it is given twice; give it once"));
            }
            self.wanted.push(value.to_owned());
            return Ok(());
        }
        let (texts, value) = match value.strip_prefix('!') {
            Some(value) => (&mut self.excluded, value),
            None => (&mut self.wanted, value),
        };
        if value.starts_with('!') {
            return Err(invalid(
                "it begins with \"!!\"; write \"!\\!\" to exclude a value that begins with \"!\"",
            ));
        }
        // The text of a value may well be empty; no other field of an entry is.
        if value.is_empty() && !name.starts_with(DETAILS) {
            return Err(invalid("it is empty; give a value or leave it out"));
        }
        let unescaped = value.strip_prefix('\\').filter(|_| begins_with_sign(value));
        texts.push(unescaped.unwrap_or(value).to_owned());
        Ok(())
    }
}

/// Whether a value would be read as another one without a `\` before it.
fn begins_with_sign(value: &str) -> bool {
    value.trim_start_matches('\\').starts_with('!')
}

fn is_date(name: &str) -> bool {
    matches!(name, "start_date" | "end_date")
}

fn place(known: &[&str], others: &[&str], name: &str) -> Result<usize> {
    let is_detail = name
        .strip_prefix(DETAILS)
        .is_some_and(|path| !path.is_empty());
    if is_detail {
        return Ok(known.len());
    }
    let place = known.iter().position(|known| *known == name);
    place.ok_or_else(|| {
        let known = [known, others].concat().join(", ");
        let problem = format!("there is no such parameter; there are {known} and details.<path>");
        Error::invalid(shown(name), problem)
    })
}

/// A name as it is repeated in a message.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(64).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}
