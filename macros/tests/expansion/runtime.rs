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

#[derive(Debug, PartialEq)]
pub(crate) enum Head {
    Fixed {
        event_type: &'static str,
        json: &'static str,
    },
    Dynamic {
        category: Option<&'static str>,
        action: Option<&'static str>,
    },
}

pub(crate) struct Site {
    pub(crate) head: Head,
    pub(crate) severity: crate::Severity,
    pub(crate) described: (&'static str, &'static str),
    pub(crate) place: (&'static str, u32, &'static str),
    pub(crate) itself: &'static Site,
}

impl Site {
    pub(crate) const fn fixed(
        (event_type, json): (&'static str, &'static str),
        severity: crate::Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Site,
    ) -> Self {
        Self {
            head: Head::Fixed { event_type, json },
            severity,
            described,
            place,
            itself,
        }
    }

    pub(crate) const fn dynamic(
        (category, action): (Option<&'static str>, Option<&'static str>),
        severity: crate::Severity,
        described: (&'static str, &'static str),
        place: (&'static str, u32, &'static str),
        itself: &'static Site,
    ) -> Self {
        Self {
            head: Head::Dynamic { category, action },
            severity,
            described,
            place,
            itself,
        }
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

pub(crate) struct Parts(&'static str);

impl Parts {
    pub(crate) const RESOURCE: Self = Self("resource");
    pub(crate) const OUTCOME: Self = Self("outcome");
    pub(crate) const DETAILS: Self = Self("details");
}

/// An object that was opened under this key.
pub(crate) struct Object(String);

macro_rules! calls {
    ($($name:ident)*) => { $(pub(crate) fn $name(&mut self, value: &Rendered) { let _ = write!(self.0, "{}({}) ", stringify!($name), value.0); })* };
}

macro_rules! scopes {
    ($($name:ident)*) => { $(pub(crate) fn $name(&mut self, body: impl FnOnce(&mut Scope<'_>)) {
        let _ = write!(self.0, "{}[ ", stringify!($name));
        body(&mut Scope(self.0));
        self.0.push_str("] ");
    })* };
}

/// The text without the key that it ends in, and that key.
fn split(json: &str, key: usize) -> (&str, &str) {
    let (text, key) = json.split_at(json.len() - key);
    let name = key
        .strip_prefix(",\"")
        .and_then(|key| key.strip_suffix("\":"))
        .unwrap_or_else(|| panic!("{key:?} is no key"));
    (text, name)
}

impl Writer<'_> {
    calls! { tenant_id details_whole ip_address user_agent }
    scopes! { actor_parts context }

    fn known_before(&mut self, json: &str, key: usize) -> String {
        let (text, key) = split(json, key);
        if !text.is_empty() {
            self.known(text);
        }
        key.to_owned()
    }

    pub(crate) fn known(&mut self, json: &str) {
        let _ = write!(self.0, "={json} ");
    }

    pub(crate) fn known_tenant_id(&mut self, json: &str) {
        self.known(json);
    }

    pub(crate) fn field(&mut self, json: &str, key: usize, value: &Rendered) {
        let key = self.known_before(json, key);
        let _ = write!(self.0, "{key}:{} ", value.0);
    }

    /// As `field`, of a list.
    pub(crate) fn list(&mut self, json: &str, key: usize, value: &Rendered) {
        self.field(json, key, value);
    }

    /// As `field`, of a string.
    pub(crate) fn text(&mut self, json: &str, key: usize, value: &Rendered) {
        let key = self.known_before(json, key);
        let _ = write!(self.0, "{key}:text {} ", value.0);
    }

    pub(crate) fn open(&mut self, json: &str, key: usize) -> Object {
        let key = self.known_before(json, key);
        let _ = write!(self.0, "{key}[ ");
        Object(key)
    }

    pub(crate) fn close(&mut self, object: Object) {
        let _ = write!(self.0, "]{} ", object.0);
    }

    pub(crate) fn close_part(&mut self, object: Object, part: Parts) {
        assert_eq!(object.0, part.0);
        self.close(object);
    }

    pub(crate) fn has(&mut self, part: Parts) {
        let _ = write!(self.0, "+{} ", part.0);
    }

    pub(crate) fn after_actor(&mut self) {
        self.0.push_str("| ");
    }

    pub(crate) fn actor(&mut self, actor: &Actor) {
        let _ = write!(self.0, "actor({}) ", actor.0);
    }
}

/// What writes the actor or the context.
pub(crate) struct Scope<'a>(&'a mut String);

impl Scope<'_> {
    calls! { id name }

    pub(crate) fn field(&mut self, key: &str, value: &Rendered) {
        let _ = write!(self.0, "{}:{} ", split(key, key.len()).1, value.0);
    }

    pub(crate) fn attribute_fields(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        self.0.push_str("attribute_fields[ ");
        body(&mut Writer(self.0));
        self.0.push_str("] ");
    }
}

pub(crate) fn given_severity(severity: &crate::Severity) -> crate::Severity {
    *severity
}

pub(crate) fn given_event_type<T: AsRef<str> + ?Sized>(text: &T) -> &str {
    text.as_ref()
}

pub(crate) fn site_of(sites: &[&'static Site], severity: crate::Severity) -> &'static Site {
    sites.iter().find(|site| site.severity == severity).unwrap()
}

pub(crate) fn record_dynamic(
    site: &'static Site,
    event_type: &str,
    render: &dyn Fn(&mut Writer<'_>),
) -> Receipt {
    let receipt = record(site, render);
    LAST.with_borrow_mut(|last| *last = format!("<{event_type}> {last}"));
    receipt
}

pub(crate) fn record(site: &'static Site, render: &dyn Fn(&mut Writer<'_>)) -> Receipt {
    let mut text = String::new();
    render(&mut Writer(&mut text));
    LAST_SITE.set(Some(site));
    LAST.set(text.trim_end().to_owned());
    Receipt
}
