//! The JSON in the body of a request, which is small.

use axum::{
    body::{Body, to_bytes},
    http::{StatusCode, header, request::Parts},
};
use serde_json::{Map, Value};

use super::problem::Problem;

pub(super) const JSON: &str = "application/json";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// How long a body may be.
const MOST: usize = 64 * 1024;

/// Reads an object, if the request says that its body is of one of these types.
pub(super) async fn object(
    head: &Parts,
    body: Body,
    types: &[&str],
) -> Result<Map<String, Value>, Problem> {
    let given = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !types.iter().any(|one| essence.eq_ignore_ascii_case(one)) {
        let detail = format!("send a body of the type {}", types.join(" or "));
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported type",
            detail,
        ));
    }
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Body too large",
            format!("the body is longer than {MOST} bytes; shorten it"),
        )
    };
    let declared = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > MOST) {
        return Err(too_large());
    }
    // The client may also have gone away; then the answer is not read.
    let bytes = to_bytes(body, MOST).await.map_err(|_| too_large())?;
    let malformed =
        |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Malformed body", detail);
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("the body must be a JSON object".to_owned())),
        Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
    }
}

/// Takes a field that is true or false out of the object; false if the object doesn't have it.
#[cfg(feature = "webhook")]
pub(super) fn take_flag(object: &mut Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match object.remove(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(Problem::setting(name, "it must be true or false")),
    }
}

/// Takes a text out of the object, if the object has it. `null` is as good as nothing.
pub(super) fn take_text(
    object: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<String>, Problem> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::setting(name, "it must be a text")),
    }
}

/// Refuses what was not taken out of the object.
pub(super) fn refuse_rest(object: &Map<String, Value>, known: &str) -> Result<(), Problem> {
    match object.keys().next() {
        Some(name) => Err(Problem::setting(
            name,
            format!("there is no such setting; known are: {known}"),
        )),
        None => Ok(()),
    }
}
