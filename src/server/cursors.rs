//! The cursors of tenants, which say nothing of others.
//!
//! A cursor of the order of arrival says how far each stream was read, and so how much every process
//! writes, for whichever tenant. The holder of a tenant's token gets that cursor encrypted:
//!
//! ```text
//! t1~<base64url of: nonce (24 bytes), ciphertext, tag (16 bytes)>
//! ```
//!
//! XChaCha20-Poly1305, with the tenant's id as associated data. Always true:
//!
//! - Only a cursor that was given to a token of the same tenant is read: whoever could make one up
//!   would learn from the answers what is in streams of others.
//! - The nonce is random, so two cursors of the same place differ, and a poller doesn't see whether
//!   others have written meanwhile. The text is filled up, so its length says roughly how many
//!   processes write, and nothing else.
//!
//! The key lies in `state/cursor-key.json`, for all processes that serve the log. A server that may
//! not write to the log, and finds no key that it may read, has a key of its own as long as it runs.

use std::{io, sync::OnceLock};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

use super::{
    problem::Problem,
    state::{Asker, Slot, State},
};
use crate::{
    error::{Error, Result},
    query::Page,
    store::{document::Document, layout::Layout},
};

/// How the cursors of tenants begin.
const OF_TENANT: &str = "t1~";
/// How the cursors begin that say how far each stream was read.
const PLAIN: &str = "a1~";
/// A cursor is filled up to a multiple of so many bytes, with spaces.
const FILLED: usize = 512;
const NONCE: usize = 24;
const KEY: usize = 32;

/// Encrypts and decrypts the cursors of tenants.
#[derive(Debug)]
pub(super) struct Cursors {
    document: Document,
    may_write: bool,
    /// Read when the first cursor is needed.
    key: OnceLock<Key>,
}

struct Key(XChaCha20Poly1305);

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// Hexadecimal.
    #[serde(default)]
    key: String,
}

impl Cursors {
    pub(super) fn new(layout: &Layout, may_write: bool) -> Self {
        Self {
            document: Document::new(layout, "cursor-key", "cursor-key"),
            may_write,
            key: OnceLock::new(),
        }
    }

    /// The page for a caller of this tenant, or of all. Reads the disk at first.
    pub(super) fn seal(&self, tenant: Option<&str>, page: Page) -> Result<Page> {
        match tenant {
            Some(tenant) if page.next_cursor.starts_with(PLAIN) => Ok(Page {
                next_cursor: self.encrypt(tenant, &page.next_cursor)?,
                ..page
            }),
            _ => Ok(page),
        }
    }

    /// The cursor that a caller of this tenant, or of all, has sent. Reads the disk at first.
    fn open(&self, tenant: Option<&str>, cursor: &str) -> Result<String> {
        match (tenant, cursor.strip_prefix(OF_TENANT)) {
            (Some(tenant), Some(sealed)) => self.decrypt(tenant, sealed),
            (Some(_), None) if cursor.starts_with(PLAIN) => Err(foreign()),
            (None, Some(_)) => Err(Error::invalid(
                "cursor",
                "it was given to a token of one tenant; use it with such a token, or leave it out \
                 to begin with the first page",
            )),
            _ => Ok(cursor.to_owned()),
        }
    }

    fn encrypt(&self, tenant: &str, cursor: &str) -> Result<String> {
        let mut filled = cursor.as_bytes().to_vec();
        filled.resize(filled.len().next_multiple_of(FILLED), b' ');
        let mut sealed = self.random::<NONCE>()?.to_vec();
        let nonce = XNonce::try_from(&sealed[..]).expect("it has the length of a nonce");
        let payload = Payload {
            msg: &filled,
            aad: tenant.as_bytes(),
        };
        let encrypted = self.key()?.0.encrypt(&nonce, payload);
        // Fails for texts of many gigabytes only.
        sealed.extend(encrypted.map_err(|_| foreign())?);
        Ok(format!("{OF_TENANT}{}", BASE64URL_NOPAD.encode(&sealed)))
    }

