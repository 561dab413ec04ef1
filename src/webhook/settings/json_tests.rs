use proptest::prelude::*;

use super::*;
use crate::webhook::{
    Batching, DeliveryOrder, OutsidePolicy,
    format::{FormatName, FormatOptions},
    settings::stored::Stored,
};

const KEY: &str = "key-3141592653";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PROXY: &str = "http://ann:password-1618@proxy.corp.example:3128";
const HEADER: &str = "header-2718281828";

/// With every setting set.
fn full() -> Webhook {
    Webhook::new("siem", "https://siem.example.com/hooks", ["auth.*"])
        .excluding(["auth.token.*"])
        .severities([crate::entry::Severity::Error])
        .tenant_id("acme")
        .format(
            FormatName::SplunkHec,
            FormatOptions {
                index: Some("audit".to_owned()),
                ..FormatOptions::default()
            },
        )
        .api_key(KEY)
        .api_key_header("x-key")
        .signing_secret("env:OLD_SECRET")
        .signing_secret(SIGNING)
        .header("x-team", HEADER)
        .allow_http()
        .egress(["loopback"])
        .proxy(PROXY)
        .order(DeliveryOrder::Strict)
        .batch(Batching::default())
        .timeout(std::time::Duration::from_secs(3))
        .concurrency(1)
        .max_requests_per_second(10)
        .schedule([0, 1])
        .extra_ca("/etc/ca.pem")
        .identity("/etc/identity.pem")
}

fn object(value: Value) -> Settings {
    value.as_object().unwrap().clone()
}

fn refused(result: Result<impl std::fmt::Debug>, parameter: &str) -> String {
    match result.unwrap_err() {
        Error::Invalid {
            parameter: named,
            problem,
        } => {
            assert_eq!(named, parameter, "{problem}");
            for secret in [KEY, SIGNING, HEADER] {
                assert!(!problem.contains(secret), "{problem}");
            }
            problem
        }
        other => panic!("{other}"),
    }
}

#[test]
fn all_settings_are_known_and_come_back() {
    let full = || full().own_format("lines");
    let (settings, shown) = (full().settings(), full().shown());
    let names: Vec<_> = shown.iter().map(|(name, _)| name).collect();
    let declared: Vec<_> = Webhook::SETTINGS.iter().map(|one| one.name).collect();
    assert_eq!(
        names, declared,
        "all of them can be set, compared and shown"
    );
    assert_eq!(
        Webhook::from_settings(&settings).unwrap().settings(),
        settings
    );
    assert_eq!(full().differences(&full()), [] as [&str; 0]);
    assert_eq!(
        full().differences(&full().tenant_id("globex")),
        ["tenant_id"]
    );
}

