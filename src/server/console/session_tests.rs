use axum::http::Request;

use super::*;
use crate::{
    AuditLog,
    http::{NewToken, Scope},
};

fn head(cookies: &[&[u8]]) -> Parts {
    let mut request = Request::get("/entries");
    for cookie in cookies {
        request = request.header(header::COOKIE, *cookie);
    }
    request.body(()).unwrap().into_parts().0
}

fn one(value: &str) -> SessionCookie<'_> {
    SessionCookie::One(value.as_bytes())
}

/// A log with a token, and the text of the token.
fn log_with_token() -> (crate::testing::TestLog, TokenStore, String, String) {
    let log = AuditLog::for_tests();
    let new = NewToken {
        name: "ann".into(),
        scope: Scope::Export,
        tenant: Some("acme".into()),
        expires: None,
    };
    let (info, text) = log.tokens().create(new).unwrap();
    let store = TokenStore::open(log.dir());
    (log, store, info.id, text)
}

fn key(n: u32) -> TokenKey {
    TokenKey::of(&format!("ta_{n:08x}_{}", "s".repeat(43))).unwrap()
}

#[test]
fn a_session_gives_what_its_token_gives_until_that_is_revoked() {
    let (log, tokens, id, text) = log_with_token();
    let sessions = Sessions::default();
    let now = Instant::now();
    let value = sessions.begin(TokenKey::of(&text).unwrap(), now).unwrap();
    assert_eq!(value.len(), 43);
    let access = sessions.authorize(&tokens, one(&value), now).unwrap();
    assert_eq!(Some(access), tokens.verify(&text).unwrap());
    for wrong in ["", "x", &value[1..], &format!("{value} ")] {
        let refused = sessions.authorize(&tokens, one(wrong), now);
        assert!(
            matches!(refused, Err(Denied::Unauthenticated(_))),
            "{wrong}"
        );
    }
    assert!(log.tokens().revoke(&id).unwrap());
    let refused = sessions.authorize(&tokens, one(&value), now);
    assert!(matches!(refused, Err(Denied::Unauthenticated(_))));
    assert!(sessions.lock().is_empty());
}

#[test]
fn a_session_ends_after_twelve_hours_and_after_two_without_use() {
    let (_log, tokens, _, text) = log_with_token();
    let is_good = |sessions: &Sessions, value: &str, now| {
        sessions.authorize(&tokens, one(value), now).is_ok()
    };
    let begin = Instant::now();
    let sessions = Sessions::default();
    let token = TokenKey::of(&text).unwrap();
    let idle = sessions.begin(token.clone(), begin).unwrap();
    let used = sessions.begin(token, begin).unwrap();
    let moment = Duration::from_millis(1);
    assert!(is_good(&sessions, &idle, begin + IDLE - moment));
    // Being asked for alone, as by a stream that is left open, is no use.
    assert!(!is_good(&sessions, &idle, begin + IDLE));
    let mut now = begin;
    while now + IDLE / 2 < begin + LIFE {
        now += IDLE / 2;
        assert!(is_good(&sessions, &used, now));
        sessions.note_use(one(&used), now);
    }
    assert!(is_good(&sessions, &used, begin + LIFE - moment));
    assert!(!is_good(&sessions, &used, begin + LIFE));
}

#[test]
fn an_ended_session_is_gone() {
    let (_log, tokens, id, text) = log_with_token();
    let sessions = Sessions::default();
    let now = Instant::now();
    let value = sessions.begin(TokenKey::of(&text).unwrap(), now).unwrap();
    let ended = sessions.end(one(&value), now);
    assert_eq!(ended.map(|token| token.id().to_owned()), Some(id));
    assert!(sessions.authorize(&tokens, one(&value), now).is_err());
    assert_eq!(sessions.end(one(&value), now), None);
}

#[test]
fn the_oldest_sessions_end_for_new_ones() {
    let sessions = Sessions::default();
    let begin = Instant::now();
    let values: Vec<_> = (0..=OF_ONE as u64)
        .map(|n| {
            let now = begin + Duration::from_secs(n);
            sessions.begin(key(1), now).unwrap()
        })
        .collect();
    assert_eq!(sessions.lock().len(), OF_ONE);
    let is_there = |value: &str| sessions.lock().contains_key(&hash(value.as_bytes()));
    assert!(!is_there(&values[0]));
    assert!(values[1..].iter().all(|value| is_there(value)));
    for n in 0..2000 {
        sessions
            .begin(key(n + 2), begin + Duration::from_secs(60))
            .unwrap();
    }
    assert_eq!(sessions.lock().len(), MOST);
}

#[test]
fn what_has_ended_makes_room_by_itself() {
    let sessions = Sessions::default();
    let begin = Instant::now();
    for n in 0..10 {
        sessions.begin(key(n), begin).unwrap();
    }
    sessions.begin(key(1), begin + IDLE).unwrap();
    assert_eq!(sessions.lock().len(), 1);
}

#[test]
fn the_cookie_is_found_among_others_and_alone_only() {
    let found = |cookies: &[&[u8]]| match any_session_cookie(&head(cookies)) {
        None => "none".to_owned(),
        Some(SessionCookie::Several) => "several".to_owned(),
        Some(SessionCookie::One(value)) => String::from_utf8_lossy(value).into_owned(),
    };
    for (cookies, expected) in [
        (&[][..], "none"),
        (&[&b"__Secure-audit-session=abc"[..]], "abc"),
        (&[b"a=1; __Secure-audit-session=abc; b=2"], "abc"),
        (&[b"a=1;__Secure-audit-session=abc;;"], "abc"),
        (&[b"a=1", b"__Secure-audit-session=abc"], "abc"),
        (&[b"__Secure-audit-session="], ""),
        (&[b"__Secure-audit-session=a=b"], "a=b"),
        (&[b"__Secure-audit-session"], "none"),
        (&[b"__Secure-audit-session =abc"], "none"),
        (&[b"__secure-audit-session=abc"], "none"),
        (&[b"x__Secure-audit-session=abc"], "none"),
        (&[b"__Secure-audit-sessions=abc"], "none"),
        (&[b"\xff\xfe; __Secure-audit-session=abc"], "abc"),
        (&[b";=;;==; ; \t"], "none"),
        (
            &[b"__Secure-audit-session=a; __Secure-audit-session=a"],
            "several",
        ),
        (
            &[b"__Secure-audit-session=a", b"__Secure-audit-session=b"],
            "several",
        ),
    ] {
        assert_eq!(found(cookies), expected, "{cookies:?}");
    }
    let mut head = head(&[b"__Secure-audit-session=abc"]);
    assert!(session_cookie(&head).is_some());
    let other = axum::http::HeaderValue::from_static("Basic x");
    head.headers.insert(header::AUTHORIZATION, other);
    assert!(session_cookie(&head).is_none());
}
