//! Fields with the names of secrets are hidden, whichever way they come; a log can deny more names
//! and allow some.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tracing_audit::{
    Actor, AuditEvent, AuditLog, Resource, audit, audited, catalogue, catalogue::SecretForm,
    hashed, mask, redact::Secret, unredacted,
};
use tracing_subscriber::prelude::*;

use super::redaction::written;

const SECRET: &str = "hunter2";
const HIDDEN: &str = "[redacted]";

#[derive(Clone, Serialize)]
struct Card {
    #[serde(rename = "cardNumber")]
    number: &'static str,
    holder: &'static str,
    cvv2: u16,
    pin_attempts: u8,
    meta: BTreeMap<&'static str, &'static str>,
}

fn card() -> Card {
    Card {
        number: SECRET,
        holder: "ann",
        cvv2: 123,
        pin_attempts: 2,
        meta: BTreeMap::from([("x-jwt", SECRET), ("jwt_issuer", "idp")]),
    }
}

fn hidden_card() -> Value {
    json!({
        "cardNumber": HIDDEN, "holder": "ann", "cvv2": HIDDEN, "pin_attempts": 2,
        "meta": {"x-jwt": HIDDEN, "jwt_issuer": "idp"},
    })
}

#[derive(AuditEvent)]
#[audit("card.issued")]
struct Issued<'a> {
    iban: &'a str,
    pin: Option<u16>,
    #[audit(unredacted)]
    otp_hint: Option<&'a str>,
    #[audit(mask = 2)]
    token: &'a str,
    token_count: u8,
}

#[audited("card.use", pin, token = mask(token, 3), resource.attributes.secret_key = token, secret_name = "db")]
fn use_card(pin: &str, token: &str) {}

