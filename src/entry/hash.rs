//! Keyed hashes: `hmac-sha256:<key>:<32 hexadecimal digits>`, an HMAC-SHA256 (RFC 2104) cut to 128
//! bits.

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::clock::hex;
use crate::error::{Error, Result};

/// A key for [`hashed`](crate::hashed) values. Nothing shows its secret: it has no `Serialize`, and
/// its `Debug` shows the name alone.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// # let (old, new) = (dir.join("old"), dir.join("new"));
/// # std::fs::write(&old, [1; 32])?;
/// # std::fs::write(&new, [2; 32])?;
/// use tracing_audit::{AuditLog, HashKey};
///
/// let log = AuditLog::builder(dir.join("audit"))
///     .hash_key(HashKey::new("2025", &std::fs::read(old)?)?) // to find what it hashed
///     .hash_key(HashKey::new("2026", &std::fs::read(new)?)?) // the last one hashes
///     .open()?;
/// assert!(log.hashes_of("ann@example.com")?[0].starts_with("hmac-sha256:2026:"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey {
    name: String,
    secret: Vec<u8>,
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
            secret: secret.to_vec(),
        })
    }

    /// A key of 32 random bytes.
    pub(crate) fn random(name: impl Into<String>) -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|e| Error::invalid("secret", format!("the system has no randomness: {e}")))?;
        Self::new(name, &secret)
    }

    /// The key's name, which each hash begins with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of a value with this key, as it stands in the log:
    /// `hmac-sha256:<name>:<32 hexadecimal digits>`.
    pub fn hash(&self, value: &str) -> String {
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

/// Keys as they stand in the log's directory: the only form that shows their secrets.
pub(crate) mod stored_keys {
    use data_encoding::HEXLOWER_PERMISSIVE;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use super::HashKey;

    #[derive(Serialize, Deserialize)]
    struct Stored {
        name: String,
        /// Hexadecimal.
        secret: String,
    }

    pub(crate) fn serialize<S: Serializer>(keys: &[HashKey], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(keys.iter().map(|key| Stored {
            name: key.name.clone(),
            secret: HEXLOWER_PERMISSIVE.encode(&key.secret),
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<HashKey>, D::Error> {
        let stored: Vec<Stored> = Vec::deserialize(from)?;
        let keys = stored.iter().map(|Stored { name, secret }| {
            HEXLOWER_PERMISSIVE
                .decode(secret.as_bytes())
                .map_err(|_| "the secret is not pairs of hexadecimal digits".to_owned())
                .and_then(|secret| HashKey::new(name, &secret).map_err(|error| error.to_string()))
                .map_err(|problem| D::Error::custom(format!("its key {name:?}: {problem}")))
        });
        keys.collect()
    }
}

/// A key, ready to hash: its two blocks are worked in.
pub(crate) struct Prepared {
    /// The beginning of each of its hashes.
    prefix: String,
    mac: Hmac<Sha256>,
}

impl Prepared {
    pub(crate) fn new(key: &HashKey) -> Self {
        Self {
            prefix: format!("hmac-sha256:{}:", key.name),
            mac: Hmac::new_from_slice(&key.secret).expect("an HMAC key may have any length"),
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
    fn a_key_is_not_serialized_but_where_it_is_kept() {
        use std::marker::PhantomData;
        // A type that has the trait has the constant itself; any other has it from the fallback.
        struct Is<T>(PhantomData<T>);
        trait Fallback {
            const SERIALIZE: bool = false;
            const DESERIALIZE: bool = false;
        }
        impl<T> Fallback for Is<T> {}
        impl<T: serde::Serialize> Is<T> {
            const SERIALIZE: bool = true;
        }
        impl<T: serde::de::DeserializeOwned> Is<T> {
            const DESERIALIZE: bool = true;
        }
        let of_text = [Is::<String>::SERIALIZE, Is::<String>::DESERIALIZE];
        let of_key = [Is::<HashKey>::SERIALIZE, Is::<HashKey>::DESERIALIZE];
        assert_eq!((of_text, of_key), ([true; 2], [false; 2]));
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
