//! A platform on which people design applications without code, and whose log is read in an
//! envelope of its own.
//!
//! The log is kept for ever. What is asked for by date and time is written in the platform's
//! encoding, which `envelope` makes of entries: an example of how to give an existing reader the
//! format it knows.
//!
//! `cargo run --example no_code_platform [directory]`

#![allow(clippy::print_stdout, reason = "it tells what it did")]

use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use tracing_audit::{
    AuditLog, AuditReader, Filter, Retention, audit_context, reader::Order, redact::Secret,
};
use tracing_subscriber::prelude::*;

pub(crate) mod envelope;
mod platform;

use envelope::Envelope;
use platform::{Failure, Platform, Role};

/// The passwords of the example, which must not be in the log.
pub(crate) const PASSWORDS: [&str; 2] = ["correct horse battery staple", "hunter2-hunter2"];

/// Some work of two designers, in a log in this directory.
pub(crate) fn run(dir: &Path) -> Result<(), Box<dyn Error>> {
    let log = AuditLog::builder(dir)
        .source("designer-api")
        .retention(Retention::unlimited())
        .open()?;
    // A service says `.init()` here; this ends with the function, so that a test can run it.
    let _subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .set_default();
    // What every request has in common; in a server, a layer makes it of the request.
    let request = audit_context! {
        context.environment = "training-staging", context.protocol = "https", context.host = "training.example.io",
        ip_address = "192.0.2.50", user_agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
    };
    request.run(design)?;
    log.close()?;
    Ok(())
}

fn design() -> Result<(), Failure> {
    let [password, other] = PASSWORDS.map(|text| Secret::new(text.to_owned()));
    let mut platform = Platform::new("ann@example.com", &password);

    let _ = platform.log_in("ann@example.com", &other);
    let ann = platform.log_in("ann@example.com", &password)?;
    ann.context().run(|| -> Result<(), Failure> {
        platform.add_designer(&ann, "bob@example.com", &other, "Designer")?;
        platform.modify_role(
            &ann,
            "Designer",
            &Role {
                permissions: vec!["modules.read"],
            },
        )?;
        platform.modify_role(
            &ann,
            "Designer",
            &Role {
                permissions: vec!["modules.read", "modules.write"],
            },
        )?;
        platform.modify_role(
            &ann,
            "Intern",
            &Role {
                permissions: vec![],
            },
        )?;
        platform.delete_role(&ann, "Intern")
    })?;
    let bob = platform.log_in("bob@example.com", &other)?;
    bob.context().run(|| -> Result<(), Failure> {
        platform.create_module(&bob, "module-1", "Claim");
        platform.save_module(&bob, "module-1", 1, "Claim with photos")?;
        let _ = platform.save_module(&bob, "module-1", 1, "Claim of somebody who came late");
        let _ = platform.delete_role(&bob, "Administrator");
        Ok(())
    })?;
    bob.clone().context().run(|| platform.log_out(bob));
    ann.clone().context().run(|| platform.log_out(ann));
    Ok(())
}

/// Writes what a filter wants, each as a line of JSON in the platform's envelope. Gives how many
/// there were.
pub(crate) fn write_envelopes(
    dir: &Path,
    filter: &Filter,
    out: &mut impl Write,
) -> Result<usize, Box<dyn Error>> {
    let mut written = 0;
    let mut result = Ok(());
    AuditReader::open(dir)?.each(filter, Order::Asc, |entry| {
        result = Envelope::of(&entry).map_err(Into::into).and_then(
            |envelope| -> Result<(), Box<dyn Error>> {
                serde_json::to_writer(&mut *out, &envelope)?;
                Ok(out.write_all(b"\n")?)
            },
        );
        written += usize::from(result.is_ok());
        if result.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    result.map(|()| written)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("no-code-platform"),
        PathBuf::from,
    );
    run(&dir)?;

    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    AuditReader::open(&dir)?.each(
        &Filter::parse([("actor", "bob@example.com")])?,
        Order::Asc,
        |entry| {
            *counts.entry(entry.event_type().into_owned()).or_default() += 1;
            ControlFlow::Continue(())
        },
    )?;
    println!("What bob did, in {}: {counts:?}", dir.display());
    println!("What was done to roles, in the platform's envelope:");
    let roles = Filter::parse([("category", "access-management"), ("outcome", "success")])?;
    let count = write_envelopes(&dir, &roles, &mut io::stdout())?;
    println!("{count} events");
    Ok(())
}
