//! Who may do what: each route, each scope, for all tenants and for one.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use tracing_audit::http::{RouterOptions, Scope};

use crate::http::{Served, served, token};

/// Who may send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Anyone,
    /// The holder of a token with this scope, for all tenants or for one.
    Holder(Scope),
    /// The holder of a token with this scope for all tenants.
    OfAllTenants(Scope),
    /// Anyone, by a page of this server. The requests here come from no page.
    OwnPage,
    /// An administrator of all tenants, by a page of this server. The requests here come from one.
    AdminForm,
    /// The same for the holder of a token with this scope, for all tenants or for one.
    HolderForm(Scope),
}

use Rule::{AdminForm, Anyone, Holder, HolderForm, OfAllTenants, OwnPage};

impl Rule {
    /// Whether only a page of this server may send the request, with who is known.
    fn is_form(self) -> bool {
        matches!(self, AdminForm | HolderForm(_))
    }
}

const ADMIN: Rule = OfAllTenants(Scope::Admin);

const RULES: &[(&str, &str, Rule)] = &[
    ("GET", "/healthz", Anyone),
    ("GET", "/readyz", Anyone),
    ("GET", "/openapi.json", Anyone),
    ("GET", "/entries", Holder(Scope::Read)),
    ("GET", "/entries/{id}", Holder(Scope::Read)),
    ("GET", "/stats", Holder(Scope::Read)),
    ("GET", "/stream", Holder(Scope::Read)),
    ("GET", "/event-types", Holder(Scope::Read)),
    ("GET", "/event-types/{event_type}", Holder(Scope::Read)),
    ("GET", "/export", Holder(Scope::Export)),
    ("GET", "/metrics", OfAllTenants(Scope::Read)),
    ("GET", "/tokens", ADMIN),
    ("POST", "/tokens", ADMIN),
    ("DELETE", "/tokens/{id}", ADMIN),
    ("GET", "/holds", ADMIN),
    ("POST", "/holds", ADMIN),
    ("DELETE", "/holds/{name}", ADMIN),
    ("GET", "/settings", ADMIN),
    ("PATCH", "/settings", ADMIN),
    ("GET", "/webhooks", ADMIN),
    ("POST", "/webhooks", ADMIN),
    ("GET", "/webhooks/{name}", ADMIN),
    ("PATCH", "/webhooks/{name}", ADMIN),
    ("DELETE", "/webhooks/{name}", ADMIN),
    ("POST", "/webhooks/{name}/pause", ADMIN),
    ("POST", "/webhooks/{name}/resume", ADMIN),
    ("POST", "/webhooks/{name}/test", ADMIN),
    ("POST", "/webhooks/{name}/replay", ADMIN),
    ("DELETE", "/webhooks/{name}/replay", ADMIN),
    ("POST", "/webhooks/{name}/skip", ADMIN),
    ("GET", "/webhooks/{name}/deliveries/{id}", ADMIN),
    ("POST", "/webhooks/{name}/deliveries/{id}/skip", ADMIN),
    ("POST", "/webhooks/{name}/deliveries/{id}/resend", ADMIN),
    ("POST", "/webhooks/{name}/signing-secrets", ADMIN),
    ("POST", "/webhooks/{name}/signing-secrets/retire", ADMIN),
    ("GET", "/webhooks/{name}/attempts", ADMIN),
    ("GET", "/webhooks/{name}/dead-letters", ADMIN),
    ("GET", "/", Holder(Scope::Read)),
    ("GET", "/actor", Holder(Scope::Read)),
    ("GET", "/resource", Holder(Scope::Read)),
    ("GET", "/entry/{id}", Holder(Scope::Read)),
    ("GET", "/suggestions", Holder(Scope::Read)),
    ("GET", "/catalogue", Holder(Scope::Read)),
    ("GET", "/views", Holder(Scope::Read)),
    ("POST", "/views", HolderForm(Scope::Admin)),
    ("POST", "/views/{id}/remove", HolderForm(Scope::Admin)),
    ("GET", "/health", OfAllTenants(Scope::Read)),
    ("GET", "/admin/tokens", ADMIN),
    ("POST", "/admin/tokens", AdminForm),
    ("POST", "/admin/tokens/{id}/revoke", AdminForm),
    ("GET", "/admin/settings", ADMIN),
    ("POST", "/admin/settings/retention", AdminForm),
    ("POST", "/admin/settings/holds", AdminForm),
    ("POST", "/admin/settings/holds/{name}/release", AdminForm),
    ("GET", "/admin/webhooks", ADMIN),
    ("POST", "/admin/webhooks", AdminForm),
    ("POST", "/admin/webhook-check", AdminForm),
    ("GET", "/admin/webhooks/{name}", ADMIN),
    ("GET", "/admin/webhooks/{name}/settings", ADMIN),
    ("POST", "/admin/webhooks/{name}/settings", AdminForm),
    ("POST", "/admin/webhooks/{name}/settings/check", AdminForm),
    ("POST", "/admin/webhooks/{name}/rotate", AdminForm),
    ("POST", "/admin/webhooks/{name}/retire", AdminForm),
    ("POST", "/admin/webhooks/{name}/remove", AdminForm),
    ("GET", "/admin/webhooks/{name}/deliveries", ADMIN),
    ("GET", "/admin/webhooks/{name}/deliveries/{id}", ADMIN),
    (
        "POST",
        "/admin/webhooks/{name}/deliveries/{id}/resend",
        AdminForm,
    ),
    (
        "POST",
        "/admin/webhooks/{name}/deliveries/{id}/skip",
        AdminForm,
    ),
    ("POST", "/admin/webhooks/{name}/pause", AdminForm),
    ("POST", "/admin/webhooks/{name}/resume", AdminForm),
    ("POST", "/admin/webhooks/{name}/test", AdminForm),
    ("POST", "/admin/webhooks/{name}/replay", AdminForm),
    ("GET", "/sign-in", Anyone),
    ("POST", "/sign-in", OwnPage),
    ("POST", "/sign-out", OwnPage),
    ("GET", "/assets/{name}", Anyone),
];

