//! A JSON value whose objects keep the order of their members.
//!
//! `serde_json::Value` keeps that order only with its feature `preserve_order`, which Cargo would
//! switch on for the whole program: linking this crate would change the JSON of everything else in
//! it. The types here keep the order by themselves, whatever features the program switches on.

use std::{fmt, str};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use super::value::JSON_NUMBER;

/// A JSON value. Its `Display` is its JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Members),
}

/// The members of an object, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(Vec<(String, Json)>);

/// An object: `members! { "status": status, "trouble": trouble }`. A value is anything `Serialize`.
macro_rules! members {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut members = $crate::entry::json::Members::default();
        $(members.add($name, &$value);)*
        members
    }};
}
pub(crate) use members;

/// Whether these bytes are one JSON value, so that they can stand in another.
#[cfg(any(feature = "export", feature = "webhook", test))]
pub(crate) fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    let text = str::from_utf8(text).map_err(de::Error::custom)?;
    serde_json::from_str::<de::IgnoredAny>(text).map(drop)
}

impl Json {
    /// A value as JSON. If its `Serialize` fails, it becomes a text that says so.
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_vec(value)
            .and_then(|text| serde_json::from_slice(&text))
            .unwrap_or_else(|error| Self::Text(format!("(not serializable: {error})")))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Members {
    /// Sets a member: in the place of one of this name, or behind all others. Gives what was there.
    pub(crate) fn insert(&mut self, name: impl Into<String>, value: Json) -> Option<Json> {
        let name = name.into();
        match self.get_mut(&name) {
            Some(there) => Some(std::mem::replace(there, value)),
            None => {
                self.0.push((name, value));
                None
            }
        }
    }

    /// As [`insert`](Self::insert), of anything `Serialize`.
    pub(crate) fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.insert(name, Json::of(value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.iter()
            .find_map(|(there, value)| (there == name).then_some(value))
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0
            .iter_mut()
            .find_map(|(there, value)| (there == name).then_some(value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Members {
    type Item = (String, Json);
    type IntoIter = std::vec::IntoIter<(String, Json)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Json)> for Members {
    /// A name that comes twice stays twice.
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => values.serialize(serializer),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Object(members) => Ok(members),
            _ => Err(de::Error::custom("not a JSON object")),
        }
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            members.push((name, value));
        }
        // How numbers come where the program has switched on `arbitrary_precision`.
        if let [(name, Json::Text(digits))] = members.as_slice()
            && name == JSON_NUMBER
            && "1e400".parse::<Number>().is_ok()
            && let Ok(number) = digits.parse()
        {
            return Ok(Json::Number(number));
        }
        Ok(Json::Object(Members(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_values_their_bytes() {
        let text =
            r#"{"z":1,"a":[true,null,{"y":"é\n","b":-1.5}],"m":18446744073709551615,"k":{}}"#;
        let value: Json = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_string(), text);
        assert_eq!(Json::of(&value), value);

        let mut members = members! { "second": 2, "first": [1.5], "none": None::<u8> };
        assert_eq!(
            members.to_string(),
            r#"{"second":2,"first":[1.5],"none":null}"#
        );
        assert_eq!(members.insert("second", Json::Null), Some(Json::of(&2)));
        assert_eq!(
            members.to_string(),
            r#"{"second":null,"first":[1.5],"none":null}"#
        );
    }

    #[test]
    fn only_whole_json_passes() {
        assert!(check(br#" {"a":["b"]} "#).is_ok());
        for wrong in [&b"{"[..], b"", b"{} {}", b"\"\xff\"", b"{'a':1}"] {
            assert!(check(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
