//! The JSON of bodies, as types that only stand for it: `utoipa` makes schemas of them, and nothing
//! else uses them. Their comments are the descriptions in the document.

#![allow(dead_code, reason = "no value of these types is ever made")]

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, RefOr, Schema, Type,
        schema::{AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat},
    },
};

use super::entry::Entry;
use crate::store::settings::DAYS;

/// Adds the schemas of all bodies but those about webhooks.
pub(super) fn add(components: ComponentsBuilder) -> ComponentsBuilder {
    [
        with::<Problem>,
        with::<Page>,
        with::<Stats>,
        with::<EventTypes>,
        with::<Health>,
        with::<Readiness>,
        with::<OpenApi>,
        with::<TokenList>,
        with::<CreatedToken>,
        with::<HoldList>,
        with::<Settings>,
    ]
    .into_iter()
    .fold(components, |components, with| with(components))
    .schema("NewToken", closed(NewToken::schema()))
    .schema("NewHold", closed(NewHold::schema()))
    .schema("SettingsPatch", closed(SettingsPatch::schema()))
}

/// Adds this schema and those that it refers to.
pub(super) fn with<T: ToSchema>(components: ComponentsBuilder) -> ComponentsBuilder {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    components.schema_from::<T>().schemas_from_iter(parts)
}

/// The schema without members of other names: the server refuses these in requests.
pub(super) fn closed(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            object.into()
        }
        other => other,
    }
}

/// An instant in UTC, with microseconds.
pub(super) struct Instant;

impl ToSchema for Instant {
    fn name() -> Cow<'static, str> {
        "Instant".into()
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An instant in UTC, with microseconds."))
            .examples(["2026-11-21T10:30:00.123456Z"])
            .into()
    }
}

/// Why a request is refused (RFC 9457).
#[derive(ToSchema)]
struct Problem {
    /// Always `about:blank`: `status` and `title` say all.
    r#type: String,
    title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The mistake, and what to do about it.
    detail: String,
    /// The parameter or the member of the body that it is about, if it is about one.
    parameter: Option<String>,
}

/// A page of entries.
#[derive(ToSchema)]
struct Page {
    entries: Vec<Entry>,
    /// The cursor of the next page. The last page has one, too: it leads to what will come.
    next_cursor: String,
    /// Whether there may be entries in the next page already.
    has_more: bool,
    /// Nothing will be added any more before this instant.
    #[schema(required = true)]
    complete_until: Option<Instant>,
    scanned: Scanned,
    /// Why nothing can match; only of an empty page.
    hints: Option<Vec<String>>,
}

/// How many entries there are.
#[derive(ToSchema)]
struct Stats {
    total: u64,
    /// Whether each wanted entry is counted: if not, a part of the log could not be read.
    exact: bool,
    /// The first instant of the range.
    #[schema(required = true)]
    start: Option<Instant>,
    /// The first instant after the range.
    #[schema(required = true)]
    end: Option<Instant>,
    /// Nothing will be added any more before this instant.
    #[schema(required = true)]
    complete_until: Option<Instant>,
    /// The length of the steps.
    step: String,
    /// The steps of the range, the earliest first.
    steps: Vec<StepCounts>,
    top: TopValues,
    /// The work that the answer took; not for a token of one tenant.
    scanned: Option<Scanned>,
    /// Why nothing can match; only if there is nothing.
    hints: Option<Vec<String>>,
}

/// How many entries there are in one step.
#[derive(ToSchema)]
struct StepCounts {
    start: Instant,
    count: u64,
    severity: SeverityCounts,
    outcome: OutcomeCounts,
}

/// How many entries have each severity.
#[derive(ToSchema)]
struct SeverityCounts {
    info: u64,
    warning: u64,
    error: u64,
    critical: u64,
}

/// How many entries have each outcome.
#[derive(ToSchema)]
struct OutcomeCounts {
    success: u64,
    failure: u64,
    unknown: u64,
}

/// The most frequent values of the fields that were asked for.
#[derive(ToSchema)]
struct TopValues {
    event_type: Option<Top>,
    severity: Option<Top>,
    outcome: Option<Top>,
    /// The id; of an actor without one the name, else the type.
    actor: Option<Top>,
    ip_address: Option<Top>,
}

/// The most frequent values of one field.
#[derive(ToSchema)]
struct Top {
    /// The most frequent first.
    values: Vec<ValueCount>,
    /// How many entries have other values.
    other: u64,
    /// How many entries don't have the field.
    without: u64,
    /// How many different values there are; `null` if they are too many to be counted.
    #[schema(required = true)]
    distinct: Option<u64>,
}

/// A value, and how many entries have it.
#[derive(ToSchema)]
struct ValueCount {
    value: String,
    count: u64,
}

/// The work that the page took. All numbers are 0 for a token of one tenant.
#[derive(ToSchema)]
struct Scanned {
    /// Blocks of some 256 KiB.
    blocks: u64,
    lines: u64,
    bytes: u64,
    files: u64,
    /// The first 100 parts of the log that could not be read; their entries may be missing.
    problems: Vec<UnreadPart>,
    /// How many there are besides.
    more_problems: u64,
}

/// A part of the log that could not be read.
#[derive(ToSchema)]
struct UnreadPart {
    /// The file, below the log's directory.
    file: String,
    /// The problem, in a sentence.
    what: String,
}

