//! What is cut of an entry that is too long, what stays, and what it says.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::*;
use crate::entry::json::members;

fn shortened(entry: &impl Serialize, longest: usize) -> Value {
    let text = serde_json::to_vec(entry).unwrap();
    let short = shorten(&text[1..], longest);
    assert!(short.len() <= longest, "{} > {longest}", short.len());
    serde_json::from_slice(&[b"{", &short[..]].concat()).unwrap()
}

#[test]
fn the_longest_strings_are_cut_and_named() {
    let body = "ä".repeat(500_000);
    let short = shortened(
        &json!({"id": "1", "description": "x", "details": {"body": body, "mode": "full"}}),
        65_536,
    );
    assert_eq!(short["truncated"], json!(["details.body"]));
    assert_eq!(
        (&short["description"], &short["details"]["mode"]),
        (&json!("x"), &json!("full"))
    );
    assert!(
        short["details"]["body"].as_str().unwrap().len() > 20_000,
        "no more than needed is cut"
    );
}

/// An object of so many small members.
fn many(count: usize) -> Map<String, Value> {
    (0..count)
        .map(|n| (format!("field{n}"), json!({"n": n})))
        .collect()
}

#[test]
fn an_object_of_many_small_members_keeps_the_first() {
    let short = shortened(
        &json!({"id": "1", "event_type": "a.b", "details": many(100_000), "tags": ["x"]}),
        4096,
    );
    let kept = short["details"].as_object().unwrap();
    assert!(kept.len() > 50, "{} are left", kept.len());
    assert_eq!(
        (&kept["field0"], kept.values().next_back()),
        (&json!({"n": 0}), Some(&json!("…")))
    );
    assert_eq!(
        (&short["tags"], &short["truncated"]),
        (&json!(["x"]), &json!(["details"]))
    );
}

#[test]
fn what_is_the_records_own_stays_where_cutting_the_applications_parts_is_enough() {
    let id = "i".repeat(20_000);
    let entry = json!({"id": "1", "actor": {"type": "user", "id": id}, "description": "d".repeat(5000), "details": many(20_000)});
    let short = shortened(&entry, 65_536);
    assert_eq!(
        (&short["actor"], &short["description"]),
        (&entry["actor"], &entry["description"])
    );
    assert_eq!(short["truncated"], json!(["details"]));

    let resource = json!({"type": "account", "id": "7", "attributes": {"all": many(20_000), "amount": 5}, "prior_attributes": many(20_000)});
    let entry = json!({"id": "1", "actor": {"id": "a".repeat(1000)}, "resource": resource, "tags": ["x", "y"]});
    let short = shortened(&entry, 65_536);
    assert_eq!(
        (&short["actor"], &short["tags"]),
        (&entry["actor"], &entry["tags"])
    );
    assert_eq!(
        (
            &short["resource"]["id"],
            &short["resource"]["attributes"]["amount"]
        ),
        (&json!("7"), &json!(5))
    );
    assert_eq!(
        short["truncated"],
        json!(["resource.attributes.all", "resource.prior_attributes"])
    );
}

#[test]
fn a_field_of_the_record_that_is_nearly_all_of_it_does_not_hide_the_details() {
    let details = json!({"approved_by": "mallory", "amount": 5, "reason": "because of the weather", "order": {"id": 7}});
    for long in [60_000, 65_300, 65_536] {
        let short = shortened(
            &json!({"id": "1", "description": "d".repeat(long), "details": details}),
            65_536,
        );
        assert_eq!(short["details"], details, "{long}");
    }
}

#[test]
fn a_value_of_whatever_shape_does_not_hide_those_beside_it() {
    let branches = (0..12).fold(
        json!(1),
        |below, _| json!({"a": below, "b": below, "c": "c".repeat(40)}),
    );
    let lists = json!(vec![vec![vec![7; 30]; 30]; 100]);
    let rows: Vec<_> = (0..20_000)
        .map(|n| json!({"id": n, "name": "n".repeat(20)}))
        .collect();
    for shape in [
        branches,
        lists,
        json!(rows),
        json!(many(30_000)),
        json!("s".repeat(70_000)),
        json!("\n".repeat(70_000)),
    ] {
        let entry = json!({"id": "1", "actor": {"id": "ann"}, "details": {"body": shape, "approved_by": "mallory", "note": "n".repeat(2000)}});
        let short = shortened(&entry, 65_536);
        assert_eq!(
            (&short["actor"], &short["details"]["approved_by"]),
            (&entry["actor"], &json!("mallory"))
        );
        assert_eq!(short["details"]["note"], entry["details"]["note"]);
        let kept = short["details"]["body"].to_string().len();
        assert!((20_000..65_000).contains(&kept), "{kept} bytes are left");
    }
}

#[test]
fn what_is_long_gets_as_much_as_the_others_that_are() {
    let details = json!({"a": "a".repeat(70_000), "b": "b".repeat(90_000), "c": "c".repeat(5000), "d": vec![7; 40_000]});
    let short = shortened(&json!({"id": "1", "details": details}), 65_536);
    let sizes = ["a", "b", "d"].map(|key| short["details"][key].to_string().len());
    assert!(
        sizes.iter().all(|size| (15_000..20_000).contains(size)),
        "{sizes:?}"
    );
    assert_eq!(short["details"]["c"], details["c"]);
}

