//! A runtime that writes down the calls which an expansion makes, in their order.

use std::{
    cell::{Cell, RefCell},
    fmt,
    fmt::Write as _,
};

use serde::Serialize;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    static LAST_SITE: Cell<Option<&'static Site>> = const { Cell::new(None) };
}

/// Where the last `audit!` of this thread is.
pub(crate) fn last_site() -> &'static Site {
    LAST_SITE.get().unwrap()
}

/// The calls of the last `audit!` on this thread.
pub(crate) fn last() -> String {
    LAST.take()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt;

impl Receipt {
    pub(crate) async fn durable(self) {}
}

pub(crate) struct Actor(pub(crate) &'static str);

pub(crate) struct Site {
    pub(crate) head: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) severity: crate::Severity,
    pub(crate) described: (&'static str, &'static str),
    pub(crate) place: (&'static str, u32, &'static str),
    pub(crate) itself: &'static Site,
}

impl Site {
    pub(crate) const fn new(
        head: &'static str,
        event_type: &'static str,
        severity: crate::Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Site,
    ) -> Self {
        Self { head, event_type, severity, described, place, itself }
    }
}

/// A value with its rendering, as text.
pub(crate) struct Rendered(String);

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Rendered {
    Rendered(serde_json::to_string(value).unwrap())
}

pub(crate) fn whole_actor(actor: &Actor) -> &Actor {
    actor
}

pub(crate) fn literal(json: &'static str) -> Rendered {
    Rendered(format!("={json}"))
}

pub(crate) fn display<T: fmt::Display + ?Sized>(value: &T) -> Rendered {
    Rendered(format!("%{value}"))
}

pub(crate) fn debug<T: fmt::Debug + ?Sized>(value: &T) -> Rendered {
    Rendered(format!("?{value:?}"))
}

pub(crate) struct Writer<'a>(&'a mut String);

macro_rules! calls {
    ($($name:ident)*) => { $(pub(crate) fn $name(&mut self, value: &Rendered) { let _ = write!(self.0, "{}({}) ", stringify!($name), value.0); })* };
}

/// The key without the comma that each begins with.
fn unseparated(key: &str) -> &str {
    key.strip_prefix(',').unwrap()
}

macro_rules! keyed {
    ($($name:ident)*) => { $(pub(crate) fn $name(&mut self, key: &str, value: &Rendered) {
        let _ = write!(self.0, "{}({}{}) ", stringify!($name), unseparated(key), value.0);
    })* };
}

macro_rules! scopes {
    ($($name:ident)*) => { $(pub(crate) fn $name(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        let _ = write!(self.0, "{}[ ", stringify!($name));
        body(&mut Writer(self.0));
        self.0.push_str("] ");
    })* };
}

impl Writer<'_> {
    calls! { tenant_id description details_whole tags ip_address user_agent kind id name attributes prior_attributes reason error }
    keyed! { field }
    scopes! { actor_parts resource_parts outcome_parts details context attribute_fields prior_attribute_fields }

    pub(crate) fn literal(&mut self, fields: &str) {
        let _ = write!(self.0, "={fields} ");
    }

    pub(crate) fn actor(&mut self, actor: &Actor) {
        let _ = write!(self.0, "actor({}) ", actor.0);
    }

    pub(crate) fn nested(&mut self, key: &str, body: impl FnOnce(&mut Writer<'_>)) {
        let _ = write!(self.0, "nested({})[ ", unseparated(key));
        body(&mut Writer(self.0));
        self.0.push_str("] ");
    }
}

pub(crate) fn record(site: &'static Site, render: &dyn Fn(&mut Writer<'_>)) -> Receipt {
    let mut text = String::new();
    render(&mut Writer(&mut text));
    LAST_SITE.set(Some(site));
    LAST.set(text.trim_end().to_owned());
    Receipt
}
