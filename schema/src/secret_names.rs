//! Which names of fields look like those of secrets.
//!
//! A name is read as words, so `userPassword`, `user_password` and `USER-PASSWORD2` are one name,
//! and `spin` has no `pin` in it. A name looks like a secret if a rule of [`SECRETS`] is among its
//! words, unless its first or last word tells that the value is something about the secret:
//! `has_token`, `token_count`.

use crate::fields;

/// The rules: a word or a run of words. Each also matches its plural, in any case, with or without
/// digits. A run also matches when it is written together, and then, as the rules of `ENDINGS`,
/// at the end of a longer word.
pub const SECRETS: [&str; 45] = [
    "access key",
    "api key",
    "auth code",
    "auth key",
    "authorization",
    "backup code",
    "card code",
    "card num",
    "card number",
    "cc num",
    "cc number",
    "connection string",
    "cookie",
    "credential",
    "credit card",
    "cvc",
    "cvv",
    "debit card",
    "encryption key",
    "iban",
    "jwt",
    "master key",
    "otp",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "private key",
    "proxy authorization",
    "pwd",
    "recovery code",
    "recovery phrase",
    "secret",
    "secret key",
    "security code",
    "seed phrase",
    "session key",
    "shared key",
    "signing key",
    "social security",
    "ssn",
    "token",
    "totp",
    "verification code",
];

/// Rules that match at the end of a longer word as well: `authtoken`. No other words end so.
const ENDINGS: [&str; 9] = [
    "cookie",
    "credential",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
];

/// Rules that match at the beginning of a longer word as well: `passwordhash`, not `passwordless`.
const BEGINNINGS: [&str; 3] = ["passphrase", "passwd", "password"];

/// Last words of names whose value is something about the secret, and not the secret.
const ABOUT: &str = "\
    accepted added age algorithm at attempt attempts by bytes changed consent count counts \
    created days deleted disabled domain enabled endpoint expired expires expiry exported failed \
    failures file format found hours id ids imported issued issuer kind leaked left len length \
    lifetime limit manager matched matches method migrated minutes missing ms name names owner \
    path policy present provider reason remaining removed required revoked rotated scanned scope \
    scopes seconds secs size skipped source state status store strength synced total ttl type \
    types updated usage used valid verified version";

/// First words of such names: `has_password`, `max_tokens`.
const WHETHER: &str = "had has is max min needs num requires total";

/// Three letters of each rule, which few other words have.
const TELLING: [&[u8; 3]; 23] = [
    b"car", b"cov", b"cvc", b"cvv", b"ecr", b"ecu", b"ede", b"iba", b"jwt", b"key", b"kup", b"nec",
    b"num", b"oke", b"ook", b"otp", b"pas", b"phr", b"pin", b"pwd", b"rif", b"ssn", b"uth",
];

static OF_SECRETS: Telling = {
    let mut telling = Telling::none();
    let mut at = 0;
    while at < TELLING.len() {
        telling.add(TELLING[at]);
        at += 1;
    }
    telling
};

/// Whether a field of this name looks like a secret.
#[inline]
pub fn looks_secret(name: &[u8]) -> bool {
    OF_SECRETS.are_in(name) && has_rule(name, &SECRETS)
}

/// Whether a field at this path, whose names are joined by dots, looks like a secret: because of
/// its own name, of the name of an object around it, or of two neighbours together, as in
/// `api.key`. Only a plural is read together with what is below it: `secrets.found` counts secrets,
/// while `cookie.id` is a part of one.
pub fn path_looks_secret(path: &str) -> bool {
    has_secret_name(path, |_| false)
}

