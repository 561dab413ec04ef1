//! `splunk-hec`: Splunk's HTTP Event Collector, at `/services/collector/event`, and its
//! acknowledgements.
//!
//! A batch is objects one after the other, without an array around them. A 200 only says that the
//! request looks valid; with a channel, it has a number as well, and the collector is asked for
//! that number until it says that the events are indexed.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use super::{
    Batch, Encoded, Format, FormatOptions, Question, Unencodable, Verdict, add, checked, source,
};
use crate::{
    entry::{Timestamp, scan::escape},
    error::{Error, Result},
};

const CHANNEL: &str = "x-splunk-request-channel";
const COLLECTOR: &str = "/services/collector";
/// The source type by default.
const SOURCE_TYPE: &str = "tracing-audit";

/// Events as the HTTP Event Collector takes them: `time` with microseconds, `host`, `source`,
/// `sourcetype`, `index`, and the entry's line as `event`.
#[derive(Clone, Debug, Default)]
pub struct SplunkHec(FormatOptions);

impl SplunkHec {
    /// With these options.
    pub(super) fn of(options: &FormatOptions) -> Result<Self> {
        let hec = Self(options.clone());
        match &options.channel {
            Some(channel) => hec.channel(channel),
            None => Ok(hec),
        }
    }

    /// With the token's index, the source type `tracing-audit`, each entry's source, and without
    /// acknowledgements.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `host` of the events. Default: none, and Splunk takes the sender's address.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// The `source` of the events, instead of each entry's own.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The `sourcetype` of the events.
    pub fn sourcetype(mut self, sourcetype: impl Into<String>) -> Self {
        self.0.sourcetype = Some(sourcetype.into());
        self
    }

    /// The index of the events. Default: the token's.
    pub fn index(mut self, index: impl Into<String>) -> Self {
        self.0.index = Some(index.into());
        self
    }

    /// Asks for acknowledgements, on this channel: any UUID that no other sender uses. The token
    /// must have them enabled. (Splunk Cloud has them for Amazon Data Firehose only.)
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not a UUID.
    pub fn channel(mut self, channel: &str) -> Result<Self> {
        let uuid = Uuid::try_parse(channel).map_err(|_| {
            Error::invalid(
                "channel",
                format!("{channel:?} is not a UUID like 0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"),
            )
        })?;
        self.0.channel = Some(uuid.to_string());
        Ok(self)
    }

    fn headers(&self) -> Vec<(std::borrow::Cow<'static, str>, String)> {
        self.0
            .channel
            .iter()
            .map(|channel| (CHANNEL.into(), channel.clone()))
            .collect()
    }
}

impl Format for SplunkHec {
    fn encode(&self, batch: &Batch<'_>) -> Result<Encoded, Unencodable> {
        let Self(options) = self;
        let mut body = Vec::new();
        for entry in batch.several()? {
            let (fields, line) = checked(entry)?;
            let time = epoch(fields.timestamp);
            add(&mut body, [b"{\"time\":", time.as_bytes()]);
            let source =
                (options.source.as_deref()).map_or_else(|| source(&fields, batch), Into::into);
            let members = [
                ("host", options.host.as_deref()),
                ("source", Some(&*source)),
                (
                    "sourcetype",
                    options.sourcetype.as_deref().or(Some(SOURCE_TYPE)),
                ),
                ("index", options.index.as_deref()),
            ];
            for (name, value) in members {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    let value = escape(value);
                    let name = name.as_bytes();
                    add(&mut body, [b",\"", name, b"\":\"", &value, b"\""]);
                }
            }
            add(&mut body, [b",\"event\":", line, b"}"]);
        }
        Ok(Encoded {
            headers: self.headers(),
            ..Encoded::json(body)
        })
    }

    /// [`Verdict::Pending`] if there is an `ackId`, and we have a channel to ask on.
    fn read_answer(&self, body: &[u8]) -> Verdict {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "ackId")]
            ack: u64,
        }
        match serde_json::from_slice(body) {
            Ok(Answer { ack }) if self.0.channel.is_some() => Verdict::Pending { ack },
            _ => Verdict::Accepted,
        }
    }

    fn ask(&self, url: &str, acks: &[u64]) -> Option<Question> {
        let channel = self.0.channel.as_ref()?;
        let path = url.split(['?', '#']).next().unwrap_or_default();
        // A proxy may have put something before it. Without it, the webhook's neighbour is the
        // best guess.
        let collector = match path.find(COLLECTOR) {
            Some(at) => path.get(..at + COLLECTOR.len()),
            None => path.rsplit_once('/').map(|(parent, _)| parent),
        };
        let body = serde_json::json!({ "acks": acks }).to_string().into_bytes();
        let request = Encoded {
            headers: self.headers(),
            ..Encoded::json(body)
        };
        Some(Question {
            url: format!("{}/ack?channel={channel}", collector?),
            request,
        })
    }

    fn read_acks(&self, body: &[u8]) -> Vec<u64> {
        #[derive(Deserialize)]
        struct Answer {
            acks: BTreeMap<u64, bool>,
        }
        let Ok(Answer { acks }) = serde_json::from_slice(body) else {
            return Vec::new();
        };
        let indexed = acks.into_iter().filter(|(_, indexed)| *indexed);
        indexed.map(|(ack, _)| ack).collect()
    }
}

