//! What is written is JSON, on one line, and what `serde_json` would write but where it is meant to
//! differ.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Serialize, ser::Error as _};
use serde_json::{json, value::RawValue};

use super::*;

fn written<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Buffer::default();
    assert_eq!(write_value(&mut out, value), Presence::Present);
    String::from_utf8(out.into_vec()).unwrap()
}

#[derive(Serialize)]
enum Shape {
    Unit,
    New(u8),
    Tuple(u8, u8),
    Struct { a: Option<u8> },
}

#[test]
fn numbers_that_readers_lack_become_strings_and_those_json_lacks_null() {
    assert_eq!(
        written(&[i64::MAX, i64::MIN, -i64::MAX]),
        r#"[9223372036854775807,"-9223372036854775808",-9223372036854775807]"#
    );
    assert_eq!(
        written(&(u64::MAX, i128::MIN, 1u128)),
        r#"["18446744073709551615","-170141183460469231731687303715884105728",1]"#
    );
    assert_eq!(written(&(1.5, f64::NAN, f32::INFINITY)), "[1.5,null,null]");
    assert_eq!(
        written(&json!({"a": u64::MAX})),
        r#"{"a":"18446744073709551615"}"#
    );
}

#[test]
fn only_an_outer_none_is_absent() {
    assert_eq!(
        write_value(&mut Buffer::default(), &None::<u8>),
        Presence::Absent
    );
    assert_eq!(
        write_value(&mut Buffer::default(), &Some(None::<u8>)),
        Presence::Absent
    );
    assert_eq!(written(&[None, Some(1)]), "[null,1]");
    assert_eq!(written(&()), "null");
}

#[test]
fn enums_and_maps_are_written_as_serde_json_does() {
    let shapes = [
        Shape::Unit,
        Shape::New(1),
        Shape::Tuple(1, 2),
        Shape::Struct { a: None },
    ];
    assert_eq!(written(&shapes), serde_json::to_string(&shapes).unwrap());
    let map = BTreeMap::from([(1, "x"), (2, "y")]);
    assert_eq!(written(&map), r#"{"1":"x","2":"y"}"#);
}

#[test]
fn raw_json_cannot_break_the_line() {
    let raw = RawValue::from_string("{\n \"a\" : [1,\n2.5] }".into()).unwrap();
    assert_eq!(written(&raw), r#"{"a":[1,2.5]}"#);
}

#[test]
fn raw_json_keeps_the_order_of_its_members() {
    let text = r#"{"z":1,"a":{"y":[{"d":2,"c":3}],"b":18446744073709551615,"token":4},"m":1.50}"#;
    let raw = RawValue::from_string(text.into()).unwrap();
    assert_eq!(
        written(&raw),
        r#"{"z":1,"a":{"y":[{"d":2,"c":3}],"b":"18446744073709551615","token":"[redacted]"},"m":1.5}"#
    );
}

#[test]
fn a_value_that_cannot_be_serialized_says_so() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no \"way\""))
        }
    }
    assert_eq!(written(&[Broken]), r#""(not serializable: no \"way\")""#);
}

#[test]
fn a_value_whose_failure_is_ignored_leaves_whole_json_behind() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("a", &1)?;
            Err(S::Error::custom("no way"))
        }
    }
    struct Careless;
    impl Serialize for Careless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("a", &2)?;
            let _ = map.serialize_entry("b", &[Broken]);
            map.end()
        }
    }
    assert_eq!(
        written(&Careless),
        r#"{"a":2,"b":"(not serializable: no way)"}"#
    );
}

