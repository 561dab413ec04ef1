//! A filter over parsed entries, told once more in other words.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use serde_json::Value;

use super::Parameter;

/// The plain filter.
pub(crate) fn wants(entry: &Value, parameters: &[Parameter]) -> bool {
    let mut by_name: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    for (name, excluded, value) in parameters {
        by_name.entry(name).or_default()[usize::from(*excluded)].push(value);
    }
    by_name.iter().all(|(name, [wanted, excluded])| {
        let has = |value: &&str| has(entry, name, value);
        (wanted.is_empty() || wanted.iter().any(has)) && !excluded.iter().any(has)
    })
}

fn has(entry: &Value, name: &str, value: &str) -> bool {
    let is = |part: &str, names: &[&str]| names.iter().any(|name| entry[part][name] == value);
    match name {
        "start_date" => tenths(entry["timestamp"].as_str().unwrap()) >= tenths(value),
        "end_date" => tenths(entry["timestamp"].as_str().unwrap()) < tenths(value),
        "event_type" => match value.strip_suffix('*') {
            Some(prefix) => entry[name].as_str().unwrap().starts_with(prefix),
            None => entry[name] == value,
        },
        "actor" => is("actor", &["id", "name", "type"]),
        "actor_type" => is("actor", &["type"]),
        "resource" => is("resource", &["id", "name"]),
        "resource_type" => is("resource", &["type"]),
        "session_id" | "request_id" | "trace_id" => is("context", &[name]),
        "outcome" => entry["outcome"]["type"].as_str().unwrap_or("success") == value,
        "ip_address" => entry[name]
            .as_str()
            .is_some_and(|address| is_in(address, value)),
        "q" => {
            let parts = [&entry["actor"], &entry["resource"]];
            let named = parts
                .into_iter()
                .flat_map(|part| [&part["id"], &part["name"]]);
            let texts = named.chain([&entry["event_type"], &entry["description"]]);
            let value = value.to_lowercase();
            texts
                .filter_map(Value::as_str)
                .any(|text| text.to_lowercase().contains(&value))
        }
        _ => match name.strip_prefix("details.") {
            Some(path) => {
                below(&entry["details"], path).is_some_and(|found| is_detail(found, value))
            }
            None => entry[name] == value,
        },
    }
}

/// Tenths of a microsecond since the day began, by the digits.
fn tenths(text: &str) -> i64 {
    let digit = |at: usize| text.as_bytes().get(at).filter(|b| b.is_ascii_digit());
    let number = |at: usize, len: usize| {
        (at..at + len).fold(0, |n, at| {
            n * 10 + digit(at).map_or(0, |b| i64::from(b - b'0'))
        })
    };
    let behind = if text.ends_with("+0200") { 2 } else { 0 };
    let seconds = ((number(11, 2) - behind) * 60 + number(14, 2)) * 60 + number(17, 2);
    // What follows six digits is a seventh, or the zone.
    (seconds * 1_000_000 + number(20, 6)) * 10 + number(26, 1)
}

fn is_in(address: &str, network: &str) -> bool {
    let (text, len) = network.split_once('/').unwrap_or((network, ""));
    let bits = |text: &str| -> Option<(u128, bool)> {
        let address: IpAddr = text.parse().ok()?;
        let mapped = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let v4 = mapped.to_ipv4_mapped().is_some();
        Some((u128::from_be_bytes(Ipv6Addr::octets(&mapped)), v4))
    };
    let (network, v4) = bits(text).unwrap();
    let len = match (len.parse::<u32>(), text.contains(':')) {
        (Err(_), _) => 128,
        (Ok(len), true) => len,
        (Ok(len), false) => len + 96,
    };
    let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
    bits(address).is_some_and(|(address, of_v4)| of_v4 == v4 && address & mask == network & mask)
}

/// The first value at the path, whatever dots its keys have.
fn below<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    members
        .iter()
        .find_map(|(key, value)| match path.strip_prefix(key.as_str())? {
            "" => Some(value),
            rest => below(value, rest.strip_prefix('.')?),
        })
}

fn is_detail(found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) => text == value,
        Value::Number(number) => {
            let value: Option<f64> = serde_json::from_str(value).ok();
            value.is_some() && value == number.as_f64()
        }
        Value::Bool(found) => value == if *found { "true" } else { "false" },
        Value::Null => value == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}
