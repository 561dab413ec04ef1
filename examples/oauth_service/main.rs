//! An OAuth 2.0 service with many tenants, whose events are found by action, key, tenant and
//! account.
//!
//! Codes and tokens are in the trail by their first five symbols: a person who has one finds its
//! events, a person who has the trail can use none.
//!
//! `cargo run --example oauth_service [directory]`

#![allow(clippy::print_stdout, reason = "it tells what it did")]

use std::{
    collections::BTreeMap,
    error::Error,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use tracing::info_span;
use tracing_audit::{
    Actor, AuditContext, AuditLog, AuditReader, Filter, mask, reader::Order, redact::Secret,
};
use tracing_subscriber::prelude::*;

mod service;

use service::{Grant, OAuthError, OAuthService, Platform};

/// The codes and tokens that were issued.
#[derive(Default)]
pub(crate) struct Issued {
    pub(crate) code: Secret<String>,
    /// By how each was asked for.
    pub(crate) access: Vec<(&'static str, Secret<String>)>,
    pub(crate) refresh: Vec<Secret<String>>,
}

/// What an identity provider signed for the client `crm`.
pub(crate) const ASSERTION: &str = "PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxwPSJ1cm4i";

/// What an administrator and some clients do, in a log in this directory.
pub(crate) fn run(dir: &Path) -> Result<Issued, Box<dyn Error>> {
    let log = AuditLog::builder(dir).source("oauth-service").open()?;
    // A service says `.init()` here; this ends with the function, so that a test can run it.
    let _subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .set_default();
    let mut service = OAuthService::default();
    let issued = work(&mut service)?;
    log.close()?;
    Ok(issued)
}

fn client(id: &str, tenant: &str) -> AuditContext {
    AuditContext::new()
        .actor(&Actor::new("client", id))
        .tenant_id(tenant)
        .ip_address("198.51.100.7")
}

fn work(service: &mut OAuthService) -> Result<Issued, OAuthError> {
    let assertion = Secret::new(ASSERTION.to_owned());
    let mut issued = Issued::default();

    // A span does as well as a context, as long as no filter takes it away.
    info_span!(
        "request",
        actor.id = "root@example.com",
        ip_address = "192.0.2.50"
    )
    .in_scope(|| {
        service.create_platform_client("account-1", "platform-1", Platform::Account);
        service.create_platform_client("account-1", "multitenant-1", Platform::Multitenant);
        service.create_platform_client("account-1", "admin-1", Platform::Admin);
        service.create_platform_client("account-2", "external-1", Platform::External);
        service.delete_platform_client("account-1", "admin-1")?;
        service.delete_platform_client("account-2", "external-1")
    })?;
    info_span!("request", actor.id = "ann@acme.example", tenant_id = "acme").in_scope(|| {
        service.create_client("shop", &["orders"]);
        service.create_client("crm", &["orders"]);
        service.update_client("shop", &["orders", "invoices"])
    })?;
    info_span!(
        "request",
        actor.id = "bob@globex.example",
        tenant_id = "globex"
    )
    .in_scope(|| service.create_client("portal", &["read"]));

    client("shop", "acme").run(|| -> Result<_, OAuthError> {
        let code = service.authorize("shop")?;
        let first = service.issue("shop", &Grant::Code(&code))?;
        let refresh = first.refresh.unwrap_or_default();
        let second = service.issue("shop", &Grant::Refresh(&refresh))?;
        service.delete_token(&first.access)?;
        issued.code = code;
        issued
            .access
            .extend([("code", first.access), ("refresh", second.access)]);
        issued
            .refresh
            .extend([Some(refresh), second.refresh].into_iter().flatten());
        Ok(())
    })?;
    let saml = client("crm", "acme").run(|| {
        service.issue(
            "crm",
            &Grant::SamlBearer {
                assertion: &assertion,
            },
        )
    })?;
    let portal =
        client("portal", "globex").run(|| service.issue("portal", &Grant::ClientCredentials))?;
    let platform = client("platform-1", "acme")
        .run(|| service.issue("platform-1", &Grant::ClientCredentials))?;
    issued.access.extend([
        ("saml", saml.access),
        ("client", portal.access),
        ("platform", platform.access),
    ]);

    info_span!("request", actor.id = "ann@acme.example", tenant_id = "acme")
        .in_scope(|| service.delete_client("crm"))?;
    info_span!("request", actor.id = "root@example.com").in_scope(|| {
        service.delete_platform_client("account-1", "platform-1")?;
        service.delete_platform_client("account-1", "multitenant-1")
    })?;
    Ok(issued)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("oauth-service"), PathBuf::from);
    let issued = run(&dir)?;

    let reader = AuditReader::open(&dir)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    reader.each(&Filter::new(), Order::Asc, |entry| {
        *counts.entry(entry.event_type().into_owned()).or_default() += 1;
        ControlFlow::Continue(())
    })?;
    println!("In {}: {counts:?}", dir.display());
    let key = format!("Creating authorization code: {}", mask(&issued.code, 5));
    for search in [
        vec![
            ("action", "create"),
            ("details.key", &*key),
            ("tenant_id", "acme"),
        ],
        vec![
            ("action", "create"),
            ("tenant_id", "acme"),
            ("details.operation", "Create access token from SAML bearer"),
        ],
        vec![("action", "delete"), ("details.account", "account-1")],
    ] {
        println!("{search:?}:");
        reader.each(&Filter::parse(search)?, Order::Asc, |entry| {
            println!(
                "  {}  {:<27} {:<18} {}",
                entry.timestamp(),
                entry.event_type(),
                entry.actor_id(),
                entry.description()
            );
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}
