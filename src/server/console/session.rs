//! Sessions of browsers: who has signed in, until when.
//!
//! In comes a token that was shown once; out goes the value of a cookie, and for each request with
//! that cookie the access that the token gives *now*. Always true:
//!
//! - The server has only the SHA-256 of a value. The value is 32 random bytes, so nobody finds it by
//!   trying, and how long the look-up of a hash takes says nothing of the value.
//! - A session never gives more than its token: the token is looked up at every request, so its
//!   revocation and its expiry end the session too.
//! - Sessions are in memory only, and bounded in time and number; they end with the process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{header, request::Parts};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    server::{
        access::{Access, Denied},
        token::{TokenKey, TokenStore},
    },
};

/// Browsers take a cookie with this prefix only over a connection that nobody can listen to. The
/// prefix `__Host-` would allow no path but `/`.
pub(super) const COOKIE: &str = "__Secure-audit-session";
/// How long a session lasts.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a session lasts without a request.
pub(super) const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// How many sessions there are at a time; the oldest end for new ones.
const MOST: usize = 1000;
/// How many sessions of one token there are at a time.
const OF_ONE: usize = 20;

type Hash = [u8; 32];

/// All sessions of a server.
#[derive(Debug, Default)]
pub(in crate::server) struct Sessions(Mutex<HashMap<Hash, Session>>);

#[derive(Debug)]
struct Session {
    token: TokenKey,
    began: Instant,
    used: Instant,
}

impl Session {
    fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= LIFE
            || now.saturating_duration_since(self.used) >= IDLE
    }
}

impl Sessions {
    /// Begins a session with the access of this token. Returns the value of its cookie, which is
    /// kept nowhere.
    pub(super) fn begin(&self, token: TokenKey, now: Instant) -> Result<String> {
        let value = random_text()?;
        let session = Session {
            token,
            began: now,
            used: now,
        };
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.has_ended(now));
        let id = session.token.id();
        make_room(&mut sessions, OF_ONE, |other| other.token.id() == id);
        make_room(&mut sessions, MOST, |_| true);
        sessions.insert(hash(value.as_bytes()), session);
        Ok(value)
    }

    /// The access of the session that a request's cookie names.
    pub(in crate::server) fn authorize(
        &self,
        tokens: &TokenStore,
        cookie: SessionCookie<'_>,
        now: Instant,
    ) -> Result<Access, Denied> {
        let unauthenticated = |why: &str| Denied::Unauthenticated(why.to_owned());
        let SessionCookie::One(value) = cookie else {
            return Err(unauthenticated(
                "the request has several session cookies, and only one can be the server's",
            ));
        };
        let hash = hash(value);
        let token = self.token(&hash, now);
        let token = token.ok_or_else(|| unauthenticated("the session is unknown or has ended"))?;
        match tokens.access_of(&token) {
            Ok(Some(access)) => Ok(access),
            Ok(None) => {
                self.lock().remove(&hash);
                Err(unauthenticated(
                    "the token of the session is revoked or expired",
                ))
            }
            Err(_) => Err(Denied::Unavailable("the tokens can't be read".to_owned())),
        }
    }

    /// Notes that a session was used, so that it isn't idle. Only requests of a person count: a
    /// stream that is left open doesn't prolong a session.
    pub(in crate::server) fn note_use(&self, cookie: SessionCookie<'_>, now: Instant) {
        if let SessionCookie::One(value) = cookie
            && let Some(session) = self.lock().get_mut(&hash(value))
        {
            session.used = now;
        }
    }

    /// Ends a session. Returns the key of its token, if there was the session.
    pub(super) fn end(&self, cookie: SessionCookie<'_>, now: Instant) -> Option<TokenKey> {
        let SessionCookie::One(value) = cookie else {
            return None;
        };
        let ended = self.lock().remove(&hash(value))?;
        (!ended.has_ended(now)).then_some(ended.token)
    }

    fn token(&self, hash: &Hash, now: Instant) -> Option<TokenKey> {
        let mut sessions = self.lock();
        let session = sessions.get(hash)?;
        if session.has_ended(now) {
            sessions.remove(hash);
            return None;
        }
        Some(session.token.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the oldest of these sessions until there is room for one more.
fn make_room(
    sessions: &mut HashMap<Hash, Session>,
    most: usize,
    is_one: impl Fn(&Session) -> bool,
) {
    let mut ones: Vec<_> = sessions
        .iter()
        .filter(|(_, session)| is_one(session))
        .map(|(hash, session)| (session.began, *hash))
        .collect();
    ones.sort_unstable();
    let excess = (ones.len() + 1).saturating_sub(most);
    for (_, hash) in ones.iter().take(excess) {
        sessions.remove(hash);
    }
}

/// 32 random bytes as text for a URL or a cookie.
pub(super) fn random_text() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|problem| {
        Error::io("read", "the system's random numbers")(std::io::Error::other(problem.to_string()))
    })?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

pub(super) fn hash(text: &[u8]) -> Hash {
    Sha256::digest(text).into()
}

/// The session cookie of a request. Whoever can set cookies for a part of this server's domain can
/// send one beside ours; so with several, none is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum SessionCookie<'a> {
    One(&'a [u8]),
    Several,
}

/// The session cookie of a request that has no `Authorization`, which wins over every cookie.
pub(in crate::server) fn session_cookie(request: &Parts) -> Option<SessionCookie<'_>> {
    if request.headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    any_session_cookie(request)
}

/// The session cookie of a request.
pub(super) fn any_session_cookie(request: &Parts) -> Option<SessionCookie<'_>> {
    let mut values = cookies(request, COOKIE);
    let first = values.next()?;
    Some(match values.next() {
        None => SessionCookie::One(first),
        Some(_) => SessionCookie::Several,
    })
}

/// The values of all cookies of this name.
pub(super) fn cookies<'a>(request: &'a Parts, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = request.headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let (given, value) = pair.trim_ascii().split_at_checked(name.len())?;
        value
            .strip_prefix(b"=")
            .filter(|_| given == name.as_bytes())
    })
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