/// As [`path_looks_secret`], without the names that are allowed. An allowed name of two neighbours
/// is that of the second, or both with the dot between them.
pub fn has_secret_name(path: &str, is_allowed: impl Fn(&str) -> bool) -> bool {
    // `details` and `attributes` are plurals that count nothing.
    let path = fields::in_map(path).unwrap_or(path);
    let mut object = 0;
    let mut start = 0;
    loop {
        let rest = &path[start..];
        let (name, below) = rest.split_once('.').unwrap_or((rest, ""));
        let is_counted = name.ends_with(['s', 'S']) && !below.is_empty();
        let read = if is_counted { rest } else { name }.as_bytes();
        if looks_secret(name.as_bytes()) && looks_secret(read) && !is_allowed(name) {
            return true;
        }
        let around = &path.as_bytes()[object..start];
        if looks_secret_in(around, read)
            && !is_allowed(name)
            && !is_allowed(&path[object..start + name.len()])
        {
            return true;
        }
        if below.is_empty() {
            return false;
        }
        object = start;
        start += name.len() + 1;
    }
}

/// Rules of one word that are also known when it is split into an object's and a member's name.
const SPLIT: [&str; 3] = ["pass code", "pass phrase", "pass word"];

/// The first letters of the words behind the first one of all rules.
const LATER: [&[u8; 3]; 9] = [
    b"aut", b"car", b"cod", b"key", b"num", b"phr", b"sec", b"str", b"wor",
];

/// Whether a member of an object looks like a secret because of both names together: `api` and
/// `key`, `cards` and `number`.
#[inline]
pub fn looks_secret_in(object: &[u8], member: &[u8]) -> bool {
    may_end_secret(member)
        && (has_rule_across(object, member, &SECRETS) || has_rule_across(object, member, &SPLIT))
}

/// Whether a name can look like a secret together with that of an object around it. Most names
/// can't, and need no look at the object.
#[inline]
pub fn may_end_secret(member: &[u8]) -> bool {
    let mut letters = member.iter().skip_while(|byte| !is_part(**byte));
    let mut next = || letters.next().map(u8::to_ascii_lowercase);
    match (next(), next(), next()) {
        (Some(a), Some(b), Some(c)) => LATER.contains(&&[a, b, c]),
        _ => false,
    }
}

/// Whether the first words of a rule end the name of an object, and the others begin the name of a
/// member, whose value isn't only something about the secret.
#[inline(never)]
pub fn has_rule_across(object: &[u8], member: &[u8], rules: &[impl AsRef<str>]) -> bool {
    let mut rest = object;
    loop {
        let from = rest;
        let Some(word) = next_word(&mut rest) else {
            return false;
        };
        let mut rules = rules.iter().map(AsRef::as_ref);
        if rules.any(|rule| is_across(from, member, rule)) {
            return true;
        }
        if from.len() == object.len() && is_one_of(word, WHETHER) {
            return false;
        }
    }
}

fn is_across(object: &[u8], member: &[u8], rule: &str) -> bool {
    let is_word = |byte: &u8| is_part(*byte) && !byte.is_ascii_digit();
    rule.match_indices(' ').any(|(space, _)| {
        let (first, later) = (&rule[..space], &rule[space + 1..]);
        after_whole_words(object, first).is_some_and(|after| !after.iter().any(is_word))
            && after_whole_words(member, later).is_some_and(|after| !is_about(after))
    })
}

/// Three letters of each of some rules. Most names have none of them, and are known by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// For each two letters, a bit for each third one.
    third: [u32; 1024],
}

impl Telling {
    /// Of no rule.
    pub const fn none() -> Self {
        Self { third: [0; 1024] }
    }

    /// Adds three letters.
    pub const fn add(&mut self, [first, second, third]: &[u8; 3]) {
        self.third[Self::place(*first, *second)] |= Self::bit(*third);
    }

    /// Whether some of the letters are in a name.
    #[inline]
    pub fn are_in(&self, name: &[u8]) -> bool {
        let known = |letters: &[u8]| match letters {
            [a, b, c] => self.third[Self::place(*a, *b)] & Self::bit(*c) != 0,
            _ => false,
        };
        name.windows(3).any(known)
    }

    const fn place(first: u8, second: u8) -> usize {
        ((first & 31) as usize) << 5 | (second & 31) as usize
    }

    /// The same for both cases of a letter; other bytes share it.
    const fn bit(letter: u8) -> u32 {
        1 << (letter & 31)
    }
}

