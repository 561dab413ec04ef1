//! Who lets whom read the log is in the log.

use serde_json::json;
use tracing_audit::{
    AuditLog, AuditReader, Filter,
    http::{NewToken, Scope},
    reader::Order,
};

#[test]
fn a_token_is_recorded_when_it_is_created_and_when_it_is_revoked() {
    let log = AuditLog::for_tests();
    let (info, token) = log
        .tokens()
        .create(NewToken {
            name: "auditor".to_owned(),
            scope: Scope::Export,
            tenant: Some("acme".to_owned()),
            expires: Some("2099-12-31T00:00:00Z".parse().unwrap()),
        })
        .unwrap();
    assert_eq!(log.tokens().list().unwrap(), log.reader().tokens().unwrap());
    assert!(log.tokens().verify(&token).unwrap().is_some());
    assert!(log.tokens().revoke(&info.id).unwrap());
    assert!(!log.tokens().revoke(&info.id).unwrap());
    assert!(log.tokens().verify(&token).unwrap().is_none());

    let filter = Filter::parse([("event_type", "audit.token.*")]).unwrap();
    let mut entries = Vec::new();
    let reader = AuditReader::open(log.dir()).unwrap();
    let gather = |entry: tracing_audit::RawEntry| {
        entries.push(entry.parse::<tracing_audit::Entry>().unwrap());
        std::ops::ControlFlow::Continue(())
    };
    reader.each(&filter, Order::Asc, gather).unwrap();
    let types: Vec<_> = entries.iter().map(|e| e.event_type.as_str()).collect();
    assert_eq!(types, ["audit.token.created", "audit.token.revoked"]);
    for entry in &entries {
        assert_eq!(entry.details["token_id"], json!(info.id));
        assert_eq!(entry.details["name"], "auditor");
        assert_eq!(entry.details["scope"], "export");
        assert_eq!(entry.details["tenant_id"], "acme");
        let text = serde_json::to_string(entry).unwrap();
        assert!(!text.contains(&token[12..]), "the secret is not in the log");
    }
}
