//! The work on the vaults: discovery of what is in them, rotation of a secret, synchronization of
//! two vaults, and what runs by itself.

use std::{collections::BTreeMap, time::Instant};

use tracing_audit::{
    Actor, AuditContext, Outcome, Resource, audit, audited, redact::Secret, unredacted,
};

use super::CredentialManager;

#[derive(Debug, Default)]
pub(crate) struct Vault {
    pub(crate) subscription: String,
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    /// The error that it returns for reads and writes, if it refuses them.
    pub(crate) broken: Option<&'static str>,
}

impl Vault {
    fn usable(&mut self, name: &str) -> Result<&mut Self, JobError> {
        match self.broken {
            None => Ok(self),
            Some(why) => Err(JobError::Vault {
                name: name.to_owned(),
                why,
            }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("vault {name}: {why}")]
    Vault { name: String, why: &'static str },
    #[error("there is no vault {0}")]
    NoVault(String),
}

/// No vault could be read.
#[derive(Debug, thiserror::Error)]
#[error("no vault could be read")]
pub(crate) struct ScanError {
    vaults: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct RotationError {
    error: JobError,
    /// What became of the vaults that had the new value already.
    rollback: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct SyncError {
    error: JobError,
    secrets: Vec<String>,
}

pub(crate) struct Found {
    vaults: usize,
    secrets: usize,
    seconds: u64,
}

pub(crate) struct Rotated {
    pub(crate) value: Secret<String>,
    vaults: Vec<String>,
}

impl CredentialManager {
    fn next_id(&mut self, kind: &str) -> String {
        self.last_id += 1;
        format!("{kind}-{}", self.last_id)
    }

    fn secrets_in(&self, vault: &str) -> usize {
        self.vaults
            .get(vault)
            .map_or(0, |vault| vault.secrets.len())
    }

    pub(crate) fn discover(
        &mut self,
        mode: &str,
        subscriptions: &[&str],
    ) -> Result<Found, ScanError> {
        let id = self.next_id("scan");
        self.scan(&id, mode, subscriptions)
    }

    /// Counts the secrets in the vaults of these subscriptions. A vault that can't be read is told
    /// and left out.
    #[audited(
        "discovery.scan",
        resource = Resource::new("scan", id),
        mode = mode,
        started(subscriptions = subscriptions, "Discovery scan ({mode}) started"),
        completed(
            duration_seconds = result.seconds,
            vaults_scanned = result.vaults,
            secrets_found = result.secrets,
            "Discovery scan completed: {} secrets in {} vaults",
            result.secrets,
            result.vaults
        ),
        failed(severity = error, affected_vaults = error.vaults, "Discovery scan failed")
    )]
    fn scan(&mut self, id: &str, mode: &str, subscriptions: &[&str]) -> Result<Found, ScanError> {
        let begun = Instant::now();
        let (mut found, mut broken) = (
            Found {
                vaults: 0,
                secrets: 0,
                seconds: 0,
            },
            Vec::new(),
        );
        for (name, vault) in self
            .vaults
            .iter_mut()
            .filter(|(_, vault)| subscriptions.contains(&vault.subscription.as_str()))
        {
            match vault.usable(name) {
                Ok(vault) => {
                    found.vaults += 1;
                    found.secrets += vault.secrets.len();
                }
                Err(error) => {
                    broken.push(name.clone());
                    audit!(
                        "discovery.vault.error",
                        resource = Resource::new("vault", name).name(name),
                        severity = warning,
                        outcome = Outcome::failure("authorization", error),
                        scan_id = id,
                        "Vault {name} can't be read"
                    );
                }
            }
        }
        found.seconds = begun.elapsed().as_secs();
        if found.vaults == 0 {
            Err(ScanError { vaults: broken })
        } else {
            Ok(found)
        }
    }

    /// Gives a secret a new value in every vault that has it, or in none.
    #[audited(
        "rotation",
        resource = Resource::new("secret", format!("{app}/{secret}")).name(secret),
        app_name = app,
        started("Rotation of {secret} started"),
        completed(new_expiry_date = expires, updated_vaults = result.vaults, "Rotation of {secret} completed"),
        failed(severity = error, rollback_status = error.rollback, "Rotation of {secret} failed")
    )]
    pub(crate) fn rotate(
        &mut self,
        app: &str,
        secret: &str,
        expires: &str,
    ) -> Result<Rotated, RotationError> {
        let value = Secret::new((0..32).map(|_| fastrand::alphanumeric()).collect());
        let mut before: Vec<(String, Secret<String>)> = Vec::new();
        for (name, vault) in &mut self.vaults {
            let Some(old) = vault.secrets.get(secret).cloned() else {
                continue;
            };
            match vault.usable(name) {
                Ok(vault) => drop(vault.secrets.insert(secret.to_owned(), value.clone())),
                Err(error) => {
                    let rollback = if before.is_empty() {
                        "not_needed"
                    } else {
                        "completed"
                    };
                    for (name, old) in before {
                        self.vaults
                            .entry(name)
                            .and_modify(|vault| drop(vault.secrets.insert(secret.to_owned(), old)));
                    }
                    return Err(RotationError { error, rollback });
                }
            }
            before.push((name.clone(), old));
        }
        Ok(Rotated {
            value,
            vaults: before.into_iter().map(|(name, _)| name).collect(),
        })
    }

    pub(crate) fn sync(&mut self, source: &str, target: &str) -> Result<usize, SyncError> {
        let id = self.next_id("sync");
        self.copy(&id, source, target)
    }

    /// Copies the secrets of one vault into another.
    #[audited(
        "sync",
        resource = Resource::new("sync", id).name(format!("{source} to {target}")),
        details.source = source,
        details.target = target,
        started(secret_count = self.secrets_in(source), "Sync from {source} to {target} started"),
        completed(synced_count = result, "Sync from {source} to {target} completed"),
        failed(
            severity = error,
            failed_secrets = unredacted(&error.secrets), // The names of secrets.
            "Sync from {source} to {target} failed"
        )
    )]
    fn copy(&mut self, id: &str, source: &str, target: &str) -> Result<usize, SyncError> {
        let no_vault = |name: &str| JobError::NoVault(name.to_owned());
        let from = self.vaults.get(source).ok_or_else(|| SyncError {
            error: no_vault(source),
            secrets: Vec::new(),
        })?;
        let secrets = from.secrets.clone();
        let count = secrets.len();
        let into = self
            .vaults
            .get_mut(target)
            .ok_or_else(|| no_vault(target))
            .and_then(|vault| vault.usable(target));
        match into {
            Ok(vault) => vault.secrets.extend(secrets),
            Err(error) => {
                return Err(SyncError {
                    error,
                    secrets: secrets.into_keys().collect(),
                });
            }
        }
        Ok(count)
    }

    /// What the timer does each night. Whatever it calls is done by the system too.
    pub(crate) fn nightly(&mut self, subscriptions: &[&str]) {
        AuditContext::new().actor(&Actor::system("system")).run(|| {
            audit!("license.validated", resource.type = "license", resource.id = "pro-2026", outcome.type = "success", "License is valid");
            let result = self.discover("incremental", subscriptions);
            let outcome = Outcome::of(&result);
            audit!("schedule.task.completed", resource.type = "task", resource.id = "nightly-scan", outcome, "The nightly scan has run");
        });
    }
}
