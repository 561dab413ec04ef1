//! Signatures as in Standard Webhooks 1.0.0: who receives a request can tell that it came from
//! here, unchanged and lately.
//!
//! The signed text is `{id}.{timestamp}.{body}`, with the very bytes that are sent. A secret never
//! appears in `Debug` or in an error.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::{BASE64, BASE64_NOPAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::Sha256;

use crate::error::{Error, Result};

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
const PARAMETER: &str = "signing secret";

/// Bytes of a symmetric secret, by the specification.
const SHORTEST: usize = 24;
const LONGEST: usize = 64;
/// Bytes of an Ed25519 seed, which alone or followed by the public key is a private key.
const SEED: usize = 32;

/// A secret that signs webhooks. Cheap to clone; its `Debug` doesn't show it.
///
/// It is read from `whsec_` and the base64 of 24 to 64 bytes, which makes `v1` signatures
/// (HMAC-SHA256, the receiver has the same secret), or `whsk_` and the base64 of an Ed25519 private
/// key (the 32 bytes of its seed, or 64 with the public key after it), which makes `v1a`
/// signatures: the receiver has only the [public key](Self::public). White space around it, as at
/// the end of a file, doesn't matter.
///
/// ```
/// use tracing_audit::webhook::SigningSecret;
///
/// let secret: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert!(!format!("{secret:?}").contains("MfKQ"));
/// assert!(SigningSecret::random_key_pair()?.public().is_some_and(|key| key.starts_with("whpk_")));
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningSecret(Kind);

#[derive(Clone)]
enum Kind {
    Symmetric(Arc<[u8]>),
    Asymmetric {
        seed: [u8; SEED],
        pair: Arc<Ed25519KeyPair>,
    },
}

impl SigningSecret {
    /// A new symmetric secret of 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the system has no randomness.
    pub fn random() -> Result<Self> {
        Ok(Self(Kind::Symmetric(Arc::new(random()?))))
    }

    /// A new Ed25519 key pair.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the system has no randomness.
    pub fn random_key_pair() -> Result<Self> {
        Self::of_seed(random()?)
    }

    /// The key with which a receiver verifies `v1a` signatures, `whpk_…`. `None` for a symmetric
    /// secret: then the receiver needs the secret itself.
    pub fn public(&self) -> Option<String> {
        match &self.0 {
            Kind::Symmetric(_) => None,
            Kind::Asymmetric { pair, .. } => Some(format!(
                "{PUBLIC}{}",
                BASE64.encode(pair.public_key().as_ref())
            )),
        }
    }

    /// The secret as text that can be parsed again: to store it, or to show it once to the person
    /// who has just made it.
    pub fn reveal(&self) -> String {
        match &self.0 {
            Kind::Symmetric(key) => format!("{SYMMETRIC}{}", BASE64.encode(key)),
            Kind::Asymmetric { seed, pair } => {
                let key = [seed, pair.public_key().as_ref()].concat();
                format!("{PRIVATE}{}", BASE64.encode(&key))
            }
        }
    }

    fn of_seed(seed: [u8; SEED]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|e| Error::invalid(PARAMETER, e.to_string()))?;
        Ok(Self(Kind::Asymmetric {
            seed,
            pair: Arc::new(pair),
        }))
    }

    fn write_signature(&self, head: &str, body: &[u8], signatures: &mut String) {
        match &self.0 {
            Kind::Symmetric(key) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(key).expect("an HMAC key may have any length");
                mac.update(head.as_bytes());
                mac.update(body);
                signatures.push_str("v1,");
                BASE64.encode_append(&mac.finalize().into_bytes(), signatures);
            }
            Kind::Asymmetric { pair, .. } => {
                let signature = pair.sign(&[head.as_bytes(), body].concat());
                signatures.push_str("v1a,");
                BASE64.encode_append(signature.as_ref(), signatures);
            }
        }
    }
}

fn random() -> Result<[u8; SEED]> {
    let mut bytes = [0; SEED];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::invalid(PARAMETER, format!("the system has no randomness: {e}")))?;
    Ok(bytes)
}

impl FromStr for SigningSecret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::invalid(PARAMETER, problem);
        // The error of base64 could quote the text.
        let decode = |text: &str| {
            // Some libraries leave out the padding.
            let padded = if text.ends_with('=') {
                BASE64
            } else {
                BASE64_NOPAD
            };
            padded
                .decode(text.as_bytes())
                .map_err(|_| wrong("what follows its prefix is not base64".to_owned()))
        };
        let text = text.trim();
        if let Some(key) = text.strip_prefix(SYMMETRIC) {
            let key = decode(key)?;
            if !(SHORTEST..=LONGEST).contains(&key.len()) {
                return Err(wrong(format!(
                    "it has {} bytes, not {SHORTEST} to {LONGEST}",
                    key.len()
                )));
            }
            return Ok(Self(Kind::Symmetric(key.into())));
        }
        if let Some(key) = text.strip_prefix(PRIVATE) {
            let key = decode(key)?;
            let Some((seed, public)) = key
                .split_first_chunk()
                .filter(|(_, public)| matches!(public.len(), 0 | SEED))
            else {
                return Err(wrong(format!(
                    "an Ed25519 private key has 32 or 64 bytes, this one {}",
                    key.len()
                )));
            };
            let secret = Self::of_seed(*seed)?;
            if let Kind::Asymmetric { pair, .. } = &secret.0
                && !public.is_empty()
                && pair.public_key().as_ref() != public
            {
                return Err(wrong(
                    "its second half is not the public key of its first half".to_owned(),
                ));
            }
            return Ok(secret);
        }
        if text.starts_with(PUBLIC) {
            return Err(wrong(
                "this is a public key, which is for the receiver: give the private one, whsk_…"
                    .to_owned(),
            ));
        }
        Err(wrong(
            "it begins neither with whsec_ (HMAC-SHA256) nor with whsk_ (Ed25519)".to_owned(),
        ))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.public() {
            None => f.write_str("SigningSecret(whsec_…)"),
            Some(public) => write!(f, "SigningSecret(whsk_… of {public})"),
        }
    }
}

