//! Each event of the OAuth service's document is found by what its row names: action, key, tenant
//! or account, operation.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]
#![cfg(feature = "macros")]

#[path = "support/example.rs"]
mod example;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../examples/oauth_service/main.rs"]
mod oauth_service;
mod support;

use std::collections::BTreeSet;

use example::{Written, at, known, types};
use oauth_service::{ASSERTION, Issued, run};
use tracing_audit::redact::Secret;

/// What distinguishes an event from those of others.
enum Whose {
    Tenant(&'static str),
    Account(&'static str),
}
use Whose::{Account, Tenant};

/// Of what the rest of a key is made.
enum Named {
    Client(&'static str),
    Code,
    /// The access token that was asked for like this.
    Access(&'static str),
    /// The refresh token that was issued as the nth.
    Refresh(usize),
}
use Named::{Access, Client, Code, Refresh};

/// A row: what happens, then what to search for; the operation, where the row says that the search
/// is refined by it.
struct Row(
    &'static str,
    &'static str,
    &'static str,
    Named,
    Whose,
    Option<&'static str>,
);

/// Each row of the document's table. Of the rows whose operation or scope is missing there or
/// another row's, these are put right.
const TABLE: [Row; 21] = [
    Row(
        "issue authorization code",
        "create",
        "Creating authorization code: ",
        Code,
        Tenant("acme"),
        None,
    ),
    Row(
        "delete authorization code",
        "delete",
        "Deleting authorization code: ",
        Code,
        Tenant("acme"),
        None,
    ),
    Row(
        "access token, client credentials",
        "create",
        "Creating access token: ",
        Access("client"),
        Tenant("globex"),
        None,
    ),
    Row(
        "access token, platform client",
        "create",
        "Creating platform access token: ",
        Access("platform"),
        Tenant("acme"),
        None,
    ),
    Row(
        "access token from code",
        "create",
        "Creating access token: ",
        Access("code"),
        Tenant("acme"),
        None,
    ),
    Row(
        "access token from refresh token",
        "create",
        "Creating access token: ",
        Access("refresh"),
        Tenant("acme"),
        None,
    ),
    Row(
        "and its refresh token",
        "create",
        "Creating refresh token: ",
        Refresh(1),
        Tenant("acme"),
        None,
    ),
    Row(
        "access token from SAML bearer assertion",
        "create",
        "Creating access token: ",
        Access("saml"),
        Tenant("acme"),
        Some("Create access token from SAML bearer"),
    ),
    Row(
        "delete access token",
        "delete",
        "Deleting cloud access token: ",
        Access("code"),
        Tenant("acme"),
        None,
    ),
    Row(
        "create refresh token",
        "create",
        "Creating refresh token: ",
        Refresh(0),
        Tenant("acme"),
        None,
    ),
    Row(
        "create client",
        "create",
        "Creating application client: ",
        Client("shop"),
        Tenant("acme"),
        None,
    ),
    Row(
        "create client, another tenant",
        "create",
        "Creating application client: ",
        Client("portal"),
        Tenant("globex"),
        None,
    ),
    Row(
        "update client",
        "update",
        "Updating application client: ",
        Client("shop"),
        Tenant("acme"),
        None,
    ),
    Row(
        "delete client",
        "delete",
        "Deleting application client: ",
        Client("crm"),
        Tenant("acme"),
        None,
    ),
    Row(
        "create platform client",
        "create",
        "Creating platform client: ",
        Client("platform-1"),
        Account("account-1"),
        None,
    ),
    Row(
        "delete platform client",
        "delete",
        "Deleting platform client: ",
        Client("platform-1"),
        Account("account-1"),
        None,
    ),
    Row(
        "create multi-tenant platform client",
        "create",
        "Creating platform client: ",
        Client("multitenant-1"),
        Account("account-1"),
        Some("Create Multitenant Platform API client"),
    ),
    Row(
        "create admin platform client",
        "create",
        "Creating platform client: ",
        Client("admin-1"),
        Account("account-1"),
        None,
    ),
    Row(
        "delete admin platform client",
        "delete",
        "Deleting platform client: ",
        Client("admin-1"),
        Account("account-1"),
        None,
    ),
    Row(
        "create external platform client",
        "create",
        "Creating platform client: ",
        Client("external-1"),
        Account("account-2"),
        Some("Create External Platform API client"),
    ),
    Row(
        "delete external platform client",
        "delete",
        "Deleting platform client: ",
        Client("external-1"),
        Account("account-2"),
        Some("Delete External Platform API client"),
    ),
];

fn written() -> Written<Issued> {
    Written::by(run)
}

impl Issued {
    fn access_by(&self, grant: &str) -> &Secret<String> {
        &self.access.iter().find(|(how, _)| *how == grant).unwrap().1
    }

    fn secrets(&self) -> Vec<&Secret<String>> {
        [&self.code]
            .into_iter()
            .chain(self.access.iter().map(|(_, token)| token))
            .chain(&self.refresh)
            .collect()
    }
}

/// The search of a person who has the secret: its first five symbols.
fn first_symbols(secret: &Secret<String>) -> String {
    format!("{}…", &secret.expose()[..5])
}

#[test]
fn each_row_of_the_table_finds_its_event_and_no_other() {
    let log = written();
    let mut seen = BTreeSet::new();
    for Row(what, action, key, named, whose, operation) in TABLE {
        let name = match named {
            Client(id) => id.to_owned(),
            Code => first_symbols(&log.given.code),
            Access(grant) => first_symbols(log.given.access_by(grant)),
            Refresh(nth) => first_symbols(&log.given.refresh[nth]),
        };
        let key = format!("{key}{name}");
        let (scope, owner, others) = match whose {
            Tenant(owner) => ("tenant_id", owner, ["acme", "globex"]),
            Account(owner) => ("details.account", owner, ["account-1", "account-2"]),
        };
        let mut search = vec![("action", action), ("details.key", &*key), (scope, owner)];
        search.extend(operation.map(|operation| ("details.operation", operation)));
        let found = log.found(&search);
        assert_eq!(found.len(), 1, "{what}: {search:?} finds {found:?}");
        assert_eq!(
            at(&found[0], ["/action", "/resource/id", "/description"]),
            [action, &name, &key],
            "{what}"
        );
        seen.insert(found[0]["id"].to_string());

        // By its owner only, and without its beginning too.
        for other in others.into_iter().filter(|other| *other != owner) {
            assert!(
                log.found(&[("details.key", &*key), (scope, other)])
                    .is_empty(),
                "{what} is seen by {other}"
            );
        }
        assert_eq!(
            log.found(&[("q", &*key.to_uppercase()), (scope, owner)])
                .len(),
            1,
            "{what}"
        );
    }
    // Besides the rows there is only the making of what `delete client` deletes, and the end of the
    // multi-tenant client.
    let rest: Vec<_> = log
        .all()
        .into_iter()
        .filter(|entry| !seen.contains(&entry["id"].to_string()))
        .collect();
    assert_eq!(types(&rest), ["client.created", "platform_client.deleted"]);
}

#[test]
fn the_catalogue_is_the_table() {
    let log = written();
    let verbs = [
        ("create", "created"),
        ("update", "updated"),
        ("delete", "deleted"),
    ];
    for entry in log.all() {
        let event_type = entry["event_type"].as_str().unwrap();
        assert!(
            verbs
                .iter()
                .any(|(action, verb)| entry["action"] == *action && event_type.ends_with(verb)),
            "{entry}"
        );
    }
    assert_eq!(log.event_types(), known());
}

#[test]
fn a_client_is_followed_from_its_making_to_its_end() {
    let log = written();
    let shop = log.found(&[("resource", "shop")]);
    assert_eq!(types(&shop), ["client.created", "client.updated"]);
    assert_eq!(
        shop[1]["resource"]["prior_attributes"]["scopes"],
        serde_json::json!(["orders"])
    );
    let by_shop = log.found(&[("actor", "shop"), ("tenant_id", "acme")]);
    assert_eq!(
        types(&by_shop),
        [
            "authorization_code.created",
            "authorization_code.deleted",
            "access_token.created",
            "refresh_token.created",
            "access_token.created",
            "refresh_token.created",
            "access_token.deleted",
        ]
    );
    // A token from its issue to its end, by what its holder knows of it.
    let token = first_symbols(log.given.access_by("code"));
    assert_eq!(
        types(&log.found(&[("resource", &*token)])),
        ["access_token.created", "access_token.deleted"]
    );
}

#[test]
fn a_secret_is_in_the_log_by_five_symbols_and_not_by_six() {
    let log = written();
    assert_eq!(log.given.secrets().len(), 8);
    for secret in log.given.secrets() {
        assert!(!log.found(&[("q", &*first_symbols(secret))]).is_empty());
        log.has_nowhere(&secret.expose()[..6]);
    }
    log.has_nowhere(&ASSERTION[..6]);
}
