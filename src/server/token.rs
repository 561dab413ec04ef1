//! Tokens: `ta_<id>_<secret>`, kept as hashes in `state/tokens.json`.
//!
//! The secret is 32 random bytes, so nobody finds it by trying, and a plain SHA-256 hides it as
//! well as a slow hash would: those are for passwords, which people choose. The file is replaced
//! whole, under a lock, and read again when it was changed. A change by this process takes effect
//! at once. A token that another process revokes is valid for a second more at most; one that
//! another process creates is valid at once, because the file is looked at before an unknown token
//! is refused.
//!
//! While the file is damaged or gone, no token is believed, and that is reported: nobody should
//! take it for the fault of a token.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::request::Parts;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
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
const SECRET_LEN: usize = 43;
/// How many tokens a log can have, because they are all read together.
const MOST: usize = 1000;
/// Counts the changes of tokens by this process, which all its servers see at once.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// A token as it can be shown: everything but its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The token's id, 8 hexadecimal digits: lists and the entries about accesses name it.
    pub id: String,
    /// The name that people gave it.
    pub name: String,
    /// The routes that the token opens.
    pub scope: Scope,
    /// The only tenant whose entries the token shows; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The time from which the token is refused; `None` if it holds until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The time at which the token was made.
    pub created: Timestamp,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// A name by which people know it: 1 to 128 bytes, no control characters.
    pub name: String,
    /// The routes that the token opens.
    pub scope: Scope,
    /// The only tenant whose entries the token shows, as long as a name; `None` for all.
    pub tenant: Option<String>,
    /// The time from which the token is refused, which must be later than now; `None` if it holds
    /// until it is revoked.
    pub expires: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    info: TokenInfo,
    sha256: String,
}

/// A token without its secret: enough to look the token up each time, and worth nothing to a thief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenKey {
    id: String,
    sha256: String,
}

impl TokenKey {
    /// The key of a token's text; `None` if no token looks like that.
    pub(super) fn of(token: &str) -> Option<Self> {
        let (id, secret) = token.strip_prefix("ta_")?.split_once('_')?;
        let has_form = id.len() == 8 && secret.len() == SECRET_LEN;
        has_form.then(|| Self {
            id: id.to_owned(),
            sha256: HEXLOWER.encode(&Sha256::digest(secret)),
        })
    }

    /// The token's id.
    #[cfg(feature = "console")]
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Tokens {
    tokens: Vec<Stored>,
}

impl Tokens {
    fn get(&self, id: &str) -> Option<&Stored> {
        self.tokens.iter().find(|token| token.info.id == id)
    }
}

/// The tokens of one log, as they lie in its directory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TokenStore {
    document: Document,
    cache: Arc<Mutex<Option<Cache>>>,
    /// Whether it was reported that the tokens can't be read.
    reported: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Cache {
    looked: Instant,
    changes: u64,
    version: Option<Version>,
    tokens: Arc<Tokens>,
}

impl TokenStore {
    /// The tokens of the log in this directory.
    pub(crate) fn open(dir: impl AsRef<Path>) -> Self {
        Self {
            document: Document::new(&Layout::of(dir.as_ref()), "tokens", "tokens"),
            cache: Arc::default(),
            reported: Arc::default(),
        }
    }

