//! Carries messages about tasks to their receivers: one POST each, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::task::{Carrier, Letter, Tried};

/// How much of an answer's body is read: nothing of it is used.
const READ: usize = 4096;
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// What the gate calls itself.
const NAME: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// A client for receivers of other people's choice: it trusts the roots of the operating system, and follows nobody.
pub struct Post(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Post {
    /// A client. Without roots of the operating system it reaches receivers on plain HTTP alone, and says so.
    ///
    /// # Errors
    /// When TLS cannot be set up, which a test excludes.
    pub fn new() -> Result<Self, tokio_rustls::rustls::Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(faults = ?found.errors, "the operating system has no roots: no receiver of webhooks is reached by https");
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut sockets = HttpConnector::new();
        sockets.enforce_http(false);
        sockets.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        let mut client = Client::builder(TokioExecutor::new());
        // Messages are few: a socket that idles is worth less than one that is known to be open.
        client.pool_max_idle_per_host(0);
        Ok(Self(client.build(connector)))
    }
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post")
    }
}

#[async_trait]
impl Carrier for Post {
    async fn post(&self, letter: Letter) -> Tried {
        let request = match request(letter) {
            Ok(request) => request,
            Err(error) => return Tried::Unanswered(error.to_string()),
        };
        match self.0.request(request).await {
            Ok(answer) => answered(answer).await,
            Err(error) => Tried::Unanswered(innermost(&error)),
        }
    }
}

fn request(letter: Letter) -> http::Result<Request<Full<Bytes>>> {
    Request::post(&*letter.url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, NAME)
        .header("webhook-id", letter.id)
        .header("webhook-timestamp", letter.timestamp)
        .header("webhook-signature", letter.signature)
        .body(Full::new(letter.body))
}

/// The head says it all; a small body is read so that its sender is not cut off.
async fn answered(answer: Response<Incoming>) -> Tried {
    let status = answer.status().as_u16();
    let retry_after = seconds(answer.headers());
    drop(Limited::new(answer.into_body(), READ).collect().await);
    Tried::Answered {
        status,
        retry_after,
    }
}

/// `Retry-After` in seconds; a date is not looked at.
fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What lies at the bottom of an error: what stands above only says that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_becomes_a_request_with_the_fields_of_the_standard() {
        let letter = Letter {
            url: "https://cmdb.example/hooks?a=b".into(),
            id: "msg_1".to_owned(),
            timestamp: 1_772_360_460,
            signature: "v1,abc".to_owned(),
            body: Bytes::from_static(b"{}"),
        };
        let request = request(letter).unwrap();
        let field = |name| request.headers()[name].to_str().unwrap();
        assert_eq!(field("webhook-id"), "msg_1");
        assert_eq!(field("webhook-timestamp"), "1772360460");
        assert_eq!(field("webhook-signature"), "v1,abc");
        assert_eq!(field("content-type"), "application/json");
        assert!(Post::new().is_ok());
    }
}