/// Whether one of the rules is among the words of a name, and no other word tells that the value is
/// something about the secret.
#[inline(never)]
pub fn has_rule(name: &[u8], rules: &[impl AsRef<str>]) -> bool {
    let mut rest = name;
    loop {
        let from = rest;
        let Some(word) = next_word(&mut rest) else {
            return false;
        };
        let mut rules = rules.iter().map(AsRef::as_ref);
        if rules.any(|rule| is_secret_at(from, word, rest, rule)) {
            return true;
        }
        if from.len() == name.len() && is_one_of(word, WHETHER) {
            return false;
        }
    }
}

fn is_one_of(word: &[u8], words: &str) -> bool {
    let word = without_digits(word);
    words
        .split(' ')
        .any(|one| one.as_bytes().eq_ignore_ascii_case(word))
}

/// Whether the words behind a rule tell that the value isn't the secret: `tokens_per_second`.
fn is_about(mut words: &[u8]) -> bool {
    let mut last: &[u8] = &[];
    while let Some(word) = next_word(&mut words) {
        if word.eq_ignore_ascii_case(b"per") {
            return true;
        }
        last = word;
    }
    is_one_of(last, ABOUT)
}

/// Whether a name begins with a rule, and isn't about the secret. `rest` is the name without its
/// first word.
fn is_secret_at(name: &[u8], word: &[u8], rest: &[u8], rule: &str) -> bool {
    let letters = singular(without_digits(word));
    let same = |a: Option<&u8>, b: Option<&u8>| match (a, b) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    // Few rules have either end in common with the word.
    let begins = same(word.first(), rule.as_bytes().first());
    let ends = same(letters.last(), rule.as_bytes().last());
    begins && after_whole_words(name, rule).is_some_and(|after| !is_about(after))
        || ends && is_end_of(letters, rule) && !is_about(rest)
}

/// The rest of a name after a rule that is one or more whole words.
fn after_whole_words<'a>(name: &'a [u8], rule: &str) -> Option<&'a [u8]> {
    /// Letters that stand apart in a name make a short word by chance: `p_in`.
    const LONGEST_IN_ONE: usize = 4;
    let mut wanted = rule.bytes().filter(|byte| *byte != b' ').peekable();
    let mut rest = name;
    loop {
        let word = next_word(&mut rest)?;
        for (at, byte) in word.iter().map(u8::to_ascii_lowercase).enumerate() {
            let left = &word[at..];
            match wanted.peek() {
                Some(next) if *next == byte => drop(wanted.next()),
                // Digits count only where the rule has some, as one of an application's may.
                Some(next) if byte.is_ascii_digit() && !next.is_ascii_digit() => {}
                None if is_plural_or_number(left, rule) => break,
                None if BEGINNINGS.contains(&rule) && !left.eq_ignore_ascii_case(b"less") => {
                    return name.get(name.len() - rest.len() - left.len()..);
                }
                _ => return None,
            }
        }
        if wanted.peek().is_none() {
            return Some(rest);
        }
        if rule.len() <= LONGEST_IN_ONE && !rule.contains(' ') {
            return None;
        }
    }
}

/// Whether a word ends with a rule that may stand there.
fn is_end_of(word: &[u8], rule: &str) -> bool {
    let mut letters = word.iter().rev().map(u8::to_ascii_lowercase);
    let mut wanted = rule.bytes().rev().filter(|byte| *byte != b' ');
    (rule.contains(' ') || ENDINGS.contains(&rule))
        && wanted.all(|byte| letters.next() == Some(byte))
}

/// Whether only a plural's `s` and digits are left of a word after a rule. `2` isn't a part of
/// `22`.
fn is_plural_or_number(left: &[u8], rule: &str) -> bool {
    let is_number = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let other_number = is_number(rule.as_bytes().last()) && is_number(left.first());
    !other_number && singular(without_digits(left)).is_empty()
}

fn singular(word: &[u8]) -> &[u8] {
    match word {
        [singular @ .., b's' | b'S'] => singular,
        word => word,
    }
}

fn without_digits(word: &[u8]) -> &[u8] {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit());
    &word[..word.len() - digits.count()]
}