#[tokio::test]
async fn each_caller_gets_what_the_rule_of_the_route_says() {
    let served = served(1, RouterOptions::new());
    let scopes = [Scope::Read, Scope::Export, Scope::Admin];
    let mut callers = vec![(None, None)];
    for tenant in [None, Some("acme")] {
        let holder = |scope| {
            let key = token(served.dir.path(), scope, tenant);
            (Some((scope, tenant)), Some(key))
        };
        callers.extend(scopes.map(holder));
    }
    for (caller, key) in callers {
        for (method, path, rule) in RULES {
            let site = rule.is_form().then_some("same-origin");
            let status = status(&served, method, path, key.as_deref(), site).await;
            let expected = match (rule, caller) {
                (Anyone, _) => None,
                (OwnPage, _) => Some(403),
                (_, None) => Some(401),
                (AdminForm, Some((Scope::Admin, None))) => None,
                (Holder(needed) | HolderForm(needed), Some((scope, _))) if scope >= *needed => None,
                (OfAllTenants(needed), Some((scope, None))) if scope >= *needed => None,
                _ => Some(403),
            };
            let refused = matches!(status, 401 | 403).then_some(status);
            assert_eq!(refused, expected, "{method} {path} by {caller:?}: {status}");
        }
    }
}

#[tokio::test]
async fn a_form_is_taken_from_a_page_of_this_server_only() {
    let served = served(1, RouterOptions::new());
    let forms = RULES.iter().filter(|(_, _, rule)| rule.is_form());
    for (method, path, _) in forms {
        for site in [None, Some("cross-site"), Some("same-site"), Some("none")] {
            let status = status(&served, method, path, Some(&served.token), site).await;
            assert_eq!(status, 403, "{method} {path} {site:?}");
        }
    }
}

/// The status of a request without a body, about things that don't exist.
async fn status(
    served: &Served,
    method: &str,
    path: &str,
    key: Option<&str>,
    site: Option<&str>,
) -> u16 {
    let path = path
        .replace("{id}", "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11")
        .replace("{name}", "nothing")
        .replace("{event_type}", "nothing.known")
        // A stream would never end. Parameters are looked at after the caller.
        .replace("/stream", "/stream?limit=1");
    // The path of the mount itself has no `/` at its end.
    let path = if path == "/" { "" } else { &path };
    let mut request = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(format!("/audit{path}"));
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site);
    }
    let answer = served.send(request.body(Body::empty()).unwrap()).await;
    answer.status.as_u16()
}

#[test]
fn no_route_is_without_a_rule() {
    let rules = RULES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    let served = routes_of(|_| true);
    assert_eq!(served, rules.collect());
}

/// The methods and paths of the API, by the source of the server. The pages of the console are not
/// part of it.
pub(crate) fn api_routes() -> BTreeSet<(String, String)> {
    routes_of(|file| !file.components().any(|part| part.as_os_str() == "console"))
}

fn routes_of(is_wanted: impl Fn(&Path) -> bool) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
    for file in crate::support::files(&server) {
        let is_source = file.extension().is_some_and(|end| end == "rs");
        if is_source && is_wanted(file.strip_prefix(&server).unwrap()) {
            routes.extend(routes_in(&fs::read_to_string(file).unwrap()));
        }
    }
    routes
}

/// The methods and paths of the calls `.route("/path", get(…).post(…))`.
fn routes_in(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for call in source.split(".route(").skip(1) {
        let (path, rest) = call.trim_start()[1..].split_once('"').unwrap();
        // The call ends where its own parenthesis does.
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap()];
        for method in ["get", "post", "put", "patch", "delete", "head", "any"] {
            let named = |(at, _): (usize, &str)| !handlers[..at].ends_with(char::is_alphanumeric);
            if handlers.match_indices(&format!("{method}(")).any(named) {
                found.push((method.to_ascii_uppercase(), path.to_owned()));
            }
        }
    }
    found
}
