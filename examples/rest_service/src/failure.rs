//! Why a request fails: what the client is told, and what the trail says.

use std::{error::Error, fmt};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tracing_audit::NotDurable;

#[derive(Debug)]
pub(crate) enum Failure {
    Unauthenticated,
    Forbidden,
    NotFound,
    Invalid(&'static str),
    Database(rusqlite::Error),
    /// What has to be in the trail first could not be brought there.
    NotRecorded(NotDurable),
    Panicked,
    Stopping,
}

impl Failure {
    /// `outcome.reason` in the trail.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "authentication",
            Self::Forbidden => "authorization",
            Self::NotFound => "not_found",
            Self::Invalid(_) => "validation",
            Self::Database(_) | Self::NotRecorded(_) => "storage",
            Self::Panicked | Self::Stopping => "unknown",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotRecorded(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "sign in first",
            Self::Forbidden => "this user may not do that",
            Self::NotFound => "there is no such thing",
            Self::Invalid(why) => why,
            Self::Database(_) => "the database failed",
            Self::NotRecorded(_) => "the audit log can't take the event",
            Self::Panicked => "the service failed",
            Self::Stopping => "the service is stopping",
        })
    }
}

impl Error for Failure {
    // `#[audited]` records an error with its sources.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            Self::NotRecorded(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Self::NotFound,
            error => Self::Database(error),
        }
    }
}

impl From<NotDurable> for Failure {
    fn from(error: NotDurable) -> Self {
        Self::NotRecorded(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Some(source) = self.source() {
            tracing::error!(error = %source, "{self}");
        }
        (self.status(), self.to_string()).into_response()
    }
}
