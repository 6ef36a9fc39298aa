//! The sockets alone, without the proxy behind them: an app that says hello, and a witness that keeps
//! every word.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::Response;
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::protocols::http::ServerSession;
use tidegate::config;
use tidegate::listen::{
    Cause, Connection, EarlyEnd, Identities, Inherited, Listener, Role, TlsIdentity, Witness,
    Workers, accept, bind, entrances,
};
use tokio::sync::watch;

use crate::folder;
use crate::support::pki::Identity;
use crate::support::{until, with_listen};

/// Listeners with workers, and nothing else.
pub struct Bare {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub identity: Arc<TlsIdentity>,
    pub listeners: Vec<Arc<Listener>>,
    heard: Arc<Heard>,
    workers: Option<Workers>,
    _shutdown: watch::Sender<bool>,
}

/// What the witness was told.
#[derive(Default)]
struct Heard(Mutex<Vec<EarlyEnd>>);

impl Witness for Heard {
    fn ended_early(&self, end: EarlyEnd) {
        self.0.lock().unwrap().push(end);
    }
}

struct Hello;

#[async_trait]
impl ServeHttp for Hello {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if let Some(connection) = Connection::of(session) {
            connection.exchange().began();
        }
        let refused = Connection::of(session).is_some_and(|one| one.refused().is_some());
        Response::builder()
            .status(if refused { 503 } else { 200 })
            .header("content-length", "5")
            .body(b"hello".to_vec())
            .unwrap()
    }
}

impl Bare {
    /// With these lines of `[listen]`, and this certificate in the folder of this name.
    pub async fn start(name: &str, listen: &str, identity: &Identity) -> Self {
        let (certificate, key) = identity.write(&folder(name));
        let listen = format!(
            "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n{listen}",
            certificate.display(),
            key.display()
        );
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let text = with_listen(nobody, &listen, "");
        let config = config::parse(&text, Path::new(".")).unwrap_or_else(|why| panic!("{why}"));
        let listen = config.listen;
        let identity = TlsIdentity::load(listen.certificate.as_ref().unwrap(), None).unwrap();
        let heard = Arc::new(Heard::default());
        let identities = Identities {
            https: Some(Arc::clone(&identity)),
            admin: None,
        };
        let witness: Arc<dyn Witness> = heard.clone();
        let bound = bind(&listen, Inherited::default()).unwrap();
        let entrances = entrances(bound, &listen, &identities, &witness).unwrap();
        let listeners: Vec<_> = entrances
            .clients
            .iter()
            .map(|entrance| Arc::clone(entrance.listener()))
            .collect();
        let at = |role| {
            let one = listeners.iter().find(|one| one.role() == role);
            one.unwrap().local()
        };
        let (http, https) = (at(Role::Http), at(Role::Https));
        let (shutdown, down) = watch::channel(false);
        let app = Arc::new(HttpServer::new_app(Hello));
        let workers = Workers::start("bare", 2, |_| Arc::clone(&app), &down).unwrap();
        tokio::spawn(accept(entrances.clients, workers.dispatch(), down));
        Self {
            http,
            https,
            identity,
            listeners,
            heard,
            workers: Some(workers),
            _shutdown: shutdown,
        }
    }

    /// Why connections ended early, in the order of their ends.
    pub fn causes(&self) -> Vec<Cause> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().map(|end| end.cause).collect()
    }

    /// Waits until no socket is left and no seat is taken.
    pub async fn all_closed(&self) {
        until("every socket is closed", || {
            self.listeners.iter().all(|one| {
                let now = one.snapshot();
                (now.open, now.seated, now.in_use) == (0, 0, 0)
            })
        })
        .await;
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop();
        }
    }
}
