//! One operation of the API: what all operations share, and what one has of its own.

use serde_json::Value;
use utoipa::openapi::{
    Content, ContentBuilder, Header, Object, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
    extensions::Extensions,
    path::{HttpMethod, OperationBuilder, Parameter},
    request_body::RequestBodyBuilder,
    schema::ObjectBuilder,
    security::SecurityRequirement,
};

use super::{TOKEN, parameters, problems};
use crate::server::json_body::JSON;

pub(super) use utoipa::openapi::path::HttpMethod::{Delete, Get, Patch, Post};

/// One operation while it is described.
pub(super) struct Described {
    method: HttpMethod,
    path: &'static str,
    operation: OperationBuilder,
}

impl Described {
    /// An operation that anyone may ask for. The id is unique; the summary is a sentence without
    /// its full stop. Each `{…}` of the path becomes a parameter.
    pub(super) fn new(
        method: HttpMethod,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let operation = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(summary))
            .tag(tag(path))
            .response("431", RefOr::Ref(problems::head_too_long()));
        let described = Self {
            method,
            path,
            operation,
        };
        parameters::of_path(path)
            .into_iter()
            .fold(described, Self::parameter)
            .refuses(&["413", "414"])
    }

    /// Needs a token of this scope.
    pub(super) fn for_scope(mut self, scope: &'static str) -> Self {
        self.operation = self
            .operation
            .security(SecurityRequirement::new(TOKEN, [scope]));
        self.refuses(&["400", "401", "403", "421", "429", "500", "503"])
    }

    /// Is for administrators of all tenants.
    pub(super) fn for_administrators(self) -> Self {
        self.for_scope("admin")
    }

    pub(super) fn description(mut self, text: &'static str) -> Self {
        self.operation = self.operation.description(Some(text));
        self
    }

    pub(super) fn parameter(mut self, parameter: Parameter) -> Self {
        self.operation = self.operation.parameter(parameter);
        self
    }

    pub(super) fn parameters(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        parameters.into_iter().fold(self, Self::parameter)
    }

    /// Takes a body of JSON with this schema, in one of these content types.
    pub(super) fn takes(mut self, types: &[&str], schema: &str, example: Value) -> Self {
        let content = json(schema, example);
        let body = types.iter().fold(RequestBodyBuilder::new(), |body, one| {
            body.content(*one, content.clone())
        });
        let body = body.required(Some(Required::True)).build();
        self.operation = self.operation.request_body(Some(body));
        self.refuses(&["400", "413", "415"])
    }

    /// Has these problems as answers.
    pub(super) fn refuses(mut self, statuses: &[&str]) -> Self {
        for status in statuses {
            self.operation = self
                .operation
                .response(*status, RefOr::Ref(problems::reference(status)));
        }
        self
    }

    /// Answers with JSON of this schema.
    pub(super) fn answers(
        self,
        status: &str,
        description: &str,
        schema: &str,
        example: Value,
    ) -> Self {
        self.responds(
            status,
            response(description).content(JSON, json(schema, example)),
        )
    }

    pub(super) fn responds(mut self, status: &str, response: ResponseBuilder) -> Self {
        self.operation = self.operation.response(status, response.build());
        self
    }

    pub(super) fn add_to(self, paths: &mut Paths) {
        paths.add_path_operation(self.path, vec![self.method], self.operation.build());
    }
}

/// The group of an operation: the first part of its path.
fn tag(path: &str) -> &str {
    match path.split('/').nth(1).unwrap_or_default() {
        "healthz" | "readyz" | "metrics" => "probes",
        "event-types" | "openapi.json" => "descriptions",
        first => first,
    }
}

/// An answer, with the headers that all have, or all to callers who are known.
pub(super) fn response(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .header_ref("X-Request-Id", Ref::new("#/components/headers/RequestId"))
        .header_ref("RateLimit", Ref::new("#/components/headers/RateLimit"))
        .header_ref(
            "RateLimit-Policy",
            Ref::new("#/components/headers/RateLimitPolicy"),
        )
}

/// JSON of a schema among the components.
pub(super) fn json(schema: &str, example: Value) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(Some(example))
        .build()
}

/// Content of which nothing is known but its type.
pub(super) fn content(schema: impl Into<RefOr<Schema>>) -> Content {
    Content::new(Some(schema))
}

/// A header that each answer of this status has.
pub(super) fn header(description: &'static str, schema: impl Into<Object>) -> Header {
    let mut header = maybe_header(description, schema);
    // `utoipa` has no method for it.
    header.extensions = Some(Extensions::from_iter([("required", true)]));
    header
}

/// A header that some answers of this status have.
pub(super) fn maybe_header(description: &'static str, schema: impl Into<Object>) -> Header {
    let mut header = Header::new(schema.into());
    header.description = Some(description.to_owned());
    header
}

/// A text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(utoipa::openapi::Type::String)
}
