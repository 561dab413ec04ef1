//! Fields that are not shown for the sake of their names. The runtime has the same list, for what
//! is inside values; a test there compares the two.

use crate::field::Field;

const DENIED_FIELDS: &[&str] = &[
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

/// The JSON that stands in the place of a value that is not shown.
pub(crate) const REDACTED: &str = "\"[redacted]\"";

/// Whether the field's value is not shown: it has such a name, or is in an object that has. Case,
/// `_` and `-` make no difference.
pub(crate) fn is_denied(field: &Field) -> bool {
    field.path.names().iter().any(|name| {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, '_' | '-'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        DENIED_FIELDS.contains(&plain.as_str())
    })
}
