//! The declaration of a setting: its names, the values that it takes, and who may see and set it.
//!
//! Each setting is declared once, beside its field in [`Webhook`](super::Webhook). The HTTP API,
//! the configuration file, the program's flags and `show`, and the checks of bounds and secrets all
//! read that declaration.

use serde_json::Value;

use super::shown_url::is_shortened;
use crate::error::{Error, Result};

/// A setting of a webhook, as it is declared; see [`Webhook::SETTINGS`](super::Webhook::SETTINGS).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// The name in JSON and in the configuration file.
    pub name: &'static str,
    /// The help text: a sentence without its full stop.
    pub help: &'static str,
    /// The values that it takes.
    pub kind: SettingKind,
    /// The name of the value in help texts.
    pub value_name: &'static str,
    /// Its default, where that is not obvious.
    pub default: Option<&'static str>,
    /// The name of the program's flag, if it isn't that of the setting; empty if there is none.
    flag: Option<&'static str>,
    pub(super) required: bool,
    pub(super) secret: bool,
    /// The receiver sees the value, or is trusted because of it. With another receiver it must be
    /// set again.
    pub(super) of_receiver: bool,
    /// The value names something of this machine or its network, so it can't be set over HTTP.
    pub(super) of_machine: bool,
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SettingKind {
    /// A text.
    Text,
    /// A number from the first to the second.
    Number(u64, u64),
    /// Numbers.
    Numbers,
    /// A value besides the default, written as JSON: `true` or a text. On the command line, a flag
    /// without a value stands for it.
    Switch(&'static str),
    /// Texts.
    List,
    /// Names and their values.
    Pairs,
    /// The path of a file.
    File,
    /// The URL of a receiver, whose path can be a secret.
    Url,
    /// The URL of a proxy.
    Proxy,
    /// An object of these settings.
    Parts(&'static [Setting]),
}

impl Setting {
    pub(super) const fn new(kind: SettingKind, value_name: &'static str) -> Self {
        Self {
            name: "",
            help: "",
            kind,
            value_name,
            default: None,
            flag: None,
            required: false,
            secret: false,
            of_receiver: false,
            of_machine: false,
        }
    }

    pub(super) const fn text(value_name: &'static str) -> Self {
        Self::new(SettingKind::Text, value_name)
    }

    pub(super) const fn list(value_name: &'static str) -> Self {
        Self::new(SettingKind::List, value_name)
    }

    pub(super) const fn pairs() -> Self {
        Self::new(SettingKind::Pairs, "NAME=VALUE")
    }

    pub(super) const fn number(least: u64, most: u64) -> Self {
        Self::new(SettingKind::Number(least, most), "N")
    }

    pub(super) const fn switch(value: &'static str) -> Self {
        Self::new(SettingKind::Switch(value), "")
    }

    /// A file of this machine, for one receiver.
    pub(super) const fn file() -> Self {
        Self::new(SettingKind::File, "FILE")
            .of_receiver()
            .of_machine()
    }

    pub(super) const fn named(mut self, name: &'static str, help: &'static str) -> Self {
        self.name = name;
        self.help = help.trim_ascii();
        self
    }

    pub(super) const fn flagged(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Only applications can use the setting.
    pub(super) const fn without_flag(self) -> Self {
        self.flagged("")
    }

    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn of_receiver(mut self) -> Self {
        self.of_receiver = true;
        self
    }

    pub(super) const fn of_machine(mut self) -> Self {
        self.of_machine = true;
        self
    }

    /// The name of the program's flag, without its dashes; `None` if there is none.
    pub fn flag(&self) -> Option<String> {
        match self.flag {
            None => Some(self.name.replace('_', "-")),
            Some(flag) => (!flag.is_empty()).then(|| flag.to_owned()),
        }
    }

    /// Whether a webhook must have it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether its value is a secret, or can be one, as the path of a URL can.
    pub fn is_secret(&self) -> bool {
        self.secret || matches!(self.kind, SettingKind::Url)
    }

    /// Whether administrators outside may set it. Only the machine's operator sets the rest.
    #[cfg(feature = "server")]
    pub(crate) fn is_set_over_http(&self) -> bool {
        !self.of_machine && !matches!(self.kind, SettingKind::Proxy)
    }

    /// Whether the value, or each value of a list, is a secret or a reference to one.
    #[cfg(any(feature = "server", test))]
    pub(super) fn can_be_reference(&self) -> bool {
        self.secret && !matches!(self.kind, SettingKind::Pairs)
    }

    /// Checks that numbers are within their bounds; `path` is the setting's name.
    pub(super) fn check_bounds(&self, path: &str, value: &Value) -> Result<()> {
        match (&self.kind, value) {
            (_, Value::Null) => Ok(()),
            (SettingKind::Number(least, most), value)
                if !value
                    .as_u64()
                    .is_some_and(|number| (*least..=*most).contains(&number)) =>
            {
                let problem = format!("{value} is not between {least} and {most}");
                Err(Error::invalid(path, problem))
            }
            (SettingKind::Parts(parts), value) => parts.iter().try_for_each(|part| {
                part.check_bounds(&format!("{path}.{}", part.name), &value[part.name])
            }),
            _ => Ok(()),
        }
    }

    /// Checks that a secret has the form of one. This comes before parsing, because the parser's
    /// error could quote the secret.
    pub(super) fn check_secret(&self, value: &Value) -> Result<()> {
        let name = self.name;
        match (&self.kind, value) {
            (SettingKind::Url, Value::String(url)) if is_shortened(url) => Err(Error::invalid(
                name,
                "this is the URL as it is shown, shortened: send the whole URL, or leave it out \
                 to keep it",
            )),
            _ if !self.secret => Ok(()),
            (_, Value::Null) => Ok(()),
            (SettingKind::List, Value::Array(secrets)) => {
                secrets.iter().try_for_each(|one| is_secret(name, one))
            }
            (SettingKind::List, _) => Err(Error::invalid(name, "it must be a list of texts")),
            (SettingKind::Pairs, Value::Object(pairs)) => pairs
                .values()
                .filter(|value| !value.is_null())
                .try_for_each(|value| is_secret(name, value)),
            (SettingKind::Pairs, _) => Err(Error::invalid(
                name,
                "it must be an object of names and texts",
            )),
            (_, value) => is_secret(name, value),
        }
    }
}

fn is_secret(name: &str, value: &Value) -> Result<()> {
    match value {
        Value::String(_) => Ok(()),
        Value::Object(shown) if shown.contains_key("set") => Err(Error::invalid(
            name,
            "this text only stands for a secret: send the secret itself, or leave it out to keep \
             it",
        )),
        _ => Err(Error::invalid(name, "it must be a text")),
    }
}

/// Whether a text is not the secret itself but the variable or file that has it.
pub(super) fn is_reference(secret: &str) -> bool {
    secret.starts_with("env:") || secret.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::webhook::{SettingKind, Webhook};

    #[test]
    fn a_declaration_has_a_name_a_flag_of_its_own_and_a_help_text() {
        let mut flags = BTreeSet::new();
        for setting in Webhook::SETTINGS {
            let parts = match setting.kind {
                SettingKind::Parts(parts) => parts,
                _ => std::slice::from_ref(setting),
            };
            for one in parts {
                assert!(!one.name.is_empty() && one.help.len() > 8, "{one:?}");
                assert!(
                    !one.help.ends_with('.') && !one.help.contains("  "),
                    "{one:?}"
                );
                assert!(one.flag().is_none_or(|flag| flags.insert(flag)), "{one:?}");
            }
        }
        assert!(flags.contains("event-type") && flags.contains("batch-wait-ms"));
    }
}
