//! The tokens of a log, from an application's side: each change is an entry.

use super::{
    access::Access,
    token::{NewToken, TokenInfo, TokenStore},
};
use crate::{
    entry::{Actor, Author, OwnEntry, Severity},
    error::Result,
    log::AuditLog,
    query::AuditReader,
};

/// The tokens of a log, by which callers of the HTTP API are known. Made by [`AuditLog::tokens`];
/// costs nothing to make.
///
/// The log's directory keeps a hash of each token. Every change is recorded before it is made. A new
/// token is valid at once in all processes that serve the log; a revoked one is refused at once in
/// this process, and within a second in others.
///
/// ```
/// # let log = tracing_audit::AuditLog::for_tests();
/// use tracing_audit::http::{NewToken, Scope};
///
/// let (info, token) = log.tokens().create(NewToken {
///     name: "auditor".into(),
///     scope: Scope::Export,
///     tenant: Some("acme".into()),
///     expires: Some("2099-12-31T00:00:00Z".parse()?),
/// })?;
/// let access = log.tokens().verify(&token)?.expect("the token is valid");
/// assert_eq!((access.name.as_str(), access.scope), ("auditor", Scope::Export));
///
/// assert!(log.tokens().revoke(&info.id)?);
/// assert!(log.tokens().verify(&token)?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    log: &'a AuditLog,
    author: Author,
}

impl AuditLog {
    /// The log's tokens: to create, list and revoke them.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens {
            log: self,
            author: Author::default(),
        }
    }
}

impl AuditReader {
    /// The tokens of the log, the oldest first. [`AuditLog::tokens`] changes them.
    ///
    /// # Errors
    ///
    /// If the tokens can't be read, which only the owner of the directory may.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>> {
        TokenStore::open(self.layout().root()).list()
    }
}

impl Tokens<'_> {
    /// Names the actor who makes the changes. The entries about the changes have the actor's type,
    /// id and name. Default: the application itself, as `system`.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// use tracing_audit::{Actor, http::{NewToken, Scope}};
    ///
    /// let admin = Actor::user("user-456").name("ann@example.com");
    /// let (info, _) = log.tokens().by(&admin).create(NewToken {
    ///     name: "siem".into(),
    ///     scope: Scope::Read,
    ///     tenant: None,
    ///     expires: None,
    /// })?;
    /// log.tokens().by(&admin).revoke(&info.id)?;
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        Self {
            author: Author::named(actor),
            ..self
        }
    }

    /// Makes a token, and returns its text, which the log doesn't keep: it can't be shown again.
    /// The creation is recorded (`audit.token.created`).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a name or tenant that can't be used or an end
    /// that is past,
    /// [`Error::Conflict`](crate::Error::Conflict) if there are 1000 tokens already, and another
    /// error if the creation can't be recorded or the tokens can't be written. No token is created
    /// then.
    pub fn create(&self, new: NewToken) -> Result<(TokenInfo, String)> {
        create(self.log, &self.store(), new, &self.author)
    }

    /// All tokens, the oldest first; expired ones too.
    ///
    /// # Errors
    ///
    /// If the tokens can't be read.
    pub fn list(&self) -> Result<Vec<TokenInfo>> {
        self.store().list()
    }

    /// Ends the token with this id, which is recorded first (`audit.token.revoked`). Returns
    /// `false` if there is none. Servers in this process refuse the token at once, others within a
    /// second.
    ///
    /// # Errors
    ///
    /// If the change can't be recorded or written; the token then still holds.
    pub fn revoke(&self, id: &str) -> Result<bool> {
        revoke(self.log, &self.store(), id, &self.author)
    }

    /// The access that this text of a token gives; `None` if the token is unknown, revoked or
    /// expired. Reads the tokens each time.
    ///
    /// # Errors
    ///
    /// If the tokens can't be read.
    pub fn verify(&self, token: &str) -> Result<Option<Access>> {
        self.store().verify(token)
    }

    /// Makes a code that signs a browser in once, with the access of the token with this id, within
    /// ten minutes: give the person the link `…/audit/sign-in?code=<code>`. `None` if there is no
    /// such token. The creation is recorded (`audit.token.sign_in_code_created`).
    ///
    /// The code works for routers of this log in this process. The link shows a page with a button,
    /// because programs that look at links in mail would use up the code otherwise.
    ///
    /// ```
    /// # let log = tracing_audit::AuditLog::for_tests();
    /// # use tracing_audit::http::{NewToken, Scope};
    /// # let new = NewToken { name: "ann".into(), scope: Scope::Read, tenant: None, expires: None };
    /// let (token, _) = log.tokens().create(new)?;
    /// let code = log.tokens().sign_in_code(&token.id)?.expect("the token is there");
    /// println!("https://audit.example.com/audit/sign-in?code={code}");
    /// # Ok::<(), tracing_audit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the tokens can't be read, or the creation can't be recorded; no code is made then.
    #[cfg(feature = "console")]
    pub fn sign_in_code(&self, id: &str) -> Result<Option<String>> {
        let Some((token, key)) = self.store().find(id)? else {
            return Ok(None);
        };
        let description = "A one-time code was created that signs a browser in with a token";
        let entry = entry_about(&token, "audit.token.sign_in_code_created", description);
        self.log.store()?.record(&self.author.sign(entry))?;
        super::console::code::make(self.log.dir(), key).map(Some)
    }

    fn store(&self) -> TokenStore {
        TokenStore::open(self.log.dir())
    }
}

/// Makes a token, with an entry about who did that.
pub(super) fn create(
    log: &AuditLog,
    tokens: &TokenStore,
    new: NewToken,
    author: &Author,
) -> Result<(TokenInfo, String)> {
    let store = log.store()?;
    tokens.create_recorded(new, |token| {
        let description = "A token for the HTTP API was created";
        store.record(&author.sign(entry_about(token, "audit.token.created", description)))
    })
}

/// Ends a token, with an entry about who did that.
pub(super) fn revoke(
    log: &AuditLog,
    tokens: &TokenStore,
    id: &str,
    author: &Author,
) -> Result<bool> {
    let store = log.store()?;
    tokens.revoke_recorded(id, |token| {
        let description = "A token for the HTTP API was revoked";
        store.record(&author.sign(entry_about(token, "audit.token.revoked", description)))
    })
}

fn entry_about(token: &TokenInfo, event_type: &'static str, description: &str) -> OwnEntry {
    OwnEntry::new(event_type, Severity::Warning, description)
        .detail("token_id", &token.id)
        .detail("name", &token.name)
        .detail("scope", token.scope)
        .detail("tenant_id", &token.tenant)
        .detail("expires", token.expires)
}
