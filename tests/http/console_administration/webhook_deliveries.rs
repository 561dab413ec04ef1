//! The deliveries of a webhook: listed, and one with its request and its answers.

use super::{
    check_is_text, page, refused, sent,
    webhooks::{SIEM, check_has_no_secret, with_a_webhook},
};
use crate::{console_sessions::signed_in, http::record_one, receiver, support::until};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_shown_with_its_request_and_its_answer_and_sent_again() {
    let body = "\"><script>alert(1)</script>\u{202e} key-3141592653";
    let length = body.len();
    let answer = format!("HTTP/1.1 400 No\r\ncontent-length: {length}\r\n\r\n{body}");
    let receiver = receiver::answering(answer);
    let served = with_a_webhook(&format!("http://{receiver}/hooks")).await;
    let cookie = signed_in(&served, &served.token).await;
    let list = format!("{SIEM}/deliveries");
    let none = page(&served, &list, &cookie, 200).await;
    assert!(none.contains("No deliveries"));

    let dispatcher = receiver::dispatcher(&served.log);
    record_one(&served.log);
    until("a delivery is given up", || {
        let reader = served.log.reader();
        let webhooks = reader.webhooks().unwrap();
        webhooks[0].dead_letters == Some(1) && !reader.attempts("siem").unwrap().is_empty()
    });
    drop(dispatcher);
    let id = served.log.webhooks().dead_letters("siem", 0, 1).unwrap();
    let id = &id[0].delivery_id;
    for (query, is_there) in [
        ("", true),
        ("?state=dead_letter", true),
        ("?state=waiting", false),
        ("?state=delivered", false),
        ("?offset=50", false),
    ] {
        let listed = page(&served, &format!("{list}{query}"), &cookie, 200).await;
        let link = format!("href=\"{list}/{id}\"");
        assert_eq!(listed.contains(&link), is_there, "{query}");
    }
    for query in ["?state=lost", "?offset=x", "?limit=1"] {
        page(&served, &format!("{list}{query}"), &cookie, 400).await;
    }

    let path = format!("{list}/{id}");
    let one = page(&served, &path, &cookie, 200).await;
    check_is_text(&one);
    check_has_no_secret(&one);
    for text in [
        ">dead letter<",
        "⟨U+202E⟩",
        "<bdi>x-team</bdi></dt><dd><bdi>(secret)</bdi>",
        "<bdi>authorization</bdi></dt><dd><bdi>(secret)</bdi>",
        "<bdi>webhook-id</bdi>",
        "&#34;event_type&#34;:&#34;invoice.sent&#34;",
        ">400<",
    ] {
        assert!(one.contains(text), "{text}: {one}");
    }
    let webhook = page(&served, SIEM, &cookie, 200).await;
    let drawn = "0 of the last 1 attempts succeeded";
    assert!(webhook.contains("class=\"spark\"") && webhook.contains(drawn));
    let resend = format!("{path}/resend");
    assert!(webhook.contains(&format!("action=\"{resend}\"")));
    let asked = format!("{path}?asked=resend");
    sent(&served, &resend, "", &cookie, &asked).await;
    let one = page(&served, &asked, &cookie, 200).await;
    assert!(one.contains("will be sent again") && one.contains("No process delivers now"));

    refused(&served, &format!("{path}/skip"), "", &cookie, 404).await;
    page(&served, &format!("{list}/msg_0"), &cookie, 404).await;
    page(
        &served,
        "/audit/admin/webhooks/other/deliveries",
        &cookie,
        404,
    )
    .await;
    served.log.flush().unwrap();
    let entry = &served.records("audit.webhook.resent")[0];
    assert_eq!(entry["details"]["delivery_id"], id.as_str());
    assert_eq!(entry["details"]["path"], resend);
    let reads = served.records("audit.access.read");
    let said = "A delivery of a webhook was read in the console";
    assert_eq!(
        reads
            .iter()
            .filter(|read| read["description"] == said)
            .count(),
        3
    );
}
