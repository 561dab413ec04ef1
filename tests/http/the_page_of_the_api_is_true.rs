//! `docs/api.md`: its reference is that of `/openapi.json`, and its examples are requests that the
//! server takes, with answers as the server gives them.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde_json::Value;
use tracing_audit::http::RouterOptions;

use crate::{
    description::Description,
    http::served,
    page_of_the_api::{Example, examples, reference, routes_in_prose},
};

/// Where the part that is made of the description begins.
const MARK: &str = "\n## Reference\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")
}

async fn description() -> Description {
    Description::of(&served(0, RouterOptions::new())).await
}

/// The page in two parts: what people write, and the reference.
fn page() -> (String, String) {
    let text = fs::read_to_string(path()).unwrap();
    let (written, made) = text.split_once(MARK).unwrap();
    (written.to_owned(), made.to_owned())
}

#[tokio::test]
async fn its_reference_is_that_of_the_description() {
    let (written, made) = page();
    let expected = reference(&description().await);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(), format!("{written}{MARK}{expected}")).unwrap();
        return;
    }
    assert!(
        made == expected,
        "docs/api.md is not what the server describes; to write its reference anew, run\n\
         UPDATE_DOCS=1 cargo test --all-features --test http its_reference"
    );
}

#[tokio::test]
async fn each_route_has_an_example_and_each_example_a_route() {
    let description = description().await;
    let (written, _) = page();
    let mut shown = BTreeSet::new();
    for example in examples(&written) {
        shown.insert(check(&description, &example));
    }
    let all: BTreeSet<_> = description.operations().into_iter().collect();
    let missing: Vec<_> = all.difference(&shown).collect();
    assert!(
        missing.is_empty(),
        "docs/api.md has no example (a curl command in a block of sh) of {missing:?}"
    );
}

/// The operation that the example is of, once its parameters and its answer are found to be right.
fn check(description: &Description, example: &Example) -> (String, String) {
    let known = description.operations();
    let fits = |of: &&(String, String)| of.0 == example.method && is_at(&of.1, &example.path);
    let literal = |of: &&(String, String)| of.1.matches('{').count();
    let found = known.iter().filter(fits).min_by_key(literal);
    let (method, path) = found.unwrap_or_else(|| panic!("there is no such route: {example:?}"));
    let parameters = description.parameters(method, path, "query");
    for name in &example.parameters {
        let name = match name.starts_with("details.") {
            true => "details.<path>",
            false => name,
        };
        let is_described = parameters.iter().any(|one| one["name"] == name);
        assert!(is_described, "{method} {path} takes no {name}: {example:?}");
    }
    if let Some(answer) = &example.answer {
        check_answer(description, (method, path), answer);
    }
    (method.clone(), path.clone())
}

fn check_answer(description: &Description, (method, path): (&str, &str), answer: &str) {
    let what = format!("docs/api.md: the answer to {method} {path}");
    let answer: Value = serde_json::from_str(answer)
        .unwrap_or_else(|error| panic!("{what} is no JSON: {error}\n{answer}"));
    if answer["title"].is_string() && answer["status"].is_u64() {
        let problem = serde_json::json!({"$ref": "#/components/schemas/Problem"});
        return description.check_schema(&what, &problem, &answer);
    }
    let responses = &description.operation(method, path)["responses"];
    let responses = responses.as_object().unwrap();
    let successes = responses
        .iter()
        .filter(|(status, _)| status.starts_with('2'));
    let schema = |response: &Value| response["content"]["application/json"]["schema"].clone();
    let schemas: Vec<_> = successes.map(|(_, response)| schema(response)).collect();
    let described: Vec<_> = schemas.iter().filter(|schema| schema.is_object()).collect();
    // A replay has one answer if it only counts, and another one otherwise.
    let fits = |schema: &&&Value| description.fits(schema, &answer);
    match described.iter().find(fits) {
        Some(_) => {}
        None => description.check_schema(&what, described[0], &answer),
    }
}

fn is_at(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(of, given)| of.starts_with('{') || of == given)
}

#[tokio::test]
async fn no_route_is_named_that_is_not_there() {
    let known = description().await.operations();
    let (written, _) = page();
    let named = routes_in_prose(&written);
    assert!(named.len() > 5, "{named:?}");
    for (method, path) in named {
        let is_known = known.iter().any(|of| of.0 == method && of.1 == path);
        assert!(is_known, "docs/api.md names {method} {path}");
    }
}
