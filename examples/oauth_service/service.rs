//! Clients, authorization codes and tokens, and what the trail says of each: the action, the key,
//! whose it is.
//!
//! A code or a token is known in the trail by its first five symbols. The `key` of an event is a
//! text to search for, made of what was done and of those symbols, or of a client's id.

use std::collections::HashMap;

use serde_json::json;
use tracing_audit::{Resource, audit, mask, redact::Secret};

/// So many symbols of a secret are shown.
const SHOWN: usize = 5;

/// How a client asks for an access token.
pub(crate) enum Grant<'a> {
    ClientCredentials,
    Code(&'a Secret<String>),
    Refresh(&'a Secret<String>),
    SamlBearer { assertion: &'a Secret<String> },
}

/// What it gets.
pub(crate) struct Tokens {
    pub(crate) access: Secret<String>,
    pub(crate) refresh: Option<Secret<String>>,
}

/// Whose platform client it is, which decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Account,
    Multitenant,
    Admin,
    External,
}

impl Platform {
    fn operation(self, verb: &str) -> String {
        match self {
            Self::Account => format!("{verb} Platform API client"),
            Self::Multitenant => format!("{verb} Multitenant Platform API client"),
            Self::Admin => format!("{verb} Admin Platform API client"),
            Self::External => format!("{verb} External Platform API client"),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OAuthError {
    #[error("no such client")]
    NoClient,
    #[error("no such code or token")]
    NoGrant,
}

/// The service. The tenant that an event belongs to comes from the request around it.
#[derive(Default)]
pub(crate) struct OAuthService {
    scopes: HashMap<String, Vec<String>>,
    platform: HashMap<String, Platform>,
    /// The client that each was issued to.
    codes: HashMap<String, String>,
    access: HashMap<String, String>,
    refresh: HashMap<String, String>,
}

fn random() -> Secret<String> {
    Secret::new((0..32).map(|_| fastrand::alphanumeric()).collect())
}

/// A code or a token, as the trail knows it.
fn known_as(kind: &str, secret: &Secret<String>) -> Resource {
    Resource::new(kind, mask(secret, SHOWN).to_string())
}

impl OAuthService {
    pub(crate) fn create_client(&mut self, id: &str, scopes: &[&str]) {
        self.scopes.insert(
            id.to_owned(),
            scopes.iter().copied().map(str::to_owned).collect(),
        );
        let resource = Resource::new("client", id).attributes(json!({ "scopes": scopes }));
        let key = format!("Creating application client: {id}");
        audit!(
            "client.created",
            action = "create",
            resource,
            key,
            operation = "Create OAuth client",
            "{key}"
        );
    }

    pub(crate) fn update_client(&mut self, id: &str, scopes: &[&str]) -> Result<(), OAuthError> {
        let now = self.scopes.get_mut(id).ok_or(OAuthError::NoClient)?;
        let before = std::mem::replace(now, scopes.iter().copied().map(str::to_owned).collect());
        let resource = Resource::new("client", id)
            .prior_attributes(json!({ "scopes": before }))
            .attributes(json!({ "scopes": scopes }));
        let key = format!("Updating application client: {id}");
        audit!(
            "client.updated",
            action = "update",
            resource,
            key,
            operation = "Update OAuth client",
            "{key}"
        );
        Ok(())
    }

    pub(crate) fn delete_client(&mut self, id: &str) -> Result<(), OAuthError> {
        self.scopes.remove(id).ok_or(OAuthError::NoClient)?;
        let key = format!("Deleting application client: {id}");
        let resource = Resource::new("client", id);
        audit!(
            "client.deleted",
            action = "delete",
            resource,
            severity = warning,
            key,
            operation = "Delete OAuth client",
            "{key}"
        );
        Ok(())
    }

    /// A platform client belongs to an account, which has many tenants, so its events have no
    /// tenant.
    pub(crate) fn create_platform_client(&mut self, account: &str, id: &str, kind: Platform) {
        self.platform.insert(id.to_owned(), kind);
        let key = format!("Creating platform client: {id}");
        let (resource, operation) = (
            Resource::new("platform_client", id),
            kind.operation("Create"),
        );
        audit!(
            "platform_client.created",
            action = "create",
            resource,
            account,
            key,
            operation,
            "{key}"
        );
    }

    pub(crate) fn delete_platform_client(
        &mut self,
        account: &str,
        id: &str,
    ) -> Result<(), OAuthError> {
        let kind = self.platform.remove(id).ok_or(OAuthError::NoClient)?;
        let key = format!("Deleting platform client: {id}");
        let (resource, operation) = (
            Resource::new("platform_client", id),
            kind.operation("Delete"),
        );
        audit!(
            "platform_client.deleted",
            action = "delete",
            resource,
            severity = warning,
            account,
            key,
            operation,
            "{key}"
        );
        Ok(())
    }

    pub(crate) fn authorize(&mut self, client: &str) -> Result<Secret<String>, OAuthError> {
        self.scopes.get(client).ok_or(OAuthError::NoClient)?;
        let code = random();
        self.codes.insert(code.expose().clone(), client.to_owned());
        let key = format!("Creating authorization code: {}", mask(&code, SHOWN));
        let resource = known_as("authorization_code", &code);
        audit!(
            "authorization_code.created",
            action = "create",
            resource,
            key,
            client,
            operation = "Create authorization code",
            "{key}"
        );
        Ok(code)
    }

    /// A code is good for one token.
    fn use_code(&mut self, client: &str, code: &Secret<String>) -> Result<(), OAuthError> {
        self.codes
            .remove(code.expose())
            .filter(|issued_to| issued_to == client)
            .ok_or(OAuthError::NoGrant)?;
        let key = format!("Deleting authorization code: {}", mask(code, SHOWN));
        let resource = known_as("authorization_code", code);
        audit!(
            "authorization_code.deleted",
            action = "delete",
            resource,
            key,
            client,
            operation = "Delete authorization code",
            "{key}"
        );
        Ok(())
    }

    /// Issues an access token, and a refresh token to a client that acts for a user.
    pub(crate) fn issue(&mut self, client: &str, grant: &Grant<'_>) -> Result<Tokens, OAuthError> {
        let platform = self.platform.contains_key(client);
        if !platform && !self.scopes.contains_key(client) {
            return Err(OAuthError::NoClient);
        }
        let (operation, for_user) = match grant {
            Grant::ClientCredentials => ("Create access token for client credentials", false),
            Grant::Code(code) => {
                self.use_code(client, code)?;
                ("Create access token from authorization code", true)
            }
            Grant::Refresh(token) => {
                self.refresh
                    .remove(token.expose())
                    .filter(|issued_to| issued_to == client)
                    .ok_or(OAuthError::NoGrant)?;
                ("Create access token from refresh token", true)
            }
            // Who has signed it was checked before it came here.
            Grant::SamlBearer { assertion } if assertion.expose().is_empty() => {
                return Err(OAuthError::NoGrant);
            }
            Grant::SamlBearer { .. } => ("Create access token from SAML bearer", false),
        };
        let access = random();
        self.access
            .insert(access.expose().clone(), client.to_owned());
        let what = if platform {
            "platform access token"
        } else {
            "access token"
        };
        let key = format!("Creating {what}: {}", mask(&access, SHOWN));
        let resource = known_as("access_token", &access);
        audit!(
            "access_token.created",
            action = "create",
            resource,
            key,
            client,
            operation,
            "{key}"
        );

        let refresh = for_user.then(|| {
            let refresh = random();
            self.refresh
                .insert(refresh.expose().clone(), client.to_owned());
            let key = format!("Creating refresh token: {}", mask(&refresh, SHOWN));
            let resource = known_as("refresh_token", &refresh);
            audit!(
                "refresh_token.created",
                action = "create",
                resource,
                key,
                client,
                operation,
                "{key}"
            );
            refresh
        });
        Ok(Tokens { access, refresh })
    }

    pub(crate) fn delete_token(&mut self, token: &Secret<String>) -> Result<(), OAuthError> {
        let client = self
            .access
            .remove(token.expose())
            .ok_or(OAuthError::NoGrant)?;
        let key = format!("Deleting cloud access token: {}", mask(token, SHOWN));
        let resource = known_as("access_token", token);
        audit!(
            "access_token.deleted",
            action = "delete",
            resource,
            severity = warning,
            key,
            client,
            operation = "Delete access token",
            "{key}"
        );
        Ok(())
    }
}