#[test]
fn no_secret_is_shown() {
    let shown = json!(full().shown());
    let text = shown.to_string();
    for secret in [KEY, &SIGNING[6..20], HEADER, "password-1618"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{:?} {:#?}", full(), full()).contains(secret));
    }
    assert_eq!(shown["api_key"], json!({"set": true}));
    assert_eq!(
        shown["signing_secrets"],
        json!(["env:OLD_SECRET", {"set": true}])
    );
    assert_eq!(shown["headers"], json!({"x-team": {"set": true}}));
    assert_eq!(shown["proxy"], "http://***@proxy.corp.example:3128");
    let named = json!(full().proxy("env:CORP_PROXY").shown());
    assert_eq!(named["proxy"], "env:CORP_PROXY");
    let pair = SigningSecret::random_key_pair().unwrap();
    let shown = json!(full().signing_secret(pair.reveal()).shown());
    assert_eq!(
        shown["signing_secrets"][2],
        json!({"set": true, "public_key": pair.public()})
    );
}

#[test]
fn what_is_shown_of_a_secret_is_no_secret() {
    let shown = json!(full().shown());
    for name in ["api_key", "signing_secrets", "headers"] {
        let patch = object(json!({ name: shown[name] }));
        let problem = refused(full().patched(&patch), name);
        assert!(problem.contains("leave it out to keep it"), "{problem}");
    }
}

#[test]
fn a_wrong_setting_is_named_and_not_quoted() {
    for (name, value) in [
        ("api_key", json!([KEY])),
        ("signing_secrets", json!(SIGNING)),
        ("signing_secrets", json!([[SIGNING]])),
        ("headers", json!(HEADER)),
        ("headers", json!({"x": [HEADER]})),
        ("url", json!(5)),
        ("event_types", json!("auth.*")),
        ("severity", json!(["loud"])),
        ("format", json!("xml")),
        ("format_options", json!({"colour": "red"})),
        ("order", json!("fifo")),
        ("batch", json!({"max_entries": "many", "max_wait_ms": 5})),
        ("timeout_ms", json!(-1)),
        ("id", json!("x")),
        ("revision", json!(1)),
        ("declared", json!(true)),
        ("paused", json!(true)),
        ("name", json!("a b")),
        ("colour", json!("red")),
    ] {
        refused(full().patched(&object(json!({ name: value }))), name);
    }
    refused(
        Webhook::from_settings(&object(json!({"name": "a", "event_types": ["*"]}))),
        "url",
    );
    assert_eq!(
        refused(full().patched(&object(json!({"format": "xml"}))), "format")
            .split(',')
            .next(),
        Some("\"xml\" is not one of native")
    );
}

#[test]
fn a_patch_changes_what_it_names_and_keeps_the_state() {
    let before = full();
    let after = before
        .patched(&object(
            json!({"url": "https://b.example.com/", "tenant_id": null, "headers": {"x-more": "1"}}),
        ))
        .unwrap();
    let mut stored = Stored {
        revision: 7,
        paused: true,
        ..Stored::new("i".to_owned(), before.clone())
    };
    assert!(!stored.set(before.clone()) && stored.set(after.clone()));
    assert_eq!(
        (stored.id.as_str(), stored.revision, stored.paused),
        ("i", 8, true)
    );
    // What is kept comes back, the state beside the settings.
    let text = serde_json::to_string(&stored).unwrap();
    let kept: Stored = serde_json::from_str(&text).unwrap();
    assert!(kept.settings == after && kept.revision == 8, "{text}");
    assert_eq!(before.differences(&after), ["url", "tenant_id", "headers"]);
    assert_eq!(
        (
            after.tenant_id,
            after.headers.len(),
            after.api_key.as_deref()
        ),
        (None, 2, Some(KEY))
    );
    assert!(
        before
            .patched(&object(json!({"headers": {"x-team": null}})))
            .unwrap()
            .headers
            .is_empty()
    );
    refused(before.patched(&object(json!({"url": null}))), "url");
}

#[test]
fn from_outside_no_more_is_reached_than_the_operator_allows() {
    let plain = || Webhook::new("a", "https://a.example.com/x", ["*"]);
    let none = OutsidePolicy::new(&[], false).unwrap();
    let some = OutsidePolicy::new(&["private".to_owned()], true).unwrap();
    let patched = |policy: &OutsidePolicy, before: Webhook, patch: Value| {
        let patch = object(patch);
        before
            .patched(&patch)
            .and_then(|after| policy.check(Some(&before), &patch, &after))
    };
    for (name, value) in [
        ("api_key", json!("env:HOME")),
        ("api_key", json!("file:/etc/passwd")),
        ("signing_secrets", json!([SIGNING, "file:/etc/passwd"])),
        ("extra_ca", json!("/etc/passwd")),
        ("identity", json!("/etc/passwd")),
        ("proxy", json!("http://10.0.0.1:3128")),
        ("proxy", json!("env:HOME")),
        ("egress", json!(["loopback"])),
        ("egress", json!(["public", "127.0.0.0/8"])),
    ] {
        refused(patched(&some, plain(), json!({ name: value })), name);
        let whole = plain().patched(&object(json!({ name: value }))).unwrap();
        refused(some.check(None, &whole.settings(), &whole), name);
    }
    refused(
        patched(&none, plain(), json!({"egress": ["private"]})),
        "egress",
    );
    refused(
        patched(&none, plain(), json!({"allow_http": true})),
        "allow_http",
    );
    patched(
        &some,
        plain(),
        json!({"egress": ["private", "public", "10.1.0.0/16"], "allow_http": true}),
    )
    .unwrap();
    assert!(
        OutsidePolicy::new(&["http://x".to_owned()], false)
            .unwrap_err()
            .to_string()
            .starts_with("webhook_egress")
    );

    // How a webhook is reached is for the operator to say, also that it is reached directly.
    let proxied = || plain().proxy(PROXY);
    patched(&some, proxied(), json!({"event_types": ["auth.*"]})).unwrap();
    refused(patched(&some, proxied(), json!({"proxy": null})), "proxy");

    // What the operator set by hand stays, and is not turned to another place.
    let set = || plain().egress(["loopback"]).allow_http();
    patched(&none, set(), json!({"event_types": ["auth.*"]})).unwrap();
    refused(
        patched(&none, set(), json!({"url": "http://localhost:9/"})),
        "egress",
    );
}

#[test]
fn no_secret_goes_to_a_server_that_it_was_not_set_for() {
    let policy = OutsidePolicy::new(&[], false).unwrap();
    let moved = |before: &Webhook, more: Value| {
        let mut patch = object(json!({"url": "https://thief.example.com/"}));
        patch.extend(object(more));
        before
            .patched(&patch)
            .and_then(|after| policy.check(Some(before), &patch, &after))
    };
    let plain = || Webhook::new("a", "https://a.example.com/x", ["*"]);
    moved(&plain(), json!({})).unwrap();
    for (name, before) in [
        ("api_key", plain().api_key(KEY)),
        ("api_key", plain().api_key("env:KEY")),
        ("headers", plain().header("x-key", HEADER)),
        ("identity", plain().identity("/etc/identity.pem")),
        ("extra_ca", plain().extra_ca("/etc/ca.pem")),
    ] {
        refused(moved(&before, json!({})), name);
        moved(&before, json!({ name: null })).unwrap();
        let patch = object(json!({"url": "https://a.example.com:443/y"}));
        policy
            .check(Some(&before), &patch, &before.patched(&patch).unwrap())
            .unwrap();
    }
    let two = plain().header("x-key", HEADER).header("x-team", "a");
    refused(moved(&two, json!({"headers": {"x-team": "b"}})), "headers");
    moved(&two, json!({"headers": {"x-team": "b", "x-key": null}})).unwrap();
}

#[test]
fn merging_is_that_of_the_rfc() {
    // RFC 7396, appendix A, as far as both are objects.
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        let mut merged = object(target);
        merge(&mut merged, &object(patch));
        assert_eq!(Value::Object(merged), expected);
    }
}

proptest! {
    #[test]
    fn any_change_of_plain_settings_is_made_and_nothing_else(
        tenant in proptest::option::of("[a-z]{1,8}"), most in proptest::option::of(1_u32..1000), http in any::<bool>(), types in proptest::collection::vec("[a-z]{1,5}\\.[a-z]{1,5}", 1..4),
    ) {
        let patch = object(json!({"tenant_id": tenant, "max_requests_per_second": most, "allow_http": http, "event_types": types}));
        let before = full();
        let after = before.patched(&patch).unwrap();
        prop_assert_eq!((&after.tenant_id, after.max_requests_per_second, after.allow_http, &after.event_types), (&tenant, most, http, &types));
        let touched = ["tenant_id", "max_requests_per_second", "allow_http", "event_types"];
        prop_assert!(before.differences(&after).iter().all(|name| touched.contains(name)));
        prop_assert_eq!(after.patched(&patch).unwrap().settings(), after.settings(), "twice is once");
    }
}
