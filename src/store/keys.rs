//! The keys of hashed values, in `state/hash-keys.json`: the newest last.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    document::Document,
    fs::{Fs, OsFs},
    layout::Layout,
};
use crate::{
    entry::HashKey,
    error::{Error, Result},
};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Keys {
    #[serde(with = "crate::entry::stored_keys")]
    keys: Vec<HashKey>,
}

fn document(layout: &Layout) -> Document {
    document_on(Arc::new(OsFs), layout)
}

fn document_on(fs: Arc<dyn Fs>, layout: &Layout) -> Document {
    Document::on(fs, layout, "hash-keys", "hash-keys")
}

/// All keys, the current one last; none, if nothing was ever written here.
pub(crate) fn hash_keys(layout: &Layout) -> Result<Vec<HashKey>> {
    Ok(document(layout).read::<Keys>()?.keys)
}

/// All keys; the first is made if there is none.
pub(crate) fn ensure_hash_keys(layout: &Layout) -> Result<Vec<HashKey>> {
    ensure_on(Arc::new(OsFs), layout)
}

/// The same on this file system.
pub(super) fn ensure_on(fs: Arc<dyn Fs>, layout: &Layout) -> Result<Vec<HashKey>> {
    let document = document_on(fs, layout);
    let keys = document.read::<Keys>()?.keys;
    if !keys.is_empty() {
        return Ok(keys);
    }
    document.change(|keys: &mut Keys| {
        if keys.keys.is_empty() {
            keys.keys.push(HashKey::random("k1")?);
        }
        Ok(keys.keys.clone())
    })
}

/// Makes a new key, which applications use from their next start on; the others are kept for
/// searching.
pub(crate) fn rotate_hash_key(layout: &Layout, name: &str) -> Result<HashKey> {
    document(layout).change(|keys: &mut Keys| {
        if keys.keys.iter().any(|key| key.name() == name) {
            return Err(Error::invalid(
                "name",
                format!("there was a key {name:?} already; choose another name"),
            ));
        }
        let key = HashKey::random(name)?;
        keys.keys.push(key.clone());
        Ok(key)
    })
}