/// The value of the `webhook-signature` header: one signature for each secret, in their order,
/// separated by spaces.
///
/// A receiver takes the request if it can verify one of them, so while a secret is being replaced
/// the old and the new one both sign. `timestamp` is the time of this attempt in Unix seconds, as
/// in the `webhook-timestamp` header. The `id` must have no full stop in it, or it could pass for
/// an id and a timestamp.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp}.");
    let mut signatures = String::new();
    for secret in secrets {
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        secret.write_signature(&head, body, &mut signatures);
    }
    signatures
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn signed(secrets: &[&str]) -> String {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| secret.parse().unwrap())
            .collect();
        sign(
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            BODY,
        )
    }

    #[test]
    fn a_symmetric_signature_is_that_of_the_public_vector() {
        assert_eq!(signed(&[SECRET]), SIGNATURE);
        assert_eq!(signed(&[&format!(" {SECRET}\n")]), SIGNATURE);
        assert_eq!(signed(&[]), "");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let new = SigningSecret::random().unwrap().reveal();
        let both = signed(&[&new, SECRET]);
        assert_eq!(
            both.split(' ').collect::<Vec<_>>(),
            [&signed(&[&new]), SIGNATURE]
        );
    }

    #[test]
    fn an_ed25519_key_pair_is_that_of_rfc_8032() {
        // Section 7.1, tests 1 and 2: the seeds and their public keys.
        let hex = |text: &str| {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect::<Vec<_>>()
        };
        for (seed, public) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            ),
        ] {
            let (seed, public) = (hex(seed), hex(public));
            let long = format!("{PRIVATE}{}", BASE64.encode(&[&seed[..], &public].concat()));
            let short = format!("{PRIVATE}{}", BASE64.encode(&seed));
            let secret: SigningSecret = short.parse().unwrap();
            assert_eq!(
                secret.public().unwrap(),
                format!("{PUBLIC}{}", BASE64.encode(&public))
            );
            assert_eq!(secret.reveal(), long);
            assert_eq!(
                signed(&[&short]),
                signed(&[&long]),
                "Ed25519 has one signature for a text"
            );

            let signature = BASE64
                .decode(signed(&[&long]).strip_prefix("v1a,").unwrap().as_bytes())
                .unwrap();
            let text = [b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.", BODY].concat();
            UnparsedPublicKey::new(&ED25519, &public)
                .verify(&text, &signature)
                .unwrap();
        }
    }

    #[test]
    fn secrets_come_back_and_do_not_show() {
        for secret in [
            SigningSecret::random().unwrap(),
            SigningSecret::random_key_pair().unwrap(),
        ] {
            let text = secret.reveal();
            let again: SigningSecret = text.parse().unwrap();
            assert_eq!(again.reveal(), text);
            let unpadded: SigningSecret = text.trim_end_matches('=').parse().unwrap();
            assert_eq!(unpadded.reveal(), text);
            let (_, encoded) = text.split_once('_').unwrap();
            assert!(
                !format!("{secret:?}").contains(&encoded[..12]),
                "{secret:?}"
            );
        }
        assert_ne!(
            SigningSecret::random().unwrap().reveal(),
            SigningSecret::random().unwrap().reveal()
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_quoted() {
        let other = SigningSecret::random_key_pair().unwrap().reveal();
        let mixed = format!(
            "{}{}",
            &SigningSecret::random_key_pair().unwrap().reveal()[..40],
            &other[40..]
        );
        for (text, problem) in [
            ("hunter2hunter2hunter2hunter2".to_owned(), "whsec_"),
            (format!("{SYMMETRIC}hunter2!"), "base64"),
            (format!("{SECRET}===="), "base64"),
            (
                format!("{SYMMETRIC}{}", BASE64.encode(&[7; 23])),
                "23 bytes, not 24 to 64",
            ),
            (
                format!("{SYMMETRIC}{}", BASE64.encode(&[7; 65])),
                "65 bytes",
            ),
            (format!("{PRIVATE}{}", BASE64.encode(&[7; 33])), "33"),
            (format!("{PUBLIC}{}", BASE64.encode(&[7; 32])), "public key"),
            (mixed, "second half"),
        ] {
            let error = text.parse::<SigningSecret>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
            let secret = text.rsplit('_').next().unwrap();
            assert!(!error.contains(&secret[..7]), "{error}");
        }
    }
}
