//! Tokens, holds and settings: for administrators of all tenants.

use serde_json::json;

use super::{
    described::{Delete, Described, Get, Patch, Post, header, json, response, text},
    examples::{self, with},
};
use crate::server::json_body::{JSON, MERGE_PATCH};

pub(super) fn operations() -> Vec<Described> {
    vec![
        list_tokens(),
        create_token(),
        revoke_token(),
        list_holds(),
        place_hold(),
        release_hold(),
        settings(),
        change_settings(),
    ]
}

/// The answer to a request that has made something.
pub(super) fn created(
    description: &str,
    schema: &str,
    example: serde_json::Value,
) -> utoipa::openapi::ResponseBuilder {
    response(description)
        .content(JSON, json(schema, example))
        .header("Location", header("The path of what was made.", text()))
}

fn list_tokens() -> Described {
    let tokens = json!({"tokens": [examples::token()]});
    Described::new(
        Get,
        "/tokens",
        "listTokens",
        "All tokens, without their secrets",
    )
    .for_administrators()
    .answers("200", "The tokens, the oldest first", "TokenList", tokens)
}

fn create_token() -> Described {
    let new = json!({"name": "auditors", "scope": "export", "expires": "2027-01-01"});
    let text = json!({"token": "ta_7f3a9c04_q5yT0kq0m3v7Vd2yJ4mJm3b0yqj0Qd2c1m0cN0a9f8E"});
    let made = with(examples::token(), text);
    Described::new(Post, "/tokens", "createToken", "Makes a token")
        .for_administrators()
        .takes(&[JSON], "NewToken", new)
        .responds(
            "201",
            created("The token, with its text, this once", "CreatedToken", made),
        )
        .refuses(&["409"])
}

fn revoke_token() -> Described {
    Described::new(Delete, "/tokens/{id}", "revokeToken", "Revokes a token")
        .description("At once in this process, within a second in others.")
        .for_administrators()
        .responds("204", response("The token is refused from now on"))
        .refuses(&["404"])
}

fn list_holds() -> Described {
    let holds = json!({"holds": [examples::hold()]});
    Described::new(
        Get,
        "/holds",
        "listHolds",
        "All holds, with who placed them",
    )
    .for_administrators()
    .answers("200", "The holds", "HoldList", holds)
}

fn place_hold() -> Described {
    let new = json!({
        "name": "case-17",
        "start_date": "2026-10-01",
        "end_date": "2026-10-31",
        "reason": "Acme v. Example",
    });
    Described::new(Post, "/holds", "placeHold", "Places a hold")
        .description("Retention removes no entry in the range of a hold.")
        .for_administrators()
        .takes(&[JSON], "NewHold", new)
        .responds("201", created("The hold", "Hold", examples::hold()))
}

fn release_hold() -> Described {
    Described::new(Delete, "/holds/{name}", "releaseHold", "Releases a hold")
        .for_administrators()
        .responds("204", response("The hold is released"))
        .refuses(&["404"])
}

fn settings() -> Described {
    let settings = json!({"retention_days": 90});
    Described::new(
        Get,
        "/settings",
        "settings",
        "The settings that hold in all processes",
    )
    .for_administrators()
    .answers("200", "The settings", "Settings", settings)
}

fn change_settings() -> Described {
    let settings = json!({"retention_days": 90});
    Described::new(Patch, "/settings", "changeSettings", "Changes settings")
        .description(
            "A JSON merge patch (RFC 7396). Processes that have the log open follow it within a \
             minute.",
        )
        .for_administrators()
        .takes(&[MERGE_PATCH, JSON], "SettingsPatch", settings.clone())
        .answers("200", "The settings as they are now", "Settings", settings)
}
