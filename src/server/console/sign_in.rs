//! Signing in, with a token or a one-time code, and signing out.

use std::time::Instant;

use askama::Template;
use axum::{
    body::Body,
    extract::{Request, State as Shared},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};

use super::{
    code, form,
    frame::Frame,
    session::{COOKIE, LIFE, SessionCookie, any_session_cookie, cookies},
    visit::{Visit, below, html, mount, with_headers_of},
};
use crate::{
    entry::{Caller, OwnEntry, Severity},
    server::{
        access::{Access, Denied},
        guard,
        params::take,
        problem::Problem,
        state::{State, name_caller, path, shorten},
        token::TokenKey,
    },
};

/// The name of the cookie of a visitor who has just signed out.
const SIGNED_OUT: &str = "__Secure-audit-signed-out";
/// How long that cookie waits for the sign-in page.
const SIGNED_OUT_SECONDS: u64 = 60;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// The code of a link, which a button uses.
    code: Option<String>,
    /// The page to go on to, below the mount.
    next: String,
    problem: Option<&'static str>,
    /// Whether the visitor has just signed out.
    is_signed_out: bool,
    /// Whether visitors sign in here, and not to the application.
    by_token: bool,
}

/// `GET /sign-in`. Programs that look at links in mail follow them too, so a link with a code shows
/// a button, and only that uses the code.
pub(super) async fn page(visit: Visit) -> Response {
    let made = || {
        check_has_sign_in(&visit.app)?;
        let mut given = visit.parameters()?;
        let code = take(&mut given, "code")?;
        let next = take(&mut given, "next")?.filter(|next| is_below_mount(next));
        if let Some((name, _)) = given.first() {
            let detail = "signing in takes only code and next; leave it out";
            return Err(Problem::parameter(name, detail));
        }
        let page = SignInPage {
            frame: visit.frame(None),
            code,
            next: next.unwrap_or_default(),
            problem: None,
            is_signed_out: has_signed_out(&visit.head),
            by_token: true,
        };
        let mut response = html(StatusCode::OK, &page);
        if page.is_signed_out {
            // It is said once.
            add_cookie(&mut response, &signed_out(&visit.mount(), "", 0))?;
        }
        Ok(response)
    };
    visit.answer(made())
}

/// The answer to a request for a page by a visitor who isn't known: the sign-in page, in place.
pub(super) fn needed(visit: &Visit, problem: Problem) -> Response {
    let by_token = visit.app.options.authorizer.is_none();
    let session = any_session_cookie(&visit.head).filter(|_| by_token);
    let page = SignInPage {
        frame: visit.frame(None),
        code: None,
        next: below_mount(&visit.head),
        problem: session.map(|session| match session {
            SessionCookie::One(_) => {
                "Your session has ended. Sign in again to go on where you were."
            }
            SessionCookie::Several => {
                "Your browser sends several session cookies, of which another server has set one. \
                 Delete the cookies of this site, then sign in."
            }
        }),
        is_signed_out: false,
        by_token,
    };
    with_headers_of(&problem, html(problem.status(), &page))
}

