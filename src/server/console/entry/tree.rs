//! Values in values, as lines; and the difference between two states.

use super::facts::{links, plain};
use crate::{
    entry::json::{Json, Members},
    server::console::text::shown,
};

/// How many lines are shown. All of the entry is in its JSON.
const MOST: usize = 1000;
/// How far lines are indented.
const DEEPEST: usize = 8;

/// A value with its name, below the one that it is in.
pub(super) struct Line {
    pub(super) depth: usize,
    pub(super) name: String,
    /// `None` if the values in it follow.
    pub(super) value: Option<String>,
    /// `text`, `number`, …
    pub(super) kind: &'static str,
    /// The queries of the entries that have the value too, and of those that don't.
    pub(super) links: Option<[String; 2]>,
}

/// The lines of an object's members.
pub(super) fn lines(value: Option<&Json>) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(Json::Object(members)) = value {
        for (name, value) in members.iter() {
            add(&mut lines, 0, name, Some(format!("details.{name}")), value);
        }
    }
    lines
}

/// Adds the line of a value, and those of the values in it. `path` is the parameter by which
/// entries with the value are found, if there is one.
fn add(lines: &mut Vec<Line>, depth: usize, name: &str, path: Option<String>, value: &Json) {
    if lines.len() == MOST {
        return;
    }
    let kind = kind(value);
    let below = match value {
        Json::Object(members) => !members.is_empty(),
        Json::List(values) => !values.is_empty(),
        _ => false,
    };
    let path = path.filter(|_| !name.contains('.'));
    let text = plain(value);
    lines.push(Line {
        depth: depth.min(DEEPEST),
        name: shown(name),
        links: path
            .as_ref()
            .filter(|_| !below && !matches!(value, Json::Object(_) | Json::List(_)))
            .map(|path| links(path, &text)),
        value: (!below).then(|| shown(&text)),
        kind,
    });
    match value {
        Json::Object(members) => {
            for (name, value) in members.iter() {
                let path = path.as_ref().map(|path| format!("{path}.{name}"));
                add(lines, depth + 1, name, path, value);
            }
        }
        Json::List(values) => {
            for (at, value) in values.iter().enumerate() {
                add(lines, depth + 1, &at.to_string(), None, value);
            }
        }
        _ => {}
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::Text(_) => "text",
        Json::List(_) => "list",
        Json::Object(_) => "object",
    }
}

/// An attribute of the resource: what it was, and what it is now.
pub(super) struct Change {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// `added`, `removed`, `changed` or `same`
    pub(super) kind: &'static str,
}

/// The attributes of the resource before and after, those first that are not the same.
pub(super) fn changes(entry: &Members) -> Vec<Change> {
    let attributes = |name| match entry.get("resource") {
        Some(Json::Object(resource)) => match resource.get(name) {
            Some(Json::Object(members)) => members.clone(),
            _ => Members::default(),
        },
        _ => Members::default(),
    };
    let (before, after) = (attributes("prior_attributes"), attributes("attributes"));
    let has_state_before = !before.is_empty();
    let mut names: Vec<&str> = before.iter().map(|(name, _)| name).collect();
    let new = after.iter().map(|(name, _)| name);
    names.extend(new.filter(|name| before.get(name).is_none()));
    let change = |name: &str| {
        let (old, new) = (before.get(name), after.get(name));
        Change {
            name: shown(name),
            before: old.map(|value| shown(&plain(value))),
            after: new.map(|value| shown(&plain(value))),
            kind: match (old, new) {
                (None, _) if has_state_before => "added",
                // An event that says only what is now says nothing of a change.
                (None, _) => "same",
                (Some(_), None) => "removed",
                (Some(old), Some(new)) if old == new => "same",
                (Some(_), Some(_)) => "changed",
            },
        }
    };
    let mut changes: Vec<_> = names.into_iter().map(change).collect();
    changes.sort_by_key(|change| change.kind == "same");
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Members {
        match serde_json::from_str(text).unwrap() {
            Json::Object(members) => members,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn changes_say_what_was_and_is() {
        let entry = json(
            r#"{"resource":{"prior_attributes":{"role":"user","mail":"a","old":1},
                "attributes":{"mail":"a","role":"admin","new":[1,2]}}}"#,
        );
        let changes: Vec<_> = changes(&entry)
            .into_iter()
            .map(|one| (one.name, one.kind, one.before, one.after))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            changes,
            [
                ("role".to_owned(), "changed", some("user"), some("admin")),
                ("old".to_owned(), "removed", some("1"), None),
                ("new".to_owned(), "added", None, some("[1,2]")),
                ("mail".to_owned(), "same", some("a"), some("a")),
            ]
        );
    }

    #[test]
    fn a_tree_is_lines_that_can_be_searched_for() {
        let entry = json(r#"{"details":{"a":{"b":"x","c":{}},"list":[true],"d.e":1}}"#);
        let lines: Vec<_> = lines(entry.get("details"))
            .into_iter()
            .map(|line| {
                let only = line.links.map(|[only, _]| only).unwrap_or_default();
                format!("{} {} {:?} {only}", line.depth, line.name, line.value)
            })
            .collect();
        assert_eq!(
            lines,
            [
                "0 a None ",
                "1 b Some(\"x\") ?details.a.b=x",
                "1 c Some(\"{}\") ",
                "0 list None ",
                "1 0 Some(\"true\") ",
                "0 d.e Some(\"1\") ",
            ]
        );
    }
}
