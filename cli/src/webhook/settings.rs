//! From flags to settings, and from what is wrong with a setting back to its flag.

use serde_json::{Map, Value};
use tracing_audit::{Error, webhook::SettingKind};

use crate::{
    args::{Flag, SetArgs},
    failure::Failure,
};

/// The changes, as a JSON merge patch.
pub(super) fn of_set(set: &SetArgs) -> Result<Map<String, Value>, Failure> {
    let mut patch = of_flags(&set.settings.0)?;
    for flag in &set.clear {
        let flag = flag.trim_start_matches('-');
        let known = Flag::all().find(|known| known.name == flag);
        let setting =
            known.map_or_else(|| flag.replace('-', "_"), |known| known.setting.to_owned());
        if patch.insert(setting, Value::Null).is_some() {
            return Err(Failure::Usage(format!(
                "--clear: {flag} is also set; leave one of the two \
                out"
            )));
        }
    }
    if patch.is_empty() {
        return Err(Failure::Usage(
            "no setting is given; give one, see tracing-audit webhook set --help".to_owned(),
        ));
    }
    Ok(patch)
}

/// The settings that the flags give, as the HTTP API and a configuration file have them.
pub(super) fn of_flags(given: &[(Flag, Vec<String>)]) -> Result<Map<String, Value>, Failure> {
    let mut settings = Map::new();
    for (flag, texts) in given {
        let value = value(flag, texts)?;
        match flag.part {
            None => drop(settings.insert(flag.setting.to_owned(), value)),
            Some(part) => {
                let whole = settings.entry(flag.setting);
                whole.or_insert_with(|| Map::new().into())[part] = value;
            }
        }
    }
    Ok(settings)
}

fn value(flag: &Flag, texts: &[String]) -> Result<Value, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("--{}: {problem}", flag.name));
    let number = |text: &str| {
        let number: Result<u64, _> = text.parse();
        number.map_err(|_| wrong(format!("{text:?} is not a number")))
    };
    let last = texts.last().map(String::as_str).unwrap_or_default();
    Ok(match flag.of.kind {
        SettingKind::Number(..) => number(last)?.into(),
        SettingKind::Numbers => {
            let numbers = texts.iter().map(|text| number(text));
            numbers.collect::<Result<Vec<_>, _>>()?.into()
        }
        SettingKind::Switch(_) => serde_json::from_str(last).map_err(|e| wrong(e.to_string()))?,
        SettingKind::List => texts.into(),
        SettingKind::Pairs => pairs(&flag.name, texts)?,
        _ => last.into(),
    })
}

fn pairs(flag: &str, texts: &[String]) -> Result<Value, Failure> {
    let mut pairs = Map::new();
    for text in texts {
        // A header's value is a secret.
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("--{flag}: write it NAME=VALUE")));
        };
        if pairs.insert(name.to_owned(), value.into()).is_some() {
            return Err(Failure::Usage(format!("--{flag}: {name:?} is given twice")));
        }
    }
    Ok(pairs.into())
}

/// An error about a setting, as one about its flag.
pub(super) fn of_flag(error: Error) -> Failure {
    let Error::Invalid { parameter, problem } = error else {
        return error.into();
    };
    // The whole name is that of a part of a setting; its beginning is that of a setting.
    let whole = Flag::all().find(|flag| match flag.part {
        Some(part) => parameter == flag.setting || parameter == format!("{}.{part}", flag.setting),
        None => parameter == flag.setting,
    });
    let begins = || {
        let (setting, rest) = parameter.split_once('.')?;
        let flag = Flag::all().find(|flag| flag.part.is_none() && flag.setting == setting)?;
        Some(format!("--{} {rest}", flag.name))
    };
    match whole.map(|flag| format!("--{}", flag.name)).or_else(begins) {
        Some(flag) => Failure::Usage(format!("{flag}: {problem}")),
        None => Failure::of_flag(Error::Invalid { parameter, problem }),
    }
}
