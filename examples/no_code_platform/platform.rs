//! Designers of applications: they log in and out, get and lose roles, make modules. Each call is
//! recorded with how it ended.
//!
//! Category and action are the platform's own words, so that a search by them finds what its
//! documents call so.

use std::collections::HashMap;

use serde::Serialize;
use tracing_audit::{Actor, AuditContext, Outcome, Resource, audit, audit_context, redact::Secret};

/// Why a call failed. A failure behind the login that isn't about rights is reported as
/// unknown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("wrong name or password")]
    Authentication,
    #[error("only an administrator may do this")]
    Authorization,
    #[error("there is no {0}")]
    Missing(String),
    #[error("version {0} was saved meanwhile")]
    Outdated(u32),
}

impl Failure {
    fn reason(&self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Missing(_) | Self::Outdated(_) => "unknown",
        }
    }
}

fn outcome<T>(result: &Result<T, Failure>) -> Outcome {
    match result {
        Ok(_) => Outcome::success(),
        Err(failure) => Outcome::failure(failure.reason(), failure),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Role {
    pub(crate) permissions: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Module {
    version: u32,
    title: String,
}

/// A designer who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    id: String,
    user: String,
    role: String,
}

impl Session {
    /// Who acts in it. Attributes aren't inherited from a context: an event gets the actor itself
    /// to have them.
    fn actor(&self) -> Actor {
        Actor::user(&self.user).attributes(serde_json::json!({ "role": self.role }))
    }

    /// What is done in this session is recorded as done in it.
    pub(crate) fn context(&self) -> AuditContext {
        audit_context! { session_id = self.id }
    }
}

pub(crate) struct Platform {
    passwords: HashMap<String, Secret<String>>,
    designers: HashMap<String, String>,
    roles: HashMap<String, Role>,
    modules: HashMap<String, Module>,
    sessions: u32,
}

impl Platform {
    pub(crate) fn new(admin: &str, password: &Secret<String>) -> Self {
        let roles = HashMap::from([(
            "Administrator".to_owned(),
            Role {
                permissions: vec!["everything"],
            },
        )]);
        Self {
            passwords: HashMap::from([(admin.to_owned(), password.clone())]),
            designers: HashMap::from([(admin.to_owned(), "Administrator".to_owned())]),
            roles,
            modules: HashMap::new(),
            sessions: 0,
        }
    }

    pub(crate) fn log_in(
        &mut self,
        user: &str,
        password: &Secret<String>,
    ) -> Result<Session, Failure> {
        let known = self.passwords.get(user) == Some(password);
        self.sessions += u32::from(known);
        let id = format!("session-{}", self.sessions);
        let role = self.designers.get(user).cloned().unwrap_or_default();
        let result = if known {
            Ok(Session {
                id,
                user: user.to_owned(),
                role,
            })
        } else {
            Err(Failure::Authentication)
        };
        let session = result.as_ref().ok();
        audit!(
            "designer.session.opened",
            category = "user-access",
            action = "designer-user-login",
            actor = Actor::user(user),
            resource.type = "session",
            resource.id = session.map(|session| &session.id),
            resource.name = if session.is_none() { Some(user) } else { None },
            session_id = session.map(|session| &session.id),
            outcome = outcome(&result),
            "Login of {user}"
        );
        result
    }

    pub(crate) fn log_out(&self, session: Session) {
        audit!(
            "designer.session.closed",
            category = "user-access",
            action = "designer-user-logout",
            actor = session.actor(),
            resource = Resource::new("session", &session.id),
            outcome = Outcome::success(),
            "Logout of {}",
            session.user
        );
    }

    fn may_administrate(session: &Session) -> Result<(), Failure> {
        if session.role == "Administrator" {
            Ok(())
        } else {
            Err(Failure::Authorization)
        }
    }

    pub(crate) fn add_designer(
        &mut self,
        by: &Session,
        user: &str,
        password: &Secret<String>,
        role: &str,
    ) -> Result<(), Failure> {
        let result = Self::may_administrate(by).map(|()| {
            self.passwords.insert(user.to_owned(), password.clone());
            self.designers.insert(user.to_owned(), role.to_owned());
        });
        audit!(
            "designer.user.added",
            category = "user-management",
            action = "add-designer-user",
            actor = by.actor(),
            resource = Resource::new("designer-user", user)
                .attributes(serde_json::json!({ "role": role })),
            outcome = outcome(&result),
            "Designer {user} added as {role}"
        );
        result
    }

    /// Makes the role, or changes it.
    pub(crate) fn modify_role(
        &mut self,
        by: &Session,
        name: &str,
        role: &Role,
    ) -> Result<(), Failure> {
        let before = self.roles.get(name).cloned();
        let result = Self::may_administrate(by)
            .map(|()| drop(self.roles.insert(name.to_owned(), role.clone())));
        audit!(
            "designer.role.modified",
            category = "access-management",
            action = "modify-designer-role",
            actor = by.actor(),
            resource.type = "designer-role",
            resource.name = name,
            resource.attributes = role,
            resource.prior_attributes = before,
            outcome = outcome(&result),
            tags = ["review:quarterly"],
            "Role {name} modified"
        );
        result
    }

    pub(crate) fn delete_role(&mut self, by: &Session, name: &str) -> Result<(), Failure> {
        let before = self.roles.get(name).cloned();
        let result = Self::may_administrate(by).and_then(|()| {
            self.roles
                .remove(name)
                .map(drop)
                .ok_or_else(|| Failure::Missing(format!("role {name}")))
        });
        audit!(
            "designer.role.deleted",
            category = "access-management",
            action = "delete-designer-role",
            actor = by.actor(),
            resource.type = "designer-role",
            resource.name = name,
            resource.prior_attributes = before,
            outcome = outcome(&result),
            severity = warning,
            "Role {name} deleted"
        );
        result
    }

    pub(crate) fn create_module(&mut self, by: &Session, id: &str, title: &str) {
        let module = Module {
            version: 1,
            title: title.to_owned(),
        };
        audit!(
            "designer.module.created",
            category = "module-management",
            action = "create-module",
            actor = by.actor(),
            resource = Resource::new("module", id).attributes(&module),
            outcome = Outcome::success(),
            "Module {title} created"
        );
        self.modules.insert(id.to_owned(), module);
    }

    /// Saves what was made of this version, if there is no later one.
    pub(crate) fn save_module(
        &mut self,
        by: &Session,
        id: &str,
        version: u32,
        title: &str,
    ) -> Result<u32, Failure> {
        let before = self.modules.get(id).cloned();
        let saved = Module {
            version: version + 1,
            title: title.to_owned(),
        };
        let result = match self.modules.get_mut(id) {
            None => Err(Failure::Missing(format!("module {id}"))),
            Some(module) if module.version > version => Err(Failure::Outdated(module.version)),
            Some(module) => {
                *module = saved.clone();
                Ok(saved.version)
            }
        };
        audit!(
            "designer.module.saved",
            category = "module-management",
            action = "save-module",
            actor = by.actor(),
            resource.type = "module",
            resource.id = id,
            resource.attributes = saved,
            resource.prior_attributes = before,
            outcome = outcome(&result),
            "Module {title} saved"
        );
        result
    }
}
