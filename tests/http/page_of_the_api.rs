//! `docs/api.md`: reading its examples, and writing its reference.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing_audit::Filter;

use crate::description::Description;

/// The base of the URLs in the examples.
const BASE: &str = "http://127.0.0.1:8080/audit";

/// A `curl` command of the page, and the JSON that follows it.
#[derive(Debug, Default)]
pub(crate) struct Example {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) parameters: Vec<String>,
    pub(crate) answer: Option<String>,
}

/// The examples of the page.
pub(crate) fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut after_command = false;
    for (language, block) in blocks(page) {
        match language {
            "sh" => {
                let commands = block.replace("\\\n", " ");
                let commands = commands.lines().filter(|line| line.contains(BASE));
                let before = found.len();
                found.extend(commands.map(example));
                after_command = found.len() > before;
            }
            "json" if after_command => {
                found.last_mut().unwrap().answer = Some(block.to_owned());
                after_command = false;
            }
            // The head of an answer may stand before its body.
            "http" => {}
            _ => after_command = false,
        }
    }
    found
}

/// The blocks of code, each with its language.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = page.split("\n```").skip(1).step_by(2);
    parts.map(|part| part.split_once('\n').unwrap())
}

fn example(command: &str) -> Example {
    let words = words(command);
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).cloned()
    };
    let data: Vec<_> = values(&words, &["-d", "--data-urlencode"]);
    let in_query = words.iter().any(|word| word == "-G");
    let usual = match data.is_empty() || in_query {
        true => "GET",
        false => "POST",
    };
    let usual = if words.iter().any(|word| word == "-I") {
        "GET"
    } else {
        usual
    };
    let url = words
        .iter()
        .find_map(|word| word.strip_prefix(BASE))
        .unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parameters: Vec<_> = query.split('&').filter(|part| !part.is_empty()).collect();
    if in_query {
        parameters.extend(data.iter().map(String::as_str));
    }
    let name = |part: &str| part.split('=').next().unwrap_or_default().to_owned();
    Example {
        method: after("-X").unwrap_or_else(|| usual.to_owned()),
        path: path.to_owned(),
        parameters: parameters.into_iter().map(name).collect(),
        answer: None,
    }
}

fn values(words: &[String], flags: &[&str]) -> Vec<String> {
    let pairs = words.windows(2);
    let given = pairs.filter(|pair| flags.contains(&pair[0].as_str()));
    given.map(|pair| pair[1].clone()).collect()
}

/// The words of a command, without the quotes around them.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The routes that the text names, such as `GET /entries`.
pub(crate) fn routes_in_prose(page: &str) -> Vec<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let routes = quoted.filter_map(|text| {
        let (method, path) = text.split_once(' ')?;
        let is_method = ["GET", "POST", "PATCH", "DELETE"].contains(&method);
        let path = path.split(['?', ' ']).next()?;
        let is_route = is_method && path.starts_with('/');
        is_route.then(|| (method.to_owned(), path.to_owned()))
    });
    routes.collect()
}

/// The reference, as the page has it after its heading.
pub(crate) fn reference(description: &Description) -> String {
    let mut text = String::from(
        "\n<!-- Written by `UPDATE_DOCS=1 cargo test --all-features --test http its_reference` from \
         `/openapi.json`.\n     Changes belong in src/server/openapi. -->\n\n\
         Paths are below `/audit`. Every route can also answer with 405 (another method) and 431 (a \
         head that is\ntoo long).\n\n### Filters\n\n",
    );
    let of_page = description.parameters("GET", "/entries", "query");
    let filters: Vec<_> = of_page.into_iter().filter(|one| is_filter(one)).collect();
    table_of_parameters(&mut text, &filters);
    statuses(&mut text, description);
    for (method, path) in description.operations() {
        operation(&mut text, description, &method, &path);
    }
    text
}

fn is_filter(parameter: &Value) -> bool {
    let name = parameter["name"].as_str().unwrap();
    Filter::NAMES.contains(&name) || name.starts_with("details.")
}

fn statuses(text: &mut String, description: &Description) {
    text.push_str("\n### Statuses of refused requests\n\n| status | when |\n|---|---|\n");
    for (name, response) in members(&description.json["components"]["responses"]) {
        if let Some(status) = name.strip_prefix("Problem") {
            let _ = writeln!(text, "| {status} | {} |", cell(&response["description"]));
        }
    }
}