    /// Makes a token, and returns its text, which is stored nowhere. `record` runs before the token
    /// is there.
    pub(crate) fn create_recorded(
        &self,
        new: NewToken,
        record: impl FnOnce(&TokenInfo) -> Result<()>,
    ) -> Result<(TokenInfo, String)> {
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
        if new.expires.is_some_and(|end| end <= Timestamp::now()) {
            let what = "it is past, so the token would never hold; give a later time, or leave it out \
                        for a token that holds until it is revoked";
            return Err(Error::invalid("expires", what));
        }
        let mut id = [0; 4];
        let mut secret = [0; 32];
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|e| {
                Error::io("make a token for", self.document.path())(io::Error::other(e.to_string()))
            })
        };
        random(&mut secret)?;
        let secret = BASE64URL_NOPAD.encode(&secret);
        self.change(|tokens| {
            if tokens.tokens.len() >= MOST {
                return Err(Error::Conflict(format!(
                    "the log has {MOST} tokens, which is the limit; revoke those that nobody needs"
                )));
            }
            loop {
                random(&mut id)?;
                let id = HEXLOWER.encode(&id);
                if tokens.tokens.iter().any(|token| token.info.id == id) {
                    continue;
                }
                let info = TokenInfo {
                    name: new.name.clone(),
                    scope: new.scope,
                    tenant: new.tenant.clone(),
                    expires: new.expires,
                    created: Timestamp::now(),
                    id,
                };
                record(&info)?;
                let text = format!("ta_{}_{secret}", info.id);
                tokens.tokens.push(Stored {
                    info: info.clone(),
                    sha256: HEXLOWER.encode(&Sha256::digest(&secret)),
                });
                return Ok((info, text));
            }
        })
    }

    /// All tokens, the oldest first.
    pub(crate) fn list(&self) -> Result<Vec<TokenInfo>> {
        Ok(self
            .document
            .read::<Tokens>()?
            .tokens
            .into_iter()
            .map(|token| token.info)
            .collect())
    }

    /// Ends the token with this id; `record` runs before it is gone. False if there is none.
    pub(crate) fn revoke_recorded(
        &self,
        id: &str,
        record: impl FnOnce(&TokenInfo) -> Result<()>,
    ) -> Result<bool> {
        self.change(|tokens| {
            let Some(at) = tokens.tokens.iter().position(|token| token.info.id == id) else {
                return Ok(false);
            };
            record(&tokens.tokens.remove(at).info)?;
            Ok(true)
        })
    }

    /// The access that the holder of this token has; `None` if the token is unknown or has ended.
    pub(crate) fn verify(&self, token: &str) -> Result<Option<Access>> {
        match TokenKey::of(token) {
            Some(key) => self.access_of(&key),
            None => Ok(None),
        }
    }

    /// The access that the token with this key gives now; `None` if there is none or it has ended.
    pub(super) fn access_of(&self, key: &TokenKey) -> Result<Option<Access>> {
        let mut tokens = self.current(LOOK_EVERY)?;
        if tokens.get(&key.id).is_none() {
            // Another process may just have made it.
            tokens = self.current(Duration::ZERO)?;
        }
        let Some(stored) = tokens.get(&key.id) else {
            return Ok(None);
        };
        let right = bool::from(stored.sha256.as_bytes().ct_eq(key.sha256.as_bytes()));
        let expires = stored.info.expires;
        let ended = expires.is_some_and(|end| end <= Timestamp::now());
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

    /// The token with this id, and its key; `None` if there is none.
    #[cfg(feature = "console")]
    pub(super) fn find(&self, id: &str) -> Result<Option<(TokenInfo, TokenKey)>> {
        let tokens = self.document.read::<Tokens>()?.tokens;
        let found = tokens.into_iter().find(|token| token.info.id == id);
        Ok(found.map(|token| {
            let id = token.info.id.clone();
            let sha256 = token.sha256;
            (token.info, TokenKey { id, sha256 })
        }))
    }

    /// The tokens as they were this long ago at most. That they can't be read is reported when it
    /// begins, and when it has ended.
    fn current(&self, age: Duration) -> Result<Arc<Tokens>> {
        let tokens = self.look(age);
        let was_reported = self.reported.swap(tokens.is_err(), Ordering::Relaxed);
        match &tokens {
            Err(error) if !was_reported => {
                tracing::error!(target: "tracing_audit", "every token of the audit log is refused: \
                    {error}");
            }
            Ok(_) if was_reported => {
                tracing::warn!(target: "tracing_audit", "the tokens of the audit log can be read \
                    again");
            }
            _ => {}
        }
        tokens
    }

    /// The reason why no token is believed now, if there is one.
    pub(super) fn problem(&self) -> Option<Error> {
        self.current(LOOK_EVERY).err()
    }

    /// The tokens. They are read again if this process changed them, or if the file was last looked
    /// at longer ago than `age` and has changed since.
    fn look(&self, age: Duration) -> Result<Arc<Tokens>> {
        // Before the file: if it changes in between, it is read once more.
        let changes = CHANGES.load(Ordering::Acquire);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.as_mut().filter(|known| known.changes == changes)
            && known.looked.elapsed() < age
        {
            return Ok(Arc::clone(&known.tokens));
        }
        let version = self.document.version()?;
        if let Some(known) = cache.as_mut() {
            if version == known.version && known.changes == changes {
                known.looked = Instant::now();
                return Ok(Arc::clone(&known.tokens));
            }
            if version.is_none() && known.version.is_some() {
                let what = "it was deleted; restore it, or create new tokens";
                return Err(Error::damaged(self.document.path(), what));
            }
        }
        let tokens = Arc::new(self.document.read::<Tokens>()?);
        *cache = Some(Cache {
            looked: Instant::now(),
            changes,
            version,
            tokens: Arc::clone(&tokens),
        });
        Ok(tokens)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tokens) -> Result<T>) -> Result<T> {
        let result = self.document.change(change)?;
        CHANGES.fetch_add(1, Ordering::Release);
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
                "the token is unknown, revoked or expired".to_owned(),
            )),
            Err(_) => Err(Denied::Unavailable("the tokens can't be read".to_owned())),
        }
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
