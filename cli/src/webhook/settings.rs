//! From flags to settings, and from what is wrong with a setting back to its flag.

use std::{
    cmp::Reverse,
    fs::File,
    io::{self, Read},
};

use serde_json::{Map, Value};
use tracing_audit::{Error, webhook::SettingKind};

use crate::{
    args::{Flag, Given, SetArgs},
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
pub(super) fn of_flags(given: &[Given]) -> Result<Map<String, Value>, Failure> {
    let mut settings = Map::new();
    let mut files = Files::default();
    for one in given {
        let flag = &one.flag;
        let mut texts = one.texts.clone();
        for file in &one.files {
            texts.push(files.read(flag, file)?);
        }
        let value = value(flag, &texts)?;
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

/// The longest file of a secret, in bytes.
const MOST: u64 = 1024 * 1024;

/// Reads the files that flags name, and standard input once.
#[derive(Default)]
struct Files {
    /// The flag for which standard input was read.
    stdin: Option<String>,
}

impl Files {
    /// The value of this flag, read from this file. A flag of pairs takes NAME=FILE.
    fn read(&mut self, flag: &Flag, file: &str) -> Result<String, Failure> {
        let named = flag.of_file();
        if !matches!(flag.of.kind, SettingKind::Pairs) {
            return self.text(&named, file);
        }
        let Some((name, file)) = file.split_once('=') else {
            return Err(Failure::Usage(format!("--{named}: write it NAME=FILE")));
        };
        Ok(format!("{name}={}", self.text(&named, file)?))
    }

    /// The text of the file, without the white space at its end.
    fn text(&mut self, flag: &str, file: &str) -> Result<String, Failure> {
        let wrong = |problem: String| Failure::Usage(format!("--{flag}: {problem}"));
        let unread = |error: io::Error| wrong(format!("can't read {file}: {error}"));
        let text = if file == "-" {
            if let Some(other) = self.stdin.replace(flag.to_owned()) {
                let problem = format!(
                    "--{other} reads standard input already; give one of the two as a file"
                );
                return Err(wrong(problem));
            }
            limited(io::stdin().lock()).map_err(unread)?
        } else {
            limited(File::open(file).map_err(unread)?).map_err(unread)?
        };
        match text.trim_end() {
            "" => Err(wrong(format!("nothing was read from {file}"))),
            text => Ok(text.to_owned()),
        }
    }
}

fn limited(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

fn value(flag: &Flag, texts: &[String]) -> Result<Value, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("--{}: {problem}", flag.name));
    let number = |text: &str| {
        let number: Result<u64, _> = text.parse();
        number.map_err(|_| wrong(format!("{text:?} must be a whole number, 0 or more")))
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

/// Turns an error about a setting into one about its flag, or about the flag that reads its value
/// from a file if that one was given.
pub(super) fn of_flag(given: &[Given], error: Error) -> Failure {
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
        Some(format!("{} {rest}", as_given(given, &flag)))
    };
    let problem = with_flags(with_egress_flags(problem));
    match whole.map(|flag| as_given(given, &flag)).or_else(begins) {
        Some(flag) => Failure::Usage(format!("{flag}: {problem}")),
        None => Failure::of_flag(Error::Invalid { parameter, problem }),
    }
}

/// The text with flags in place of the settings that it names, where these can be told from
/// ordinary words.
fn with_flags(text: String) -> String {
    let is_name = |flag: &Flag| flag.part.is_none() && flag.setting.contains('_');
    let mut flags: Vec<Flag> = Flag::all().filter(is_name).collect();
    // `api_key_header` before `api_key`, which it begins with.
    flags.sort_by_key(|flag| Reverse(flag.setting.len()));
    flags.iter().fold(text, |text, flag| {
        text.replace(flag.setting, &format!("--{}", flag.name))
    })
}

/// The text with the flags that allow an address, in place of the setting's values.
fn with_egress_flags(text: String) -> String {
    let replaced = || {
        let (before, rest) = text.split_once("to allow it, add \"")?;
        let (values, after) = rest.split_once("\" to the webhook's egress")?;
        let (word, short) = values.split_once("\" or \"")?;
        Some(format!(
            "{before}to allow it, give --egress {word} or --egress {short}{after}"
        ))
    };
    replaced().unwrap_or(text)
}

/// The flag as it stands on the command line.
fn as_given(given: &[Given], flag: &Flag) -> String {
    let from_file = given
        .iter()
        .any(|one| one.flag.name == flag.name && one.texts.is_empty());
    match from_file {
        true => format!("--{}", flag.of_file()),
        false => format!("--{}", flag.name),
    }
}
