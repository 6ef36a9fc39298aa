//! TLS handshakes: versions, protocols, client certificates, and those that never end.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::Identity;
use crate::support::{gate, limit, until, with_listen};
use crate::{folder, tls_lines};

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client that believes `shown` alone.
pub struct Believer<'a> {
    pub shown: &'a Identity,
    pub versions: &'a [&'static SupportedProtocolVersion],
    pub alpn: &'a [&'a str],
    pub own: Option<(CertificateDer<'static>, Vec<u8>)>,
}

impl<'a> Believer<'a> {
    pub fn new(shown: &'a Identity) -> Self {
        Self {
            shown,
            versions: &BOTH,
            alpn: &[],
            own: None,
        }
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.shown.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![certificate.clone()],
                    PrivateKeyDer::try_from(key.clone()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_both_work_and_alpn_chooses_what_the_client_can() {
    let origin = Origin::start().await;
    let (lines, identity) = tls_lines("versions");
    let gate = gate(&with_listen(origin.address, &lines, ""));
    for (version, said) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (alpn, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["h2"], Some("h2")),
            (&[], None),
        ] {
            let believer = Believer {
                versions: &[version],
                alpn,
                ..Believer::new(&identity)
            };
            let stream = believer.connect(gate.https()[0]).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(said));
            let agreed = session.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(agreed.as_deref(), chosen.map(str::as_bytes), "{alpn:?}");
            if chosen == Some("h2") {
                let (sender, connection) = h2::client::handshake(stream).await.unwrap();
                let driver = tokio::spawn(connection);
                let request = http::Request::get("https://localhost/api/x")
                    .body(())
                    .unwrap();
                let mut sender = sender.ready().await.unwrap();
                let answer = sender.send_request(request, true).unwrap().0.await.unwrap();
                assert_eq!(answer.status(), 200);
                driver.abort();
            } else {
                assert_eq!(Client::over(stream).get("/api/x").await.status, 200);
            }
        }
        let strange = Believer {
            versions: &[version],
            alpn: &["spdy/3"],
            ..Believer::new(&identity)
        };
        let refused = strange.connect(gate.https()[0]).await;
        assert!(
            refused.is_err(),
            "nothing in common is no HTTP/1.1 by guess"
        );
    }
}

/// A hello of a client that speaks this version at most.
fn hello(version: u8) -> Vec<u8> {
    let suites: [u16; 6] = [0xc02b, 0xc013, 0xc00a, 0xc009, 0x0035, 0x002f];
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 12]);
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    // supported_groups: secp256r1, x25519; ec_point_formats: uncompressed; signature_algorithms:
    // ecdsa_secp256r1_sha256; extended_master_secret.
    let extensions = [
        0, 10, 0, 6, 0, 4, 0, 23, 0, 29, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 23, 0, 0,
    ];
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let mut bytes = vec![22, 3, 1, 0, u8::try_from(body.len() + 4).unwrap()];
    bytes.extend([1, 0, 0, u8::try_from(body.len()).unwrap()]);
    bytes.extend(body);
    bytes
}

#[tokio::test]
async fn older_tls_is_refused_with_an_alert() {
    let origin = Origin::start().await;
    let (lines, _) = tls_lines("old");
    let gate = gate(&with_listen(origin.address, &lines, ""));
    for version in [0, 1, 2] {
        let mut stream = TcpStream::connect(gate.https()[0]).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
        assert_eq!(answer.get(6), Some(&70), "protocol_version: {answer:?}");
        assert_eq!(answer.len(), 7, "and no more");
    }
    let mut stream = TcpStream::connect(gate.https()[0]).await.unwrap();
    stream.write_all(&hello(3)).await.unwrap();
    let mut kind = [0];
    stream.read_exact(&mut kind).await.unwrap();
    assert_eq!(kind, [22], "1.2 in the same words is answered");
    drop(stream);
    until("their seats are free", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
}

/// An authority, and what it signs.
pub fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

pub fn signed_by(issuer: &Issuer<'static, KeyPair>) -> (CertificateDer<'static>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["robot.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.der().clone(), key.serialize_der())
}

#[tokio::test]
async fn a_client_certificate_may_be_missing_but_not_wrong() {
    let origin = Origin::start().await;
    let (pem, issuer) = authority();
    let (_, stranger) = authority();
    let file = folder("client-ca").join("clients.pem");
    std::fs::write(&file, pem).unwrap();
    let (lines, identity) = tls_lines("client-ca");
    let listen = format!("{lines}client_ca = \"{}\"", file.display());
    let gate = gate(&with_listen(origin.address, &listen, ""));
    for version in [&TLS12, &TLS13] {
        for (own, welcome) in [
            (None, true),
            (Some(signed_by(&issuer)), true),
            (Some(signed_by(&stranger)), false),
        ] {
            let believer = Believer {
                versions: &[version],
                own,
                ..Believer::new(&identity)
            };
            let served = async {
                let mut client = Client::over(believer.connect(gate.https()[0]).await.ok()?);
                client
                    .try_send("GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n")
                    .await
                    .ok()?;
                client.answer().await
            };
            let status = served.await.map(|answer| answer.status);
            assert_eq!(status, welcome.then_some(200), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_and_its_seat_comes_back() {
    let origin = Origin::start().await;
    let (lines, identity) = tls_lines("silent");
    let listen = format!(
        "{lines}handshake_timeout = \"400ms\"\nidle_timeout = \"60s\"\nheader_timeout = \"60s\"\n\
         max_connections = {{ http = 10, https = 3 }}"
    );
    let gate = gate(&with_listen(origin.address, &listen, ""));
    let mut silent = Client::connect(gate.https()[0]).await;
    let mut halfway = Client::connect(gate.https()[0]).await;
    halfway.send(&hello(3)[..40]).await;
    let mut dripping = Client::connect(gate.https()[0]).await;
    for byte in hello(3) {
        if dripping.try_send([byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for client in [&mut silent, &mut halfway, &mut dripping] {
        assert!(client.closed().await);
    }
    until("their seats are free", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    let stream = Believer::new(&identity).connect(gate.https()[0]).await;
    let answer = Client::over(stream.unwrap()).get("/api/x").await;
    assert_eq!(answer.status, 200);
}
