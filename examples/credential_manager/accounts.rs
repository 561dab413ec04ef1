//! People: they log in and out, are locked out, added, changed and removed.

use serde_json::json;
use tracing_audit::{Actor, Outcome, Resource, audit, redact::Secret};

use super::CredentialManager;

/// So many wrong passwords in a row lock an account.
const MAX_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: String,
    password: Secret<String>,
    failed_attempts: u32,
}

impl User {
    pub(crate) fn new(id: &str, name: &str, role: &str, password: &Secret<String>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            role: role.to_owned(),
            password: password.clone(),
            failed_attempts: 0,
        }
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor::user(&self.id).name(&self.name)
    }

    fn resource(&self) -> Resource {
        Resource::new("user", &self.id).name(&self.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("unknown_user")]
    UnknownUser,
    #[error("wrong_password")]
    WrongPassword,
    #[error("account_locked")]
    Locked,
}

impl CredentialManager {
    /// Address and user agent are those of the request around it.
    pub(crate) fn log_in(
        &mut self,
        username: &str,
        password: &Secret<String>,
    ) -> Result<User, LoginError> {
        let Some(user) = self.users.get_mut(username) else {
            return Err(login_failed(
                &Actor::anonymous(),
                username,
                LoginError::UnknownUser,
            ));
        };
        let actor = user.actor();
        if user.failed_attempts >= MAX_ATTEMPTS {
            return Err(login_failed(&actor, username, LoginError::Locked));
        }
        if user.password != *password {
            let refused = login_failed(&actor, username, LoginError::WrongPassword);
            user.failed_attempts += 1;
            if user.failed_attempts == MAX_ATTEMPTS {
                audit!(
                    "auth.account.locked",
                    actor,
                    resource = user.resource(),
                    severity = error,
                    username,
                    attempt_count = user.failed_attempts,
                    "Account {username} is locked after {} wrong passwords",
                    user.failed_attempts
                );
            }
            return Err(refused);
        }
        user.failed_attempts = 0;
        audit!(
            "auth.login.success",
            actor,
            outcome = Outcome::success(),
            username,
            "{username} logged in"
        );
        Ok(user.clone())
    }

    pub(crate) fn log_out(&self, user: &User) {
        audit!(
            "auth.logout",
            actor = user.actor(),
            username = user.name,
            "{} logged out",
            user.name
        );
    }

    pub(crate) fn create_user(&mut self, user: User) {
        let created = user.resource().attributes(json!({ "role": user.role }));
        audit!(
            "user.created",
            resource = created,
            "User {} added as {}",
            user.name,
            user.role
        );
        self.users.insert(user.name.clone(), user);
    }

    /// False if there is no such user.
    pub(crate) fn set_role(&mut self, username: &str, role: &str) -> bool {
        let Some(user) = self.users.get_mut(username) else {
            return false;
        };
        let before = std::mem::replace(&mut user.role, role.to_owned());
        let changed = user
            .resource()
            .prior_attributes(json!({ "role": before }))
            .attributes(json!({ "role": role }));
        audit!(
            "user.updated",
            resource = changed,
            changed_fields = ["role"],
            "The role of {username} is {role}, no longer {before}"
        );
        true
    }

    /// False if there is no such user.
    pub(crate) fn delete_user(&mut self, username: &str) -> bool {
        let Some(user) = self.users.remove(username) else {
            return false;
        };
        audit!(
            "user.deleted",
            resource = user.resource(),
            severity = warning,
            "User {username} removed"
        );
        true
    }
}

fn login_failed(actor: &Actor, username: &str, why: LoginError) -> LoginError {
    audit!(
        "auth.login.failed",
        actor,
        severity = warning,
        outcome = Outcome::failure("authentication", why),
        username,
        failure_reason = %why,
        "{username} failed to log in"
    );
    why
}
