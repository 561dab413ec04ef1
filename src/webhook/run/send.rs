//! Sends one request and reads the answer: entries become a signed request, and the answer what is
//! to be done next.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    entry::Timestamp,
    query::RawEntry,
    webhook::{
        format::{self, Batch},
        http::{
            answer::{Answer, Outcome},
            sign,
        },
        queue::{attempts::Attempt, schedule::Verdict},
        settings::Prepared,
    },
};

/// What came of sending.
#[derive(Debug)]
pub(in crate::webhook) struct Sent {
    pub(in crate::webhook) verdict: Verdict,
    /// How long the receiver wants to be left alone.
    pub(in crate::webhook) retry_after: Option<Duration>,
    /// What is told of it, if anything was sent.
    pub(in crate::webhook) attempt: Option<Attempt>,
}

/// Sends entries once, which is the attempt of this number.
pub(in crate::webhook) async fn send(
    webhook: &Prepared,
    source: &str,
    id: &str,
    entries: &[RawEntry],
    number: u32,
) -> Sent {
    let unencodable = |reason: String| Sent {
        verdict: Verdict::Unencodable { reason },
        retry_after: None,
        attempt: None,
    };
    let batch = Batch {
        id,
        source,
        entries,
        batched: webhook.batch.is_some(),
    };
    let encoded = match webhook.format.encode(&batch) {
        Ok(encoded) => encoded,
        Err(error) => return unencodable(error.to_string()),
    };
    let Some(headers) = headers(webhook, id, &encoded) else {
        return unencodable("its format made a header that HTTP does not allow".to_owned());
    };
    let client = &webhook.client;
    let answer = client.post(&webhook.url, headers, encoded.body).await;
    let mut verdict = webhook
        .schedule
        .verdict(&answer, number, entries.len(), fastrand::u32(..));
    let mut told = tell(&answer, id, entries, number);
    if verdict == Verdict::Delivered {
        verdict = match webhook.format.read_answer(&answer.body) {
            format::Verdict::Rejected { count, message } if count > 0 => Verdict::Rejected {
                count,
                message: client.scrubbed(&message),
            },
            format::Verdict::Pending { ack } => {
                "the receiver accepted it, and has not acknowledged it yet"
                    .clone_into(&mut told.result);
                Verdict::Taken { ack }
            }
            _ => verdict,
        };
    }
    Sent {
        verdict,
        retry_after: answer.retry_after,
        attempt: Some(told),
    }
}

fn tell(answer: &Answer, id: &str, entries: &[RawEntry], number: u32) -> Attempt {
    let status = match answer.outcome {
        Outcome::Status(status) => Some(status),
        Outcome::Failed(_) => None,
    };
    let problem = answer.problem();
    Attempt {
        delivery_id: id.to_owned(),
        ended: Timestamp::now(),
        took_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        attempt: number,
        entries: entries.len(),
        first_entry_id: entries
            .first()
            .map(|entry| entry.id().to_owned())
            .unwrap_or_default(),
        delivered: problem.is_none(),
        status,
        result: problem.unwrap_or_else(|| {
            format!(
                "{} after {} ms",
                status.unwrap_or_default(),
                answer.took.as_millis()
            )
        }),
        answer: answer.excerpt.clone(),
    }
}

/// Asks a receiver which of these it has by now. What goes wrong is asked again.
pub(in crate::webhook) async fn acknowledged(webhook: &Prepared, acks: &[u64]) -> Vec<u64> {
    // A format that does not ask acknowledges at once.
    let Some(question) = webhook.format.ask(webhook.url.as_str(), acks) else {
        return acks.to_vec();
    };
    let (Ok(url), Some(headers)) = (
        question.url.parse(),
        headers(webhook, "", &question.request),
    ) else {
        return Vec::new();
    };
    let answer = webhook
        .client
        .post(&url, headers, question.request.body)
        .await;
    if answer.problem().is_some() {
        Vec::new()
    } else {
        webhook.format.read_acks(&answer.body)
    }
}

/// The headers of one request; signed if it has an id.
fn headers(webhook: &Prepared, id: &str, encoded: &format::Encoded) -> Option<HeaderMap> {
    let mut headers = webhook.fixed.clone();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_str(&encoded.content_type).ok()?,
    );
    for (name, value) in &encoded.headers {
        headers.insert(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    if !id.is_empty() {
        let timestamp = Timestamp::now().as_micros() / 1_000_000;
        headers.insert("webhook-id", HeaderValue::from_str(id).ok()?);
        headers.insert("webhook-timestamp", timestamp.into());
        if !webhook.signing.is_empty() {
            let signature = sign::sign(&webhook.signing, id, timestamp, &encoded.body);
            headers.insert("webhook-signature", HeaderValue::from_str(&signature).ok()?);
        }
    }
    Some(headers)
}
