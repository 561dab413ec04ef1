//! Makes a record that is too long fit: its longest strings and lists are cut, and it says which.
//!
//! The slow path: it may allocate.

use serde_json::{Map, Value};

/// A string is never cut below this many bytes while whole fields can go instead.
const SHORTEST: usize = 32;

/// What stands for the elements of a list that were cut off.
const AND_SO_ON: &str = "…";

/// The parts that belong to the application and may be cut first, as paths.
const CUT_FIRST: [&str; 4] = ["details", "actor.attributes", "resource.attributes", "resource.prior_attributes"];

/// `record` is what was rendered: an object without its opening brace. The result is at most `longest` bytes.
pub(super) fn shorten(record: &[u8], longest: usize) -> Vec<u8> {
    let text = [b"{", record].concat();
    let Ok(Value::Object(mut record)) = serde_json::from_slice::<Value>(&text) else {
        // The writer renders nothing but valid JSON. Should it ever not, the head of the record is still worth more than nothing.
        return render(&head(&text), &["*".to_owned()]);
    };
    let mut cut = Vec::new();
    for everywhere in [false, true] {
        let mut limit = longest / 2;
        while limit >= SHORTEST {
            let short = render(&record, &cut);
            if short.len() <= longest {
                return short;
            }
            for (key, value) in &mut record {
                shorten_value(key.clone(), value, limit, everywhere, &mut cut);
            }
            limit /= 2;
        }
    }
    // Not a few long values but many short ones: whole fields go.
    for key in ["details", "tags", "resource", "actor", "outcome", "description", "context", "user_agent", "ip_address", "tenant_id"] {
        if render(&record, &cut).len() <= longest {
            break;
        }
        if record.shift_remove(key).is_some() {
            cut.retain(|path| path != key && !path.starts_with(&format!("{key}.")));
            cut.push(key.to_owned());
        }
    }
    render(&record, &cut)
}

fn render(record: &Map<String, Value>, cut: &[String]) -> Vec<u8> {
    // A map of JSON values always serializes.
    let mut bytes = serde_json::to_vec(record).unwrap_or_default();
    if !cut.is_empty() && bytes.pop().is_some() {
        bytes.extend_from_slice(b",\"truncated\":");
        bytes.extend(serde_json::to_vec(cut).unwrap_or_default());
        bytes.push(b'}');
    }
    if !bytes.is_empty() {
        bytes.remove(0);
    }
    bytes
}

/// Shortens what is below `path`: every string that is longer than `limit` bytes, and every list that would be even if its strings were as
/// short as they may get; the record's own fields only if `everywhere`. Says how many bytes would be left if all strings were that short.
fn shorten_value(path: String, value: &mut Value, limit: usize, everywhere: bool, cut: &mut Vec<String>) -> usize {
    let own = CUT_FIRST.iter().any(|first| path == *first || path.strip_prefix(first).is_some_and(|rest| rest.starts_with('.')));
    let may_be_cut = own || (everywhere && path.as_str() != "id" && path.as_str() != "event_type");
    match value {
        Value::String(text) => {
            if text.len() > limit && may_be_cut {
                let keep = limit.saturating_sub('…'.len_utf8());
                let end = (0..=keep).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
                text.truncate(end);
                text.push('…');
                note(path, cut);
            }
            text.len().min(SHORTEST)
        }
        Value::Array(values) => {
            let (mut left, mut kept) = (0, 0);
            for (index, value) in values.iter_mut().enumerate() {
                let element = 1 + shorten_value(format!("{path}.{index}"), value, limit, everywhere, cut);
                if left + element > limit && may_be_cut {
                    break;
                }
                left += element;
                kept += 1;
            }
            if kept < values.len() {
                values.truncate(kept);
                values.push(AND_SO_ON.into());
                // What was cut in those that are gone need not be told.
                let index = |below: &str| below.strip_prefix(&format!("{path}."))?.split('.').next()?.parse::<usize>().ok();
                cut.retain(|below| index(below).is_none_or(|index| index < kept));
                note(path, cut);
            }
            left
        }
        Value::Object(fields) => {
            let members =
                fields.iter_mut().map(|(key, value)| key.len() + 4 + shorten_value(format!("{path}.{key}"), value, limit, everywhere, cut));
            members.sum()
        }
        other => other.to_string().len(),
    }
}

