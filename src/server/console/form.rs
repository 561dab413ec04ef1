//! The fields of a form that a page sends.

use axum::{
    body::{Body, to_bytes},
    http::{StatusCode, header, request::Parts},
};

use crate::server::{params, problem::Problem};

/// How long the body of a form may be.
const MOST: usize = 16 * 1024;

/// Names and values, in their order.
pub(super) type Fields = Vec<(String, String)>;

/// Reads a form, if the request says that its body is one.
pub(super) async fn fields(head: &Parts, body: Body) -> Result<Fields, Problem> {
    let given = head.headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported type",
            "send a form, as application/x-www-form-urlencoded",
        ));
    }
    let too_large = |_| {
        let detail = format!("the form is longer than {MOST} bytes; shorten it");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail)
    };
    let bytes = to_bytes(body, MOST).await.map_err(too_large)?;
    let text = str::from_utf8(&bytes)
        .map_err(|_| Problem::parameter("form", "it is not percent-encoded UTF-8"))?;
    Ok(params::parse(Some(text))?)
}
