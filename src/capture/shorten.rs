//! Makes a record that is too long fit: its longest strings are cut, and it says which.
//!
//! The slow path: it may allocate.

use serde_json::{Map, Value};

/// A string is never cut below this many bytes while whole fields can go instead.
const SHORTEST: usize = 32;

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
            if fits(&record, &cut, longest) {
                return render(&record, &cut);
            }
            for (key, value) in &mut record {
                cut_strings(key.clone(), value, limit, everywhere, &mut cut);
            }
            limit /= 2;
        }
    }
    // Not long strings but many: whole fields go.
    for key in ["details", "tags", "resource", "actor", "outcome", "description", "context", "user_agent", "ip_address", "tenant_id"] {
        if fits(&record, &cut, longest) {
            break;
        }
        if record.shift_remove(key).is_some() {
            cut.retain(|path| path != key && !path.starts_with(&format!("{key}.")));
            cut.push(key.to_owned());
        }
    }
    render(&record, &cut)
}

fn fits(record: &Map<String, Value>, cut: &[String], longest: usize) -> bool {
    render(record, cut).len() <= longest
}

fn render(record: &Map<String, Value>, cut: &[String]) -> Vec<u8> {
    let mut record = record.clone();
    if !cut.is_empty() {
        record.insert("truncated".into(), cut.into());
    }
    // A map of JSON values always serializes.
    let mut bytes = serde_json::to_vec(&record).unwrap_or_default();
    if !bytes.is_empty() {
        bytes.remove(0);
    }
    bytes
}

/// Cuts every string below `path` that is longer than `limit` bytes; the record's own fields only if `everywhere`.
fn cut_strings(path: String, value: &mut Value, limit: usize, everywhere: bool, cut: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() > limit => {
            let own = CUT_FIRST.iter().any(|first| path == *first || path.strip_prefix(first).is_some_and(|rest| rest.starts_with('.')));
            if own || (everywhere && path.as_str() != "id" && path.as_str() != "event_type") {
                let keep = limit.saturating_sub('…'.len_utf8());
                let end = (0..=keep).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
                text.truncate(end);
                text.push('…');
                // A million cut strings can't all be named.
                if !cut.contains(&path) && cut.len() < 16 {
                    cut.push(path);
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                cut_strings(format!("{path}.{index}"), value, limit, everywhere, cut);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                cut_strings(format!("{path}.{key}"), value, limit, everywhere, cut);
            }
        }
        _ => {}
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
        let short = shortened(&json!({"id": "1", "event_type": "a.b", "details": {"many": many}, "tags": ["x"]}), 4096);
        assert_eq!(short, json!({"id": "1", "event_type": "a.b", "tags": ["x"], "truncated": ["details"]}));
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
