//! Who is believed to be the webhook, and how the webhook believes us.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{super::receiver::Receiver, tests::options, *};

struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn pem(&self) -> Vec<u8> {
        (self.certificate.pem() + &self.key.serialize_pem()).into_bytes()
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(
    by: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Identity {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Identity {
        certificate: params.signed_by(&key, by).unwrap(),
        key,
    }
}

fn server(identity: &Identity, clients: Option<&CertifiedIssuer<'static, KeyPair>>) -> Receiver {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(issuer) => {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap(),
            )
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    Receiver::tls(
        builder
            .with_single_cert(vec![identity.certificate.der().clone()], key)
            .unwrap(),
    )
}

async fn post(receiver: &Receiver, ca: Option<String>, identity: Option<Vec<u8>>) -> Answer {
    let extra_ca = ca.into_iter().map(String::into_bytes).collect();
    let options = ClientOptions {
        allow_http: false,
        extra_ca,
        identity,
        ..options(&["localhost"])
    };
    WebhookClient::new(options)
        .unwrap()
        .post(&receiver.url("https", "localhost"), HeaderMap::new(), "{}")
        .await
}

fn refused_for(answer: &Answer, why: &str) -> bool {
    matches!(&answer.outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Tls && failure.detail.contains(why))
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_needs_that_authority_as_ca() {
    let authority = authority();
    let receiver = server(&issued(&authority, "localhost", |_| {}), None);
    let refused = post(&receiver, None, None).await;
    assert!(
        refused_for(&refused, "give that certificate to the webhook as its CA"),
        "{refused:?}"
    );
    let other = post(&receiver, Some(self::authority().pem()), None).await;
    assert!(refused_for(&other, "invalid peer certificate"), "{other:?}");
    assert_eq!(receiver.requests().len(), 0);
    assert_eq!(
        post(&receiver, Some(authority.pem()), None).await.outcome,
        Outcome::Status(200)
    );
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_only_if_it_was_given_as_ca() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let identity = Identity { certificate, key };
    let receiver = server(&identity, None);
    assert!(refused_for(
        &post(&receiver, None, None).await,
        "UnknownIssuer"
    ));
    assert_eq!(receiver.requests().len(), 0);
    assert_eq!(
        post(&receiver, Some(identity.certificate.pem()), None)
            .await
            .outcome,
        Outcome::Status(200)
    );
}

#[tokio::test]
async fn an_expired_certificate_or_one_of_another_host_is_refused_whatever_the_ca() {
    let authority = authority();
    let expired = issued(&authority, "localhost", |params| {
        params.not_after = date_time_ymd(2020, 1, 1)
    });
    let elsewhere = issued(&authority, "other.example", |_| {});
    for (identity, why) in [(expired, "expired"), (elsewhere, "not valid for name")] {
        let receiver = server(&identity, None);
        let answer = post(&receiver, Some(authority.pem()), None).await;
        assert!(refused_for(&answer, why), "{answer:?}");
        assert_eq!(receiver.requests().len(), 0);
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_client_certificate_gets_it() {
    let (authority, clients) = (authority(), authority());
    let receiver = server(&issued(&authority, "localhost", |_| {}), Some(&clients));
    let identity = issued(&clients, "audit.example", |_| {});
    let foreign = issued(&authority, "audit.example", |_| {});
    for pem in [None, Some(foreign.pem())] {
        let answer = post(&receiver, Some(authority.pem()), pem).await;
        assert!(matches!(answer.outcome, Outcome::Failed(_)), "{answer:?}");
    }
    assert_eq!(receiver.requests().len(), 0);
    assert_eq!(
        post(&receiver, Some(authority.pem()), Some(identity.pem()))
            .await
            .outcome,
        Outcome::Status(200)
    );
}

#[test]
fn what_is_no_pem_is_named_and_not_shown() {
    let authority = authority();
    let (one, two) = (
        issued(&authority, "a.example", |_| {}),
        issued(&authority, "b.example", |_| {}),
    );
    let mixed = one.certificate.pem() + &two.key.serialize_pem();
    for (extra_ca, identity, named) in [
        (vec![b"s3cret".to_vec()], None, "extra_ca: "),
        (vec![], Some(b"s3cret".to_vec()), "identity: "),
        (
            vec![],
            Some(one.certificate.pem().into_bytes()),
            "no private key",
        ),
        (
            vec![],
            Some(one.key.serialize_pem().into_bytes()),
            "no certificate",
        ),
        (
            vec![],
            Some(mixed.into_bytes()),
            "not that of the first certificate",
        ),
    ] {
        let error = WebhookClient::new(ClientOptions {
            extra_ca,
            identity,
            ..options(&["public"])
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(named) && !error.contains("s3cret"),
            "{error}"
        );
    }
}

const CHILD: &str = "TRACING_AUDIT_TEST_NO_ROOTS";

#[test]
fn a_system_without_roots_is_named_unless_the_webhook_does_without() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "webhook::http::client::tls_tests::child_without_system_roots",
    ]);
    let output = child
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/nonexistent")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Does nothing unless that test started it.
#[tokio::test]
async fn child_without_system_roots() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let error = WebhookClient::new(ClientOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("ca-certificates"), "{error}");
    let authority = authority();
    let receiver = server(&issued(&authority, "localhost", |_| {}), None);
    assert_eq!(
        post(&receiver, Some(authority.pem()), None).await.outcome,
        Outcome::Status(200)
    );
    let plain = WebhookClient::new(ClientOptions {
        tls: false,
        ..options(&["localhost"])
    })
    .unwrap();
    let answer = plain
        .post(&receiver.url("https", "localhost"), HeaderMap::new(), "{}")
        .await;
    assert!(refused_for(&answer, "UnknownIssuer"), "{answer:?}");
    let answer = plain
        .post(
            &Receiver::ok().url("http", "localhost"),
            HeaderMap::new(),
            "{}",
        )
        .await;
    assert_eq!(answer.outcome, Outcome::Status(200));
}

#[tokio::test]
async fn through_a_proxy_the_receiver_is_believed_by_its_own_certificate() {
    let authority = authority();
    for (certified, expected) in [("siem.invalid", true), ("proxy.invalid", false)] {
        let receiver = server(&issued(&authority, certified, |_| {}), None);
        // The proxy, which takes each name for the receiver.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let address = receiver.address;
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut to = tokio::net::TcpStream::connect(address).await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(from.read_u8().await.unwrap());
                }
                from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        });
        let options = ClientOptions {
            allow_http: false,
            extra_ca: vec![authority.pem().into_bytes()],
            proxy: Some(Proxy::parse(&proxy).unwrap()),
            ..options(&["public"])
        };
        let client = WebhookClient::new(options).unwrap();
        let url = receiver.url("https", "siem.invalid");
        let answer = client.post(&url, HeaderMap::new(), "{}").await;
        if expected {
            assert_eq!(answer.outcome, Outcome::Status(200));
        } else {
            assert!(
                refused_for(&answer, "invalid peer certificate"),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_proxy_can_be_spoken_to_with_tls() {
    let authority = authority();
    // It takes CONNECT for a request and answers with 200; what then comes is answered as well.
    let proxy = server(&issued(&authority, "localhost", |_| {}), None);
    let post = async |ca: &CertifiedIssuer<'static, KeyPair>| {
        let url = proxy.url("https", "localhost");
        let options = ClientOptions {
            extra_ca: vec![ca.pem().into_bytes()],
            proxy: Some(Proxy::parse(&url.origin().ascii_serialization()).unwrap()),
            ..options(&["public"])
        };
        let url = Url::parse("http://siem.invalid/hook").unwrap();
        let client = WebhookClient::new(options).unwrap();
        client.post(&url, HeaderMap::new(), "{}").await
    };
    let refused = post(&self::authority()).await;
    let Outcome::Failed(failure) = &refused.outcome else {
        panic!("{refused:?}");
    };
    assert!(
        failure.detail.contains("can't be reached: TLS: "),
        "{failure:?}"
    );
    assert!(proxy.requests().is_empty());
    post(&authority).await;
    assert!(proxy.requests()[0].starts_with("CONNECT siem.invalid:80 HTTP/1.1"));
}
