//! TLS: the certificate and its reload, client certificates, and clients for the other tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate::config;
use tidegate::listen::{TlsFault, TlsIdentity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::rig::{
    PATIENCE, Rig, config_tls, eventually, new_certificate, read_answer, write_certificate,
};

/// A connection that trusts what lies in `files` and speaks `alpn`.
pub async fn connect(
    to: SocketAddr,
    files: &config::Certificate,
    alpn: &str,
    own: Option<&config::Certificate>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.chain).expect("PEM"))
        .expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut client = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&own.chain).expect("PEM")],
                PrivateKeyDer::from_pem_file(&own.key).expect("PEM"),
            )
            .expect("a pair"),
    };
    client.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let tcp = TcpStream::connect(to).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("gate.test").expect("a name");
    TlsConnector::from(Arc::new(client))
        .connect(name, tcp)
        .await
}

async fn status_over(mut stream: TlsStream<TcpStream>) -> u16 {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    read_answer(&mut stream).await.0
}

#[tokio::test]
async fn a_changed_certificate_is_shown_and_a_broken_one_is_not() {
    let config = config_tls();
    let files = config.certificate.clone().expect("set");
    let rig = Rig::start(&config);
    let stream = connect(rig.https, &files, "http/1.1", None)
        .await
        .expect("trusted");
    assert_eq!(status_over(stream).await, 200);
    let old = new_certificate("gate.test");
    std::fs::copy(&files.chain, &old.chain).expect("copied");
    std::fs::write(&files.chain, "nonsense").expect("written");
    for _ in 0..5 {
        connect(rig.https, &old, "http/1.1", None)
            .await
            .expect("the old one stays");
        sleep(Duration::from_millis(20)).await;
    }
    write_certificate(&files, "gate.test");
    let until = Instant::now() + PATIENCE;
    while connect(rig.https, &files, "http/1.1", None).await.is_err() {
        assert!(Instant::now() < until, "the new one is never shown");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(connect(rig.https, &old, "http/1.1", None).await.is_err());
}

#[tokio::test]
async fn client_certificates_are_asked_for_and_verified() {
    let known = new_certificate("client.test");
    let rig = Rig::start(&config::Listen {
        client_ca: Some(known.chain.clone()),
        ..config_tls()
    });
    let stranger = new_certificate("client.test");
    let config = rig_files(&rig);
    let without = connect(rig.https, &config, "http/1.1", None)
        .await
        .expect("none is no fault");
    assert_eq!(status_over(without).await, 200);
    let refused = match connect(rig.https, &config, "http/1.1", Some(&stranger)).await {
        Err(_) => true,
        Ok(mut stream) => {
            // TLS 1.3: the client learns of it with its first read.
            drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await);
            crate::rig::read_to_close(&mut stream).await.is_err()
        }
    };
    assert!(refused);
    eventually("the gate reports it", || {
        rig.has_end(None, "handshake_failed")
    })
    .await;
}

fn rig_files(rig: &Rig) -> config::Certificate {
    rig.certificate.clone().expect("a TLS rig")
}

#[test]
fn faults_name_the_file() {
    let files = new_certificate("a.test");
    let other = new_certificate("b.test");
    let missing = config::Certificate {
        chain: files.chain.with_extension("gone"),
        key: files.key.clone(),
    };
    let load =
        |files: &config::Certificate, ca| TlsIdentity::load(files, ca).err().expect("a fault");
    let fault = load(&missing, None);
    assert!(
        matches!(fault, TlsFault::Chain { .. }) && fault.to_string().contains("tls.gone"),
        "{fault}"
    );
    let swapped = config::Certificate {
        chain: files.key.clone(),
        key: files.chain.clone(),
    };
    assert!(matches!(load(&swapped, None), TlsFault::Chain { .. }));
    let mixed = config::Certificate {
        chain: files.chain.clone(),
        key: other.key.clone(),
    };
    assert!(matches!(load(&mixed, None), TlsFault::Pair { .. }));
    let no_key = config::Certificate {
        chain: files.chain.clone(),
        key: files.chain.clone(),
    };
    assert!(matches!(load(&no_key, None), TlsFault::Key { .. }));
    assert!(matches!(
        load(&files, Some(&files.key)),
        TlsFault::ClientCa { .. }
    ));
}
