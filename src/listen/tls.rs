//! The gate's own certificate: loaded at the start, and again when its files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore, ServerConfig};

use crate::config;

/// Sessions kept for resumption by identifier; tickets need none.
const SESSIONS: usize = 4096;

/// A certificate chain and key that clients are shown, and who they may be.
pub struct TlsIdentity {
    files: config::Certificate,
    shown: Arc<Shown>,
    server: Arc<ServerConfig>,
    /// The files when they were loaded first.
    loaded: Stamps,
}

/// Of the chain and of the key; none where there is no such file.
type Stamps = [Option<(SystemTime, u64)>; 2];

/// A file that TLS cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The chain cannot be read.
    #[error("certificate {}: {why}", file.display())]
    Chain {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The key cannot be read.
    #[error("private key {}: {why}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Chain and key do not fit together, or the key is of no use.
    #[error("certificate {} with private key {}: {why}", chain.display(), key.display())]
    Pair {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The authorities of client certificates cannot be read.
    #[error("client_ca {}: {why}", file.display())]
    ClientCa {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// TLS itself cannot be set up.
    #[error("TLS: {0}")]
    Setup(String),
}

/// What is shown now.
struct Shown(ArcSwap<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl TlsIdentity {
    /// Loads `files`. With `client_ca`, clients are asked for a certificate; one that is shown must
    /// chain to it, one that is not is no fault.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be used, and why.
    pub fn load(
        files: &config::Certificate,
        client_ca: Option<&Path>,
    ) -> Result<Arc<Self>, TlsFault> {
        let provider = Arc::new(ring::default_provider());
        // Before the files are read: what is written meanwhile is then seen to have changed.
        let loaded = stamps(files);
        let shown = Arc::new(Shown(ArcSwap::from_pointee(pair(files, &provider)?)));
        let server = server_config(&provider, Arc::clone(&shown), client_ca)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            shown,
            server: Arc::new(server),
            loaded,
        }))
    }

    /// Looks at the files every `interval` and loads them again when they changed since they were last
    /// loaded. Files that cannot be used are logged, and the certificate stays as it was; they are tried
    /// again each time, since what was wrong need not lie in them. Never ends.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        let mut loaded = self.loaded;
        let mut said = None;
        loop {
            tokio::time::sleep(interval).await;
            let now = stamps(&self.files);
            if now == loaded {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    (loaded, said) = (now, None);
                    tracing::info!(certificate = %self.files.chain.display(), "certificate reloaded");
                }
                Err(fault) => {
                    let fault = fault.to_string();
                    if said.as_ref() != Some(&fault) {
                        tracing::error!(%fault, "certificate not reloaded, the old one stays");
                    }
                    said = Some(fault);
                }
            }
        }
    }

    /// Loads the files again; what was shown stays when they cannot be used.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be used, and why.
    pub fn reload(&self) -> Result<(), TlsFault> {
        let fresh = pair(&self.files, self.server.crypto_provider())?;
        self.shown.0.store(Arc::new(fresh));
        Ok(())
    }

    /// When the certificate that is shown now ends (`notAfter`, RFC 5280 section 4.1.2.5); `None` where
    /// that cannot be read.
    #[must_use]
    pub fn ends(&self) -> Option<SystemTime> {
        let shown = self.shown.0.load();
        let not_after = not_after(shown.end_entity_cert().ok()?)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}

/// When the files were last written, and how long they are.
fn stamps(files: &config::Certificate) -> Stamps {
    [&files.chain, &files.key].map(|file| {
        let facts = std::fs::metadata(file).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    })
}

fn pair(files: &config::Certificate, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFault> {
    let chain = certificates(&files.chain).map_err(|why| TlsFault::Chain {
        file: files.chain.clone(),
        why,
    })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsFault::Key {
        file: files.key.clone(),
        why: error.to_string(),
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsFault::Pair {
        chain: files.chain.clone(),
        key: files.key.clone(),
        why: error.to_string(),
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(chain)
}

/// The TLS library has no accessor for it, but names it where a certificate has ended, which is the first
/// thing it looks at: whoever asks at the end of time is told when.
fn not_after(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let nobody = RootCertStore::empty();
    let then = UnixTime::since_unix_epoch(Duration::MAX);
    match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], then, &[]) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after)
        }
        _ => None,
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    shown: Arc<Shown>,
    client_ca: Option<&Path>,
) -> Result<ServerConfig, TlsFault> {
    let setup = |error: tokio_rustls::rustls::Error| TlsFault::Setup(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(setup)?;
    let builder = match client_ca {
        Some(file) => builder.with_client_cert_verifier(client_verifier(file, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(shown);
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    server.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    server.ticketer = ring::Ticketer::new().map_err(setup)?;
    Ok(server)
}

fn client_verifier(
    file: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>, TlsFault> {
    let fault = |why: String| TlsFault::ClientCa {
        file: file.to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file).map_err(fault)? {
        roots
            .add(certificate)
            .map_err(|error| fault(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| fault(error.to_string()))
}
