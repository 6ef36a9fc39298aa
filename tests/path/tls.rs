//! TLS on both sides, and HTTP/2 on the client's.

use std::sync::Arc;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::{self_signed, tls};
use crate::support::{all_given_back, gate, limit, until};
use tokio::net::TcpStream;

pub fn text(origin: &Origin, listen: &str, upstream: &str) -> String {
    format!(
        r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
{listen}
[runtime]
threads = 2
[state]
url = "memory"
[log]
access = "off"
[[upstream]]
name = "up"
address = "https://localhost:{}"
{upstream}
"#,
        origin.address.port()
    )
}

pub fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn an_upstream_is_believed_by_fingerprint_by_ca_file_or_not_at_all() {
    let folder = folder("verify");
    for ca in [false, true] {
        let identity = self_signed(&["localhost"], ca);
        let other = self_signed(&["localhost"], ca);
        let elsewhere = self_signed(&["elsewhere"], ca);
        let origin = Origin::start_tls(identity.acceptor()).await;
        let file = |name: &str, pem: &str| {
            let path = folder.join(format!("{name}-{ca}.pem"));
            std::fs::write(&path, pem).unwrap();
            format!("verify = \"ca:{}\"", path.display())
        };
        let strange = Origin::start_tls(elsewhere.acceptor()).await;
        for (origin, verify, status) in [
            (
                &origin,
                format!("verify = \"{}\"", identity.fingerprint()),
                200,
            ),
            (
                &origin,
                format!("verify = \"{}\"", other.fingerprint()),
                502,
            ),
            (&origin, file("own", &identity.certificate_pem), 200),
            (&origin, file("other", &other.certificate_pem), 502),
            (&strange, file("elsewhere", &elsewhere.certificate_pem), 502),
            (
                &strange,
                format!("verify = \"{}\"", elsewhere.fingerprint()),
                200,
            ),
            (&origin, "verify = \"system\"".into(), 502),
            (&origin, "insecure = { skip_verify = true }".into(), 200),
        ] {
            let gate = gate(&text(origin, "", &verify));
            let mut client = Client::connect(gate.http()[0]).await;
            for _ in 0..3 {
                assert_eq!(
                    client.get("/api/x").await.status,
                    status,
                    "CA:{ca} {verify}"
                );
                if status != 200 {
                    client = Client::connect(gate.http()[0]).await;
                }
            }
            all_given_back(&gate).await;
        }
    }
}

#[tokio::test]
async fn tls_on_both_sides_carries_http1_and_http2_and_counts_sockets_in_their_handshake() {
    let upstream = self_signed(&["localhost"], true);
    let origin = Origin::start_tls(upstream.acceptor()).await;
    let own = self_signed(&["localhost"], false);
    let (certificate, key) = own.write(&folder("both"));
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n\
         max_connections = {{ http = 10, https = 3 }}",
        certificate.display(),
        key.display()
    );
    let verify = format!("verify = \"{}\"", upstream.fingerprint());
    let gate = gate(&text(&origin, &listen, &verify));
    let address = gate.https()[0];
    let stream = tls(TcpStream::connect(address).await.unwrap(), &["http/1.1"])
        .await
        .unwrap();
    let mut first = Client::over(stream);
    let answer = first.get("/api/x").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-forwarded-proto"), ["https"]);
    let (mut second, driver) = http2(address).await;
    for size in [0, 10, 1_000_000] {
        let (status, body) = get2(&mut second, &format!("/folder/x?bytes={size}")).await;
        assert_eq!((status, body), (200, size));
    }
    let silent = TcpStream::connect(address).await.unwrap();
    until("the silent socket counts", || {
        limit(&gate.snapshot(), "connections_https").in_use == 3
    })
    .await;
    let (mut fourth, fourth_driver) = http2(address).await;
    assert_eq!(
        get2(&mut fourth, "/api/x").await.0,
        503,
        "refused in HTTP/2"
    );
    let stream = tls(TcpStream::connect(address).await.unwrap(), &["http/1.1"])
        .await
        .unwrap();
    let refused = Client::over(stream).get("/api/x").await;
    assert_eq!(
        refused.header("tidegate-limit"),
        Some("connections_https"),
        "and in HTTP/1.1"
    );
    drop((first, second, silent, fourth));
    driver.abort();
    fourth_driver.abort();
    until("all closed", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    all_given_back(&gate).await;
}

pub async fn http2(
    address: std::net::SocketAddr,
) -> (
    h2::client::SendRequest<bytes::Bytes>,
    tokio::task::JoinHandle<()>,
) {
    let stream = tls(TcpStream::connect(address).await.unwrap(), &["h2"])
        .await
        .unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(async move {
        _ = connection.await;
    });
    (sender.ready().await.unwrap(), driver)
}

async fn get2(sender: &mut h2::client::SendRequest<bytes::Bytes>, target: &str) -> (u16, usize) {
    let uri = format!("https://localhost{target}");
    let request = http::Request::get(uri).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let response = response.await.unwrap();
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        read += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    (status, read)
}

#[tokio::test]
async fn http2_streams_share_a_connection_and_hold_units_of_their_own() {
    let origin = Origin::start_tls(self_signed(&["localhost"], false).acceptor()).await;
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder("streams"));
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let upstream = "insecure = { skip_verify = true }\n[upstream.limits.calls]\n\
                    counts = \"requests_in_flight\"\nlimit = 5";
    let gate = Arc::new(gate(&text(&origin, &listen, upstream)));
    let (sender, driver) = http2(gate.https()[0]).await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        let request = http::Request::get("https://localhost/api/x?hold")
            .body(())
            .unwrap();
        calls.push(sender.clone().send_request(request, true).unwrap());
    }
    until("five run", || origin.seen.running() == 5).await;
    assert_eq!(get2(&mut sender.clone(), "/api/x").await.0, 503);
    // Two streams are reset: their units, and theirs alone, come back.
    for (_, mut stream) in calls.drain(..2) {
        stream.send_reset(h2::Reason::CANCEL);
    }
    until("two are gone", || {
        limit(&gate.snapshot(), "calls").in_use == 3
    })
    .await;
    drop((calls, sender));
    driver.abort();
    all_given_back(&gate).await;
}
