//! The description of the API, and answers that are compared with it.

use std::{cell::RefCell, collections::BTreeSet};

use axum::http::header;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Served};

/// The description as it is served, and which of its answers were seen.
pub(crate) struct Description {
    pub(crate) json: Value,
    seen: RefCell<BTreeSet<String>>,
}

impl Description {
    pub(crate) async fn of(served: &Served) -> Self {
        let host = [(header::HOST, "localhost")];
        let answer = served.get_with("/audit/openapi.json", &host).await;
        assert_eq!(answer.status, 200);
        let mut json = answer.json();
        close(&mut json);
        Self {
            json,
            seen: RefCell::default(),
        }
    }

    /// All methods and paths.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (path, item) in object(&self.json["paths"]) {
            for method in object(item).keys() {
                all.push((method.to_ascii_uppercase(), path.clone()));
            }
        }
        all
    }

    pub(crate) fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.json["paths"][path][method.to_ascii_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        operation
    }

    pub(crate) fn parameters(&self, method: &str, path: &str, place: &str) -> Vec<&Value> {
        let parameters = self.operation(method, path)["parameters"].as_array();
        let parameters = parameters.into_iter().flatten();
        parameters.filter(|one| one["in"] == place).collect()
    }

    /// Checks that this operation may have this answer.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let status = answer.status.as_str();
        let what = format!("{method} {path} {status}");
        let text = String::from_utf8_lossy(&answer.body);
        let response = &self.operation(method, path)["responses"][status];
        assert!(response.is_object(), "{what} is not described: {text}");
        let response = self.resolved(response);
        self.check_headers(&what, response, answer);
        let content = &response["content"];
        if !content.is_object() {
            assert!(answer.body.is_empty(), "{what}: {text}");
        } else if method != "HEAD" {
            self.check_content(&what, content, answer);
        }
        self.seen.borrow_mut().insert(what);
    }

    fn check_headers(&self, what: &str, response: &Value, answer: &Answer) {
        for (name, described) in object(&response["headers"]) {
            let described = self.resolved(described);
            let value = answer.headers.get(name.as_str());
            if described["required"] == true {
                assert!(value.is_some(), "{what}: no {name}: {:?}", answer.headers);
            }
        }
    }

    fn check_content(&self, what: &str, content: &Value, answer: &Answer) {
        let kind = answer.header(header::CONTENT_TYPE);
        let essence = kind.split(';').next().unwrap();
        let described = &content[essence];
        assert!(described.is_object(), "{what}: {kind} is not described");
        if essence.ends_with("json") && !essence.ends_with("ndjson") {
            self.check_schema(what, &described["schema"], &answer.json());
        }
    }

    pub(crate) fn check_schema(&self, what: &str, schema: &Value, value: &Value) {
        let validator = self.validator(what, schema);
        let problems: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{what}: {problems:#?}\n{value:#}");
    }

    /// Whether the value is one of this schema.
    pub(crate) fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.validator("a schema", schema).is_valid(value)
    }

    fn validator(&self, what: &str, schema: &Value) -> jsonschema::Validator {
        let mut root = schema.clone();
        root["components"] = self.json["components"].clone();
        jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The described answers of these statuses that no request has had.
    pub(crate) fn unseen(&self, statuses: &[&str]) -> Vec<String> {
        let seen = self.seen.borrow();
        let mut unseen = Vec::new();
        for (method, path) in self.operations() {
            for status in object(&self.operation(&method, &path)["responses"]).keys() {
                let what = format!("{method} {path} {status}");
                let is_asked_for = statuses.iter().any(|one| status.starts_with(one));
                if is_asked_for && !seen.contains(&what) {
                    unseen.push(what);
                }
            }
        }
        unseen
    }

    /// Every schema that has an example, and the example.
    pub(crate) fn examples(&self) -> Vec<(String, &Value, &Value)> {
        let mut found = Vec::new();
        find_examples(&self.json, String::new(), &mut found);
        found
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                let found = self.json.pointer(pointer);
                found.unwrap_or_else(|| panic!("nothing is at {reference}"))
            }
            None => value,
        }
    }
}

/// Makes each object with known members one that has no others: a server may send more one day,
/// while this one has to send just what is described.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_schema = members.get("type") == Some(&json!("object"));
            if is_schema && members.contains_key("properties") {
                members
                    .entry("additionalProperties")
                    .or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

fn find_examples<'a>(
    value: &'a Value,
    at: String,
    found: &mut Vec<(String, &'a Value, &'a Value)>,
) {
    match value {
        Value::Object(members) => {
            if let (Some(schema), Some(example)) = (members.get("schema"), members.get("example")) {
                found.push((at, schema, example));
                return;
            }
            for (name, value) in members {
                find_examples(value, format!("{at}/{name}"), found);
            }
        }
        Value::Array(values) => {
            for (n, value) in values.iter().enumerate() {
                find_examples(value, format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}
