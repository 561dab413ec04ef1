//! The parameters of query strings, paths and headers.

use serde_json::{Value, json};
use utoipa::openapi::{
    Object, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
    schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder},
};

use super::described::text;

/// How long a value of a filter may be, in bytes.
const LONGEST: usize = 1024;

/// The parameters of a filter that take several values: name, meaning, example.
const VALUES: [(&str, &str, &str); 17] = [
    (
        "event_type",
        "This event type; or, as in `auth.*`, all below it.",
        "auth.*",
    ),
    ("category", "This category.", "auth"),
    ("action", "This action.", "success"),
    (
        "actor",
        "An actor with this id, name or type, as in `system`.",
        "user-456",
    ),
    ("actor_type", "An actor of this type.", "user"),
    ("resource", "A resource with this id or name.", "scan-789"),
    ("resource_type", "A resource of this type.", "scan"),
    (
        "tenant_id",
        "This tenant. A token for one tenant takes no other value than that tenant.",
        "acme",
    ),
    (
        "severity",
        "This severity: `info`, `warning`, `error` or `critical`.",
        "warning",
    ),
    (
        "outcome",
        "This outcome: `success`, `failure` or `unknown`. An entry without one counts as \
         `success`.",
        "failure",
    ),
    ("source", "This source.", "billing"),
    (
        "ip_address",
        "This address, in any spelling, or an address in this network.",
        "192.0.2.0/24",
    ),
    (
        "user_agent",
        "This user agent, as the client sent it.",
        "curl/8.14.1",
    ),
    ("session_id", "This session.", "session-1"),
    ("request_id", "This request.", "request-1"),
    (
        "trace_id",
        "This OpenTelemetry trace.",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    (
        "q",
        "The event type, the description, or id or name of actor or resource contain this text, \
         whatever its case.",
        "invoice",
    ),
];

/// The parameters of a filter.
pub(super) fn filter() -> Vec<Parameter> {
    let values = VALUES.map(|(name, meaning, example)| values(name, meaning, example));
    let range = [
        date(
            "start_date",
            "The first instant of the range: a date is the start of its UTC day.",
        ),
        date(
            "end_date",
            "The first instant after the range: a date is the end of its UTC day.",
        ),
    ];
    range.into_iter().chain(values).chain([details()]).collect()
}

fn date(name: &str, meaning: &str) -> Parameter {
    let meaning =
        format!("{meaning} Or an ISO 8601 instant, of any precision, in UTC if it has no zone.");
    query(
        name,
        &meaning,
        text().min_length(Some(1)),
        json!("2026-11-21"),
    )
}

fn values(name: &str, meaning: &str, example: &str) -> Parameter {
    let value = text().min_length(Some(1)).max_length(Some(LONGEST));
    let meaning = format!(
        "{meaning} Given several times: any of them. A value with `!` before it is excluded; a \
         value that itself begins with `!` is written with `\\!`."
    );
    query(
        name,
        &meaning,
        ArrayBuilder::new().items(value),
        json!([example]),
    )
}

/// The values of `details`, whose names are the application's own: an object whose members are
/// parameters of their own.
fn details() -> Parameter {
    let names = text().pattern(Some(r"^details\..+$")).build();
    let values = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(Schema::Object(names)))
        .additional_properties(Some(AdditionalProperties::from(text())));
    let meaning = "`details.<path>=value`: the value there is this text, number, `true`, `false` \
                   or `null`. Several values and `!` are read as those of other parameters.";
    let example = json!({ "details.mode": "full" });
    let mut parameter = query("details.<path>", meaning, values, example);
    parameter.style = Some(ParameterStyle::Form);
    parameter.explode = Some(true);
    parameter
}

pub(super) fn limit(usual: usize, most: usize) -> Parameter {
    let meaning = "How many items an answer has at most.";
    let number = number(1, most).default(Some(usual.into()));
    query("limit", meaning, number, json!(usual))
}

pub(super) fn top(usual: usize, most: usize) -> Parameter {
    let meaning = "How many values of each field an answer has at most. With `0`, it has only the \
                   counts over time.";
    let number = number(0, most).default(Some(usual.into()));
    query("top", meaning, number, json!(usual))
}

pub(super) fn fields() -> Parameter {
    let meaning = "The fields whose most frequent values are counted, separated by commas: \
                   `event_type`, `severity`, `outcome`, `actor`, `ip_address`. Without it, all of \
                   them.";
    let name = "(event_type|severity|outcome|actor|ip_address)";
    let names = text().pattern(Some(format!("^{name}(,{name})*$")));
    query("fields", meaning, names, json!("event_type,severity"))
}

pub(super) fn offset(most: usize) -> Parameter {
    let number = number(0, most).default(Some(0.into()));
    query("offset", "How many items are skipped.", number, json!(0))
}

pub(super) fn cursor(meaning: &str) -> Parameter {
    query("cursor", meaning, text(), json!("now"))
}

pub(super) fn include() -> Parameter {
    let meaning = "`access`: with the entries about reads of the log, `audit.access.*`, which are \
                   left out otherwise unless `event_type` names them.";
    choice("include", meaning, &["access"], None)
}

/// A parameter that has one of these values.
pub(super) fn choice(name: &str, meaning: &str, values: &[&str], usual: Option<&str>) -> Parameter {
    let schema = text()
        .enum_values(Some(values.iter().copied()))
        .default(usual.map(Value::from));
    query(name, meaning, schema, json!(values.first()))
}

fn number(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(least))
        .maximum(Some(most))
}

fn query(name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Parameter {
    parameter(ParameterIn::Query, name, meaning, schema, example)
}

pub(super) fn in_header(name: &str, meaning: &str, example: &str) -> Parameter {
    parameter(ParameterIn::Header, name, meaning, text(), json!(example))
}

fn parameter(
    place: ParameterIn,
    name: &str,
    meaning: &str,
    schema: impl Into<RefOr<Schema>>,
    example: Value,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(meaning))
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

/// The parameters in a path.
pub(super) fn of_path(path: &str) -> Vec<Parameter> {
    let parts = path.split('/');
    let names = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let (meaning, example) = match (name, path) {
                ("id", "/entries/{id}") => ("The id of an entry.", ENTRY_ID),
                ("id", "/tokens/{id}") => ("The id of a token.", "7f3a9c04"),
                ("id", _) => ("The id of a delivery.", "msg_7f3a9c04d1e2"),
                ("event_type", _) => ("An event type of the catalogue.", "auth.login.success"),
                (_, "/holds/{name}") => ("The name of a hold.", "case-17"),
                _ => ("The name of a webhook.", "siem"),
            };
            let schema: Object = in_path(path, name).build();
            let mut parameter = parameter(ParameterIn::Path, name, meaning, schema, json!(example));
            parameter.required = Required::True;
            parameter
        })
        .collect()
}

const ENTRY_ID: &str = "0193f2a4-7c1e-7d31-9f65-1f0f5b0c2c11";

fn in_path(path: &str, name: &str) -> ObjectBuilder {
    let text = text().min_length(Some(1));
    match (path, name) {
        ("/entries/{id}", _) => text.format(Some(super::entry::uuid())),
        _ => text,
    }
}