/// Seconds since 1970 with six decimals.
fn epoch(time: Timestamp) -> String {
    let micros = time.as_micros();
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";

    #[test]
    fn times_keep_their_microseconds() {
        assert_eq!(
            epoch(Timestamp::from_micros(1_736_937_000_000_007)),
            "1736937000.000007"
        );
        assert_eq!(epoch(Timestamp::from_micros(-1)), "-0.000001");
        assert_eq!(epoch(Timestamp::from_micros(0)), "0.000000");
    }

    #[test]
    fn what_is_indexed_is_asked_for_on_the_channel() {
        let hec = SplunkHec::new().channel(CHANNEL).unwrap();
        assert_eq!(
            hec.read_answer(br#"{"text":"Success","code":0,"ackId":7}"#),
            Verdict::Pending { ack: 7 }
        );
        assert_eq!(
            hec.read_answer(br#"{"text":"Success","code":0}"#),
            Verdict::Accepted
        );
        assert_eq!(hec.read_answer(b"<html>"), Verdict::Accepted);

        let asked = |url| hec.ask(url, &[7, 8]).unwrap();
        let question = asked("https://splunk.example.com:8088/services/collector/event?auto=1");
        assert_eq!(
            question.url,
            format!("https://splunk.example.com:8088/services/collector/ack?channel={CHANNEL}")
        );
        assert_eq!(question.request.body, br#"{"acks":[7,8]}"#);
        assert_eq!(
            question.request.headers,
            [("x-splunk-request-channel".into(), CHANNEL.to_owned())]
        );
        for (url, ack) in [
            (
                "https://s.example.com/services/collector",
                "https://s.example.com/services/collector/ack",
            ),
            (
                "https://s.example.com/services/collector/event/1.0",
                "https://s.example.com/services/collector/ack",
            ),
            (
                "https://s.example.com/siem/services/collector/event",
                "https://s.example.com/siem/services/collector/ack",
            ),
            (
                "https://s.example.com/hec/event",
                "https://s.example.com/hec/ack",
            ),
        ] {
            assert_eq!(asked(url).url, format!("{ack}?channel={CHANNEL}"));
        }

        assert_eq!(
            hec.read_acks(br#"{"acks":{"7":true,"8":false,"10":true}}"#),
            [7, 10]
        );
        assert!(
            hec.read_acks(br#"{"text":"Invalid token","code":4}"#)
                .is_empty()
        );
    }

    #[test]
    fn without_a_channel_nothing_is_asked() {
        let hec = SplunkHec::new();
        assert_eq!(
            hec.read_answer(br#"{"text":"Success","code":0,"ackId":7}"#),
            Verdict::Accepted
        );
        assert_eq!(
            hec.ask(
                "https://splunk.example.com:8088/services/collector/event",
                &[7]
            ),
            None
        );
        assert!(hec.channel("one").unwrap_err().to_string().contains("UUID"));
    }
}
