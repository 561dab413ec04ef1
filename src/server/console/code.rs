//! One-time codes: a link with one signs a browser in once.
//!
//! Codes are in memory, of the whole process: the application makes them by its log, and whatever
//! router serves that log takes them. As with sessions, only hashes are kept, and the token is
//! looked up when the code is used.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq as _;

use super::session::{hash, random_text};
use crate::{error::Result, server::token::TokenKey};

/// How long a code can be used.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How many unused codes there are at a time; the oldest go for new ones.
const MOST: usize = 100;

static CODES: Codes = Codes::new();

/// The codes that nobody has used.
#[derive(Debug)]
struct Codes(Mutex<Vec<Code>>);

#[derive(Debug)]
struct Code {
    hash: [u8; 32],
    /// The directory of the log.
    log: PathBuf,
    token: TokenKey,
    made: Instant,
}

/// Makes a code for a token of the log in this directory.
pub(in crate::server) fn make(log: &Path, token: TokenKey) -> Result<String> {
    CODES.make(log, token, Instant::now())
}

/// Uses a code up. The key of its token, if the code can be used.
pub(super) fn take(log: &Path, code: &str) -> Option<TokenKey> {
    CODES.take(log, code, Instant::now())
}

impl Codes {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn make(&self, log: &Path, token: TokenKey, now: Instant) -> Result<String> {
        let text = random_text()?;
        let code = Code {
            hash: hash(text.as_bytes()),
            log: log.to_owned(),
            token,
            made: now,
        };
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() >= MOST {
            codes.remove(0);
        }
        codes.push(code);
        Ok(text)
    }

    fn take(&self, log: &Path, code: &str, now: Instant) -> Option<TokenKey> {
        let hash = hash(code.as_bytes());
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|code| now.saturating_duration_since(code.made) < LIFE);
        let is_wanted =
            |code: &Code| code.log == log && bool::from(code.hash.as_slice().ct_eq(&hash));
        let at = codes.iter().position(is_wanted)?;
        Some(codes.remove(at).token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenKey {
        TokenKey::of(&format!("ta_00000001_{}", "s".repeat(43))).unwrap()
    }

    #[test]
    fn a_code_works_once_for_ten_minutes_and_for_its_log() {
        let codes = Codes::new();
        let log = Path::new("/a");
        let now = Instant::now();
        let code = codes.make(log, token(), now).unwrap();
        assert_eq!(code.len(), 43);
        assert_eq!(codes.take(Path::new("/b"), &code, now), None);
        assert_eq!(codes.take(log, &code[1..], now), None);
        assert_eq!(codes.take(log, &code, now), Some(token()));
        assert_eq!(codes.take(log, &code, now), None);
        let code = codes.make(log, token(), now).unwrap();
        assert_eq!(codes.take(log, &code, now + LIFE), None);
        let code = codes.make(log, token(), now).unwrap();
        let last = now + LIFE - Duration::from_millis(1);
        assert_eq!(codes.take(log, &code, last), Some(token()));
    }

    #[test]
    fn the_oldest_codes_go_for_new_ones() {
        let codes = Codes::new();
        let log = Path::new("/a");
        let now = Instant::now();
        let made: Vec<_> = (0..=MOST)
            .map(|_| codes.make(log, token(), now).unwrap())
            .collect();
        assert_eq!(codes.take(log, &made[0], now), None);
        assert_eq!(codes.take(log, &made[1], now), Some(token()));
    }
}
