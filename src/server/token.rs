//! Tokens: `ta_<id>_<secret>`, kept as hashes in `state/tokens.json`.
//!
//! The secret is 32 random bytes, so nobody finds it by trying, and a plain SHA-256 hides it as
//! well as a slow hash would: those are for passwords, which people choose. The file is replaced
//! whole, under a lock, and looked at again when it was changed: a token that another process
//! creates or revokes counts within a second.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::{Access, Authorizer, Denied, Scope, bearer};
use crate::{
    entry::Timestamp,
    error::{Error, Result},
    store::{
        document::{Document, Version},
        layout::Layout,
    },
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SECRET_LEN: usize = 43;

/// What is to be known of a token, and what is stored of it besides the hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenInfo {
    /// 8 hexadecimal digits: names it in lists and in the records of its accesses.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The only tenant whose entries it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When it ends, an RFC 3339 instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was made.
    pub created: String,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What people call it, at most 128 bytes.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The only tenant whose entries it sees.
    pub tenant: Option<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    info: TokenInfo,
    sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Tokens {
    tokens: Vec<Stored>,
}

/// The tokens of one log. Cheap to clone.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// # let dir = log.dir();
/// use tracing_audit::{NewToken, Scope, Timestamp, TokenStore};
///
/// let tokens = TokenStore::open(dir);
/// let (info, token) = tokens.create(NewToken {
///     name: "auditor".into(),
///     scope: Scope::Export,
///     tenant: Some("acme".into()),
///     expires: Some("2099-12-31T00:00:00Z".parse::<Timestamp>()?),
/// })?;
/// let access = tokens.verify(&token)?.expect("it is valid");
/// assert_eq!((access.name.as_str(), access.scope), ("auditor", Scope::Export));
///
/// assert!(tokens.revoke(&info.id)?);
/// assert!(tokens.verify(&token)?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenStore {
    document: Document,
    cache: Arc<Mutex<Option<Cache>>>,
}

#[derive(Debug)]
struct Cache {
    looked: Instant,
    version: Option<Version>,
    tokens: Arc<Tokens>,
}

impl TokenStore {
    /// The tokens of the log in this directory.
    pub fn open(dir: impl AsRef<Path>) -> Self {
        Self {
            document: Document::new(&Layout::of(dir.as_ref()), "tokens", "tokens"),
            cache: Arc::default(),
        }
    }

    /// Makes a token; gives its text, which is stored nowhere and can't be had again.
    ///
    /// # Errors
    ///
    /// `Error::Invalid` for a name or tenant that can't be used, `Error::Io` if the tokens can't be
    /// written.
    pub fn create(&self, new: NewToken) -> Result<(TokenInfo, String)> {
        for (what, text) in [("name", Some(&new.name)), ("tenant", new.tenant.as_ref())] {
            if text.is_some_and(|text| {
                text.is_empty() || text.len() > 128 || text.chars().any(char::is_control)
            }) {
                return Err(Error::invalid(
                    what,
                    "it must have 1 to 128 bytes and no control characters",
                ));
            }
        }
        let (mut id, mut secret) = ([0; 4], [0; 32]);
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|e| {
                Error::io("make a token for", self.document.path())(io::Error::other(e.to_string()))
            })
        };
        random(&mut secret)?;
        let secret = base64url(&secret);
        self.change(|tokens| {
            loop {
                random(&mut id)?;
                let id = hex(&id);
                if tokens.tokens.iter().any(|token| token.info.id == id) {
                    continue;
                }
                let info = TokenInfo {
                    name: new.name.clone(),
                    scope: new.scope,
                    tenant: new.tenant.clone(),
                    expires: new.expires.map(|time| time.to_string()),
                    created: Timestamp::now().to_string(),
                    id,
                };
                let text = format!("ta_{}_{secret}", info.id);
                tokens.tokens.push(Stored {
                    info: info.clone(),
                    sha256: hex(&Sha256::digest(&secret)),
                });
                return Ok((info, text));
            }
        })
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    ///
    /// If the tokens can't be read.
    pub fn list(&self) -> Result<Vec<TokenInfo>> {
        Ok(self
            .document
            .read::<Tokens>()?
            .tokens
            .into_iter()
            .map(|token| token.info)
            .collect())
    }

    /// Ends a token, within a second also for servers that run. Says whether there was one with
    /// this id.
    ///
    /// # Errors
    ///
    /// If the tokens can't be written.
    pub fn revoke(&self, id: &str) -> Result<bool> {
        self.change(|tokens| {
            let before = tokens.tokens.len();
            tokens.tokens.retain(|token| token.info.id != id);
            Ok(tokens.tokens.len() < before)
        })
    }

    /// What the holder of this token may do; `None` if it is none, or has ended.
    ///
    /// # Errors
    ///
    /// If the tokens can't be read.
    pub fn verify(&self, token: &str) -> Result<Option<Access>> {
        let Some((id, secret)) = token
            .strip_prefix("ta_")
            .and_then(|rest| rest.split_once('_'))
        else {
            return Ok(None);
        };
        if id.len() != 8 || secret.len() != SECRET_LEN {
            return Ok(None);
        }
        let hash = hex(&Sha256::digest(secret));
        let tokens = self.current()?;
        let Some(stored) = tokens.tokens.iter().find(|token| token.info.id == id) else {
            return Ok(None);
        };
        let right = bool::from(stored.sha256.as_bytes().ct_eq(hash.as_bytes()));
        let ended = match &stored.info.expires {
            // An end that can't be read is no licence to last for ever.
            Some(end) => end
                .parse::<Timestamp>()
                .map_or(true, |end| end <= Timestamp::now()),
            None => false,
        };
        let TokenInfo {
            id,
            name,
            scope,
            tenant,
            ..
        } = stored.info.clone();
        Ok((right && !ended).then_some(Access {
            actor_type: "api_key".to_owned(),
            id,
            name,
            scope,
            tenant,
        }))
    }

    /// The tokens, read again if a second has passed and the file is another.
    fn current(&self) -> Result<Arc<Tokens>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &mut *cache
            && (known.looked.elapsed() < LOOK_EVERY || {
                known.looked = Instant::now();
                known.version == self.document.version()?
            })
        {
            return Ok(Arc::clone(&known.tokens));
        }
        // Before the text: if it changes in between, it is read once more.
        let version = self.document.version()?;
        let tokens = Arc::new(self.document.read::<Tokens>()?);
        *cache = Some(Cache {
            looked: Instant::now(),
            version,
            tokens: Arc::clone(&tokens),
        });
        Ok(tokens)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tokens) -> Result<T>) -> Result<T> {
        let result = self.document.change(change)?;
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(result)
    }
}

impl Authorizer for TokenStore {
    fn authorize(&self, request: &Parts) -> Result<Access, Denied> {
        let Some(token) = bearer(request) else {
            return Err(Denied::Unauthenticated("no token".to_owned()));
        };
        match self.verify(token) {
            Ok(Some(access)) => Ok(access),
            Ok(None) => Err(Denied::Unauthenticated(
                "the token is unknown, revoked or has ended".to_owned(),
            )),
            Err(error) => {
                tracing::error!(target: "tracing_audit", "the tokens of the audit log can't be read: {error}");
                Err(Denied::Unauthenticated(
                    "the tokens can't be read".to_owned(),
                ))
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    let digit =
        |number: u32, place: u32| char::from(ALPHABET[(number >> (6 * place) & 63) as usize]);
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        text.extend((0..=chunk.len() as u32).map(|n| digit(number, 3 - n)));
    }
    text
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