/// `POST /sign-in`: begins a session.
pub(super) async fn sign_in(Shared(app): Shared<State>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = match check_has_sign_in(&app) {
        Ok(()) => begin(&app, &head, body).await,
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(|problem| refused(&app, &head, problem))
}

async fn begin(app: &State, head: &Parts, body: Body) -> Result<Response, Problem> {
    let mut caller = app.caller(head);
    app.check_same_origin(&caller, head)?;
    let mut form = form::fields(head, body).await?;
    let next = take(&mut form, "next")?.filter(|next| is_below_mount(next));
    let by_code = take(&mut form, "code")?;
    let token = match (&by_code, take(&mut form, "token")?) {
        (Some(code), _) => code::take(app.layout.root(), code),
        (None, token) => token.and_then(|token| TokenKey::of(token.trim())),
    };
    let (token, access) = known(app, head, &caller, token)?;
    name_caller(&mut caller, &access);
    let entry = OwnEntry::new(
        "audit.access.signed_in",
        Severity::Info,
        "Someone signed in to the audit log's console with a browser",
    );
    let method = if by_code.is_some() { "link" } else { "token" };
    let entry = entry
        .caller(caller)
        .detail("path", shorten(path(head)))
        .detail("method", method);
    app.recorder.record(&entry)?;
    if let Some(old) = any_session_cookie(head) {
        app.sessions.end(old, Instant::now());
    }
    let value = app.sessions.begin(token, Instant::now())?;
    let mount = mount(head);
    let to = below(&mount, &next.unwrap_or_default());
    see_other(&to, &[cookie(&mount, &value, LIFE.as_secs())])
}

/// The token, if it is valid now; a refusal is recorded.
fn known(
    app: &State,
    head: &Parts,
    caller: &Caller,
    token: Option<TokenKey>,
) -> Result<(TokenKey, Access), Problem> {
    let found = token.map(|token| {
        let access = app.tokens.access_of(&token);
        access.map(|access| access.map(|access| (token, access)))
    });
    let denied = match found.transpose() {
        Ok(Some(Some(found))) => return Ok(found),
        Ok(_) => {
            let why = "the token or code of a sign-in is unknown, revoked, expired or used";
            Denied::Unauthenticated(why.to_owned())
        }
        Err(_) => Denied::Unavailable("the tokens can't be read".to_owned()),
    };
    Err(app.refuse(caller, denied, head))
}

/// `POST /sign-out`: ends the session.
pub(super) async fn sign_out(Shared(app): Shared<State>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let answer = check_has_sign_in(&app).and_then(|()| end(&app, &head));
    answer.unwrap_or_else(|problem| refused(&app, &head, problem))
}

fn end(app: &State, head: &Parts) -> Result<Response, Problem> {
    let mut caller = app.caller(head);
    app.check_same_origin(&caller, head)?;
    let ended = any_session_cookie(head).and_then(|old| app.sessions.end(old, Instant::now()));
    let access = ended.and_then(|token| app.tokens.access_of(&token).ok().flatten());
    if let Some(access) = access {
        name_caller(&mut caller, &access);
        let entry = OwnEntry::new(
            "audit.access.signed_out",
            Severity::Info,
            "Someone signed out of the audit log's console",
        );
        let entry = entry.caller(caller).detail("path", shorten(path(head)));
        // The session has ended, whether that can be recorded or not; what can't be is counted.
        let _ = app.recorder.record(&entry);
    }
    let mount = mount(head);
    let cookies = [
        cookie(&mount, "", 0),
        signed_out(&mount, "1", SIGNED_OUT_SECONDS),
    ];
    see_other(&below(&mount, "sign-in"), &cookies)
}

/// An application with an authorizer of its own has a login of its own.
fn check_has_sign_in(app: &State) -> Result<(), Problem> {
    match app.options.authorizer {
        None => Ok(()),
        Some(_) => Err(guard::nothing_here()),
    }
}

/// The answer to a sign-in that is refused.
fn refused(app: &State, head: &Parts, problem: Problem) -> Response {
    let page = SignInPage {
        frame: Frame::new(app, head, None),
        code: None,
        next: String::new(),
        problem: Some(match problem.status() {
            StatusCode::UNAUTHORIZED => {
                "This token or link isn't valid: it is unknown, revoked, expired, or was used \
                 before. Check it, or ask an administrator for a new one."
            }
            StatusCode::FORBIDDEN => {
                "This request didn't come from this page, so it was refused. Try again from here."
            }
            StatusCode::NOT_FOUND => "You sign in to this console by its application.",
            _ => "That didn't work just now. Try again in a moment.",
        }),
        is_signed_out: false,
        by_token: app.options.authorizer.is_none(),
    };
    with_headers_of(&problem, html(problem.status(), &page))
}

/// The cookie of a session, for everything below the mount.
fn cookie(mount: &str, value: &str, seconds: u64) -> String {
    set_cookie(COOKIE, mount, value, seconds)
}

/// The cookie that lets the sign-in page say, once, that the visitor has signed out.
fn signed_out(mount: &str, value: &str, seconds: u64) -> String {
    set_cookie(SIGNED_OUT, &below(mount, "sign-in"), value, seconds)
}

fn has_signed_out(head: &Parts) -> bool {
    cookies(head, SIGNED_OUT).any(|value| value == b"1")
}

fn set_cookie(name: &str, path: &str, value: &str, seconds: u64) -> String {
    // Only letters and such can't leave their place in the header.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    let path = match path.bytes().all(is_plain) && !path.is_empty() {
        true => path,
        false => "/",
    };
    format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict")
}

fn see_other(to: &str, cookies: &[String]) -> Result<Response, Problem> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::try_from(to).map_err(|_| wrong_next())?;
    response.headers_mut().insert(header::LOCATION, to);
    for cookie in cookies {
        add_cookie(&mut response, cookie)?;
    }
    Ok(response)
}

fn add_cookie(response: &mut Response, cookie: &str) -> Result<(), Problem> {
    let cookie = HeaderValue::try_from(cookie).map_err(|_| wrong_next())?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

fn wrong_next() -> Problem {
    Problem::parameter("next", "it is not a path of the console")
}

/// The page that is asked for, as a path and a query below the mount.
fn below_mount(head: &Parts) -> String {
    let path = head.uri.path().trim_start_matches('/');
    let next = match head.uri.query() {
        None => path.to_owned(),
        Some(query) => format!("{path}?{query}"),
    };
    Some(next)
        .filter(|next| is_below_mount(next))
        .unwrap_or_default()
}

/// Whether the text is a path, perhaps with a query, that stays below the mount.
fn is_below_mount(next: &str) -> bool {
    let path = next.split('?').next().unwrap_or_default();
    next.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !path.starts_with('/')
        && !path.to_ascii_lowercase().replace("%2e", ".").contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_all_its_attributes_and_no_others() {
        assert_eq!(
            cookie("/audit", "abc", 43_200),
            "__Secure-audit-session=abc; Path=/audit; Max-Age=43200; HttpOnly; Secure; \
             SameSite=Strict"
        );
        for wrong in ["", "/a;domain=evil.example", "/a,b", "/a b", "/\"a\""] {
            assert!(cookie(wrong, "abc", 1).contains("; Path=/; "), "{wrong}");
        }
    }

    #[test]
    fn whoever_signs_in_goes_on_below_the_mount_only() {
        for good in ["", "?actor=ann", "entry/1?x=..", "a/b"] {
            assert!(is_below_mount(good), "{good}");
        }
        for wrong in [
            "/x",
            "//evil.example",
            "../x",
            "a/../../x",
            "%2e%2e/x",
            ".%2E/x",
            "a\\b",
            "a b",
            "a\r\nb",
            "ä",
        ] {
            assert!(!is_below_mount(wrong), "{wrong}");
        }
    }
}