fn operation(text: &mut String, description: &Description, method: &str, path: &str) {
    let of = description.operation(method, path);
    let _ = writeln!(text, "\n### `{method} {path}`\n");
    let _ = writeln!(text, "{}. {}\n", cell(&of["summary"]), rights(of));
    if let Some(more) = of["description"].as_str() {
        let _ = writeln!(text, "{}\n", more.replace('\n', " "));
    }
    let all: Vec<&Value> = of["parameters"].as_array().into_iter().flatten().collect();
    let (filters, own): (Vec<&Value>, Vec<&Value>) = all
        .into_iter()
        .partition(|one| one["in"] == "query" && is_filter(one));
    if !filters.is_empty() {
        text.push_str("Takes the [filters](#filters).\n\n");
    }
    if !own.is_empty() {
        table_of_parameters(text, &own);
        text.push('\n');
    }
    body(text, description, of);
    answers(text, of);
}

fn rights(of: &Value) -> String {
    let all = of["security"].as_array().into_iter().flatten();
    let mut scopes = all
        .flat_map(members)
        .filter_map(|(_, scopes)| scopes[0].as_str());
    match scopes.next() {
        Some(scope) => format!("Scope: `{scope}`."),
        None => "For everyone.".to_owned(),
    }
}

fn table_of_parameters(text: &mut String, parameters: &[&Value]) {
    text.push_str("| parameter | meaning |\n|---|---|\n");
    for one in parameters {
        let place = match one["in"].as_str().unwrap() {
            "query" => String::new(),
            other => format!(" ({other})"),
        };
        let name = one["name"].as_str().unwrap();
        let meaning = cell(&one["description"]);
        // The page says this once for all of them.
        let meaning = meaning.split(" Given several times:").next().unwrap();
        let values = values_of(&one["schema"]);
        let _ = writeln!(text, "| `{name}`{place} | {meaning}{values} |");
    }
}

fn body(text: &mut String, description: &Description, of: &Value) {
    let content = &of["requestBody"]["content"];
    let types: Vec<_> = members(content)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    let Some((_, first)) = members(content).next() else {
        return;
    };
    let schema = resolved(description, &first["schema"]);
    let _ = writeln!(text, "Body, {}:\n", types.join(" or "));
    text.push_str("| member | meaning |\n|---|---|\n");
    let required = schema["required"].as_array();
    for (name, member) in members(&schema["properties"]) {
        let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
        let required = if is_required { " (required)" } else { "" };
        let meaning = cell(meaning_of(member));
        let values = values_of(member);
        let _ = writeln!(text, "| `{name}`{required} | {meaning}{values} |");
    }
    text.push('\n');
}

/// What is said of a member; if it can be `null`, this is said of its other form.
fn meaning_of(member: &Value) -> &Value {
    let forms = member["oneOf"].as_array().into_iter().flatten();
    let mut said = forms.map(|form| &form["description"]);
    let of_form = said.find(|text| text.is_string());
    of_form.unwrap_or(&member["description"])
}

fn answers(text: &mut String, of: &Value) {
    let mut refusals = Vec::new();
    for (status, response) in members(&of["responses"]) {
        match response["$ref"].is_string() {
            true => refusals.push(status.as_str()),
            false => {
                let types: Vec<_> = members(&response["content"]).collect();
                let types = types.iter().map(|(name, _)| format!("`{name}`"));
                let types = types.collect::<Vec<_>>().join(", ");
                let types = if types.is_empty() {
                    types
                } else {
                    format!(" ({types})")
                };
                let what = cell(&response["description"]);
                let _ = writeln!(text, "- {status}: {what}{types}");
            }
        }
    }
    refusals.retain(|status| *status != "431");
    let _ = writeln!(text, "- refused with {}", refusals.join(", "));
}

/// What a value may be, as a sentence after its meaning.
fn values_of(schema: &Value) -> String {
    let show = |value: &Value| {
        format!(
            "`{}`",
            value.as_str().map_or(value.to_string(), str::to_owned)
        )
    };
    let mut said = String::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(show).collect();
        said += &format!(" One of {}.", values.join(", "));
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        said += &format!(" From {least} to {most}.");
    }
    if !schema["default"].is_null() {
        said += &format!(" Default: {}.", show(&schema["default"]));
    }
    said
}

fn cell(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE).iter()
}

fn resolved<'a>(description: &'a Description, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|all| all.strip_prefix('#'));
    reference.map_or(schema, |pointer| description.json.pointer(pointer).unwrap())
}
