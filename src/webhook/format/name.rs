//! The formats by their names, as configuration, API and command line have them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{CloudEvents, CloudEventsMode, Format, Native, Otlp, SplunkHec};
use crate::error::{Error, Result};

/// A format that the crate brings. It parses from, displays as, and serializes as its name.
///
/// ```
/// use tracing_audit::webhook::{FormatName, FormatOptions};
///
/// let name: FormatName = "splunk-hec".parse()?;
/// let options = FormatOptions {
///     index: Some("audit".to_owned()),
///     ..FormatOptions::default()
/// };
/// let format = name.build(&options)?;
/// assert!(format.takes_several());
/// # Ok::<(), tracing_audit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&str")]
#[non_exhaustive]
pub enum FormatName {
    /// `native`: [`Native`].
    #[default]
    Native,
    /// `cloudevents`: [`CloudEvents`] in structured mode.
    CloudEvents,
    /// `cloudevents-binary`: [`CloudEvents`] in binary mode.
    CloudEventsBinary,
    /// `cloudevents-batch`: [`CloudEvents`] in batched mode.
    CloudEventsBatch,
    /// `splunk-hec`: [`SplunkHec`].
    SplunkHec,
    /// `otlp`: [`Otlp`].
    Otlp,
}

impl FormatName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Native,
        Self::CloudEvents,
        Self::CloudEventsBinary,
        Self::CloudEventsBatch,
        Self::SplunkHec,
        Self::Otlp,
    ];

    /// The name as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::CloudEvents => "cloudevents",
            Self::CloudEventsBinary => "cloudevents-binary",
            Self::CloudEventsBatch => "cloudevents-batch",
            Self::SplunkHec => "splunk-hec",
            Self::Otlp => "otlp",
        }
    }

    /// The scheme in `Authorization` under which the webhook's key is sent, unless the key has a
    /// header of its own.
    pub(in crate::webhook) fn authorization_scheme(self) -> &'static str {
        match self {
            Self::SplunkHec => "Splunk",
            _ => "Bearer",
        }
    }

    /// The format of this name with these options.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an option that this format doesn't have, or a value that it can't
    /// use.
    pub fn build(self, options: &FormatOptions) -> Result<Arc<dyn Format>> {
        let known: &[&str] = match self {
            Self::CloudEvents | Self::CloudEventsBinary | Self::CloudEventsBatch => &["source"],
            Self::SplunkHec => &["host", "source", "sourcetype", "index", "channel"],
            Self::Native | Self::Otlp => &[],
        };
        if let Some((name, _)) = options.given().find(|(name, _)| !known.contains(name)) {
            let has = listed(known);
            return Err(Error::invalid(
                name,
                format!("the format {self} has no such option; it has {has}"),
            ));
        }
        let cloud_events = |mode| {
            let format = CloudEvents::new(mode);
            let format = if let Some(source) = &options.source {
                format.source(source)?
            } else {
                format
            };
            Ok::<_, Error>(Arc::new(format))
        };
        Ok(match self {
            Self::Native => Arc::new(Native),
            Self::CloudEvents => cloud_events(CloudEventsMode::Structured)?,
            Self::CloudEventsBinary => cloud_events(CloudEventsMode::Binary)?,
            Self::CloudEventsBatch => cloud_events(CloudEventsMode::Batch)?,
            Self::SplunkHec => Arc::new(SplunkHec::of(options)?),
            Self::Otlp => Arc::new(Otlp),
        })
    }
}

/// These names as an error lists them.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// The options of formats. Each format has some of them; [`build`](FormatName::build) refuses the
/// others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatOptions {
    /// See [`CloudEvents::source`] and [`SplunkHec::source`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// See [`SplunkHec::host`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// See [`SplunkHec::sourcetype`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sourcetype: Option<String>,
    /// See [`SplunkHec::index`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// See [`SplunkHec::channel`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl FormatOptions {
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("source", &self.source),
            ("host", &self.host),
            ("sourcetype", &self.sourcetype),
            ("index", &self.index),
            ("channel", &self.channel),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FormatName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                Error::invalid("format", format!("{text:?} is not one of {all}"))
            })
    }
}

impl TryFrom<String> for FormatName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<FormatName> for &'static str {
    fn from(name: FormatName) -> Self {
        name.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        for name in FormatName::ALL {
            assert_eq!(name.to_string().parse::<FormatName>().unwrap(), name);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<FormatName>(&json).unwrap(), name);
            name.build(&FormatOptions::default()).unwrap();
        }
        assert_eq!(
            "splunk".parse::<FormatName>().unwrap_err().to_string(),
            r#"format: "splunk" is not one of native, cloudevents, cloudevents-binary, cloudevents-batch, splunk-hec, otlp"#
        );
    }

    #[test]
    fn options_of_another_format_are_refused() {
        let options: FormatOptions = serde_json::from_str(r#"{"index":"audit"}"#).unwrap();
        FormatName::SplunkHec.build(&options).unwrap();
        let error = FormatName::CloudEvents
            .build(&options)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "index: the format cloudevents has no such option; it has source"
        );
        let source = FormatOptions {
            source: Some("not a URI".to_owned()),
            ..FormatOptions::default()
        };
        assert!(
            FormatName::CloudEventsBatch
                .build(&source)
                .unwrap_err()
                .to_string()
                .contains("URI")
        );
    }
}
