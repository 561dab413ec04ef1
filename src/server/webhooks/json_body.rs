//! The JSON in the body of a request, which is small.

use axum::{
    body::{Body, to_bytes},
    http::{StatusCode, header, request::Parts},
};
use serde_json::{Map, Value};

use crate::server::problem::Problem;

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
            "Unknown type",
            detail,
        ));
    }
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Too large",
            format!("the body may have {MOST} bytes"),
        )
    };
    let told = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > MOST) {
        return Err(too_large());
    }
    // It may also be that the client went away; then nobody reads the answer.
    let bytes = to_bytes(body, MOST).await.map_err(|_| too_large())?;
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Malformed", detail);
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("the body must be a JSON object".to_owned())),
        Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
    }
}
