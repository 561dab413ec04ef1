//! Keyed hashes: `hmac-sha256:<key>:<32 hexadecimal digits>`, an HMAC-SHA256 (RFC 2104) cut to 128
//! bits.

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::clock::hex;
use crate::error::{Error, Result};

/// A key for [`hashed`](crate::hashed) values. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKey {
    name: String,
    /// Hexadecimal.
    secret: String,
}

/// A shorter one could be found by trying.
const SHORTEST: usize = 16;
/// The longest that HMAC-SHA256 doesn't hash itself first.
const LONGEST: usize = 64;

impl HashKey {
    /// A key of 16 to 64 bytes, from wherever the application keeps its secrets. The name, 1 to 32
    /// of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, stands in every hash.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name or a length that can't be.
    pub fn new(name: impl Into<String>, secret: &[u8]) -> Result<Self> {
        let name = name.into();
        if name.is_empty()
            || name.len() > 32
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        {
            return Err(Error::invalid(
                "name",
                format!("{name:?} is not 1 to 32 of A-Z, a-z, 0-9, '.', '_' and '-'"),
            ));
        }
        if !(SHORTEST..=LONGEST).contains(&secret.len()) {
            return Err(Error::invalid(
                "secret",
                format!(
                    "the key has {} bytes, not {SHORTEST} to {LONGEST}",
                    secret.len()
                ),
            ));
        }
        Ok(Self {
            name,
            secret: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// A key of 32 random bytes.
    pub(crate) fn random(name: impl Into<String>) -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|e| Error::invalid("secret", format!("the system has no randomness: {e}")))?;
        Self::new(name, &secret)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn secret(&self) -> impl Iterator<Item = u8> {
        self.secret.as_bytes().chunks(2).map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .unwrap_or(0)
        })
    }

    /// The hash of a value with this key, as it stands in the log.
    pub(crate) fn hash(&self, value: &str) -> String {
        let mut text = String::new();
        let key = Prepared::new(self);
        let mut mac = key.start();
        // Neither fails: a String takes any text, and the computation as well.
        let _ = mac.write_str(value).and_then(|()| mac.finish(&mut text));
        text
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A key, ready to hash: its two blocks are worked in.
pub(crate) struct Prepared {
    /// What each of its hashes begins with.
    prefix: String,
    mac: Hmac<Sha256>,
}

impl Prepared {
    pub(crate) fn new(key: &HashKey) -> Self {
        let secret: Vec<u8> = key.secret().collect();
        Self {
            prefix: format!("hmac-sha256:{}:", key.name),
            mac: Hmac::new_from_slice(&secret).expect("an HMAC key may have any length"),
        }
    }

    pub(crate) fn start(&self) -> Hashing<'_> {
        Hashing {
            prefix: &self.prefix,
            mac: self.mac.clone(),
        }
    }
}

/// One hash in the making: text goes in.
pub(crate) struct Hashing<'a> {
    prefix: &'a str,
    mac: Hmac<Sha256>,
}

impl Hashing<'_> {
    /// Writes the hash.
    pub(crate) fn finish(self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let hash = self.mac.finalize().into_bytes();
        let mut digits = [[0; 8]; 4];
        for (digits, word) in digits.iter_mut().zip(hash.as_chunks::<4>().0) {
            *digits = hex(u32::from_be_bytes(*word));
        }
        out.write_str(self.prefix)?;
        // Digits are ASCII.
        out.write_str(std::str::from_utf8(digits.as_flattened()).unwrap_or_default())
    }
}

impl Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.mac.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_rfc_4231_cut_to_128_bits() {
        // Test case 1: the key is twenty times 0x0b.
        let key = HashKey::new("k", &[0x0b; 20]).unwrap();
        assert_eq!(
            key.hash("Hi There"),
            "hmac-sha256:k:b0344c61d8db38535ca8afceaf0bf12b"
        );
        assert_eq!(format!("{key:?}"), "HashKey { name: \"k\", .. }");
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        assert!(
            HashKey::new("k", &[1; 15])
                .unwrap_err()
                .to_string()
                .contains("15 bytes, not 16 to 64")
        );
        assert!(
            HashKey::new("k", &[1; 65]).is_err()
                && HashKey::new("", &[1; 32]).is_err()
                && HashKey::new("a:b", &[1; 32]).is_err()
        );
        assert_ne!(HashKey::random("k").unwrap(), HashKey::random("k").unwrap());
    }
}
