//! TLS towards the upstream: who is believed to be the upstream.
//!
//! vCenters come with self-signed certificates, some with CA:TRUE, which path validation refuses as a
//! leaf even where it is the trust anchor itself. So a certificate may also be believed by its
//! fingerprint, or because it stands in the CA file as it is. Whoever is believed, the handshake's
//! signature is checked: the peer holds the key. Only `insecure.skip_verify` checks nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::config::Verify;

/// Why TLS towards an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The CA file cannot be read.
    #[error("cannot read the CA file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The CA file holds no certificate, or a broken one.
    #[error("{path} is no PEM file of certificates: {problem}")]
    NotCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The operating system has no roots.
    #[error(
        "the operating system has no root certificates (install ca-certificates, or set `verify` to a CA file or a fingerprint)"
    )]
    NoSystemRoots,
    /// rustls refused the settings.
    #[error("TLS settings: {0}")]
    Rustls(#[from] Error),
    /// The verifier cannot be built from the roots.
    #[error("root certificates: {0}")]
    Verifier(#[from] tokio_rustls::rustls::client::VerifierBuilderError),
    /// The upstream's host is neither a name nor an address that a certificate could bear.
    #[error("{0} is no name for a certificate")]
    Name(String),
}

/// Client settings that believe in what `verify` names. TLS 1.2 and 1.3, HTTP/1.1 only, sessions
/// resumed.
///
/// # Errors
/// What is wrong with the roots.
pub(super) fn client_config(verify: &Verify) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(verify, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn verifier(
    verify: &Verify,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    let algorithms = provider.signature_verification_algorithms;
    Ok(match verify {
        Verify::System => by_roots(system_roots()?, provider)?,
        Verify::Ca(path) => {
            let anchors = read_certificates(path)?;
            let mut roots = RootCertStore::empty();
            // A leaf that cannot be an anchor of a path may still be believed as it is.
            let (_, _) = roots.add_parsable_certificates(anchors.iter().cloned());
            let by_path = if roots.is_empty() {
                None
            } else {
                Some(by_roots(roots, provider)?)
            };
            Arc::new(Believing {
                belief: Belief::Listed { anchors, by_path },
                algorithms,
            })
        }
        Verify::Fingerprint(sha256) => Arc::new(Believing {
            belief: Belief::Fingerprint(*sha256),
            algorithms,
        }),
        Verify::Insecure => Arc::new(Believing {
            belief: Belief::Anyone,
            algorithms,
        }),
    })
}

fn by_roots(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsSetupError> {
    Ok(
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()?,
    )
}

fn system_roots() -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        return Err(TlsSetupError::NoSystemRoots);
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let text = std::fs::read(path).map_err(|source| TlsSetupError::Unreadable {
        path: path.into(),
        source,
    })?;
    let not = |problem: String| TlsSetupError::NotCertificates {
        path: path.into(),
        problem,
    };
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not(error.to_string()))?;
    if certificates.is_empty() {
        return Err(not("it holds no certificate".into()));
    }
    Ok(certificates)
}

/// Believes in a certificate by something else than a path to a system root.
#[derive(Debug)]
struct Believing {
    belief: Belief,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Belief {
    /// The SHA-256 of the leaf, whatever name and dates it bears.
    Fingerprint([u8; 32]),
    /// The leaf stands in the file itself (its name is checked; its dates are not, for it was handed
    /// over as it is), or a path leads to one that does.
    Listed {
        anchors: Vec<CertificateDer<'static>>,
        by_path: Option<Arc<WebPkiServerVerifier>>,
    },
    /// `insecure = { skip_verify = true }`: not even the handshake's signature is looked at, so that
    /// keys too short for [`ring`] (RSA of 1024 bits) serve a test bench.
    Anyone,
}

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.belief {
            Belief::Anyone => Ok(ServerCertVerified::assertion()),
            Belief::Fingerprint(expected) => {
                if Sha256::digest(leaf.as_ref()).as_slice() == expected {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(CertificateError::ApplicationVerificationFailure.into())
                }
            }
            Belief::Listed { anchors, by_path } => {
                if anchors.iter().any(|anchor| anchor == leaf) {
                    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                    return Ok(ServerCertVerified::assertion());
                }
                by_path.as_ref().map_or_else(
                    || Err(CertificateError::UnknownIssuer.into()),
                    |path| path.verify_server_cert(leaf, intermediates, name, ocsp, now),
                )
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.belief, Belief::Anyone) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.belief, Belief::Anyone) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
