//! TLS for one webhook: the system's roots and the webhook's own CA, at least TLS 1.2 (TLS 1.3
//! without the feature `webhook-tls`, unless the program has TLS 1.2 switched on), and a client
//! certificate if it has one.
//!
//! Certificates are always verified; there is no switch against it. Nothing is set process-wide.

use std::sync::Arc;

use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, Result};

/// `ca` and `identity` are PEM: certificates; the client's certificate, those between it and its
/// root, and its private key, in any order. `needed` says that the webhook is reached over TLS;
/// otherwise the system's roots are not read, and no peer would be trusted.
pub(in crate::webhook) fn client_config(
    ca: &[Vec<u8>],
    identity: Option<&[u8]>,
    needed: bool,
) -> Result<ClientConfig> {
    let provider = provider()?;
    let mut roots = Vec::new();
    for pem in ca {
        roots.extend(certificates("extra_ca", pem)?);
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(ALL_VERSIONS)
        .map_err(|error| Error::invalid("TLS", error.to_string()))?;
    let verifier = if needed {
        Some(Verifier::new_with_extra_roots(
            roots.iter().cloned(),
            provider,
        ))
    } else {
        None
    };
    let builder = match verifier {
        None => builder.with_root_certificates(RootCertStore::empty()),
        Some(Ok(verifier)) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)),
        Some(Err(error)) => {
            let problem = format!(
                "{error}; install the system's CA certificates (package ca-certificates), or give \
                 the webhook a CA that can be used"
            );
            return Err(Error::invalid("extra_ca", problem));
        }
    };
    let Some(pem) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("identity", pem)?;
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| Error::invalid("identity", "it has no private key in PEM"))?;
    // The key's own error could quote the key.
    let unfit = |_| {
        Error::invalid(
            "identity",
            "the private key can't be used, or is not that of the first certificate",
        )
    };
    builder.with_client_auth_cert(chain, key).map_err(unfit)
}

/// Ours, or with the feature `webhook` alone that of the program: a provider that is switched on in
/// `rustls` is there for the whole program, which panics where it has two and has chosen none.
fn provider() -> Result<Arc<CryptoProvider>> {
    #[cfg(feature = "webhook-tls")]
    let provider = Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(feature = "webhook-tls"))]
    let provider = CryptoProvider::get_default().cloned();
    provider.ok_or_else(|| {
        let problem = "rustls has no provider in this program: switch on the feature webhook-tls of \
                       tracing-audit, or install a provider before anything is delivered \
                       (rustls::crypto::CryptoProvider::install_default)";
        Error::invalid("TLS", problem)
    })
}

fn certificates(parameter: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::invalid(parameter, format!("it isn't PEM: {error}")))?;
    if found.is_empty() {
        Err(Error::invalid(parameter, "it has no certificate in PEM"))
    } else {
        Ok(found)
    }
}
