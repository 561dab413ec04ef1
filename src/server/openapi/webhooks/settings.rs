//! The JSON of a webhook's settings, from their declarations: as they are sent, and as they are
//! shown.

use serde_json::Value;
use utoipa::openapi::{
    OneOfBuilder, RefOr, Schema, Type,
    schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType},
};

use crate::webhook::{Setting, SettingKind, Webhook};

/// The settings as requests have them. `null` stands for the default.
pub(super) fn sent() -> ObjectBuilder {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let settings = Webhook::SETTINGS.iter();
    settings
        .filter(|setting| setting.is_set_over_http())
        .fold(object, |object, setting| {
            object.property(
                setting.name,
                described(setting, sent_value(setting.kind, true)),
            )
        })
}

/// The settings as answers show them, with nothing but that it is set in the place of a secret.
pub(super) fn shown() -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    Webhook::SETTINGS.iter().fold(object, |object, setting| {
        let value = match setting.kind {
            SettingKind::Proxy | SettingKind::Url => text(false),
            kind if setting.is_secret() => hidden(kind),
            kind => sent_value(kind, false),
        };
        let object = object.property(setting.name, described(setting, value));
        match setting.is_required() {
            true => object.required(setting.name),
            false => object,
        }
    })
}

/// The schema with the setting's help text and its default.
fn described(setting: &Setting, schema: Schema) -> Schema {
    let default = setting.default.map(|text| format!(" Default: {text}."));
    let text = format!("{}.{}", setting.help, default.unwrap_or_default());
    match schema {
        Schema::Object(mut object) => {
            object.description = Some(text);
            Schema::Object(object)
        }
        Schema::Array(mut array) => {
            array.description = Some(text);
            Schema::Array(array)
        }
        Schema::OneOf(mut one_of) => {
            one_of.description = Some(text);
            Schema::OneOf(one_of)
        }
        other => other,
    }
}

fn sent_value(kind: SettingKind, nullable: bool) -> Schema {
    match kind {
        SettingKind::Text | SettingKind::File | SettingKind::Url | SettingKind::Proxy => {
            text(nullable)
        }
        SettingKind::Number(least, most) => ObjectBuilder::new()
            .schema_type(kind_of(Type::Integer, nullable))
            .minimum(Some(least))
            .maximum(Some(most))
            .into(),
        SettingKind::Numbers => list(natural(), nullable),
        SettingKind::Switch(value) => switch(value, nullable),
        SettingKind::List => list(text(false), nullable),
        SettingKind::Pairs => pairs(text(false), nullable),
        SettingKind::Parts(parts) => self::parts(parts, nullable),
    }
}

/// A secret as it is shown.
fn hidden(kind: SettingKind) -> Schema {
    match kind {
        SettingKind::List => list(set(), false),
        SettingKind::Pairs => pairs(set(), false),
        _ => set(),
    }
}

/// That a secret is set; or the name of the variable or file that it is read from.
fn set() -> Schema {
    let boolean = ObjectBuilder::new().schema_type(Type::Boolean);
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("set", boolean)
        .required("set")
        .property("public_key", text(false));
    let schema = OneOfBuilder::new().item(text(false)).item(object).build();
    Schema::OneOf(schema)
}

fn switch(value: &str, nullable: bool) -> Schema {
    let of_json = serde_json::from_str(value).unwrap_or_default();
    let kind = match of_json {
        Value::Bool(_) => Type::Boolean,
        _ => Type::String,
    };
    let schema = ObjectBuilder::new().schema_type(kind_of(kind, nullable));
    schema.into()
}

fn parts(parts: &[Setting], nullable: bool) -> Schema {
    let object = ObjectBuilder::new()
        .schema_type(kind_of(Type::Object, nullable))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let object = parts.iter().fold(object, |object, part| {
        object.property(part.name, described(part, sent_value(part.kind, false)))
    });
    object.into()
}

fn pairs(value: Schema, nullable: bool) -> Schema {
    ObjectBuilder::new()
        .schema_type(kind_of(Type::Object, nullable))
        .additional_properties(Some(AdditionalProperties::from(value)))
        .into()
}

fn list(item: Schema, nullable: bool) -> Schema {
    let list = ArrayBuilder::new()
        .schema_type(kind_of(Type::Array, nullable))
        .items(RefOr::T(item));
    Schema::Array(list.build())
}

fn natural() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .into()
}

fn text(nullable: bool) -> Schema {
    ObjectBuilder::new()
        .schema_type(kind_of(Type::String, nullable))
        .into()
}

fn kind_of(kind: Type, nullable: bool) -> SchemaType {
    match nullable {
        true => SchemaType::from_iter([kind, Type::Null]),
        false => kind.into(),
    }
}
