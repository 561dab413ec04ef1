//! The work on the vaults: discovery of what is in them, rotation of a secret, synchronization of two vaults, and what runs by itself.

use std::{collections::BTreeMap, time::Instant};

use tracing_audit::{Actor, AuditContext, Outcome, Resource, Secret, audit};

use super::CredentialManager;

#[derive(Debug, Default)]
pub(crate) struct Vault {
    pub(crate) subscription: String,
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    /// What it answers to whoever wants to read or write, if it doesn't let them.
    pub(crate) broken: Option<&'static str>,
}

impl Vault {
    fn usable(&mut self, name: &str) -> Result<&mut Self, JobError> {
        match self.broken {
            None => Ok(self),
            Some(why) => Err(JobError::Vault { name: name.to_owned(), why }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("vault {name}: {why}")]
    Vault { name: String, why: &'static str },
    #[error("there is no vault {0}")]
    NoVault(String),
    #[error("no vault could be read")]
    NothingRead,
}

impl CredentialManager {
    fn next_id(&mut self, kind: &str) -> String {
        self.last_id += 1;
        format!("{kind}-{}", self.last_id)
    }

    /// Counts the secrets in the vaults of these subscriptions. A vault that can't be read is told and left out.
    pub(crate) fn discover(&mut self, mode: &str, subscriptions: &[&str]) -> Result<usize, JobError> {
        let begun = Instant::now();
        let scan = Resource::new("scan", self.next_id("scan"));
        audit!("discovery.scan.started", resource = scan, mode, subscriptions, "Discovery scan ({mode}) started");
        let (mut found, mut read, mut broken) = (0, 0, Vec::new());
        for (name, vault) in self.vaults.iter_mut().filter(|(_, vault)| subscriptions.contains(&vault.subscription.as_str())) {
            match vault.usable(name) {
                Ok(vault) => {
                    read += 1;
                    found += vault.secrets.len();
                }
                Err(error) => {
                    broken.push(name);
                    audit!(
                        "discovery.vault.error",
                        resource = Resource::new("vault", name).name(name),
                        severity = warning,
                        outcome = Outcome::failure("authorization", error),
                        "Vault {name} can't be read"
                    );
                }
            }
        }
        if read == 0 {
            let error = JobError::NothingRead;
            audit!(
                "discovery.scan.failed",
                resource = scan,
                severity = error,
                outcome = Outcome::failure("unknown", &error),
                affected_vaults = broken,
                "Discovery scan failed"
            );
            return Err(error);
        }
        audit!(
            "discovery.scan.completed",
            resource = scan,
            outcome = Outcome::success(),
            mode,
            duration_seconds = begun.elapsed().as_secs(),
            vaults_scanned = read,
            secrets_found = found,
            "Discovery scan completed: {found} secrets in {read} vaults"
        );
        Ok(found)
    }

    /// Gives a secret a new value in every vault that has it, or in none.
    pub(crate) fn rotate(&mut self, app: &str, secret: &str, expires: &str) -> Result<Secret<String>, JobError> {
        let resource = Resource::new("secret", format!("{app}/{secret}")).name(secret);
        audit!("rotation.started", resource, app_name = app, "Rotation of {secret} started");
        let value = Secret::new((0..32).map(|_| fastrand::alphanumeric()).collect());
        let holders = self.vaults.iter_mut().filter(|(_, vault)| vault.secrets.contains_key(secret));
        // All are asked before the first is written.
        match holders.map(|(name, vault)| Ok((name, vault.usable(name)?))).collect::<Result<Vec<_>, JobError>>() {
            Ok(holders) => {
                let mut updated = Vec::new();
                for (name, vault) in holders {
                    vault.secrets.insert(secret.to_owned(), value.clone());
                    updated.push(name);
                }
                audit!(
                    "rotation.completed",
                    resource,
                    outcome = Outcome::success(),
                    app_name = app,
                    new_expiry_date = expires,
                    updated_vaults = updated,
                    "Rotation of {secret} completed"
                );
                Ok(value)
            }
            Err(error) => {
                audit!(
                    "rotation.failed",
                    resource,
                    severity = error,
                    outcome = Outcome::failure("unknown", &error),
                    app_name = app,
                    rollback_status = "not_needed",
                    "Rotation of {secret} failed"
                );
                Err(error)
            }
        }
    }

    /// Copies the secrets of one vault into another.
    pub(crate) fn sync(&mut self, source: &str, target: &str) -> Result<usize, JobError> {
        let begun = Instant::now();
        let secrets = self.vaults.get(source).ok_or_else(|| JobError::NoVault(source.to_owned()))?.secrets.clone();
        let resource = Resource::new("sync", self.next_id("sync")).name(format!("{source} to {target}"));
        let count = secrets.len();
        audit!(
            "sync.started",
            resource,
            details.source = source,
            details.target = target,
            secret_count = count,
            "Sync of {count} secrets from {source} to {target} started"
        );
        let names: Vec<String> = secrets.keys().cloned().collect();
        let into = self.vaults.get_mut(target).ok_or_else(|| JobError::NoVault(target.to_owned()));
        let copied = into.and_then(|vault| vault.usable(target)).map(|vault| vault.secrets.extend(secrets));
        match copied {
            Ok(()) => {
                audit!(
                    "sync.completed",
                    resource,
                    outcome = Outcome::success(),
                    synced_count = count,
                    duration_seconds = begun.elapsed().as_secs(),
                    "Sync from {source} to {target} completed"
                );
                Ok(count)
            }
            Err(error) => {
                audit!(
                    "sync.failed",
                    resource,
                    severity = error,
                    outcome = Outcome::failure("unknown", &error),
                    failed_secrets = names,
                    "Sync from {source} to {target} failed"
                );
                Err(error)
            }
        }
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
