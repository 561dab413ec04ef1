//! A walk through the tokens of a JSON text, which parses none of its values.

use memchr::memchr2;

use super::Name;

/// Where the next `"` or `\` is. Most strings are shorter than what a call of `memchr` costs, so
/// the first bytes are looked at here, eight at a time.
#[inline]
fn quote_or_escape(json: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    for _ in 0..4 {
        let Some(word) = json.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        // The lowest byte that is zero after the exclusive or borrows first, so the lowest high bit
        // is never wrong.
        let zero = |x: u64| x.wrapping_sub(ONES) & !x & (ONES << 7);
        let hits = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Some(at + memchr2(b'"', b'\\', json.get(at..)?)?)
}

/// The bytes between the quotes of the string that begins at `at`.
pub(in crate::entry) fn string(json: &[u8], at: usize) -> Option<&[u8]> {
    Cursor { json, at }.string()
}

/// Where the value that begins at `at` ends.
pub(in crate::entry) fn value_end(json: &[u8], at: usize) -> Option<usize> {
    let mut cursor = Cursor { json, at };
    cursor.value()?;
    Some(cursor.at)
}

/// A place in a JSON text.
pub(super) struct Cursor<'a> {
    pub(super) json: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Steps over a string; gives what is between its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        if self.next()? != b'"' {
            return None;
        }
        let start = self.at;
        loop {
            self.at = quote_or_escape(self.json, self.at)?;
            if self.next()? == b'"' {
                return self.json.get(start..self.at - 1);
            }
            self.at += 1;
        }
    }

    /// Steps over a value; gives its text if it is a string, nothing if it is something else.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        if self.peek()? == b'"' {
            self.string()
        } else {
            self.value().map(|_| &[] as &[u8])
        }
    }

    /// Steps over a value; gives it whole.
    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.nested()?,
            _ => {
                while self
                    .peek()
                    .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
                {
                    self.at += 1;
                }
            }
        }
        self.json
            .get(start..self.at)
            .filter(|value| !value.is_empty())
    }

    /// Steps over an object or array by counting brackets.
    fn nested(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Steps over a member's key and its colon.
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        (self.next()? == b':').then_some(key)
    }

    /// Steps over an object, stopping at each member's key and value, over which `key` and `value`
    /// must step.
    #[inline(always)]
    pub(super) fn members<K>(
        &mut self,
        mut key: impl FnMut(&mut Self) -> Option<K>,
        mut value: impl FnMut(&mut Self, K) -> Option<()>,
    ) -> Option<()> {
        if self.next()? != b'{' {
            return None;
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = key(self)?;
            value(self, key)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The same, giving each key's place in `names`, or `usize::MAX` if it isn't there.
    ///
    /// The keys of a line come in the order of `names`. Comparing with the one that comes next,
    /// instead of looking for the key's end, lets the processor go on before it knows.
    #[inline(always)]
    pub(super) fn known_members(
        &mut self,
        names: &[Name],
        value: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        let mut next = 0;
        let key = |cursor: &mut Self| {
            let word = cursor.word();
            let is = |name: &Name| word & name.mask == name.word;
            let ahead = names.get(next..)?.iter().position(is).map(|n| next + n);
            let Some(place) = ahead.or_else(|| names.iter().position(is)) else {
                cursor.key()?;
                return Some(usize::MAX);
            };
            cursor.at += names.get(place)?.len;
            next = place + 1;
            (cursor.next()? == b':').then_some(place)
        };
        self.members(key, value)
    }

    /// The next 16 bytes, with zeros after the end.
    #[inline(always)]
    fn word(&self) -> u128 {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 16];
            word.iter_mut()
                .zip(rest)
                .for_each(|(place, byte)| *place = *byte);
            word
        });
        u128::from_le_bytes(word)
    }

    /// Steps over a value, which should be an object, and notes its texts of these names; gives it
    /// whole.
    #[inline(always)]
    pub(super) fn part<const N: usize>(
        &mut self,
        names: &[Name; N],
        texts: &mut [&'a [u8]; N],
    ) -> Option<&'a [u8]> {
        if self.peek()? != b'{' {
            return self.value();
        }
        let start = self.at;
        self.known_members(names, |cursor, key| {
            match texts.get_mut(key) {
                Some(text) => *text = cursor.text()?,
                None => {
                    cursor.value()?;
                }
            }
            Some(())
        })?;
        self.json.get(start..self.at)
    }
}
