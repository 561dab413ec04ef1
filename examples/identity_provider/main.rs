//! An identity provider whose trail records its business: who logged in, consented and was
//! authorized, and when. Why something was refused is a technical matter: it goes to `tracing` for
//! those who run the service, and never into the trail.
//!
//! `cargo run --example identity_provider [directory]`

#![allow(clippy::print_stdout, reason = "it tells what it did")]

use std::{
    collections::BTreeMap,
    error::Error,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use tracing_audit::{
    Actor, AuditLog, AuditReader, Filter, Retention, audit_context, catalogue, reader::Order,
    redact::Secret,
};
use tracing_subscriber::prelude::*;

mod workspace;

use workspace::{Refused, Workspace};

/// What a third party wants to hear of: these event types of one workspace. The catalogue says what
/// there is to choose from.
pub(crate) struct Subscription {
    pub(crate) name: &'static str,
    pub(crate) workspace: &'static str,
    /// An event type, or all below one: `consent.*`.
    pub(crate) wants: &'static [&'static str],
}

/// Those of the example.
pub(crate) const SUBSCRIPTIONS: [Subscription; 4] = [
    Subscription {
        name: "consents",
        workspace: "bank",
        wants: &["consent.accepted", "consent.revoked"],
    },
    Subscription {
        name: "new clients",
        workspace: "bank",
        wants: &["client.registered"],
    },
    Subscription {
        name: "tokens and services",
        workspace: "bank",
        wants: &["token.issued", "token.revoked", "service.discovered"],
    },
    // Its workspace has no consents, so this one stays silent.
    Subscription {
        name: "consents of the staff",
        workspace: "staff",
        wants: &["consent.*"],
    },
];

impl Subscription {
    /// The event types that it names.
    pub(crate) fn event_types(&self) -> Vec<String> {
        let named = |event_type: &str| {
            self.wants.iter().any(|want| {
                want.strip_suffix('*')
                    .map_or(*want == event_type, |below| event_type.starts_with(below))
            })
        };
        catalogue()
            .iter()
            .map(|entry| entry.event_type().to_owned())
            .filter(|event_type| named(event_type))
            .collect()
    }

    /// The entries that it is to be told of.
    pub(crate) fn filter(&self) -> tracing_audit::Result<Filter> {
        let types = self.wants.iter().map(|want| ("event_type", *want));
        Filter::parse(types.chain([("details.workspace", self.workspace)]))
    }
}

/// A morning at a bank, in a log in this directory. Gives the secrets that must not be in it.
pub(crate) fn run(dir: &Path) -> Result<Vec<Secret<String>>, Box<dyn Error>> {
    let log = AuditLog::builder(dir)
        .source("identity-provider")
        .retention(Retention::days(365))
        .open()?;
    // A service says `.init()` here; this ends with the function, so that a test can run it.
    let _subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .set_default();
    let secrets =
        audit_context! { tenant_id = "acme", context.environment = "prod" }.run(morning)?;
    log.close()?;
    Ok(secrets)
}

fn morning() -> Result<Vec<Secret<String>>, Refused> {
    let (mut bank, mut staff) = (Workspace::new("bank", true), Workspace::new("staff", false));
    let password = Secret::new("correct horse battery staple".to_owned());
    bank.add_user("ann@example.com", password.expose());
    staff.add_user("bob@example.com", password.expose());

    let admin = Actor::user("root@example.com");
    let budget = bank.register_client(&admin, "budget-app", &["accounts"]);
    let payroll = staff.register_client(&admin, "payroll", &["salaries"]);
    bank.discover_service("authorizer-eu", "accounts-api");

    let browser = audit_context! { ip_address = "192.0.2.50", user_agent = "Mozilla/5.0", request_id = "r-1" };
    let mut secrets = browser.run(|| {
        let guess = Secret::new("hunter2-hunter2".to_owned());
        let _ = bank.log_in("ann@example.com", &guess);
        let _ = bank.log_in("eve@example.com", &guess);
        bank.log_in("ann@example.com", &password)?;
        let _ = bank.authorize("ann@example.com", "budget-app");
        let first = bank.ask_consent("budget-app", "ann@example.com", &["ReadBalances"])?;
        bank.reject_consent("ann@example.com", &first)?;
        let second = bank.ask_consent("budget-app", "ann@example.com", &["ReadAccounts"])?;
        bank.accept_consent("ann@example.com", &second)?;
        let code = bank.authorize("ann@example.com", "budget-app")?;
        let _ = bank.issue_token("budget-app", &guess, &code);
        let token = bank.issue_token("budget-app", &budget, &code)?;
        let _ = bank.issue_token("budget-app", &budget, &code);
        bank.revoke_consent("ann@example.com", &second)?;
        bank.revoke_token(&admin, &token)?;
        Ok(vec![guess, code, token])
    })?;

    // Here nobody is asked for a consent.
    staff.log_in("bob@example.com", &password)?;
    let _ = staff.ask_consent("payroll", "bob@example.com", &["ReadSalaries"]);
    let code = staff.authorize("bob@example.com", "payroll")?;
    let token = staff.issue_token("payroll", &payroll, &code)?;
    secrets.extend([password, budget, payroll, code, token]);
    Ok(secrets)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("identity-provider"),
        PathBuf::from,
    );
    run(&dir)?;

    let reader = AuditReader::open(&dir)?;
    println!("What ann did, or others did for her, in {}:", dir.display());
    reader.each(
        &Filter::parse([("q", "ann@example.com")])?,
        Order::Asc,
        |entry| {
            println!(
                "  {}  {:<32} {}",
                entry.timestamp(),
                entry.event_type(),
                entry.description()
            );
            ControlFlow::Continue(())
        },
    )?;
    for subscription in &SUBSCRIPTIONS {
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        reader.each(&subscription.filter()?, Order::Asc, |entry| {
            *told.entry(entry.event_type().into_owned()).or_default() += 1;
            ControlFlow::Continue(())
        })?;
        println!(
            "{} of {}: named {:?}, happened {told:?}",
            subscription.name,
            subscription.workspace,
            subscription.event_types()
        );
    }
    println!(
        "All event types: {}",
        catalogue()
            .iter()
            .map(|entry| entry.event_type())
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(())
}