/// The catalogue: what the sources of this log can record.
#[derive(ToSchema)]
struct EventTypes {
    event_types: Vec<CatalogueEntry>,
}

/// One event type.
#[derive(ToSchema)]
struct CatalogueEntry {
    /// The event type; `*` stands for all that are only known at run time.
    event_type: String,
    severities: Vec<String>,
    /// The messages, as they are written in the source.
    descriptions: Option<Vec<String>>,
    /// The fields by their paths, with their kinds: `text`, `integer`, `number`, `boolean`, `list`,
    /// `object` or `any`.
    fields: BTreeMap<String, String>,
    /// The fields that look like secrets, with their form: `redacted`, `hashed`, `masked`, `clear`.
    looks_secret: Option<BTreeMap<String, String>>,
    sources: Option<Vec<String>>,
    locations: Vec<SourceLocation>,
}

/// A place in the source where an event is recorded.
#[derive(ToSchema)]
struct SourceLocation {
    file: String,
    line: u32,
    module: String,
}

/// The process answers.
#[derive(ToSchema)]
struct Health {
    /// `ok`.
    status: String,
}

/// Whether the log takes events.
#[derive(ToSchema)]
struct Readiness {
    /// `ready` or `not ready`.
    status: String,
    /// The problems, each in a sentence.
    problems: Vec<String>,
}

/// A description of an API.
struct OpenApi;

impl ToSchema for OpenApi {
    fn name() -> Cow<'static, str> {
        "OpenApi".into()
    }
}

impl PartialSchema for OpenApi {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .required("openapi")
            .property("openapi", ObjectBuilder::new().schema_type(Type::String))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

/// The routes that a token opens; each scope includes those before it.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Scope {
    Read,
    Export,
    Admin,
}

#[derive(ToSchema)]
struct TokenList {
    tokens: Vec<Token>,
}

/// A token, without its text.
#[derive(ToSchema)]
struct Token {
    /// 8 hexadecimal digits.
    id: String,
    /// The name that people gave it.
    name: String,
    scope: Scope,
    /// The only tenant whose entries the token shows; `null` for all.
    #[schema(required = true)]
    tenant_id: Option<String>,
    created: Instant,
    /// From when on it is refused; `null` if it holds until it is revoked.
    #[schema(required = true)]
    expires: Option<Instant>,
}

/// A token that was made.
#[derive(ToSchema)]
struct CreatedToken {
    /// 8 hexadecimal digits.
    id: String,
    name: String,
    scope: Scope,
    #[schema(required = true)]
    tenant_id: Option<String>,
    created: Instant,
    #[schema(required = true)]
    expires: Option<Instant>,
    /// Its text, which is stored nowhere and shown only here.
    token: String,
}

/// A token to be made.
#[derive(ToSchema)]
struct NewToken {
    /// A name by which people know it: 1 to 128 bytes, no control characters.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// `read`, `export` or `admin`; `read` if it is left out.
    scope: Option<String>,
    /// The only tenant whose entries the token shows; all if it is left out.
    #[schema(min_length = 1, max_length = 128)]
    tenant_id: Option<String>,
    /// A date or an RFC 3339 instant from which the token is refused.
    expires: Option<String>,
}

#[derive(ToSchema)]
struct HoldList {
    holds: Vec<Hold>,
}

/// A range of time whose entries are not removed.
#[derive(ToSchema)]
struct Hold {
    name: String,
    /// The first instant; from the beginning if it is left out.
    start: Option<Instant>,
    /// The first instant after the range; without an end if it is left out.
    end: Option<Instant>,
    reason: Option<String>,
    placed: Option<Instant>,
    placed_by: Option<Actor>,
}

/// The person or program that did something.
#[derive(ToSchema)]
struct Actor {
    r#type: String,
    id: Option<String>,
    name: Option<String>,
    attributes: Option<BTreeMap<String, Value>>,
}

/// A hold to be placed.
#[derive(ToSchema)]
struct NewHold {
    /// The hold's name: 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    /// A date, whose whole UTC day is held, or an instant; from the beginning if it is left out.
    start_date: Option<String>,
    /// A date, whose whole UTC day is held, or the first instant after the range; without an end if
    /// it is left out.
    end_date: Option<String>,
    /// At most 1024 bytes.
    #[schema(max_length = 1024)]
    reason: Option<String>,
}

/// Settings that hold in all processes of the log.
#[derive(ToSchema)]
struct Settings {
    /// `null`: as each application says.
    #[schema(required = true)]
    retention_days: Option<Retention>,
}

/// The settings to change.
#[derive(ToSchema)]
struct SettingsPatch {
    /// The days for which entries are kept, from 30 to 365, or `"unlimited"`; `null`: as each
    /// application says.
    retention_days: Option<Retention>,
}

/// For how long entries are kept.
struct Retention;

impl ToSchema for Retention {
    fn name() -> Cow<'static, str> {
        "Retention".into()
    }
}

impl PartialSchema for Retention {
    fn schema() -> RefOr<Schema> {
        let days = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(*DAYS.start()))
            .maximum(Some(*DAYS.end()))
            .description(Some("Days."));
        let unlimited = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["unlimited"]));
        utoipa::openapi::OneOfBuilder::new()
            .item(days)
            .item(unlimited)
            .description(Some("For how long entries are kept."))
            .into()
    }
}
