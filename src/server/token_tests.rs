//! Tokens: what they open, and for how long.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn store() -> (tempfile::TempDir, TokenStore) {
    let dir = tempfile::tempdir().unwrap();
    for sub in ["state/locks", "state/journal"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    let lock = Layout::new(dir.path()).lock("tokens");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let store = TokenStore::open(dir.path());
    (dir, store)
}

fn unrecorded(_: &TokenInfo) -> Result<()> {
    Ok(())
}

fn new(name: &str, expires: Option<Timestamp>) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scope: Scope::Export,
        tenant: Some("acme".to_owned()),
        expires,
    }
}

#[test]
fn a_token_opens_until_it_is_revoked() {
    let (_dir, store) = store();
    let (info, token) = store
        .create_recorded(new("auditor", None), unrecorded)
        .unwrap();
    assert_eq!(token.len(), "ta_".len() + 8 + 1 + 43);
    let access = store.verify(&token).unwrap().unwrap();
    assert_eq!(
        (access.id, access.scope, access.tenant.as_deref()),
        (info.id.clone(), Scope::Export, Some("acme"))
    );
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&info));
    assert!(store.revoke_recorded(&info.id, unrecorded).unwrap());
    assert!(!store.revoke_recorded(&info.id, unrecorded).unwrap());
    assert_eq!(store.verify(&token).unwrap(), None);
}

#[test]
fn no_other_text_opens() {
    let (_dir, store) = store();
    let (_, token) = store
        .create_recorded(new("auditor", None), unrecorded)
        .unwrap();
    let (_, other) = store
        .create_recorded(new("other", None), unrecorded)
        .unwrap();
    let swapped = format!("{}{}", &token[..12], &other[12..]);
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", &token[..token.len() - 1]);
    for wrong in [
        "",
        "ta_",
        &token[3..],
        &token[..token.len() - 1],
        &format!("{token} "),
        &swapped,
        &changed,
        &token.to_lowercase(),
    ] {
        assert_eq!(store.verify(wrong).unwrap(), None, "{wrong}");
    }
}

#[test]
fn a_token_ends_when_it_said() {
    let (_dir, store) = store();
    let after = |seconds: i64| {
        Some(Timestamp::from_micros(
            Timestamp::now().as_micros() + seconds * 1_000_000,
        ))
    };
    let (_, ended) = store
        .create_recorded(new("ended", after(60)), unrecorded)
        .unwrap();
    assert!(store.verify(&ended).unwrap().is_some());
    let end = |tokens: &mut Tokens| {
        tokens.tokens[0].info.expires = after(-1);
        Ok(())
    };
    store.change(end).unwrap();
    let (_, lasts) = store
        .create_recorded(new("lasts", after(60)), unrecorded)
        .unwrap();
    assert_eq!(store.verify(&ended).unwrap(), None);
    assert!(store.verify(&lasts).unwrap().is_some());
}

#[test]
fn a_token_that_would_never_hold_is_refused() {
    let (_dir, store) = store();
    for past in [Timestamp::MIN, Timestamp::now()] {
        let refused = store.create_recorded(new("late", Some(past)), unrecorded);
        let problem = refused.unwrap_err().to_string();
        assert!(problem.starts_with("expires: it is past"), "{problem}");
    }
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn the_file_has_no_secret_and_is_its_owners() {
    let (dir, store) = store();
    let (_, token) = store
        .create_recorded(new("auditor", None), unrecorded)
        .unwrap();
    let path = dir.path().join("state/tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&token[12..]));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_another_process_changes_counts_after_a_second() {
    let (dir, store) = store();
    let (info, token) = store
        .create_recorded(new("auditor", None), unrecorded)
        .unwrap();
    assert!(store.verify(&token).unwrap().is_some());
    TokenStore::open(dir.path())
        .revoke_recorded(&info.id, unrecorded)
        .unwrap();
    // As if this process had not done that, and the second had passed.
    if let Some(cache) = store.cache.lock().unwrap().as_mut() {
        cache.changes = CHANGES.load(Ordering::Acquire);
        cache.looked = Instant::now().checked_sub(LOOK_EVERY).unwrap();
    }
    assert_eq!(store.verify(&token).unwrap(), None);
}

/// A person who made a token with the program uses it at once, at a server that is running.
#[test]
fn what_another_process_creates_counts_at_once() {
    let (dir, store) = store();
    let (_, first) = store
        .create_recorded(new("auditor", None), unrecorded)
        .unwrap();
    assert!(store.verify(&first).unwrap().is_some());
    let (_, second) = TokenStore::open(dir.path())
        .create_recorded(new("other", None), unrecorded)
        .unwrap();
    // As if this process had not made it.
    store.cache.lock().unwrap().as_mut().unwrap().changes = CHANGES.load(Ordering::Acquire);
    assert!(store.verify(&second).unwrap().is_some());
}

#[test]
fn many_at_once_lose_none() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                store
                    .create_recorded(new(&format!("key {n}"), None), unrecorded)
                    .unwrap()
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 8);
}
