//! The page of tokens.

use askama::Template;
use axum::{body::Body, http::StatusCode, response::Response};

use super::{Draft, as_settings, take_button, take_form};
use crate::{
    entry::Timestamp,
    server::{
        access::Scope,
        admin::{AdminRequest, tokens},
        console::{
            form::Fields,
            frame::Frame,
            text::{Time, shown},
            visit::{Visit, html},
        },
        problem::Problem,
        state::Asker,
        token::TokenInfo,
    },
};

/// `GET /admin/tokens`
pub(in crate::server::console) async fn page(visit: Visit, request: AdminRequest) -> Response {
    let page = match request.admit_without_parameters() {
        Ok(asker) => list(&visit, &request, &asker, Draft::default()).await,
        Err(problem) => Err(problem),
    };
    visit.answer(page)
}

async fn list(
    visit: &Visit,
    request: &AdminRequest,
    asker: &Asker,
    draft: Draft,
) -> Result<Response, Problem> {
    let tokens = request.read(|app, _| app.tokens.list()).await?;
    let description = "The list of tokens was read in the console";
    request.record_read(asker, description, &[], true)?;
    let now = Timestamp::now();
    let token = |token: &TokenInfo| Token::new(token, now, &asker.access.id);
    let page = TokensPage {
        frame: visit.frame(Some(&asker.access)),
        tokens: tokens.iter().rev().map(token).collect(),
        is_read_only: visit.app.log.is_none(),
        draft,
    };
    Ok(html(page.draft.status(), &page))
}

/// `POST /admin/tokens`: makes a token. The answer shows its text, so it doesn't lead elsewhere.
pub(in crate::server::console) async fn create(
    visit: Visit,
    request: AdminRequest,
    body: Body,
) -> Response {
    let page = make(&visit, &request, body).await;
    visit.answer(page)
}

async fn make(visit: &Visit, request: &AdminRequest, body: Body) -> Result<Response, Problem> {
    let make = async |asker, fields: Fields| {
        let settings = as_settings(&fields)?;
        tokens::make(request, asker, settings).await
    };
    let (asker, made) = take_form(visit, request, body, tokens::REFUSED, make).await?;
    let (token, secret) = match made {
        Ok(made) => made,
        Err(draft) => return list(visit, request, &asker, draft).await,
    };
    let page = MadePage {
        frame: visit.frame(Some(&asker.access)),
        token: Token::new(&token, Timestamp::now(), ""),
        secret,
    };
    Ok(html(StatusCode::CREATED, &page))
}

/// `POST /admin/tokens/{id}/revoke`
pub(in crate::server::console) async fn revoke(visit: Visit, request: AdminRequest) -> Response {
    let end = async |asker| tokens::end(&request, asker, request.part(3)).await;
    take_button(&visit, &request, tokens::REFUSED, "admin/tokens", end).await
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<Token>,
    /// Whether this server can't write to the log, and so changes nothing.
    is_read_only: bool,
    draft: Draft,
}

impl TokensPage {
    const SCOPES: [(Scope, &str); 3] = [
        (Scope::Read, "read: pages, entries, counts"),
        (Scope::Export, "export: downloads as well"),
        (Scope::Admin, "admin: everything"),
    ];

    fn is_chosen(&self, scope: Scope) -> bool {
        self.draft.value("scope") == scope.to_string()
    }
}

/// The token that was made just now.
#[derive(Template)]
#[template(path = "token_made.html")]
struct MadePage {
    frame: Frame,
    token: Token,
    secret: String,
}

/// A token as pages show it.
struct Token {
    id: String,
    name: String,
    scope: Scope,
    tenant: Option<String>,
    created: Time,
    expires: Option<Time>,
    is_expired: bool,
    /// Whether the visitor is here by it.
    is_own: bool,
}

impl Token {
    fn new(token: &TokenInfo, now: Timestamp, own: &str) -> Self {
        Self {
            id: shown(&token.id),
            name: shown(&token.name),
            scope: token.scope,
            tenant: token.tenant.as_deref().map(shown),
            created: Time::new(token.created, now),
            expires: token.expires.map(|time| Time::new(time, now)),
            is_expired: token.expires.is_some_and(|time| time <= now),
            is_own: token.id == own,
        }
    }
}