    fn decrypt(&self, tenant: &str, sealed: &str) -> Result<String> {
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes());
        let sealed = sealed.map_err(|_| foreign())?;
        let (nonce, encrypted) = sealed.split_at_checked(NONCE).ok_or_else(foreign)?;
        let nonce = XNonce::try_from(nonce).expect("it has the length of a nonce");
        let payload = Payload {
            msg: encrypted,
            aad: tenant.as_bytes(),
        };
        let filled = self.key()?.0.decrypt(&nonce, payload);
        let filled = String::from_utf8(filled.map_err(|_| foreign())?);
        Ok(filled.map_err(|_| foreign())?.trim_end().to_owned())
    }

    fn key(&self) -> Result<&Key> {
        if self.key.get().is_none() {
            let key = self.stored_key()?;
            // Another thread may have read the same key meanwhile.
            let _ = self.key.set(key);
        }
        Ok(self.key.get().expect("it was set"))
    }

    fn stored_key(&self) -> Result<Key> {
        let stored = match self.document.read::<Stored>() {
            Ok(stored) if stored.key.is_empty() && self.may_write => self.make()?,
            Err(error) if self.may_write => return Err(error),
            Ok(stored) if !stored.key.is_empty() => stored.key,
            _ => self.new_key()?,
        };
        let key = HEXLOWER_PERMISSIVE.decode(stored.as_bytes()).ok();
        let key = key.and_then(|key| XChaCha20Poly1305::new_from_slice(&key).ok());
        key.map(Key).ok_or_else(|| {
            let what = format!(
                "its key is not {} hexadecimal digits; remove the file, and a new key is made: \
                 tenants' programs then begin anew, because their cursors are refused",
                KEY * 2
            );
            Error::damaged(self.document.path(), what)
        })
    }

    /// Keeps a new key for all processes, unless one of them was faster.
    fn make(&self) -> Result<String> {
        self.document.change(|stored: &mut Stored| {
            if stored.key.is_empty() {
                stored.key = self.new_key()?;
            }
            Ok(stored.key.clone())
        })
    }

    fn new_key(&self) -> Result<String> {
        Ok(HEXLOWER_PERMISSIVE.encode(&self.random::<KEY>()?))
    }

    fn random<const LEN: usize>(&self) -> Result<[u8; LEN]> {
        let mut bytes = [0; LEN];
        getrandom::fill(&mut bytes).map_err(|e| {
            let failed = io::Error::other(e.to_string());
            Error::io("get random bytes for", self.document.path())(failed)
        })?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// The error about a cursor of a tenant's token that was altered, or given to somebody else.
fn foreign() -> Error {
    Error::invalid(
        "cursor",
        "it isn't a next_cursor that your token's tenant was given, or it was altered; leave it \
         out to begin with the first page, or give cursor=now with order=arrival",
    )
}

/// These parameters, with the cursor as the log reads it.
pub(super) async fn open(
    app: &State,
    asker: &Asker,
    slot: Slot,
    params: Vec<(String, String)>,
) -> std::result::Result<Vec<(String, String)>, Problem> {
    let is_sealed = |text: &str| text.starts_with(OF_TENANT) || text.starts_with(PLAIN);
    if !params
        .iter()
        .any(|(name, text)| name == "cursor" && is_sealed(text))
    {
        return Ok(params);
    }
    let tenant = asker.access.tenant.clone();
    let of_app = State::clone(app);
    let opened = app.blocking(slot, move |_| {
        let open = |(name, text): (String, String)| {
            let text = match name.as_str() {
                "cursor" => of_app.cursors.open(tenant.as_deref(), &text)?,
                _ => text,
            };
            Ok((name, text))
        };
        params.into_iter().map(open).collect()
    });
    opened.await
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: &str = "a1~0~20251123T101500.123456Z-billing-7f3a9c04d1e2-00000001~52411~117";

    fn cursors(dir: &tempfile::TempDir, may_write: bool) -> Cursors {
        std::fs::create_dir_all(dir.path().join("state/locks")).unwrap();
        Cursors::new(&Layout::of(dir.path()), may_write)
    }

    fn refusal(result: Result<String>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn only_the_same_tenant_opens_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = cursors(&dir, true).encrypt("acme", CURSOR).unwrap();
        assert!(sealed.starts_with(OF_TENANT) && !sealed.contains("billing"));
        // Another process, or the same after a restart.
        let cursors = cursors(&dir, true);
        assert_eq!(cursors.open(Some("acme"), &sealed).unwrap(), CURSOR);
        assert!(refusal(cursors.open(Some("globex"), &sealed)).contains("isn't a next_cursor"));
        assert!(refusal(cursors.open(Some("acme"), CURSOR)).contains("isn't a next_cursor"));
        assert!(refusal(cursors.open(None, &sealed)).contains("a token of one tenant"));
        assert_eq!(cursors.open(None, CURSOR).unwrap(), CURSOR);
        for (at, byte) in sealed.bytes().enumerate().skip(OF_TENANT.len()) {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if byte == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            refusal(cursors.open(Some("acme"), &altered));
            refusal(cursors.open(Some("acme"), &sealed[..at]));
        }
    }

    #[test]
    fn neither_text_nor_length_says_whether_others_have_written() {
        let dir = tempfile::tempdir().unwrap();
        let cursors = cursors(&dir, true);
        let first = cursors.encrypt("acme", CURSOR).unwrap();
        assert_ne!(first, cursors.encrypt("acme", CURSOR).unwrap());
        let later = CURSOR.replace("52411", "123456789");
        assert_eq!(first.len(), cursors.encrypt("acme", &later).unwrap().len());
    }

    #[test]
    fn the_key_is_the_owners_alone_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/cursor-key.json");
        // A server that may not write makes no file.
        let read_only = cursors(&dir, false);
        let own = read_only.encrypt("acme", CURSOR).unwrap();
        assert_eq!(read_only.open(Some("acme"), &own).unwrap(), CURSOR);
        assert!(!path.exists());
        let sealed = cursors(&dir, true).encrypt("acme", CURSOR).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            cursors(&dir, false).open(Some("acme"), &sealed).unwrap(),
            CURSOR
        );
        for damage in ["x", "{\"version\": 1, \"key\": \"00\"}"] {
            std::fs::write(&path, damage).unwrap();
            let problem = refusal(cursors(&dir, true).open(Some("acme"), &sealed));
            assert!(problem.contains("cursor-key.json is damaged"), "{problem}");
        }
    }
}
