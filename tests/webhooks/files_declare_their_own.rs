//! Each place that declares webhooks owns those that it declares, and no others.

use std::fs;

use tracing_audit::{AuditLog, Error, webhook::Webhook};

fn hook(name: &str) -> Webhook {
    Webhook::new(name, format!("https://{name}.example.com/"), ["*"])
}

fn names(log: &AuditLog) -> Vec<String> {
    let all = log.webhooks().list().unwrap();
    let mut names: Vec<_> = all
        .iter()
        .map(|one| one.webhook.name().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_removes_only_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, "").unwrap();
        path.display().to_string()
    };
    let (a, b) = (file("a.toml"), file("b.toml"));
    let log = AuditLog::for_tests();
    let declare = |place: &str, names: &[&str]| {
        let hooks = names.iter().map(|name| hook(name)).collect();
        log.webhooks().declare_in(place, hooks)
    };
    declare(&a, &["siem", "old"]).unwrap();
    declare(&b, &["chat"]).unwrap();
    log.webhooks().declare(vec![hook("code")]).unwrap();
    assert_eq!(names(&log), ["chat", "code", "old", "siem"]);
    declare(&a, &["siem"]).unwrap();
    assert_eq!(names(&log), ["chat", "code", "siem"]);
    let refused = declare(&b, &["chat", "siem"]).unwrap_err();
    let names_place = matches!(&refused, Error::Conflict(text) if text.contains("a.toml"));
    assert!(names_place, "{refused}");
    declare(&a, &[]).unwrap();
    assert_eq!(names(&log), ["chat", "code"]);

    // A file that was moved goes on with those that it declared.
    fs::rename(&b, dir.path().join("c.toml")).unwrap();
    let moved = dir.path().join("c.toml").display().to_string();
    declare(&moved, &["chat"]).unwrap();
    let chat = log.webhooks().get("chat").unwrap().unwrap();
    assert_eq!(chat.declared_in(), Some(moved.as_str()));

    // What an older version kept: the file's path with its links followed.
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink(&moved, &link).unwrap();
    let link = link.display().to_string();
    declare(&link, &["chat", "new"]).unwrap();
    declare(&link, &["new"]).unwrap();
    assert_eq!(names(&log), ["code", "new"]);

    // What nobody can declare any longer can be removed by hand.
    assert!(log.webhooks().remove("new").is_err());
    fs::remove_file(&moved).unwrap();
    assert!(log.webhooks().remove("new").unwrap());
    assert!(log.webhooks().remove("code").is_err());
    log.close().unwrap();
}
