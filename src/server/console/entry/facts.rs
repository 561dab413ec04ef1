//! The facts of an entry, in groups that answer a question each.

use crate::{
    entry::json::{Json, Members},
    server::console::{entries::Kind, selection::Selection, text::shown},
};

/// The members of an entry that a group has: their path, and what people call them.
type Paths = &'static [(&'static str, &'static str)];

const WHO: Paths = &[
    ("actor.name", "Name"),
    ("actor.id", "Id"),
    ("actor.type", "Type"),
    ("tenant_id", "Tenant"),
];
const WHAT: Paths = &[
    ("resource.name", "Name"),
    ("resource.id", "Id"),
    ("resource.type", "Type"),
    ("action", "Action"),
    ("category", "Category"),
];
const HOW: Paths = &[
    ("outcome.type", "Outcome"),
    ("outcome.reason", "Reason"),
    ("outcome.error", "Error"),
    ("severity", "Severity"),
];
const WHERE: Paths = &[
    ("ip_address", "Address"),
    ("user_agent", "User agent"),
    ("source", "Source"),
    ("context.environment", "Environment"),
    ("context.host", "Host"),
    ("context.protocol", "Protocol"),
    ("context.session_id", "Session"),
    ("context.request_id", "Request"),
    ("context.trace_id", "Trace"),
    ("context.span_id", "Span"),
    ("context.module", "Module"),
];
const RECORD: Paths = &[
    ("id", "Id"),
    ("stream", "Stream"),
    ("seq", "Number"),
    ("schema_version", "Schema"),
    ("tags", "Tags"),
    ("truncated", "Cut values"),
];

/// Some facts under one heading.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) facts: Vec<Fact>,
    /// The page about who or what it is: its path below the mount, and what leads there.
    pub(super) about: Option<(String, &'static str)>,
}

pub(super) struct Fact {
    pub(super) name: String,
    /// `None` if it isn't recorded.
    pub(super) value: Option<String>,
    /// The queries of the entries that have the value too, and of those that don't.
    pub(super) links: Option<[String; 2]>,
}

/// All groups that have a fact. The last one has the name of the file too, if that is given.
pub(super) fn groups(entry: &Members, file: Option<String>) -> Vec<Group> {
    let groups = [
        ("Who", WHO, Some("actor.attributes")),
        ("What", WHAT, None),
        ("How it ended", HOW, None),
        ("Where", WHERE, None),
        ("In the log", RECORD, None),
    ];
    let group = |(title, paths, more): (&'static str, Paths, Option<&str>)| {
        let facts = paths
            .iter()
            .filter_map(|(path, name)| fact(entry, path, name).or_else(|| absent(path, name)));
        let more = more.and_then(|path| get(entry, path));
        Group {
            title,
            facts: facts.chain(members(more)).collect(),
            about: about(entry, title),
        }
    };
    let mut all: Vec<_> = groups.into_iter().map(group).collect();
    if let Some(last) = all.last_mut() {
        last.facts.extend(file.map(|file| Fact {
            name: "File".to_owned(),
            value: Some(shown(&file)),
            links: None,
        }));
    }
    all.retain(|group| group.facts.iter().any(|fact| fact.value.is_some()));
    all
}

/// The link to the page of the actor or the resource.
fn about(entry: &Members, title: &str) -> Option<(String, &'static str)> {
    let (kind, paths, text) = match title {
        "Who" => (Kind::Actor, WHO, "About this actor"),
        "What" => (Kind::Resource, WHAT, "About this resource"),
        _ => return None,
    };
    // By the id; without one, by the name.
    let named = [paths.get(1), paths.first()].into_iter().flatten();
    let value = named.filter_map(|(path, _)| get(entry, path)).next()?;
    Some((kind.about(&plain(value)), text))
}

fn fact(entry: &Members, path: &str, name: &str) -> Option<Fact> {
    let value = plain(get(entry, path)?);
    Some(Fact {
        name: name.to_owned(),
        links: parameter(path).map(|parameter| links(parameter, &value)),
        value: Some(shown(&value)),
    })
}

/// The fact that a member isn't there, if people look for it: filters take its absence for a success,
/// and the page must not say more than the entry.
fn absent(path: &str, name: &str) -> Option<Fact> {
    (path == "outcome.type").then(|| Fact {
        name: name.to_owned(),
        value: None,
        links: None,
    })
}

/// The members of an object, one fact each.
fn members(value: Option<&Json>) -> Vec<Fact> {
    let Some(Json::Object(members)) = value else {
        return Vec::new();
    };
    let fact = |(name, value): (&str, &Json)| Fact {
        name: shown(name),
        value: Some(shown(&plain(value))),
        links: None,
    };
    members.iter().map(fact).collect()
}

/// The parameter of the filter that a path has.
fn parameter(path: &str) -> Option<&'static str> {
    Some(match path {
        "actor.id" | "actor.name" => "actor",
        "actor.type" => "actor_type",
        "resource.id" | "resource.name" => "resource",
        "resource.type" => "resource_type",
        "outcome.type" => "outcome",
        "context.session_id" => "session_id",
        "context.request_id" => "request_id",
        "context.trace_id" => "trace_id",
        "user_agent" => "user_agent",
        "tenant_id" => "tenant_id",
        "action" => "action",
        "category" => "category",
        "severity" => "severity",
        "ip_address" => "ip_address",
        "source" => "source",
        _ => return None,
    })
}

/// The queries of the entries that have a value, and of those that don't.
pub(super) fn links(parameter: &str, value: &str) -> [String; 2] {
    let all = Selection::default();
    [
        all.with(parameter, value).query(),
        all.excluding(parameter, value).query(),
    ]
}

fn get<'a>(entry: &'a Members, path: &str) -> Option<&'a Json> {
    match path.split_once('.') {
        None => entry.get(path),
        Some((name, rest)) => match entry.get(name)? {
            Json::Object(members) => get(members, rest),
            _ => None,
        },
    }
}

/// A value as text; that of a text is the text itself.
pub(super) fn plain(value: &Json) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}
