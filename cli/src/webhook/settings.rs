//! From flags to settings, and from what is wrong with a setting back to its flag.

use serde_json::{Map, Value, json};
use tracing_audit::Error;

use crate::{
    args::{AddArgs, SetArgs, SettingArgs},
    failure::Failure,
};

/// The flags that are called otherwise than their settings.
const FLAGS: [(&str, &str); 6] = [
    ("event-type", "event_types"),
    ("signing-secret", "signing_secrets"),
    ("header", "headers"),
    ("format-option", "format_options"),
    ("strict", "order"),
    ("batch", "batch.max_entries"),
];

/// The settings of a webhook that is to be added, but for a signing secret that is still to be
/// made.
pub(super) fn of_add(add: &AddArgs) -> Result<Map<String, Value>, Failure> {
    let mut settings = of_flags(&add.settings)?;
    settings.insert("name".to_owned(), add.name.as_str().into());
    settings.insert("url".to_owned(), add.url.as_str().into());
    settings.insert("event_types".to_owned(), json!(add.event_type));
    Ok(settings)
}

/// The changes, as a JSON merge patch.
pub(super) fn of_set(set: &SetArgs) -> Result<Map<String, Value>, Failure> {
    let mut patch = of_flags(&set.settings)?;
    if let Some(url) = &set.url {
        patch.insert("url".to_owned(), url.as_str().into());
    }
    if !set.event_type.is_empty() {
        patch.insert("event_types".to_owned(), json!(set.event_type));
    }
    for flag in &set.clear {
        let flag = flag.trim_start_matches('-');
        let setting = FLAGS.iter().find(|(known, _)| *known == flag).map_or_else(
            || flag.replace('-', "_"),
            |(_, setting)| (*setting).to_owned(),
        );
        let setting = setting
            .strip_suffix(".max_entries")
            .unwrap_or(&setting)
            .to_owned();
        if patch.insert(setting, Value::Null).is_some() {
            return Err(Failure::Usage(format!("--clear: {flag} is set as well")));
        }
    }
    if patch.is_empty() {
        return Err(Failure::Usage(
            "nothing is to be changed; give a flag, see tracing-audit webhook set --help"
                .to_owned(),
        ));
    }
    Ok(patch)
}

fn of_flags(flags: &SettingArgs) -> Result<Map<String, Value>, Failure> {
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let severity: Vec<String> = flags.severity.iter().map(ToString::to_string).collect();
    let all = [
        ("exclude", json!(flags.exclude)),
        ("severity", json!(severity)),
        ("tenant_id", json!(flags.tenant_id)),
        ("format", json!(flags.format)),
        (
            "format_options",
            pairs("--format-option", &flags.format_option)?,
        ),
        ("api_key", json!(flags.api_key)),
        ("api_key_header", json!(flags.api_key_header)),
        ("signing_secrets", json!(flags.signing_secret)),
        ("headers", pairs("--header", &flags.header)?),
        (
            "allow_http",
            if flags.allow_http {
                true.into()
            } else {
                Value::Null
            },
        ),
        ("egress", json!(flags.egress)),
        (
            "order",
            if flags.strict {
                "strict".into()
            } else {
                Value::Null
            },
        ),
        ("timeout_ms", json!(flags.timeout_ms)),
        (
            "max_requests_per_second",
            json!(flags.max_requests_per_second),
        ),
        ("schedule_seconds", json!(flags.schedule_seconds)),
        ("extra_ca", json!(path(&flags.extra_ca))),
        ("identity", json!(path(&flags.identity))),
    ];
    let is_given = |value: &Value| match value {
        Value::Null => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        _ => true,
    };
    let mut given: Map<String, Value> = all
        .into_iter()
        .filter(|(_, value)| is_given(value))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut batch = Map::new();
    batch.extend(
        flags
            .batch
            .map(|most| ("max_entries".to_owned(), most.into())),
    );
    batch.extend(
        flags
            .batch_wait_ms
            .map(|wait| ("max_wait_ms".to_owned(), wait.into())),
    );
    if !batch.is_empty() {
        given.insert("batch".to_owned(), batch.into());
    }
    Ok(given)
}

fn pairs(flag: &str, texts: &[String]) -> Result<Value, Failure> {
    let mut pairs = Map::new();
    for text in texts {
        // A header's value is a secret.
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("{flag}: write it NAME=VALUE")));
        };
        if pairs.insert(name.to_owned(), value.into()).is_some() {
            return Err(Failure::Usage(format!("{flag}: {name:?} is given twice")));
        }
    }
    Ok(pairs.into())
}

/// An error about a setting, as one about its flag.
pub(super) fn of_flag(error: Error) -> Failure {
    let Error::Invalid { parameter, problem } = error else {
        return error.into();
    };
    let flag = |setting: &str| {
        FLAGS
            .iter()
            .find(|(_, known)| *known == setting)
            .map(|(flag, _)| *flag)
    };
    match (
        flag(&parameter),
        parameter
            .split_once('.')
            .and_then(|(setting, part)| Some((flag(setting)?, part))),
    ) {
        (Some(flag), _) => Failure::Usage(format!("--{flag}: {problem}")),
        (None, Some((flag, part))) => Failure::Usage(format!("--{flag} {part}: {problem}")),
        (None, None) => Failure::of_flag(Error::Invalid { parameter, problem }),
    }
}