/// A million values that were cut can't all be named.
fn note(path: String, cut: &mut Vec<String>) {
    if !cut.contains(&path) && cut.len() < 16 {
        cut.push(path);
    }
}

/// The leading fields of a record that can't be parsed: those that are well-formed strings.
fn head(text: &[u8]) -> Map<String, Value> {
    let text = String::from_utf8_lossy(text);
    let mut fields = Map::new();
    for key in ["id", "timestamp", "schema_version", "event_type", "category", "action", "severity", "source"] {
        let found = text.split_once(&format!("\"{key}\":\"")).and_then(|(_, rest)| rest.split_once('"'));
        if let Some((value, _)) = found {
            fields.insert(key.into(), value.into());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shortened(record: &Value, longest: usize) -> Value {
        let text = serde_json::to_vec(record).unwrap();
        let short = shorten(&text[1..], longest);
        assert!(short.len() <= longest, "{} > {longest}", short.len());
        serde_json::from_slice(&[b"{", &short[..]].concat()).unwrap()
    }

    #[test]
    fn the_longest_strings_are_cut_and_named() {
        let body = "ä".repeat(500_000);
        let short = shortened(&json!({"id": "1", "description": "x", "details": {"body": body, "mode": "full"}}), 65_536);
        assert_eq!(short["truncated"], json!(["details.body"]));
        assert_eq!((&short["description"], &short["details"]["mode"]), (&json!("x"), &json!("full")));
        assert!(short["details"]["body"].as_str().unwrap().len() > 20_000, "no more than needed is cut");
    }

    #[test]
    fn a_record_of_many_small_fields_fits_too() {
        let many: Vec<_> = (0..100_000).map(|n| json!({"n": n})).collect();
        let fields: Map<String, Value> = many.iter().enumerate().map(|(n, value)| (format!("field{n}"), value.clone())).collect();
        let short = shortened(&json!({"id": "1", "event_type": "a.b", "details": fields, "tags": ["x"]}), 4096);
        assert_eq!(short, json!({"id": "1", "event_type": "a.b", "tags": ["x"], "truncated": ["details"]}));
    }

    #[test]
    fn a_long_list_is_cut_and_what_is_beside_it_stays() {
        let many: Vec<_> = (0..100_000).map(|n| json!({"n": n})).collect();
        let note = "n".repeat(1000);
        let short = shortened(&json!({"id": "1", "details": {"many": many, "note": note, "size": 7}, "tags": ["x"]}), 4096);
        let kept = short["details"]["many"].as_array().unwrap();
        assert!(kept.len() > 50 && kept[0] == json!({"n": 0}) && kept.last() == Some(&json!("…")), "{} are left", kept.len());
        assert_eq!((&short["details"]["note"], &short["details"]["size"], &short["tags"]), (&json!(note), &json!(7), &json!(["x"])));
        assert_eq!(short["truncated"], json!(["details.many"]));
    }

    #[test]
    fn a_list_of_long_strings_keeps_its_length() {
        let texts = vec!["t".repeat(30_000); 3];
        let short = shortened(&json!({"id": "1", "details": {"texts": texts}}), 65_536);
        assert_eq!(short["details"]["texts"].as_array().unwrap().len(), 3);
        assert_eq!(short["truncated"], json!(["details.texts.0", "details.texts.1", "details.texts.2"]));
    }

    #[test]
    fn control_characters_count_as_they_are_written() {
        let short = shortened(&json!({"id": "1", "details": {"a": "\u{1}".repeat(30_000)}}), 65_536);
        assert_eq!(short["truncated"], json!(["details.a"]));
    }

    #[test]
    fn a_long_description_is_cut_after_the_details() {
        let short = shortened(&json!({"id": "1", "description": "d".repeat(9000), "details": {"a": "b"}}), 4096);
        assert_eq!((&short["truncated"], &short["details"]["a"]), (&json!(["description"]), &json!("b")));
    }
}
