//! Errors as `application/problem+json` (RFC 9457).

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{entry::json::members, error::Error};

/// An error as a client sees it. Its texts name no internals, and no files but those of the log, as
/// they are called below its directory.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    parameter: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            parameter: None,
            headers: Vec::new(),
        }
    }

    /// 400, and which parameter it is about.
    pub(super) fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "A parameter can't be used", detail);
        Self {
            parameter: Some(name.into()),
            ..problem
        }
    }

    /// 400, and which setting of the body it is about.
    pub(super) fn setting(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            title: "A setting can't be used",
            ..Self::parameter(name, detail)
        }
    }

    /// 409, and which setting it is about.
    #[cfg(feature = "webhook")]
    pub(super) fn conflict(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::CONFLICT, "Conflict", detail);
        Self {
            parameter: Some(name.into()),
            ..problem
        }
    }

    /// 503, and that it is worth trying again soon.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", detail)
            .with(header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(feature = "console")]
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// The headers that the answer has besides.
    #[cfg(feature = "console")]
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The reason, as the client gets it.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The parameter or setting that it is about, if any, under the name that the client may have
    /// chosen.
    pub(super) fn about(&self) -> Option<&str> {
        self.parameter.as_deref()
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { parameter, problem } => Self::parameter(parameter, problem),
            Error::NotWhole { .. } => {
                tracing::error!(target: "tracing_audit", "a download was refused: {error}");
                let detail = format!(
                    "{error}; choose a range without it, or read what is left with GET /entries"
                );
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "The export can't be whole", detail)
            }
            error => {
                tracing::error!(target: "tracing_audit", "a request to read the audit log failed: \
                                                          {error}");
                let detail = "the log could not be read; the server's own messages say why";
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The log can't be read",
                    detail,
                )
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut json = members! {
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        };
        if let Some(parameter) = self.parameter {
            json.add("parameter", &parameter);
        }
        let body = json.to_string();
        let mut response = (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
