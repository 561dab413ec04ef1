//! A workspace: its users, clients, consents, codes and tokens, and what the trail says of them.
//!
//! No event has a reason in it, and none has a password, a client's secret, a code or a token.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
};

use serde_json::json;
use tracing_audit::{Actor, Resource, audit, redact::Secret};

/// What a caller learns of a refusal.
#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

/// The reason is for the service's own log.
fn refused(reason: &'static str) -> Refused {
    tracing::debug!(reason, "refused");
    Refused
}

/// A part of a tenant, with its own users and clients. Only one for Open Banking knows consents.
#[derive(Debug)]
pub(crate) struct Workspace {
    name: &'static str,
    open_banking: bool,
    users: HashMap<String, Secret<String>>,
    clients: HashMap<String, Secret<String>>,
    consents: BTreeMap<String, Consent>,
    /// The client and the user that each was issued to.
    codes: HashMap<String, (String, String)>,
    /// The name and the user of each.
    tokens: HashMap<String, (String, String)>,
}

#[derive(Debug)]
struct Consent {
    client: String,
    user: String,
    status: &'static str,
}

fn random() -> String {
    (0..32).map(|_| fastrand::alphanumeric()).collect()
}

fn client(id: &str) -> Actor {
    Actor::new("client", id)
}

impl Workspace {
    pub(crate) fn new(name: &'static str, open_banking: bool) -> Self {
        Self {
            name,
            open_banking,
            users: HashMap::new(),
            clients: HashMap::new(),
            consents: BTreeMap::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    pub(crate) fn add_user(&mut self, name: &str, password: &str) {
        self.users
            .insert(name.to_owned(), Secret::new(password.to_owned()));
    }

    /// Gives the client its secret, which is told this once.
    pub(crate) fn register_client(
        &mut self,
        by: &Actor,
        id: &str,
        scopes: &[&str],
    ) -> Secret<String> {
        let secret = Secret::new(random());
        self.clients.insert(id.to_owned(), secret.clone());
        let registered = Resource::new("client", id).attributes(json!({ "scopes": scopes }));
        audit!(
            "client.registered",
            actor = by,
            resource = registered,
            workspace = self.name,
            "Client {id} registered"
        );
        secret
    }

    /// An authorizer announces a service that it protects from now on.
    pub(crate) fn discover_service(&self, authorizer: &str, service: &str) {
        audit!(
            "service.discovered",
            actor = Actor::service(authorizer),
            resource = Resource::new("service", service),
            workspace = self.name,
            "{authorizer} found {service}"
        );
    }

    /// Gives the session's id.
    pub(crate) fn log_in(&self, user: &str, password: &Secret<String>) -> Result<String, Refused> {
        // Until the password is checked, the name is a claim.
        let claimed = Actor::anonymous().name(user);
        audit!(
            "login.attempted",
            actor = claimed,
            workspace = self.name,
            "{user} begins to log in"
        );
        let known = self.users.get(user).ok_or_else(|| refused("no such user"));
        match known.and_then(|known| {
            if known == password {
                Ok(())
            } else {
                Err(refused("wrong password"))
            }
        }) {
            Ok(()) => {
                let session = random();
                audit!(
                    "login.accepted",
                    actor = Actor::user(user),
                    outcome.type = "success",
                    session_id = session,
                    workspace = self.name,
                    "{user} logged in"
                );
                Ok(session)
            }
            Err(refused) => {
                audit!(
                    "login.failed",
                    actor = claimed,
                    severity = warning,
                    outcome.type = "failure",
                    workspace = self.name,
                    "{user} failed to log in"
                );
                Err(refused)
            }
        }
    }

    /// A client asks a user for a consent.
    pub(crate) fn ask_consent(
        &mut self,
        by: &str,
        user: &str,
        permissions: &[&str],
    ) -> Result<String, Refused> {
        if !self.open_banking {
            return Err(refused("this workspace has no consents"));
        }
        let id = format!("consent-{}", self.consents.len() + 1);
        self.consents.insert(
            id.clone(),
            Consent {
                client: by.to_owned(),
                user: user.to_owned(),
                status: "created",
            },
        );
        audit!(
            "consent.created",
            actor = client(by),
            resource = Resource::new("consent", &id).attributes(
                json!({ "status": "created", "permissions": permissions, "user": user })
            ),
            workspace = self.name,
            "{by} asks {user} for a consent"
        );
        Ok(id)
    }

    /// Moves a consent of this user on, and says what became of it.
    fn decide(
        &mut self,
        user: &str,
        id: &str,
        from: &str,
        to: &'static str,
    ) -> Result<Resource, Refused> {
        let consent = self
            .consents
            .get_mut(id)
            .filter(|consent| consent.user == user && consent.status == from);
        let consent = consent.ok_or_else(|| refused("no such consent of this user"))?;
        let before = std::mem::replace(&mut consent.status, to);
        let given_to = &consent.client;
        let changed = Resource::new("consent", id).prior_attributes(json!({ "status": before }));
        Ok(changed.attributes(json!({ "status": to, "client": given_to })))
    }

    pub(crate) fn accept_consent(&mut self, user: &str, id: &str) -> Result<(), Refused> {
        let consent = self.decide(user, id, "created", "accepted")?;
        audit!(
            "consent.accepted",
            actor = Actor::user(user),
            resource = consent,
            workspace = self.name,
            "{user} accepted {id}"
        );
        Ok(())
    }

    pub(crate) fn reject_consent(&mut self, user: &str, id: &str) -> Result<(), Refused> {
        let consent = self.decide(user, id, "created", "rejected")?;
        audit!(
            "consent.rejected",
            actor = Actor::user(user),
            resource = consent,
            workspace = self.name,
            "{user} rejected {id}"
        );
        Ok(())
    }

    pub(crate) fn revoke_consent(&mut self, user: &str, id: &str) -> Result<(), Refused> {
        let consent = self.decide(user, id, "accepted", "revoked")?;
        audit!(
            "consent.revoked",
            actor = Actor::user(user),
            resource = consent,
            workspace = self.name,
            "{user} revoked {id}"
        );
        Ok(())
    }

    /// Gives a code with which the client gets a token for this user.
    pub(crate) fn authorize(&mut self, user: &str, id: &str) -> Result<Secret<String>, Refused> {
        let consented = || {
            self.consents
                .values()
                .any(|c| c.user == user && c.client == id && c.status == "accepted")
        };
        let allowed = match self.clients.contains_key(id) {
            false => Err(refused("no such client")),
            true if self.open_banking && !consented() => Err(refused("no consent is in force")),
            true => Ok(()),
        };
        let (actor, resource) = (Actor::user(user), Resource::new("client", id));
        if let Err(refused) = allowed {
            audit!(
                "authorization.code.denied",
                actor,
                resource,
                severity = warning,
                outcome.type = "failure",
                workspace = self.name,
                "{id} gets no authorization code for {user}"
            );
            return Err(refused);
        }
        let code = random();
        self.codes
            .insert(code.clone(), (id.to_owned(), user.to_owned()));
        audit!(
            "authorization.code.issued",
            actor,
            resource,
            outcome.type = "success",
            workspace = self.name,
            "{id} gets an authorization code for {user}"
        );
        Ok(Secret::new(code))
    }

    fn authenticate(&self, id: &str, secret: &Secret<String>) -> Result<(), Refused> {
        let known = self.clients.get(id) == Some(secret);
        let (actor, workspace) = (client(id), self.name);
        if known {
            audit!("client.authentication.succeeded", actor, outcome.type = "success", workspace, "{id} authenticated itself");
            return Ok(());
        }
        audit!("client.authentication.failed", actor, severity = warning, outcome.type = "failure", workspace, "{id} is not authenticated");
        Err(refused("wrong client secret"))
    }

    /// The client authenticates itself and changes the code into a token.
    pub(crate) fn issue_token(
        &mut self,
        id: &str,
        secret: &Secret<String>,
        code: &Secret<String>,
    ) -> Result<Secret<String>, Refused> {
        self.authenticate(id, secret)?;
        let Some((_, user)) = self
            .codes
            .remove(code.expose())
            .filter(|(issued_to, _)| issued_to == id)
        else {
            audit!(
                "token.denied",
                actor = client(id),
                severity = warning,
                outcome.type = "failure",
                workspace = self.name,
                "{id} gets no token"
            );
            return Err(refused("the code was used before"));
        };
        let token = random();
        // In the trail a token has a name, which is of no use to a thief.
        let name = format!("token-{}", self.tokens.len() + 1);
        audit!(
            "token.issued",
            actor = client(id),
            resource = Resource::new("token", &name).attributes(json!({ "user": user })),
            outcome.type = "success",
            workspace = self.name,
            grant = "authorization_code",
            "{id} gets a token for {user}"
        );
        self.tokens.insert(token.clone(), (name, user));
        Ok(Secret::new(token))
    }

    pub(crate) fn revoke_token(
        &mut self,
        by: &Actor,
        token: &Secret<String>,
    ) -> Result<(), Refused> {
        let (name, user) = self
            .tokens
            .remove(token.expose())
            .ok_or_else(|| refused("no such token"))?;
        let revoked = Resource::new("token", &name).attributes(json!({ "user": user }));
        audit!(
            "token.revoked",
            actor = by,
            resource = revoked,
            workspace = self.name,
            "{name} of {user} was revoked"
        );
        Ok(())
    }
}
