//! Fields that are not shown for the sake of their names.

/// What stands in the place of a value that is not shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// Names of fields whose values are not shown, in `details`, `attributes` and whatever is in them:
/// `[redacted]` stands in their place. Case, `_` and `-` make no difference. A value that is
/// [`mask`](crate::mask)ed or [`hashed`](crate::hashed) is shown so where it is the field itself;
/// [`unredacted`](crate::unredacted) shows any.
pub const DENIED_FIELDS: &[&str] = &[
    "accesstoken",
    "apikey",
    "apisecret",
    "authorization",
    "authtoken",
    "awssecretaccesskey",
    "bearertoken",
    "clientsecret",
    "confirmpassword",
    "cookie",
    "currentpassword",
    "cvc",
    "cvv",
    "dbpassword",
    "idtoken",
    "newpassword",
    "oldpassword",
    "passphrase",
    "passwd",
    "password",
    "passwordconfirmation",
    "passwordhash",
    "privatekey",
    "proxyauthorization",
    "pwd",
    "refreshtoken",
    "secretaccesskey",
    "secretkey",
    "sessiontoken",
    "setcookie",
    "userpassword",
    "xapikey",
];

/// The longest of [`DENIED_FIELDS`].
const LONGEST_DENIED: usize = 20;

/// Whether a field of this name is not shown.
#[inline]
pub(crate) fn is_denied(name: &[u8]) -> bool {
    has_denied_ends(name) && is_denied_whole(name)
}

/// Whether a name begins and ends as one of [`DENIED_FIELDS`] does, or with `_` or `-`. Few others
/// do, so most names cost no more than this.
#[inline]
fn has_denied_ends(name: &[u8]) -> bool {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return false;
    };
    DENIED_ENDS[usize::from(*first)] & end_bit(*last) != 0
}

/// For each first byte of a name, a bit for each last one; see [`end_bit`].
static DENIED_ENDS: [u32; 256] = {
    let mut ends = [0; 256];
    ends[b'_' as usize] = u32::MAX;
    ends[b'-' as usize] = u32::MAX;
    let mut at = 0;
    while at < DENIED_FIELDS.len() {
        let name = DENIED_FIELDS[at].as_bytes();
        let (first, last) = (name[0], name[name.len() - 1]);
        let bits = end_bit(last) | end_bit(b'_') | end_bit(b'-');
        ends[first as usize] |= bits;
        ends[first.to_ascii_uppercase() as usize] |= bits;
        at += 1;
    }
    ends
};

/// The same for both cases of a letter; others share it.
const fn end_bit(byte: u8) -> u32 {
    1 << (byte & 31)
}

fn is_denied_whole(name: &[u8]) -> bool {
    let mut plain = [0; LONGEST_DENIED];
    let mut len = 0;
    for byte in name.iter().filter(|byte| !matches!(byte, b'_' | b'-')) {
        let Some(place) = plain.get_mut(len) else {
            return false;
        };
        *place = byte.to_ascii_lowercase();
        len += 1;
    }
    DENIED_FIELDS
        .binary_search_by(|denied| denied.as_bytes().cmp(&plain[..len]))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macro_knows_the_same_names() {
        let macros = include_str!("../../macros/src/denied.rs")
            .split_once("DENIED_FIELDS: &[&str] = &[")
            .unwrap()
            .1;
        let names: Vec<&str> = macros
            .split_once(']')
            .unwrap()
            .0
            .split('"')
            .skip(1)
            .step_by(2)
            .collect();
        assert_eq!(names, DENIED_FIELDS);
    }

    #[test]
    fn denied_names_are_known_however_they_are_written() {
        assert!(DENIED_FIELDS.is_sorted());
        assert_eq!(
            DENIED_FIELDS.iter().map(|name| name.len()).max(),
            Some(LONGEST_DENIED)
        );
        for name in [
            "password",
            "Password",
            "PASS_WORD",
            "X-Api-Key",
            "apiKey",
            "Set-Cookie",
            "client_secret",
            "Proxy-Authorization",
        ] {
            assert!(is_denied(name.as_bytes()), "{name}");
        }
        for name in DENIED_FIELDS {
            for name in [name.to_uppercase(), format!("_{name}"), format!("{name}-")] {
                assert!(is_denied(name.as_bytes()), "{name}");
            }
        }
        // What a form for a new password holds, and the settings of a database or a cloud.
        for name in [
            "currentPassword",
            "new_password",
            "password_confirmation",
            "db_password",
            "AWS_SECRET_ACCESS_KEY",
            "session_token",
        ] {
            assert!(is_denied(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "_",
            "passwords",
            "password_changed",
            "token",
            "cook",
            "authorizations",
            "proxyauthorization2",
            "ключ",
        ] {
            assert!(!is_denied(name.as_bytes()), "{name}");
        }
    }
}
