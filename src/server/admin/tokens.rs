//! Tokens over HTTP: made, listed and revoked by administrators of all tenants.

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{AdminRequest, RefusedChange, answer, not_changed};
use crate::{
    entry::{
        Day, Timestamp,
        json::{Members, members},
    },
    server::{
        access::Scope,
        json_body::{self, JSON},
        problem::Problem,
        state::Asker,
        token::{NewToken, TokenInfo},
        tokens,
    },
};

/// How a refused change is recorded.
pub(in crate::server) const REFUSED: RefusedChange = RefusedChange {
    event_type: "audit.token.refused",
    description: "A change of the tokens was refused",
};

/// `GET /tokens`
pub(in crate::server) async fn list(request: AdminRequest) -> Result<Response, Problem> {
    let asker = request.admit_without_parameters()?;
    let tokens = request.read(|app, _| app.tokens.list()).await?;
    request.record_read(&asker, "The list of tokens was read", &[], true)?;
    let tokens: Vec<_> = tokens.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &members! { "tokens": tokens }))
}

/// `POST /tokens`
pub(in crate::server) async fn create(
    request: AdminRequest,
    body: Body,
) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, async |asker| {
            let settings = json_body::object(&request.head, body, &[JSON]).await?;
            let (info, text) = make(&request, asker, settings).await?;
            let mut token = shown(&info);
            token.add("token", &text);
            Ok(request.created(&info.id, &token))
        })
        .await
}

/// Makes a token with these settings. Returns its text as well, which is kept nowhere.
pub(in crate::server) async fn make(
    request: &AdminRequest,
    asker: Asker,
    mut settings: Map<String, Value>,
) -> Result<(TokenInfo, String), Problem> {
    let new = new_token(&mut settings)?;
    let log = request.log()?.clone();
    let made = request
        .read(move |app, _| Ok(tokens::create(&log, &app.tokens, new, &asker.author())))
        .await?;
    made.map_err(named_as_sent)
}

/// `DELETE /tokens/{id}`
pub(in crate::server) async fn revoke(request: AdminRequest) -> Result<Response, Problem> {
    request
        .change_or_record(REFUSED, async |asker| {
            end(&request, asker, request.part(2)).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// Ends the token with this id.
pub(in crate::server) async fn end(
    request: &AdminRequest,
    asker: Asker,
    id: String,
) -> Result<(), Problem> {
    let log = request.log()?.clone();
    let revoked = request
        .read(move |app, _| Ok(tokens::revoke(&log, &app.tokens, &id, &asker.author())))
        .await?;
    match revoked.map_err(not_changed)? {
        true => Ok(()),
        false => Err(Problem::not_found(
            "there is no token with this id; GET /tokens lists them",
        )),
    }
}

fn new_token(settings: &mut Map<String, Value>) -> Result<NewToken, Problem> {
    let name = json_body::take_text(settings, "name")?;
    let scope = json_body::take_text(settings, "scope")?;
    let tenant = json_body::take_text(settings, "tenant_id")?;
    let expires = json_body::take_text(settings, "expires")?;
    json_body::refuse_rest(settings, "name, scope, tenant_id, expires")?;
    Ok(NewToken {
        name: name.unwrap_or_default(),
        scope: match scope {
            Some(scope) => scope.parse().map_err(not_changed)?,
            None => Scope::Read,
        },
        tenant,
        expires: expires.as_deref().map(instant).transpose()?,
    })
}

fn instant(text: &str) -> Result<Timestamp, Problem> {
    let day = text.parse::<Day>().map(Day::start);
    day.or_else(|_| text.parse()).map_err(|_| {
        let problem = "it must be a date like 2027-01-01 or an RFC 3339 instant like \
                       2027-01-01T12:00:00Z";
        Problem::setting("expires", problem)
    })
}

/// The error, with the tenant called as in the request.
fn named_as_sent(error: crate::Error) -> Problem {
    match error {
        crate::Error::Invalid { parameter, problem } if parameter == "tenant" => {
            Problem::setting("tenant_id", problem)
        }
        error => not_changed(error),
    }
}

/// A token as answers show it.
fn shown(token: &TokenInfo) -> Members {
    members! {
        "id": token.id,
        "name": token.name,
        "scope": token.scope,
        "tenant_id": token.tenant,
        "created": token.created,
        "expires": token.expires,
    }
}
