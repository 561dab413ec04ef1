//! `token`: made, listed and revoked.

use crate::cli::{code, err, json_lines, out, run};
use crate::commands::{assert_is_by_this_user, log};

#[test]
fn tokens_are_made_listed_and_revoked() {
    let dir = log(12);
    let made = run(
        dir.path(),
        &[
            "token",
            "create",
            "--name",
            "splunk",
            "--scope",
            "export",
            "--expires",
            "2999-01-01",
        ],
    );
    assert_eq!(code(&made), 0, "{}", err(&made));
    let token = out(&made).trim_end().to_owned();
    let id = token
        .strip_prefix("ta_")
        .unwrap()
        .split_once('_')
        .unwrap()
        .0
        .to_owned();
    let listed = run(dir.path(), &["token", "list"]);
    let secret = token
        .rsplit_once('_')
        .map_or(token.as_str(), |(_, secret)| secret);
    assert!(!out(&listed).contains(secret), "the secret is kept nowhere");
    let info = json_lines(&listed).remove(0);
    assert_eq!(
        (
            info["id"].as_str().unwrap(),
            info["name"].as_str().unwrap(),
            info["scope"].as_str().unwrap()
        ),
        (id.as_str(), "splunk", "export")
    );
    assert!(out(&run(dir.path(), &["token", "list", "--format", "table"])).contains("splunk"));
    assert_eq!(code(&run(dir.path(), &["token", "revoke", &id])), 0);
    assert_eq!(
        code(&run(dir.path(), &["token", "revoke", &id])),
        1,
        "it is gone"
    );
    assert_eq!(out(&run(dir.path(), &["token", "list"])), "");
    let changes = run(dir.path(), &["query", "--event-type", "audit.token.*"]);
    let changes = json_lines(&changes);
    assert_eq!(changes.len(), 2);
    for change in &changes {
        assert_is_by_this_user(change);
    }
}