#[test]
fn a_name_is_denied_by_its_words_wherever_it_is() {
    let records = written(
        |builder| builder,
        |_| {
            audit!(
                "card.changed",
                password_salt = SECRET,
                details.auth.ssn = %SECRET,
                jwt = ?SECRET,
                pin = "hunter2",
                cvv = Secret::new(SECRET),
                secrets_found = 3,
                secrets.per_vault = 1,
                secrets.db = SECRET,
                token_type = "bearer",
                spin = true,
                actor = Actor::user("7").attributes(card()),
                resource.attributes = card(),
                card = card()
            );
            audit!(Issued {
                iban: SECRET,
                pin: Some(1234),
                otp_hint: Some("by mail"),
                token: "abcdefghijklm",
                token_count: 2
            });
            use_card(SECRET, "hunter2hunter2");
            tracing::info!(target: "audit", event_type = "card.seen", db.passwordHash = SECRET, refresh_token = SECRET, token_id = 7, secrets.found = 3, secrets.db = SECRET);
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let details = |at: usize| &records[at]["details"];
    assert_eq!(
        details(0),
        &json!({
            "password_salt": HIDDEN, "auth": {"ssn": HIDDEN}, "jwt": HIDDEN, "pin": HIDDEN, "cvv": HIDDEN,
            "secrets_found": 3, "secrets": {"per_vault": 1, "db": HIDDEN}, "token_type": "bearer", "spin": true, "card": hidden_card(),
        })
    );
    assert_eq!(records[0]["actor"]["attributes"], hidden_card());
    assert_eq!(records[0]["resource"]["attributes"], hidden_card());
    assert_eq!(
        details(1),
        &json!({"iban": HIDDEN, "pin": HIDDEN, "otp_hint": "by mail", "token": "ab…", "token_count": 2})
    );
    for at in [2, 3] {
        let (pin, token) = (&details(at)["pin"], &details(at)["token"]);
        assert_eq!((pin, token), (&json!(HIDDEN), &json!("hun…")));
        assert_eq!(records[at]["resource"]["attributes"]["secret_key"], HIDDEN);
        assert_eq!(details(at)["secret_name"], "db");
    }
    assert_eq!(
        details(4),
        &json!({
            "db": {"passwordHash": HIDDEN}, "refresh_token": HIDDEN, "token_id": 7, "secrets.found": 3, "secrets": HIDDEN,
        })
    );
}

#[derive(Clone, Serialize)]
struct Customer {
    name: &'static str,
    internal_note: &'static str,
    internal_note_count: u8,
}

fn customer() -> Customer {
    Customer {
        name: "ann",
        internal_note: SECRET,
        internal_note_count: 2,
    }
}

fn hidden_customer() -> Value {
    json!({"name": "ann", "internal_note": HIDDEN, "internal_note_count": 2})
}

#[derive(AuditEvent)]
#[audit("customer.read")]
struct Read<'a> {
    internal_note: &'a str,
    #[audit(hashed)]
    salary: Option<&'a str>,
    pages: u8,
}

#[audited("customer.load", internal_note = mask(note, 3), details.raw.internalNote = note)]
fn load(note: &str) {}

#[test]
fn a_log_denies_more_names() {
    let early = Actor::user("7").attributes(customer());
    let records = written(
        |builder| {
            builder
                .deny_fields(["internal_note"])
                .deny_fields(vec!["salary".to_owned()])
        },
        |_| {
            audit!(
                "customer.changed",
                internal_note = "hunter2",
                salary = %SECRET,
                details.of.internalNote = ?SECRET,
                details.of.id = 7,
                details.of.salary.net = SECRET,
                customer = [customer()],
                actor = early,
                resource.attributes = customer(),
                resource.prior_attributes.internal_note = SECRET,
                name = "a \"long\": name",
            );
            audit!(
                "customer.changed",
                first = 1,
                internal_note = mask("abcdefghi", 3),
                salary = hashed("1000"),
                customer_internal_note = unredacted("shown"),
                last_internal_note = Some(mask("abcdefghi", 2)),
                internal_notes = "hunter2",
                resource = Resource::new("customer", "8").prior_attributes(customer()),
                last = 2,
            );
            audit!(Read {
                internal_note: SECRET,
                salary: Some("1000"),
                pages: 3
            });
            load("hunter2 and more");
            tracing::info!(target: "audit", event_type = "customer.seen", salary = 7, crm.internal_note = SECRET, pages = 1);
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let details = |at: usize| &records[at]["details"];
    assert_eq!(
        details(0),
        &json!({
            "internal_note": HIDDEN, "salary": HIDDEN,
            "of": {"internalNote": HIDDEN, "id": 7, "salary": HIDDEN},
            "customer": [hidden_customer()], "name": "a \"long\": name",
        })
    );
    assert_eq!(records[0]["actor"]["attributes"], hidden_customer());
    assert_eq!(records[0]["actor"]["id"], "7");
    let resource = &records[0]["resource"];
    assert_eq!(resource["attributes"], hidden_customer());
    assert_eq!(resource["prior_attributes"]["internal_note"], HIDDEN);

    let hash = &details(1)["salary"];
    assert!(hash.as_str().unwrap().starts_with("hmac-sha256:"), "{hash}");
    assert_eq!(
        details(1),
        &json!({
            "first": 1, "internal_note": "abc…", "salary": hash, "customer_internal_note": "shown",
            "last_internal_note": "ab…", "internal_notes": HIDDEN, "last": 2,
        })
    );
    assert_eq!(
        records[1]["resource"]["prior_attributes"],
        hidden_customer()
    );
    assert_eq!(
        details(2),
        &json!({"internal_note": HIDDEN, "salary": hash, "pages": 3})
    );
    for at in [3, 4] {
        assert_eq!(details(at)["internal_note"], "hun…");
        assert_eq!(details(at)["raw"], json!({"internalNote": HIDDEN}));
    }
    assert_eq!(
        details(5),
        &json!({"salary": HIDDEN, "crm": {"internal_note": HIDDEN}, "pages": 1})
    );
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    Pin(u16),
    Token { value: &'static str },
}

#[derive(AuditEvent)]
#[audit("door.opened")]
struct Opened {
    pin: u16,
    #[audit(debug)]
    token_family: Option<u8>,
    #[audit(redact)]
    jwt: &'static str,
}

#[audited("door.open", pin, user_pin = pin)]
fn open_door(pin: u16) {}

#[test]
fn a_log_allows_names() {
    let records = written(
        |builder| builder.allow_fields(["token_family", "pin", "jwt"]),
        |_| {
            audit!(
                "door.opened",
                pin = 1234,
                token_family = %"t-7",
                details.deep.PIN = ?"p",
                details.door.pin.token = "hunter2",
                jwt = Secret::new(SECRET),
                user_pin = SECRET,
                given = [Given::Pin(7), Given::Token { value: SECRET }],
                actor = Actor::user("7").attributes(json!({"pin": 1, "token": SECRET})),
                resource.attributes = json!({"tokenFamily": {"pin": 2, "secret": SECRET}}),
                resource.prior_attributes.pin = None::<u8>,
            );
            audit!(Opened {
                pin: 1,
                token_family: Some(2),
                jwt: SECRET
            });
            open_door(7);
            tracing::info!(target: "audit", event_type = "door.seen", pin = 7, user_pin = SECRET);
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let details = |at: usize| &records[at]["details"];
    assert_eq!(
        details(0),
        &json!({
            "pin": 1234, "door": {"pin": {"token": HIDDEN}}, "token_family": "t-7", "deep": {"PIN": "\"p\""}, "jwt": HIDDEN, "user_pin": HIDDEN,
            "given": [{"pin": 7}, {"token": HIDDEN}],
        })
    );
    assert_eq!(
        records[0]["actor"]["attributes"],
        json!({"pin": 1, "token": HIDDEN})
    );
    assert_eq!(
        records[0]["resource"],
        json!({"attributes": {"tokenFamily": {"pin": 2, "secret": HIDDEN}}})
    );
    assert_eq!(
        details(1),
        &json!({"pin": 1, "token_family": "Some(2)", "jwt": HIDDEN})
    );
    for at in [2, 3] {
        let (pin, user_pin) = (&details(at)["pin"], &details(at)["user_pin"]);
        assert_eq!((pin, user_pin), (&json!(7), &json!(HIDDEN)));
    }
    assert_eq!(details(4), &json!({"pin": 7, "user_pin": HIDDEN}));
}

#[test]
fn each_log_goes_by_its_own_names() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let open = |at: usize| {
        AuditLog::builder(dirs[at].path())
            .lifecycle(false)
            .source("names")
    };
    let logs = [
        open(0).deny_fields(["note"]).open().unwrap(),
        open(1).allow_fields(["pin"]).open().unwrap(),
        open(2).open().unwrap(),
    ];
    let stack = tracing_subscriber::registry()
        .with(logs[0].layer())
        .with(logs[1].layer())
        .with(logs[2].layer());
    tracing::dispatcher::with_default(&stack.into(), || {
        audit!(
            "door.opened",
            pin = 1,
            note = "n",
            nested = json!({"pin": 2, "note": "m"})
        );
    });
    for log in &logs {
        log.close().unwrap();
    }
    let details = |pin: [Value; 2], note: [&str; 2]| {
        let nested = json!({"pin": pin[1], "note": note[1]});
        json!({"pin": pin[0], "note": note[0], "nested": nested})
    };
    let hidden = || [json!(HIDDEN), json!(HIDDEN)];
    for (dir, expected) in dirs.iter().zip([
        details(hidden(), [HIDDEN; 2]),
        details([json!(1), json!(2)], ["n", "m"]),
        details(hidden(), ["n", "m"]),
    ]) {
        let records = crate::support::records(dir.path());
        assert_eq!(records[0]["details"], expected);
    }
}

#[test]
fn the_catalogue_says_how_what_looks_like_a_secret_is_recorded() {
    let program = catalogue();
    let form = |event_type: &str, path: &str| program.get(event_type).unwrap().looks_secret(path);
    for (event_type, path, expected) in [
        ("card.issued", "details.iban", Some(SecretForm::Redacted)),
        ("card.issued", "details.otp_hint", Some(SecretForm::Clear)),
        ("card.issued", "details.token", Some(SecretForm::Masked)),
        ("card.issued", "details.token_count", None),
        (
            "card.use.completed",
            "details.pin",
            Some(SecretForm::Redacted),
        ),
        (
            "card.use.completed",
            "details.token",
            Some(SecretForm::Masked),
        ),
        ("card.use.completed", "details.secret_name", None),
        ("customer.read", "details.salary", None),
    ] {
        assert_eq!(form(event_type, path), expected, "{event_type} {path}");
    }

    // That of a log goes by its names.
    let dir = tempfile::tempdir().unwrap();
    let builder = AuditLog::builder(dir.path())
        .lifecycle(false)
        .source("names");
    let builder = builder.deny_fields(["salary", "pages"]);
    builder
        .allow_fields(["pin"])
        .open()
        .unwrap()
        .close()
        .unwrap();
    let kept = std::fs::read(dir.path().join("state/catalogue.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let entries = kept["sources"]["names"].as_array().unwrap();
    let marks = |event_type: &str| {
        let entry = entries
            .iter()
            .find(|entry| entry["event_type"] == event_type);
        entry.unwrap()["looks_secret"].clone()
    };
    assert_eq!(
        marks("customer.read"),
        json!({"details.pages": "redacted", "details.salary": "hashed"})
    );
    assert_eq!(marks("card.issued")["details.pin"], "clear");
}

#[test]
fn a_log_with_a_malformed_name_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || {
        AuditLog::builder(dir.path())
            .lifecycle(false)
            .source("names")
    };
    for (opened, error) in [
        (
            builder().deny_fields([""]).open(),
            "deny_fields: a name is empty; leave it out",
        ),
        (
            builder().allow_fields(["user.pin"]).open(),
            "allow_fields: `user.pin` is a path, and a name holds at any depth; write `pin`",
        ),
        (
            builder()
                .deny_fields(["note"])
                .allow_fields(["NOTE"])
                .open(),
            "allow_fields: `NOTE` is given to `deny_fields` as well; leave it out of one of the two",
        ),
    ] {
        assert_eq!(opened.unwrap_err().to_string(), error);
    }
}

#[derive(Serialize)]
struct Number {
    number: &'static str,
    holder: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Api {
    Key(&'static str),
    Keys { count: u8, key: &'static str },
    KeyId(&'static str),
}

#[derive(AuditEvent)]
#[audit("key.made")]
struct Made<'a> {
    #[audit(details.api.key)]
    plain: &'a str,
    #[audit(resource.attributes.card.number, display)]
    number: &'a str,
    #[audit(details.credit.card, mask = 2)]
    card: &'a str,
    #[audit(details.other.api)]
    other: Api,
}

#[audited("key.use", details.api.key = key, access.key = %key, access.key_id = 7)]
fn use_key(key: &str) {}

#[test]
fn a_name_of_several_words_is_denied_across_dots_and_objects() {
    let number = || Number {
        number: SECRET,
        holder: "ann",
    };
    let key = SECRET;
    let records = written(
        |builder| builder,
        |_| {
            audit!(
                "iam.key.created",
                access.key = key,
                details.api.key = %key,
                pass.phrase = "hunter2",
                resource.attributes.card.number = ?key,
                resource.attributes.card.brand = "visa",
                actor.attributes.user_api.keys = key,
                cards.number = key,
                api.key_id = "k-1",
                phone.number = 7,
            );
            audit!(
                "iam.key.created",
                card = number(),
                cards = [number()],
                details.my.credit =
                    json!({"card": {"holder": SECRET}, "score": 7, "last": {"card": "ann"}}),
                api = [
                    Api::Key(SECRET),
                    Api::Keys {
                        count: 2,
                        key: SECRET
                    },
                    Api::KeyId("k-1")
                ],
                phone = Number {
                    number: "7",
                    holder: "ann"
                },
            );
            audit!(Made {
                plain: SECRET,
                number: SECRET,
                card: "abcdefghi",
                other: Api::Key(SECRET)
            });
            use_key(SECRET);
            tracing::info!(target: "audit", event_type = "key.seen", api.key = %key, credit.card = key, api.keys.count = 3, api.key_id = "k-1", phone.number = 7);
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let details = |at: usize| &records[at]["details"];
    assert_eq!(
        details(0),
        &json!({
            "access": {"key": HIDDEN}, "api": {"key": HIDDEN, "key_id": "k-1"}, "pass": {"phrase": HIDDEN},
            "cards": {"number": HIDDEN}, "phone": {"number": 7},
        })
    );
    assert_eq!(
        records[0]["resource"]["attributes"],
        json!({"card": {"number": HIDDEN, "brand": "visa"}})
    );
    assert_eq!(
        records[0]["actor"]["attributes"],
        json!({"user_api": {"keys": HIDDEN}})
    );
    let hidden = json!({"number": HIDDEN, "holder": "ann"});
    assert_eq!(
        details(1),
        &json!({
            "card": hidden, "cards": [hidden],
            "my": {"credit": {"card": HIDDEN, "score": 7, "last": {"card": "ann"}}},
            "api": [{"key": HIDDEN}, {"keys": HIDDEN}, {"key_id": "k-1"}],
            "phone": {"number": "7", "holder": "ann"},
        })
    );
    assert_eq!(
        details(2),
        &json!({"api": {"key": HIDDEN}, "credit": {"card": "ab…"}, "other": {"api": {"key": HIDDEN}}})
    );
    for at in [3, 4] {
        assert_eq!(
            details(at)["access"],
            json!({"key": HIDDEN, "key_id": 7}),
            "{at}"
        );
        assert_eq!(details(at)["api"], json!({"key": HIDDEN}), "{at}");
    }
    assert_eq!(
        details(5),
        &json!({
            "api": {"key": HIDDEN, "keys.count": 3, "key_id": "k-1"},
            "credit": {"card": HIDDEN}, "phone": {"number": 7},
        })
    );
}

#[test]
fn a_log_denies_and_allows_names_across_dots_and_objects() {
    let note = || json!({"note": SECRET, "notes": 2, "other": [{"note": "shown"}, 7]});
    let records = written(
        |builder| {
            builder
                .deny_fields(["internal_note"])
                .allow_fields(["api_key", "number"])
        },
        |_| {
            audit!(
                "customer.changed",
                internal.note = SECRET,
                internal.note_count = 2,
                details.crm.internal = [note(), note()],
                resource.attributes.internal = note(),
                api.key = "shown",
                my.api = json!({"key": "shown"}),
                my_api.key = SECRET,
                card = json!({"number": "shown", "code": SECRET}),
            );
            tracing::info!(target: "audit", event_type = "customer.seen", internal.note = SECRET, api.key = "shown");
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let hidden = json!({"note": HIDDEN, "notes": HIDDEN, "other": [{"note": "shown"}, 7]});
    assert_eq!(
        records[0]["details"],
        json!({
            "internal": {"note": HIDDEN, "note_count": 2}, "crm": {"internal": [hidden, hidden]},
            "api": {"key": "shown"}, "my": {"api": {"key": "shown"}}, "my_api": {"key": HIDDEN},
            "card": {"number": "shown", "code": HIDDEN},
        })
    );
    assert_eq!(
        records[0]["resource"]["attributes"],
        json!({"internal": hidden})
    );
    assert_eq!(
        records[1]["details"],
        json!({"internal": {"note": HIDDEN}, "api": {"key": "shown"}})
    );
}

#[derive(AuditEvent)]
#[audit("login.tried")]
struct Tried {
    #[audit(skip_if_none)]
    token: Option<String>,
    #[audit(redact)]
    jwt: Option<String>,
    #[audit(redact)]
    cookie: Option<String>,
    pin: Option<u16>,
}

#[test]
fn none_under_a_denied_name_is_left_out() {
    let records = written(
        |builder| builder,
        |_| {
            audit!("login.tried", token = None::<&str>, api.key = None::<u8>);
            audit!(Tried {
                token: None,
                jwt: None,
                cookie: Some(SECRET.to_owned()),
                pin: None
            });
        },
    );
    assert_eq!(records[0].get("details"), None);
    assert_eq!(records[1]["details"], json!({"cookie": HIDDEN}));
}

#[test]
fn an_absent_value_shows_no_other() {
    let records = written(
        |builder| builder.deny_fields(["pay", "net"]),
        |_| {
            audit!(
                "salary.changed",
                details.pay = unredacted(&None::<u8>),
                net = SECRET,
            );
            audit!(
                "salary.changed",
                resource.attributes.net = unredacted(&None::<u8>),
                resource.attributes.pay = SECRET,
                net = unredacted("shown"),
                pay = SECRET,
            );
        },
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(records[0]["details"], json!({"net": HIDDEN}));
    assert_eq!(
        records[1]["details"],
        json!({"net": "shown", "pay": HIDDEN})
    );
    assert_eq!(records[1]["resource"]["attributes"], json!({"pay": HIDDEN}));
}

#[test]
fn the_catalogue_knows_what_is_hidden_and_what_is_harmless() {
    fn _written(key: &str) {
        audit!(
            "names.across",
            access.key = key,
            api.key = unredacted(key),
            credit.card = hashed(key),
            resource.attributes.card.number = key,
            max_tokens = 5,
            has_password = true,
            num_tokens = 3,
            resource.attributes.requires_token = false,
            api.key_id = 7,
        );
    }
    let catalogue = catalogue();
    let entry = catalogue.get("names.across").unwrap();
    for (path, form) in [
        ("details.access.key", Some(SecretForm::Redacted)),
        ("details.api.key", Some(SecretForm::Clear)),
        ("details.credit.card", Some(SecretForm::Hashed)),
        (
            "resource.attributes.card.number",
            Some(SecretForm::Redacted),
        ),
        ("details.max_tokens", None),
        ("details.has_password", None),
        ("details.num_tokens", None),
        ("resource.attributes.requires_token", None),
        ("details.api.key_id", None),
    ] {
        assert!(entry.fields().any(|(known, _)| known == path), "{path}");
        assert_eq!(entry.looks_secret(path), form, "{path}");
    }
}
