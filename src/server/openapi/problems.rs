//! The answers to requests that are refused. Each stands once among the components, under the name
//! of its status.

use serde_json::{Value, json};
use utoipa::openapi::{
    ComponentsBuilder, Header, Ref, RefOr, Response, ResponseBuilder, schema::ObjectBuilder,
};

use super::described::{self, header, maybe_header, response, text};

/// A status, when it is the answer, and its title and detail in an example.
const PROBLEMS: &[(u16, &str, &str, &str)] = &[
    (
        400,
        "A parameter, or something in the body, can't be used; `parameter` names it.",
        "A parameter can't be used",
        "it must be a number from 1 to 1000",
    ),
    (
        401,
        "There is no token, or the token is unknown, revoked or expired.",
        "No valid token",
        "send a valid token as \"Authorization: Bearer ta_…\"",
    ),
    (
        403,
        "The token lacks the scope, or is for one tenant where all are concerned.",
        "Not allowed",
        "this request needs the scope export, and your token has read",
    ),
    (
        404,
        "There is no such thing; or, for the caller's tenant, there is none.",
        "Not found",
        "there is no entry with this id",
    ),
    (
        409,
        "The change doesn't fit what is there.",
        "Conflict",
        "there is a webhook \"siem\" already; remove it first or choose another name",
    ),
    (
        412,
        "The file is not one of those that `If-Match` names.",
        "Another version",
        "the file is not one of those that If-Match names; download it from its beginning",
    ),
    (
        413,
        "The body is longer than 64 KiB, or this operation takes none.",
        "Body too large",
        "this path takes no body with this method; send none, and give parameters in the URL (curl \
         does so with -G)",
    ),
    (
        414,
        "The query string is longer than 24 KiB.",
        "URL too long",
        "the query string is longer than 24576 bytes; shorten it",
    ),
    (
        415,
        "The body is of another type.",
        "Unsupported type",
        "send a body of the type application/json",
    ),
    (
        416,
        "The file has no such range of bytes.",
        "Range not satisfiable",
        "the file has 4711 bytes",
    ),
    (
        421,
        "The server doesn't answer for the host in the request.",
        "Unknown host",
        "this server isn't configured to answer for the host in the request; its operator names \
         its hosts",
    ),
    (
        429,
        "The caller has sent its requests of a minute, or has as many downloads or streams as one \
         caller may have at once.",
        "Too many requests",
        "you have sent more than 600 requests in a minute, which is the limit of one caller; try \
         again in 1 s",
    ),
    (
        500,
        "The log can't be read. Of a download: a part of its range can't be, so that it would not \
         be whole.",
        "The log can't be read",
        "the log could not be read; the server's own messages say why",
    ),
    (
        503,
        "Too much is being answered, or the access or change can't be recorded, or the request \
         took too long.",
        "Not now",
        "too many requests are being answered; try again soon",
    ),
    (
        505,
        "Over HTTP/1.0 nobody could see whether this download is whole.",
        "HTTP/1.1 is needed",
        "over HTTP/1.0, nobody could see whether this download is whole; let the client or the \
         proxy use HTTP/1.1 (nginx: proxy_http_version 1.1), or take another format",
    ),
];

/// The answer of this status.
pub(super) fn reference(status: &str) -> Ref {
    Ref::from_response_name(format!("Problem{status}"))
}

/// The answer to a request whose head is too long, from the server below the API.
pub(super) fn head_too_long() -> Ref {
    Ref::from_response_name("HeadTooLong")
}

/// Adds the answers, and the header that every answer has.
pub(super) fn add(components: ComponentsBuilder) -> ComponentsBuilder {
    let id = "The id of the request: the one that it was sent with in this header (1 to 128 \
              visible ASCII characters), or one that was made. The entries about the access have \
              it as `context.request_id`.";
    let request_id: Header = header(id, text().min_length(Some(1)).max_length(Some(128)));
    let left = "How many requests the caller has left (`r`), and after how many seconds there is \
                one more (`t`), as draft-ietf-httpapi-ratelimit-headers-11 describes it: \
                `\"requests\";r=599;t=1`. Only to callers who are known.";
    let policy = "How many requests a caller has in how many seconds: `\"requests\";q=600;w=60`. \
                  When there are too many downloads or streams of one caller, also how many there \
                  may be: `\"downloads\";q=3;qu=\"concurrent-requests\"`.";
    let too_long = "The first line and the headers of the request are longer than the server \
                    takes: 32 KiB, unless an application serves this API by a server of its own. \
                    They are not read to their end, so this answer has no content and no id.";
    let too_long: RefOr<Response> = RefOr::T(Response::new(too_long));
    let components = components
        .header("RequestId", RefOr::T(request_id))
        .header("RateLimit", RefOr::T(maybe_header(left, text())))
        .header("RateLimitPolicy", RefOr::T(maybe_header(policy, text())))
        .response("HeadTooLong", too_long);
    PROBLEMS.iter().fold(components, |components, problem| {
        let response: RefOr<Response> = RefOr::T(described(problem));
        components.response(format!("Problem{}", problem.0), response)
    })
}

fn described((status, when, title, detail): &(u16, &str, &str, &str)) -> Response {
    let example = example(*status, title, detail);
    let content = described::json("Problem", example);
    let response = response(when).content("application/problem+json", content);
    with_headers(*status, response).build()
}

fn example(status: u16, title: &str, detail: &str) -> Value {
    let mut example = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    });
    if status == 400 {
        example["parameter"] = "limit".into();
    }
    example
}

fn with_headers(status: u16, response: ResponseBuilder) -> ResponseBuilder {
    match status {
        401 | 403 => response.header("WWW-Authenticate", header("How to show a token.", text())),
        412 => response.header(
            "ETag",
            maybe_header("The tag of the file as it is now.", text()),
        ),
        416 => response
            .header("ETag", header("The tag of the file.", text()))
            .header("Content-Range", header("The length of the file.", text())),
        429 => response.header(
            "Retry-After",
            header("After so many seconds it is worth trying again.", seconds()),
        ),
        503 => response.header(
            "Retry-After",
            maybe_header("After so many seconds it is worth trying again.", seconds()),
        ),
        _ => response,
    }
}

fn seconds() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::Integer)
        .minimum(Some(0))
}
