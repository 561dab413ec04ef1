//! The form that a webhook's settings make, and the settings that a form makes.

use serde_json::json;

use super::*;
use crate::server::console::form::Fields;

/// A webhook with these settings beside those that it must have.
fn webhook(more: Value) -> Webhook {
    let mut settings = json!({
        "name": "siem", "url": "https://siem.example.com/services/T0/secret",
        "event_types": ["auth.*", "user.created"],
    });
    let settings = settings.as_object_mut().unwrap();
    settings.extend(more.as_object().unwrap().clone());
    Webhook::from_settings(settings).unwrap()
}

/// The fields that a browser sends of a form that nobody has touched.
fn untouched(form: &WebhookForm) -> Fields {
    let fields = form.common.iter().chain(&form.more);
    let sent = fields.filter(|field| field.kind != FieldKind::Switch || !field.value.is_empty());
    let sent = sent.map(|field| (field.name.to_owned(), field.value.replace('\n', "\r\n")));
    let before = ("before".to_owned(), form.before.clone());
    sent.chain([before]).collect()
}

fn set(fields: &mut Fields, name: &str, value: &str) {
    fields.retain(|(known, _)| known != name);
    fields.push((name.to_owned(), value.to_owned()));
}

fn everything() -> Webhook {
    webhook(json!({
        "exclude": ["auth.token.*"], "severity": ["error", "critical"], "tenant_id": "acme",
        "format": "splunk-hec", "format_options": {"index": "audit", "host": "a"},
        "api_key": "k-1", "api_key_header": "x-key", "headers": {"x-team": "blue", "x-b": "c"},
        "signing_secrets": ["whsec_bm90IGEgc2VjcmV0IG9mIGFueW9uZQ=="], "allow_http": true,
        "egress": ["private", "10.0.0.0/8"], "order": "strict",
        "batch": {"max_entries": 7, "max_wait_ms": 9}, "timeout_ms": 5000, "concurrency": 1,
        "max_requests_per_second": 10, "schedule_seconds": [0, 5, 30],
    }))
}

#[test]
fn a_form_that_nobody_has_touched_changes_nothing() {
    for webhook in [webhook(json!({})), everything()] {
        let form = WebhookForm::change(&webhook, &Draft::default());
        let fields = untouched(&form);
        assert_eq!(patch(&fields, &webhook).unwrap(), Settings::new());
        for secret in ["k-1", "blue", "whsec", "T0"] {
            assert!(
                fields.iter().all(|(_, value)| !value.contains(secret)),
                "{secret}"
            );
        }
    }
}

#[test]
fn only_what_was_changed_is_in_the_patch() {
    let webhook = everything();
    let form = WebhookForm::change(&webhook, &Draft::default());
    let mut fields = untouched(&form);
    fields.retain(|(name, _)| name != "order" && name != "timeout_ms");
    for (name, value) in [
        ("url", "https://other.example.com/"),
        ("event_types", "auth.*\r\n"),
        ("headers", "x-team=(kept)\r\nx-new = 1"),
        ("batch.max_wait_ms", ""),
        ("schedule_seconds", "1, 2"),
        ("tenant_id", " "),
        ("api_key_removed", "on"),
    ] {
        set(&mut fields, name, value);
    }
    let expected = json!({
        "url": "https://other.example.com/", "event_types": ["auth.*"],
        "headers": {"x-new": "1", "x-b": null}, "batch": {"max_wait_ms": null},
        "schedule_seconds": [1, 2], "tenant_id": null, "api_key": null, "order": null,
        "timeout_ms": null,
    });
    assert_eq!(Value::Object(patch(&fields, &webhook).unwrap()), expected);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let fields = untouched(&WebhookForm::change(&webhook(json!({})), &Draft::default()));
    let problem = patch(&fields, &webhook(json!({"timeout_ms": 1}))).unwrap_err();
    assert!(problem.detail().contains("meanwhile"));
}

#[test]
fn mistakes_name_their_fields() {
    for (name, value, said) in [
        ("timeout_ms", "soon", "\"soon\" is not a whole number"),
        ("schedule_seconds", "1,x", "\"x\" is not a whole number"),
        ("headers", "x-team: blue", "as name=value"),
        ("headers", "x-team=(kept)", "there is no value to keep"),
        ("headers", "a=1\na=2", "a is given twice"),
        ("proxy", "http://p", "there is no such field"),
    ] {
        let fields = vec![(name.to_owned(), value.to_owned())];
        let problem = settings(&fields).unwrap_err();
        assert_eq!(problem.about(), Some(name));
        assert!(problem.detail().contains(said), "{}", problem.detail());
    }
}

#[test]
fn each_setting_that_can_be_set_over_http_has_a_field() {
    let own = ["signing_secrets"];
    for setting in Webhook::SETTINGS
        .iter()
        .filter(|one| one.is_set_over_http())
    {
        let mut names = COMMON
            .iter()
            .chain(MORE)
            .map(|(name, _)| name.split('.').next());
        let has_field = names.any(|name| name == Some(setting.name));
        assert!(has_field != own.contains(&setting.name), "{}", setting.name);
    }
    for (name, _) in COMMON.iter().chain(MORE) {
        assert!(declared(name).is_some(), "{name}");
    }
}