#[test]
fn a_long_name_does_not_hide_its_siblings() {
    let short = shortened(
        &json!({"id": "1", "details": {"n".repeat(70_000): 1, "approved_by": "mallory"}}),
        65_536,
    );
    assert_eq!(
        (&short["details"], &short["truncated"]),
        (
            &json!({"approved_by": "mallory", "…": "…"}),
            &json!(["details"])
        )
    );
}

#[test]
fn what_was_left_out_before_is_named_too() {
    let entry = json!({"id": "1", "details": {"body": "b".repeat(5000), "list": [1, "…"], "object": {"a": 1, "…": "…"}, "text": "a…"}});
    let short = shortened(&entry, 4096);
    assert_eq!(
        (&short["details"]["list"], &short["details"]["object"]),
        (&entry["details"]["list"], &entry["details"]["object"])
    );
    assert_eq!(
        short["truncated"],
        json!(["details.body", "details.list", "details.object"])
    );
}

#[test]
fn a_name_with_dots_is_not_taken_for_an_element() {
    let long = "x".repeat(60_000);
    let list: Vec<_> = (0..20_000)
        .map(|n| if n == 9000 { json!(long) } else { json!(n) })
        .collect();
    let short = shortened(
        &members! { "id": "1", "details": members! { "a.9000": long, "a": list } },
        65_536,
    );
    assert_eq!(short["truncated"], json!(["details.a.9000", "details.a"]));
    assert!(short["details"]["a.9000"].as_str().unwrap().len() > 10_000);
}

#[test]
fn of_many_that_were_cut_it_names_sixteen_and_that_there_are_more() {
    let cut = |count: usize| {
        let texts: Members = (0..count)
            .map(|n| (format!("t{n}"), Json::Text("t".repeat(8000))))
            .collect();
        let short = shortened(&members! { "id": "1", "details": texts }, 65_536);
        short["truncated"].as_array().unwrap().clone()
    };
    assert_eq!(
        (cut(16).len(), cut(16).last()),
        (16, Some(&json!("details.t15")))
    );
    assert_eq!(
        (cut(17).len(), cut(17)[15].clone(), cut(17).last()),
        (17, json!("details.t15"), Some(&json!("…")))
    );
}

#[test]
fn many_short_fields_of_the_records_own_go_as_a_whole() {
    let text = "\u{1}".repeat(32);
    let entry = members! {
        "id": "1", "event_type": "a.b", "actor": members! { "id": text, "name": text },
        "outcome": members! { "error": text }, "user_agent": text, "description": text,
        "context": members! { "host": text, "session_id": text }, "details": members! { "a": 1 },
    };
    let short = shortened(&entry, 1024);
    assert_eq!(
        (&short["event_type"], &short["user_agent"]),
        (&json!("a.b"), &json!(text))
    );
    assert_eq!(short["truncated"], json!(["actor", "outcome", "details"]));
}

#[test]
fn a_long_list_is_cut_and_what_is_beside_it_stays() {
    let many: Vec<_> = (0..100_000).map(|n| json!({"n": n})).collect();
    let note = "n".repeat(1000);
    let short = shortened(
        &json!({"id": "1", "details": {"many": many, "note": note, "size": 7}, "tags": ["x"]}),
        4096,
    );
    let kept = short["details"]["many"].as_array().unwrap();
    assert!(
        kept.len() > 50 && kept[0] == json!({"n": 0}) && kept.last() == Some(&json!("…")),
        "{} are left",
        kept.len()
    );
    assert_eq!(
        (
            &short["details"]["note"],
            &short["details"]["size"],
            &short["tags"]
        ),
        (&json!(note), &json!(7), &json!(["x"]))
    );
    assert_eq!(short["truncated"], json!(["details.many"]));
}

#[test]
fn a_list_of_long_strings_keeps_its_length_and_the_first_whole() {
    let texts = vec!["t".repeat(30_000); 3];
    let short = shortened(&json!({"id": "1", "details": {"texts": texts}}), 65_536);
    let kept = short["details"]["texts"].as_array().unwrap();
    assert_eq!((kept.len(), &kept[0]), (3, &json!(texts[0])));
    assert_eq!(
        short["truncated"],
        json!(["details.texts.1", "details.texts.2"])
    );
}

/// What is long is first: the values after it stay, at any depth.
#[test]
fn a_long_value_inside_of_others_does_not_hide_those_after_it() {
    let pair = json!(["p".repeat(70_000), "mallory"]);
    let body = json!({"a": "a".repeat(70_000), "approved_by": "mallory", "pair": pair});
    let short = shortened(&json!({"id": "1", "details": {"body": body}}), 65_536);
    let body = &short["details"]["body"];
    assert_eq!(body["approved_by"], json!("mallory"));
    assert_eq!(body["pair"][1], json!("mallory"));
    assert!(body["a"].as_str().unwrap().len() > 20_000);
}

#[test]
fn control_characters_count_as_they_are_written() {
    let short = shortened(
        &json!({"id": "1", "details": {"a": "\u{1}".repeat(30_000)}}),
        65_536,
    );
    assert_eq!(short["truncated"], json!(["details.a"]));
}

#[test]
fn a_long_description_is_cut_after_the_details() {
    let short = shortened(
        &json!({"id": "1", "description": "d".repeat(9000), "details": {"a": "b"}}),
        4096,
    );
    assert_eq!(
        (&short["truncated"], &short["details"]["a"]),
        (&json!(["description"]), &json!("b"))
    );
}
