//! Callers and their rights.

use std::{fmt, str::FromStr};

use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::error::{Error, Result};

/// The routes that an access opens; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Pages, single entries, counts, metrics.
    Read,
    /// Downloads as well.
    Export,
    /// Everything.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Export => "export",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Read, Self::Export, Self::Admin]
            .into_iter()
            .find(|scope| scope.to_string() == text)
            .ok_or_else(|| {
                Error::invalid(
                    "scope",
                    format!("{text:?} is not one of read, export, admin"),
                )
            })
    }
}

/// The rights of a caller, and its name in the entries about its accesses.
///
/// An [`Authorizer`] gives it:
///
/// ```
/// use tracing_audit::http::{Access, Scope};
///
/// let access = Access {
///     actor_type: "user".into(),
///     id: "user-456".into(),
///     name: "ann@example.com".into(),
///     scope: Scope::Read,
///     tenant: Some("acme".into()), // sees entries of this tenant only
/// };
/// assert!(access.scope < Scope::Export);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The kind of caller: `actor.type` in the entries, such as `user` or, for a token, `api_key`.
    pub actor_type: String,
    /// The id of the token or user: `actor.id` in the entries.
    pub id: String,
    /// The name of the token or user: `actor.name` in the entries.
    pub name: String,
    /// The routes that are open to the caller.
    pub scope: Scope,
    /// The only tenant whose entries the caller sees; `None` for all.
    pub tenant: Option<String>,
}

/// The reason why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// The caller didn't prove who it is: 401. The text is for the log; the caller doesn't see it.
    Unauthenticated(String),
    /// The caller is known, and lacks the right: 403, with this text.
    Forbidden(String),
    /// No request can be checked now, for example because a service that knows the users doesn't
    /// answer: 503. The text is for the log; the caller doesn't see it.
    Unavailable(String),
}

/// Decides who may do what, in place of the log's tokens.
///
/// The server asks for every request, on an async thread, so an authorizer must not block. A
/// look-up that takes longer belongs in a middleware of the application, which leaves its result in
/// the request's extensions.
///
/// ```
/// use axum::http::request::Parts;
/// use tracing_audit::http::{Access, Denied, RouterOptions, Scope};
///
/// #[derive(Clone)]
/// struct User { id: String, email: String, is_auditor: bool }
///
/// let options = RouterOptions::new().authorizer(|request: &Parts| {
///     // The application's own middleware has put the user there.
///     let Some(user) = request.extensions.get::<User>() else {
///         return Err(Denied::Unauthenticated("not logged in".into()));
///     };
///     if !user.is_auditor {
///         return Err(Denied::Forbidden("only auditors read the audit log".into()));
///     }
///     Ok(Access {
///         actor_type: "user".into(),
///         id: user.id.clone(),
///         name: user.email.clone(),
///         scope: Scope::Export,
///         tenant: None,
///     })
/// });
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// The access of the sender of this request.
    ///
    /// # Errors
    ///
    /// [`Denied`], which is recorded (`audit.access.denied`).
    fn authorize(&self, request: &Parts) -> Result<Access, Denied>;
}

impl<F: Fn(&Parts) -> Result<Access, Denied> + Send + Sync + 'static> Authorizer for F {
    fn authorize(&self, request: &Parts) -> Result<Access, Denied> {
        self(request)
    }
}

/// The credentials of `Authorization: Bearer …`.
pub(super) fn bearer(request: &Parts) -> Option<&str> {
    let mut values = request.headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .filter(|_| values.next().is_none())?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated(_) => {
                let detail = "send a valid token as \"Authorization: Bearer ta_…\"";
                Self::new(StatusCode::UNAUTHORIZED, "No valid token", detail).with(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"audit\""),
                )
            }
            Denied::Unavailable(_) => {
                Self::busy("no token can be checked now; the server's own messages say why")
            }
            Denied::Forbidden(why) => Self::new(StatusCode::FORBIDDEN, "Not allowed", why).with(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"audit\", error=\"insufficient_scope\""),
            ),
        }
    }
}
