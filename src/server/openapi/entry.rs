//! The JSON of an entry, from the declaration of its fields.

use std::borrow::Cow;

use tracing_audit_schema::fields::{self, FIELDS, Field, Kind};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema, Type,
        schema::{AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat},
    },
};

use super::examples;
use crate::entry::Severity;

/// Stands for the JSON of an entry.
pub(super) struct Entry;

impl ToSchema for Entry {
    fn name() -> Cow<'static, str> {
        "Entry".into()
    }
}

impl PartialSchema for Entry {
    fn schema() -> RefOr<Schema> {
        let entry = object(&FIELDS)
            .description(Some(
                "What happened, as it was stored: one line of the log. A field without a value is \
                 left out. Later versions may add fields.",
            ))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .examples([examples::entry()]);
        entry.into()
    }
}

fn object(fields: &[Field]) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    fields.iter().fold(object, |object, field| {
        let object = object.property(field.name, schema(field));
        match field.required {
            true => object.required(field.name),
            false => object,
        }
    })
}

fn schema(field: &Field) -> RefOr<Schema> {
    match field.kind {
        Kind::Text => text(field).into(),
        Kind::Number => number().into(),
        Kind::List => ArrayBuilder::new().items(any()).into(),
        Kind::Object => object(field.parts).into(),
        Kind::Map => ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into(),
    }
}

fn text(field: &Field) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    if field.path == fields::ID.path {
        text.format(Some(uuid()))
    } else if field.path == fields::TIMESTAMP.path {
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    } else if field.path == fields::SEVERITY.path {
        text.enum_values(Some(Severity::ALL.map(Severity::as_str)))
    } else if field.path == fields::OUTCOME_TYPE.path {
        text.enum_values(Some(fields::OUTCOMES))
    } else {
        text
    }
}

/// The form of an entry's id.
pub(super) fn uuid() -> SchemaFormat {
    SchemaFormat::Custom("uuid".to_owned())
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
}

fn any() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
}