#[test]
fn what_must_be_a_string_becomes_one() {
    for (value, string) in [
        (json!(7), "7"),
        (json!("7"), "7"),
        (json!(true), "true"),
        (json!({"a": "b"}), r#"{"a":"b"}"#),
    ] {
        let mut out = Buffer::default();
        out.push(b'x');
        write_value(&mut out, &value);
        stringify(&mut out, 1);
        assert_eq!(serde_json::from_slice::<String>(&out[1..]).unwrap(), string);
    }
}

/// An object of these members, in this order, whatever their keys.
struct Members<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Members<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[test]
fn of_a_key_that_comes_again_the_last_value_stands_in_the_first_place() {
    assert_eq!(
        written(&Members(vec![("a", 1), ("b", 2), ("a", 3)])),
        r#"{"a":3,"b":2}"#
    );
    // By whatever way it comes to the same text.
    assert_eq!(
        written(&Members(vec![(json!(1), "x"), (json!("1"), "y")])),
        r#"{"1":"y"}"#
    );
    assert_eq!(
        written(&Members(vec![("é\n", 1), ("é\n", 2)])),
        "{\"é\\n\":2}"
    );
    // With a value that is shown, or not, for the sake of its name.
    assert_eq!(
        written(&Members(vec![("password", 1), ("a", 2), ("password", 3)])),
        r#"{"password":"[redacted]","a":2}"#
    );
    assert_eq!(
        written(&Members(vec![("a", 1), ("b", 1)])),
        r#"{"a":1,"b":1}"#
    );
}

#[test]
fn keys_come_again_from_a_flattened_field_and_from_a_struct() {
    #[derive(Serialize)]
    struct Order {
        id: u32,
        #[serde(flatten)]
        more: BTreeMap<&'static str, u32>,
        last: u32,
    }
    #[derive(Serialize)]
    enum Ordered {
        Named {
            #[serde(rename = "a")]
            one: u32,
            #[serde(rename = "a")]
            two: u32,
        },
    }
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeStruct as _;
            let mut twice = serializer.serialize_struct("Twice", 2)?;
            twice.serialize_field("a", &1)?;
            twice.serialize_field("a", &[2])?;
            twice.end()
        }
    }
    let order = Order {
        id: 1,
        more: BTreeMap::from([("id", 2), ("last", 3), ("z", 4)]),
        last: 5,
    };
    assert_eq!(written(&order), r#"{"id":2,"last":5,"z":4}"#);
    assert_eq!(
        written(&[Ordered::Named { one: 1, two: 2 }]),
        r#"[{"Named":{"a":2}}]"#
    );
    assert_eq!(written(&Twice), r#"{"a":[2]}"#);
}

#[test]
fn a_key_of_its_own_may_be_what_stands_for_the_rest() {
    let mut out = Buffer::default();
    out.limit_texts(32);
    let long: Vec<_> = (0..100)
        .map(|n| (format!("key{n}"), "x".repeat(30)))
        .collect();
    write_value(
        &mut out,
        &Members([vec![("…".to_owned(), String::new())], long].concat()),
    );
    let text = String::from_utf8(out.into_vec()).unwrap();
    assert!(
        text.starts_with(r#"{"…":"…","key0":"#) && text.matches('…').count() == 2,
        "{text}"
    );
}

#[test]
fn objects_with_many_keys_and_deep_ones_take_no_longer_than_their_text() {
    let began = std::time::Instant::now();
    // A client can choose keys whose hashes are all equal.
    let many: Vec<_> = (0..100_000)
        .map(|n| (format!("same-start-{n:06}-same-end"), n))
        .collect();
    let mut out = Buffer::default();
    write_value(&mut out, &Members(many.clone()));
    assert_eq!(out.len(), serde_json::to_vec(&Members(many)).unwrap().len());
    let mut deep = json!({"body": "x".repeat(1_000_000)});
    for level in 0..99 {
        let mut outer: serde_json::Map<_, _> = (0..40)
            .map(|n| (format!("{level}-{n}"), n.into()))
            .collect();
        outer.insert("deep".into(), deep);
        deep = outer.into();
    }
    out.clear();
    write_value(&mut out, &deep);
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

proptest! {
    /// As `serde_json` reads what it writes. No key is a name whose value is hidden (`pwd`).
    #[test]
    fn no_object_has_a_key_twice(
        members in prop::collection::vec(("[a-c\"\n]{0,2}|[bcdf-h]{7}-[ab]", prop::collection::vec(("[ab]", 0..9), 0..4)), 0..60)
    ) {
        let mut once = super::tree::Members::default();
        for (key, inner) in &members {
            let mut of_key = super::tree::Members::default();
            inner.iter().for_each(|(key, value)| of_key.add(key, value));
            once.insert(key.as_str(), Json::Object(of_key));
        }
        let members = Members(members.into_iter().map(|(key, inner)| (key, Members(inner))).collect());
        let read: serde_json::Value = serde_json::from_str(&serde_json::to_string(&members).unwrap()).unwrap();
        prop_assert_eq!(written(&members), once.to_string());
        prop_assert_eq!(written(&members).parse::<serde_json::Value>().unwrap(), read);
        // After other objects, which leave nothing behind.
        let listed = vec![&members, &members];
        prop_assert_eq!(written(&listed), format!("[{once},{once}]"));
    }

    #[test]
    fn strings_are_written_as_serde_json_does(text in ".*|[\\x00-\\x7f]{0,40}") {
        let mut out = Buffer::default();
        write_str(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out.into_vec()).unwrap(), serde_json::to_string(&text).unwrap());
        let mut out = Buffer::default();
        write_display(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out.into_vec()).unwrap(), serde_json::to_string(&text).unwrap());
    }
}
