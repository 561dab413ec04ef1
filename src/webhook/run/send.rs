//! Sends one request and reads the answer: a body becomes a signed request, and the answer becomes
//! a verdict.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use crate::{
    entry::Timestamp,
    webhook::{
        format,
        http::{
            answer::{Answer, Outcome},
            headers::{SetBy, settable},
            sign,
        },
        queue::{attempts::Attempt, body::Body, schedule::Verdict},
        settings::Prepared,
    },
};

/// The result of sending one request.
#[derive(Debug)]
pub(in crate::webhook) struct Sent {
    pub(in crate::webhook) verdict: Verdict,
    /// How long the receiver wants to be left alone.
    pub(in crate::webhook) retry_after: Option<Duration>,
    /// The attempt as administrators see it.
    pub(in crate::webhook) attempt: Attempt,
}

/// Sends a delivery's body once, which is the attempt of this number. An error says why it can't be
/// sent, now or later: the format has no request for it.
pub(in crate::webhook) async fn send(
    webhook: &Prepared,
    id: &str,
    mut body: Body,
    number: u32,
) -> Result<Sent, String> {
    let headers = headers(webhook, id, &body.encoded)?;
    let client = &webhook.client;
    let bytes = std::mem::take(&mut body.encoded.body);
    let answer = client.post(&webhook.url, headers, bytes).await;
    let mut verdict = webhook
        .schedule
        .verdict(&answer, number, body.entries, fastrand::u32(..));
    let mut attempt = attempt(&answer, id, &body, number);
    if verdict == Verdict::Delivered {
        verdict = match webhook.format.read_answer(&answer.body) {
            format::Verdict::Rejected { count, message } if count > 0 => Verdict::Rejected {
                count,
                message: client.scrubbed(&message),
            },
            format::Verdict::Pending { ack } => {
                "the receiver accepted it, and has not acknowledged it yet"
                    .clone_into(&mut attempt.result);
                Verdict::Taken { ack }
            }
            _ => verdict,
        };
    }
    Ok(Sent {
        verdict,
        retry_after: answer.retry_after,
        attempt,
    })
}

/// The attempt as administrators see it.
fn attempt(answer: &Answer, id: &str, body: &Body, number: u32) -> Attempt {
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
        entries: body.entries,
        first_entry_id: body.first_entry_id.clone(),
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

/// Asks a receiver which of these it has finished by now. A question that fails is asked again.
pub(in crate::webhook) async fn acknowledged(webhook: &Prepared, acks: &[u64]) -> Vec<u64> {
    // A format that does not ask acknowledges at once.
    let Some(question) = webhook.format.ask(webhook.url.as_str(), acks) else {
        return acks.to_vec();
    };
    let (Ok(url), Ok(headers)) = (
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

/// The headers of one request; signed if it has an id. An error says which header of the format
/// can't be sent.
fn headers(webhook: &Prepared, id: &str, encoded: &format::Encoded) -> Result<HeaderMap, String> {
    let unfit = |name: &str| format!("its format made a value of {name} that HTTP does not allow");
    let value = |name: &str, value: &str| HeaderValue::from_str(value).map_err(|_| unfit(name));
    let mut headers = webhook.fixed.clone();
    headers.insert(
        header::CONTENT_TYPE,
        value("content-type", &encoded.content_type)?,
    );
    for (name, text) in &encoded.headers {
        let parsed = settable(name, SetBy::Format)
            .map_err(|problem| format!("its format made the header {name}: {problem}"))?;
        if headers.contains_key(&parsed) || webhook.client.adds(&parsed) {
            return Err(format!(
                "its format made the header {name}, which is set already"
            ));
        }
        headers.insert(parsed, value(name, text)?);
    }
    if !id.is_empty() {
        let timestamp = Timestamp::now().as_micros() / 1_000_000;
        headers.insert("webhook-id", value("webhook-id", id)?);
        headers.insert("webhook-timestamp", timestamp.into());
        if !webhook.signing.is_empty() {
            let signature = sign::sign(&webhook.signing, id, timestamp, &encoded.body);
            headers.insert("webhook-signature", value("webhook-signature", &signature)?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{format::Encoded, settings::Webhook};

    /// Every header that a delivery sets itself, or that concerns the connection.
    const RESERVED: [&str; 20] = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "user-agent",
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];

    fn webhook() -> Webhook {
        Webhook::new("siem", "https://siem.example.com/", ["*"])
    }

    fn with_headers(names: &[&'static str], webhook: &Webhook) -> Result<HeaderMap, String> {
        let named = |name: &&'static str| ((*name).into(), "x".to_owned());
        let encoded = Encoded {
            content_type: "text/plain".into(),
            headers: names.iter().map(named).collect(),
            body: Vec::new(),
        };
        headers(&webhook.prepare().unwrap(), "msg_1", &encoded)
    }

    #[test]
    fn no_header_that_can_be_set_is_one_that_a_delivery_sets_itself() {
        let upper: Vec<&str> = RESERVED
            .iter()
            .map(|name| &*name.to_ascii_uppercase().leak())
            .collect();
        for name in RESERVED.into_iter().chain(upper).chain(["x y", "x:", ""]) {
            let refused = webhook()
                .header(name, "x")
                .prepare()
                .unwrap_err()
                .to_string();
            assert!(refused.contains("headers"), "{name:?}: {refused}");
            let of_key = webhook().api_key("k").api_key_header(name);
            let refused = of_key.prepare().expect_err(name).to_string();
            assert!(refused.contains("api_key_header"), "{name:?}: {refused}");
            let refused = with_headers(&[name], &webhook()).expect_err(name);
            assert!(refused.contains(name), "{name:?}: {refused}");
        }
        // These name what a format says, so a format may set them, and nobody else.
        assert!(with_headers(&["ce-id", "x-channel"], &webhook()).is_ok());
        assert!(webhook().header("ce-id", "x").prepare().is_err());
        assert!(
            webhook()
                .api_key("k")
                .api_key_header("ce-id")
                .prepare()
                .is_err()
        );
    }

    #[test]
    fn no_header_is_set_twice() {
        let tenant = || webhook().header("X-Tenant", "acme");
        let keyed = tenant().api_key("k").api_key_header("x-tenant");
        assert!(keyed.prepare().is_err());
        let keyed = webhook().header("authorization", "Basic x").api_key("k");
        assert!(keyed.prepare().is_err());
        assert!(with_headers(&["x-a", "X-A"], &webhook()).is_err());
        assert!(with_headers(&["x-tenant"], &tenant()).is_err());
        assert!(with_headers(&["authorization"], &webhook().api_key("k")).is_err());
        assert!(with_headers(&["x-a", "x-b"], &tenant().api_key("k")).is_ok());
    }

    #[test]
    fn a_change_beside_the_key_is_checked_as_well() {
        let before = webhook().api_key("k");
        let after = before.clone().api_key_header("content-length");
        assert!(after.check_after(&before).is_err());
        let after = before.clone().header("authorization", "Basic x");
        assert!(after.check_after(&before).is_err());
    }
}
