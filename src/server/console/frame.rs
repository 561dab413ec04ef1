//! The parts that all pages have.

use axum::http::request::Parts;

use super::{
    assets,
    session::cookies,
    visit::{below, mount},
};
use crate::server::{
    access::{Access, Scope},
    state::State,
};

/// The pages that the navigation names: the path below the mount, the name, and who sees it.
const PAGES: &[Page] = &[
    Page {
        path: "",
        name: "Entries",
        scope: Scope::Read,
        of_all_tenants: false,
    },
    Page {
        path: "catalogue",
        name: "Catalogue",
        scope: Scope::Read,
        of_all_tenants: false,
    },
    Page {
        path: "health",
        name: "Health",
        scope: Scope::Read,
        of_all_tenants: true,
    },
    Page {
        path: "admin/tokens",
        name: "Tokens",
        scope: Scope::Admin,
        of_all_tenants: true,
    },
    Page {
        path: "admin/settings",
        name: "Settings",
        scope: Scope::Admin,
        of_all_tenants: true,
    },
    #[cfg(feature = "webhook")]
    Page {
        path: "admin/webhooks",
        name: "Webhooks",
        scope: Scope::Admin,
        of_all_tenants: true,
    },
];

/// A page of the navigation.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    scope: Scope,
    /// Whether the page concerns all tenants, and so isn't for the holder of a tenant's token.
    of_all_tenants: bool,
}

/// The parts around a page.
#[derive(Debug)]
pub(super) struct Frame {
    mount: String,
    /// The path of the page below the mount.
    here: String,
    pub(super) visitor: Option<Access>,
    /// Whether there is a session that can be ended.
    pub(super) signs_out: bool,
    pub(super) theme: &'static str,
}

impl Frame {
    pub(super) fn new(app: &State, head: &Parts, visitor: Option<&Access>) -> Self {
        Self {
            mount: mount(head),
            here: head.uri.path().trim_start_matches('/').to_owned(),
            signs_out: visitor.is_some() && app.options.authorizer.is_none(),
            visitor: visitor.cloned(),
            theme: theme(head),
        }
    }

    /// The path of something below the mount.
    pub(super) fn to(&self, path: &str) -> String {
        below(&self.mount, path)
    }

    /// The path of the page.
    pub(super) fn path(&self) -> String {
        self.to(&self.here)
    }

    /// The path of a style or script.
    pub(super) fn asset(&self, name: &str) -> String {
        self.to(&assets::path(name))
    }

    /// The pages that the visitor may see.
    pub(super) fn pages(&self) -> Vec<&'static Page> {
        let Some(visitor) = &self.visitor else {
            return Vec::new();
        };
        let sees = |page: &&Page| {
            visitor.scope >= page.scope && (visitor.tenant.is_none() || !page.of_all_tenants)
        };
        PAGES.iter().filter(sees).collect()
    }

    /// Whether this is the page that is shown, or the one that it belongs to.
    pub(super) fn is_here(&self, page: &Page) -> bool {
        match page.path {
            "" => {
                let is_entry = self.here.starts_with("entry/");
                is_entry || matches!(&*self.here, "" | "actor" | "resource" | "views")
            }
            path => self.here == path || self.here.starts_with(&format!("{path}/")),
        }
    }
}

/// The theme that the visitor has chosen, which a script keeps in a cookie.
fn theme(head: &Parts) -> &'static str {
    match cookies(head, "audit-theme").next() {
        Some(b"dark") => "dark",
        Some(b"light") => "light",
        _ => "auto",
    }
}
