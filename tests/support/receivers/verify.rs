use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub fn verify(secret: &str, id: &str, timestamp: &str, signature: &str, body: &[u8]) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    if !timestamp
        .parse()
        .is_ok_and(|sent| now.as_secs().abs_diff(sent) <= 300)
    {
        return false;
    }
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|key| BASE64_STANDARD.decode(key).ok());
    let Some(mut mac) = key.and_then(|key| Hmac::<Sha256>::new_from_slice(&key).ok()) else {
        return false;
    };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    signature.split(' ').any(|one| {
        let given = one
            .strip_prefix("v1,")
            .and_then(|given| BASE64_STANDARD.decode(given).ok());
        given.is_some_and(|given| mac.clone().verify_slice(&given).is_ok()) // in constant time
    })
}
