//! Uses every macro where nothing is allowed: no unsafe code, no warning, no prelude, and the crate
//! has another name.

#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::pedantic)]

extern crate std;

use std::{boxed::Box, primitive::{str, u64, u8, usize}, result::Result, string::String, vec::Vec};

use ::trail::{audit, audit_context, audited, Actor, AuditContext, AuditEvent, Outcome};

/// What can go wrong.
#[derive(Debug)]
pub enum Wrong {
    /// Nothing is there.
    Empty,
}

/// One event.
#[derive(AuditEvent)]
#[audit("file.read", crate = ::trail, severity = warning, count = self.lines.len(), "{} lines", self.lines.len())]
pub struct Read<'a, T> {
    #[audit(actor)]
    by: Actor,
    #[audit(mask = 5)]
    token: &'a str,
    #[audit(hashed)]
    email: std::option::Option<&'a str>,
    lines: Vec<T>,
    #[audit(display)]
    size: u64,
    #[audit(skip)]
    _rest: (),
}

/// Several events.
#[derive(AuditEvent)]
#[audit(crate = ::trail)]
pub enum Door {
    /// It is open.
    #[audit("door.opened", wide = *width > 1)]
    Opened {
        /// How wide.
        width: u64,
        /// How it looks.
        #[audit(debug)]
        colour: std::primitive::char,
    },
    /// It is closed.
    #[audit("door.closed")]
    Closed,
}

/// Records events.
pub fn record(lines: Vec<u8>, name: &str) {
    audit!("file.read", actor = Actor::user(name), outcome = Outcome::success(), name, size = %lines.len(), lines = ?lines, "By {name}");
    audit!(Read { by: Actor::user(name), token: name, email: std::option::Option::None, lines, size: 1, _rest: () });
    audit!(Door::Opened { width: 1, colour: 'b' });
    audit!(Door::Closed);
}

/// Who and where.
pub fn context(name: &str, tenant_id: u64) -> AuditContext {
    AuditContext::update(audit_context!());
    audit_context! { actor = Actor::user(name), tenant_id, host = %name, session_id = ?tenant_id, environment = "prod" }
}

/// A function.
///
/// # Errors
///
/// If there are no lines.
#[audited("file.read", crate = ::trail, actor.id = name, lines, failed(severity = error, code = 7, "{error:?}"), completed(count = result))]
pub fn read(name: &str, lines: Vec<String>) -> Result<usize, Wrong> {
    if lines.is_empty() {
        return Result::Err(Wrong::Empty);
    }
    let count = lines.len();
    std::mem::drop(lines);
    Result::Ok(count)
}

/// A function of nothing.
#[audited("file.removed", crate = ::trail)]
pub fn remove() {}

/// A function that does not return.
#[audited("process.end", crate = ::trail, skip_started)]
pub fn end() -> ! {
    std::process::exit(0)
}

/// An asynchronous function.
///
/// # Errors
///
/// If there is no name.
#[audited("file.write", crate = ::trail, name, size = %text.len(), "Write {name}")]
pub async fn write(name: &str, text: String) -> Result<String, Box<dyn std::error::Error + std::marker::Send + std::marker::Sync>> {
    let size = check(name)?;
    sleep(size).await;
    Result::Ok(text)
}

fn check(name: &str) -> Result<usize, std::num::ParseIntError> {
    str::parse(name)
}

async fn sleep(_: usize) {
    std::future::ready(()).await;
}

/// A store.
pub struct Store {
    names: Vec<String>,
}

impl Store {
    /// The last of the names.
    #[must_use]
    #[audited("store.last", crate = ::trail, count = self.names.len())]
    pub fn last(&mut self) -> std::option::Option<&mut String> {
        self.names.last_mut()
    }

    /// The names that are not short.
    #[audited("store.long", crate = ::trail)]
    pub fn long(&self, least: usize) -> impl std::iter::Iterator<Item = &String> {
        std::iter::Iterator::filter(self.names.iter(), move |name| name.len() >= least)
    }
}

/// What a store can do.
#[::async_trait::async_trait]
pub trait Keep {
    /// Keeps a name.
    async fn keep(&mut self, name: String) -> Result<usize, Wrong>;
}

#[::async_trait::async_trait]
impl Keep for Store {
    #[audited("store.kept", crate = ::trail, name, count = self.names.len(), completed(now = result))]
    async fn keep(&mut self, name: String) -> Result<usize, Wrong> {
        if name.is_empty() {
            return Result::Err(Wrong::Empty);
        }
        self.names.push(name);
        Result::Ok(self.names.len())
    }
}
