//! A manager of credentials in cloud vaults, which records what its people and its jobs do: logins,
//! scans, rotations, syncs, settings.
//!
//! A request's context says who asks and from where; what is done in it is recorded with that. No
//! secret's value is.
//!
//! `cargo run --example credential_manager [directory]`

#![allow(clippy::print_stdout, reason = "it tells what it did")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tracing_audit::{
    AuditContext, AuditLog, AuditReader, Filter, Query, Retention, audit_context, reader::Order,
    redact::Secret,
};
use tracing_subscriber::prelude::*;

mod accounts;
mod jobs;
mod settings;

use accounts::User;
use jobs::Vault;
use settings::{AlertRule, RETENTION};

/// The state of the service.
#[derive(Debug, Default)]
pub(crate) struct CredentialManager {
    users: HashMap<String, User>,
    vaults: BTreeMap<String, Vault>,
    settings: BTreeMap<String, Value>,
    subscriptions: BTreeSet<String>,
    rules: BTreeMap<String, AlertRule>,
    last_id: u32,
}

/// A day of the service, in a log in this directory. Gives the secrets that must not be in it.
pub(crate) fn run(dir: &Path) -> Result<Vec<Secret<String>>, Box<dyn Error>> {
    let log = AuditLog::builder(dir)
        .source("credential-manager")
        .retention(Retention::days(90))
        .open()?;
    // A service says `.init()` here; this ends with the function, so that a test can run it.
    let _subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .set_default();
    let mut manager = CredentialManager::default();
    manager.settings.insert(RETENTION.to_owned(), 90.into());
    let secrets = day(&mut manager)?;
    log.close()?;
    Ok(secrets)
}

/// Who asks and from where; in a server, a layer makes it of the request.
fn request(by: &User) -> AuditContext {
    browser()
        .actor(&by.actor())
        .session_id(format!("session-of-{}", by.id))
}

fn browser() -> AuditContext {
    audit_context! { ip_address = "192.0.2.50", user_agent = "Mozilla/5.0 (X11; Linux x86_64)", context.protocol = "https" }
}

fn day(manager: &mut CredentialManager) -> Result<Vec<Secret<String>>, Box<dyn Error>> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let (password, guess) = (
        secret("correct horse battery staple"),
        secret("hunter2-hunter2"),
    );
    let (database, smtp) = (
        secret("postgres-credential-0815"),
        secret("smtp-credential-4711"),
    );
    let admin = User::new("user-456", "admin@company.com", "admin", &password);
    manager.users.insert(admin.name.clone(), admin);
    for (name, subscription, broken) in [
        ("kv-shop", "sub-1", None),
        ("kv-internal", "sub-1", None),
        ("kv-legacy", "sub-2", Some("403 Forbidden")),
    ] {
        let mut secrets = BTreeMap::from([("smtp-key".to_owned(), smtp.clone())]);
        if name != "kv-legacy" {
            secrets.insert("db-login".to_owned(), database.clone());
        }
        manager.vaults.insert(
            name.to_owned(),
            Vault {
                subscription: subscription.to_owned(),
                secrets,
                broken,
            },
        );
    }

    let admin = browser().run(|| {
        let _ = manager.log_in("mallory@example.net", &guess);
        manager.log_in("admin@company.com", &password)
    })?;
    let rotated = request(&admin).run(|| -> Result<_, Box<dyn Error>> {
        manager.create_user(User::new(
            "user-457",
            "bob@company.com",
            "viewer",
            &password,
        ));
        manager.set_role("bob@company.com", "operator");
        manager.add_subscription("sub-1");
        manager.add_subscription("sub-2");
        manager.set(RETENTION, 180.into())?;
        let _ = manager.set(RETENTION, json!(7));
        let rule = |threshold| AlertRule {
            event_type: "auth.login.failed".into(),
            threshold,
            channel: "mail".into(),
        };
        manager.create_rule("rule-1", rule(10));
        manager.update_rule("rule-1", rule(5));

        manager.discover("full", &["sub-1", "sub-2"])?;
        let _ = manager.discover("full", &["sub-2"]);
        let rotated = manager.rotate("shop", "db-login", "2027-06-30")?;
        let _ = manager.rotate("shop", "smtp-key", "2027-06-30");
        manager.sync("kv-shop", "kv-internal")?;
        let _ = manager.sync("kv-shop", "kv-legacy");

        manager.delete_rule("rule-1");
        manager.remove_subscription("sub-2");
        Ok(rotated)
    })?;
    browser().run(|| (0..4).for_each(|_| drop(manager.log_in("bob@company.com", &guess))));
    request(&admin).run(|| {
        manager.delete_user("bob@company.com");
        manager.log_out(&admin);
    });
    manager.nightly(&["sub-1"]);
    Ok(vec![password, guess, database, smtp, rotated.value])
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("credential-manager"),
        PathBuf::from,
    );
    run(&dir)?;

    let reader = AuditReader::open(&dir)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    reader.each(&Filter::new(), Order::Asc, |entry| {
        *counts.entry(entry.event_type().into_owned()).or_default() += 1;
        ControlFlow::Continue(())
    })?;
    let counts: Vec<_> = counts
        .into_iter()
        .map(|(event_type, count)| format!("{event_type} {count}"))
        .collect();
    println!("In {}: {}", dir.display(), counts.join(", "));
    for search in [
        [("actor", "system")],
        [("severity", "error")],
        [("q", "kv-legacy")],
    ] {
        println!("{search:?}:");
        for entry in reader
            .page(&Query {
                filter: Filter::parse(search)?,
                ..Query::default()
            })?
            .entries
        {
            println!(
                "  {}  {:<26} {:<18} {}",
                entry.timestamp(),
                entry.event_type(),
                entry.actor_name(),
                entry.description()
            );
        }
    }
    Ok(())
}
