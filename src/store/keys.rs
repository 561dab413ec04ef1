//! The keys of hashed values, in `state/hash-keys.json`: the newest last.

use serde::{Deserialize, Serialize};

use super::{document::Document, layout::Layout};
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
    Document::new(layout, "hash-keys", "hash-keys")
}

/// All keys, the current one last; none, if nothing was ever written here.
pub(crate) fn hash_keys(layout: &Layout) -> Result<Vec<HashKey>> {
    Ok(document(layout).read::<Keys>()?.keys)
}

/// All keys; the first is made if there is none.
pub(crate) fn ensure_hash_keys(layout: &Layout) -> Result<Vec<HashKey>> {
    let keys = hash_keys(layout)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    document(layout).change(|keys: &mut Keys| {
        if keys.keys.is_empty() {
            keys.keys.push(HashKey::random("k1")?);
        }
        Ok(keys.keys.clone())
    })
}

/// Makes a new key, with which all hash from their next start on; the others are kept for
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
