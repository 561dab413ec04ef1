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

proptest! {
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
