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
pub(crate) fn is_denied(name: &str) -> bool {
    let mut plain = [0; LONGEST_DENIED];
    let mut len = 0;
    for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
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
            assert!(is_denied(name), "{name}");
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
            assert!(is_denied(name), "{name}");
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
            assert!(!is_denied(name), "{name}");
        }
    }
}
