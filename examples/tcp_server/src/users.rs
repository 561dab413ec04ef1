//! Who may do what.

use std::collections::HashMap;

use tracing_audit::redact::Secret;

/// What a user may do with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Read,
    Write,
}

/// The users and their passwords, from `KV_USERS=ann:secret:write,bob:secret:read`.
///
/// A `Secret` shows in no log, and as a field of an event it doesn't compile. In production, keep
/// passwords as slow salted hashes (argon2, scrypt) and not in a variable.
#[derive(Debug)]
pub(crate) struct Users {
    users: HashMap<String, (Secret<String>, Right)>,
}

impl Users {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let users = text.split(',').filter(|user| !user.is_empty()).map(|user| {
            let mut parts = user.splitn(3, ':');
            let mut part = || parts.next().unwrap_or_default();
            let (name, password, right) = (part(), part(), part());
            let right = match right {
                "read" => Right::Read,
                "write" => Right::Write,
                _ => {
                    return Err(format!(
                        "KV_USERS: {name} needs name:password:read or :write"
                    ));
                }
            };
            Ok((name.to_owned(), (Secret::new(password.to_owned()), right)))
        });
        Ok(Self {
            users: users.collect::<Result<_, _>>()?,
        })
    }

    /// What this user may do, if the password is right.
    pub(crate) fn authenticate(&self, name: &str, password: &Secret<String>) -> Option<Right> {
        let (known, right) = self.users.get(name)?;
        (known == password).then_some(*right)
    }
}