/// Takes the first word of a name: letters, and the digits behind them. A word ends before a
/// capital letter that follows a small one or begins a word of small ones (`card|Number`,
/// `API|Key`), and after its digits.
pub fn next_word<'a>(name: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = name.iter().position(|byte| is_part(*byte))?;
    let rest = &name[start..];
    let end = (1..rest.len())
        .find(|at| ends_at(rest, *at))
        .unwrap_or(rest.len());
    let word;
    (word, *name) = rest.split_at(end);
    Some(word)
}

/// Whether a word ends between the byte before `at` and that one.
fn ends_at(name: &[u8], at: usize) -> bool {
    let (last, next) = (name[at - 1], name[at]);
    if !next.is_ascii_uppercase() {
        return !is_part(next) || last.is_ascii_digit() && !next.is_ascii_digit();
    }
    if !last.is_ascii_uppercase() {
        return true;
    }
    match name[at + 1..] {
        // The `s` of `PINs` belongs to what is before it.
        [b's', ref behind @ ..] => behind.first().is_some_and(|byte| is_small(*byte)),
        [behind, ..] => is_small(behind),
        [] => false,
    }
}

/// Whether a name's byte is part of a word: what isn't ASCII is taken for a letter.
pub fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn is_small(byte: u8) -> bool {
    byte.is_ascii_lowercase() || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_denied_by_any_of_its_names_or_by_two_neighbours() {
        for (path, denied) in [
            ("token", true),
            ("password.value", true),
            ("cookie.id", true),
            ("user.pin", true),
            ("secrets.db", true),
            ("credentials.user", true),
            ("tokens.count.token", true),
            ("access.key", true),
            ("api.key", true),
            ("user_api.key2", true),
            ("apis.keys", true),
            ("card.number", true),
            ("cards.number", true),
            ("card_2.number", true),
            ("order.myCard.Number.value", true),
            ("credit.card.last", true),
            ("pass.phrase", true),
            ("pass.word", true),
            ("details.api.key", true),
            ("details.details.api.key", true),
            ("resource.attributes.card.number", true),
            ("resource.prior_attributes.pin", true),
            ("order.id", false),
            ("secrets.found", false),
            ("secrets.per_vault", false),
            ("vault.tokens.total", false),
            ("tokens.count", false),
            ("max_tokens", false),
            ("details.max_tokens", false),
            ("details.has_password", false),
            ("details.num_tokens", false),
            ("actor.attributes.requires_token", false),
            ("resource.attributes.has_password", false),
            ("api.key_id", false),
            ("api.keys.count", false),
            ("card.number_of_digits.count", false),
            ("card.meta.number", false),
            ("phone.number", false),
            ("status.code", false),
            ("foreign.key", false),
            ("boarding.pass.word", true),
            ("has_card.number", false),
            ("has.number", false),
            ("p.in", false),
            ("discard.number", false),
            ("card.numbered", false),
        ] {
            assert_eq!(path_looks_secret(path), denied, "{path}");
        }
    }

    #[test]
    fn names_are_allowed_one_by_one_and_two_together() {
        let with = |path: &str, allowed: &'static str| {
            has_secret_name(path, |name| name.replace(['.', '_'], "") == allowed)
        };
        assert!(!with("api.key", "apikey") && !with("api.key", "key"));
        assert!(!with("my.api.key", "apikey") && !with("details.access.key", "accesskey"));
        assert!(with("api.key", "api") && with("my_api.key", "apikey"));
        assert!(with("api.key.token", "apikey") && with("api.key", "myapikey"));
    }

    #[test]
    fn each_rule_of_several_words_is_known_across_an_object_and_its_member() {
        for rule in SECRETS.iter().chain(&SPLIT) {
            for (space, _) in rule.match_indices(' ') {
                let (object, member) = (&rule[..space], &rule[space + 1..]);
                assert!(
                    looks_secret_in(object.as_bytes(), member.as_bytes()),
                    "{rule}"
                );
                assert!(path_looks_secret(&rule.replace(' ', ".")), "{rule}");
            }
        }
    }
}
